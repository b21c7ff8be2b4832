"""Location of the C driver: `drivers/c` in a checkout, a folder of this package in a wheel."""

import shutil
from pathlib import Path

__all__ = ["SOURCES", "find_c_driver", "write_driver"]

#: Files of the driver itself, without its example and its simulated platform.
SOURCES = ("eie.c", "eie.h", "eie_quantise.h", "eie_registers.h")


def find_c_driver() -> Path:
    """Return the folder of the C driver, with its README, its example and its simulated platform.
    """
    package = Path(__file__).parent
    packed = package / "c"
    return packed if packed.is_dir() else package.parents[1] / "c"


def write_driver(folder: str | Path) -> dict[str, int]:
    """Copy the driver's own :data:`SOURCES` to a folder; return the bytes of each file."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        shutil.copyfile(find_c_driver() / name, folder / name)
    return {name: (folder / name).stat().st_size for name in SOURCES}
