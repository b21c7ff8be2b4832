"""Location of the C driver: `drivers/c` in a checkout, a folder of this package in a wheel."""

from pathlib import Path

from eie_hdl.files import write_files

__all__ = ["SOURCES", "find_c_driver", "write_driver"]

#: Files of the driver itself, without its example and its simulated platform.
SOURCES = ("eie.c", "eie.h", "eie_arithmetic.h", "eie_network.c", "eie_network.h",
           "eie_operations.h", "eie_quantise.h", "eie_registers.h")


def find_c_driver() -> Path:
    """Return the folder of the C driver, with its README, its example and its simulated platform.
    """
    package = Path(__file__).parent
    packed = package / "c"
    return packed if packed.is_dir() else package.parents[1] / "c"


def write_driver(folder: str | Path) -> dict[str, int]:
    """Copy the driver's own :data:`SOURCES` to a folder; return the bytes of each file."""
    contents = {name: (find_c_driver() / name).read_bytes() for name in SOURCES}
    write_files(folder, contents)
    return {name: len(content) for name, content in contents.items()}
