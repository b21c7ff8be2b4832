"""Initial values of registers in emitted Verilog."""

import re

__all__ = ["remove_initial_values", "remove_values_without_reset"]

#: Register with its initial value. Values without a width are those of signals that only wake up
#: simulators.
_DECLARATION = re.compile(r"^(  reg (?:\[\d+:0\] )?)(\S+) *= \d+'[hd]\w+;", re.MULTILINE)


def remove_initial_values(text: str) -> str:
    """Remove the initial values of registers, and the attributes that repeat them."""
    text = re.sub(r"^  \(\* init = .* \*\)\n", "", text, flags=re.MULTILINE)
    return _DECLARATION.sub(r"\1\2 ;", text)    # the space ends the names that are escaped


def remove_values_without_reset(text: str) -> str:
    """Remove the initial values of registers without reset, which a chip lacks.

    They are random in Verilator, and x in Icarus, until an assignment. Registers with a reset keep
    their values, as memories must not be accessed at random before it.
    """
    return "".join(map(_remove_in_module, re.split(r"^(?=module )", text, flags=re.MULTILINE)))


def _remove_in_module(text: str) -> str:
    """Remove initial values in a module, whose reset assigns the next value of a register."""
    with_reset = set(re.findall(r"^ +if \(\w*rst\) begin\n +(\S+) +=", text, re.MULTILINE))
    following = dict(re.findall(r"^ +(\S+) <= (\S+) *;", text, re.MULTILINE))
    return _DECLARATION.sub(
        lambda match: match[0] if following.get(match[2]) in with_reset
        else f"{match[1]}{match[2]} ;", text)
