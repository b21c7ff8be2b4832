"""Verilog without memory images, of which a netlist has none."""

import re

__all__ = ["remove_images"]


def remove_images(text: str) -> str:
    """Remove the parameters of memory images, which would make a module of each instance."""
    text = re.sub(r'^(module \w+) #\(parameter IMAGE[^)]*\)', r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^ *\.IMAGE(?:_FOLDER)?\(.*\),?\n", "", text, flags=re.MULTILINE)
    text = re.sub(r",\n  \) ", "\n  ) ", text)
    return re.sub(r" #\(\n  \)", "", text)
