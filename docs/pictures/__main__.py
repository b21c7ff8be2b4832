"""Draw the pictures of the docs: `python docs/pictures [FOLDER]`."""

import sys
from pathlib import Path

import host
import machine
import pe
import tree

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
for source in (machine, pe, tree, host):
    (folder / f"{source.__name__}.svg").write_text(source.draw().svg(), encoding="utf-8")
