"""List of the memories in emitted Verilog, for those who replace them by macros."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..format import SCHEMA_VERSION

__all__ = ["PORTS", "MemoryKind", "describe_memories", "list_memories", "memories_json"]

#: Ports of every memory.
PORTS = "1 read, 1 write"


@dataclass(frozen=True)
class MemoryKind:
    """All instances of one memory module with the same size.

    Attributes
    ----------
    module : :class:`str`
        Verilog module.
    words, bits : :class:`int`
        Rows, and bits of a row: its parameters DEPTH and WIDTH.
    instances : :class:`tuple` of :class:`str`
        Hierarchical names, from the top module.
    """
    module: str
    words: int
    bits: int
    instances: tuple[str, ...]

    @property
    def places(self) -> list[str]:
        """Hierarchical names with ``*`` for the numbers of the PEs and nodes."""
        return list(dict.fromkeys(re.sub(r"(?<=_)\d+(?=_|\.|$)", "*", instance)
                                  for instance in self.instances))


def list_memories(text: str, top: str) -> list[MemoryKind]:
    """List the memories of a machine, the largest first.

    Parameters
    ----------
    text : :class:`str`
        Verilog of all modules but the memories.
    top : :class:`str`
        Name of the top module, and prefix of the memory modules.
    """
    modules = {re.match(r"module (\w+)", module)[1]: list(_instances(module))    # type: ignore[index]
               for module in re.split(r"^(?=module )", text, flags=re.MULTILINE)[1:]}
    found: dict[tuple[str, int, int], list[str]] = defaultdict(list)

    def walk(module: str, place: str) -> None:
        for inner, name, parameters in modules[module]:
            if inner in modules:
                walk(inner, f"{place}.{name}")
            else:
                words, bits = (int(re.search(rf"\.{parameter}\(32'd(\d+)\)", parameters)[1])    # type: ignore[index]
                               for parameter in ("DEPTH", "WIDTH"))
                found[inner, words, bits].append(f"{place}.{name}")

    walk(top, top)
    return sorted((MemoryKind(*key, tuple(instances)) for key, instances in found.items()),
                  key=lambda kind: (-kind.words * kind.bits, kind.module, kind.words))


def _instances(module: str) -> Iterator[tuple[str, str, str]]:
    """Yield module, name and parameters of each instance in the text of a module."""
    # The name of an instance may be escaped, such as "\\input ".
    for found in re.finditer(r"^  (\w+) +(?:#\(\n(.*?)\n  \) )?\\?(\w+) +\($", module,
                             re.MULTILINE | re.DOTALL):
        yield found[1], found[3], found[2] or ""


def describe_memories(kinds: Sequence[MemoryKind]) -> str:
    """Describe memories as a Markdown table."""
    return (f"\n## Memories in the Verilog\n\nEach has ports: {PORTS}, on one clock. `*` is the "
            "number of a PE or node.\n\n| module | words | bits | count | instances |\n"
            "|---|---|---|---|---|\n"
            + "".join(f"| `{kind.module}` | {kind.words} | {kind.bits} | {len(kind.instances)} | "
                      f"{', '.join(f'`{place}`' for place in kind.places)} |\n" for kind in kinds))


def memories_json(kinds: Sequence[MemoryKind], top: str) -> str:
    """Describe memories as JSON, with the names of all instances."""
    return json.dumps({
        "schema_version": SCHEMA_VERSION, "machine": top,
        "memories": [{"module": kind.module, "words": kind.words, "bits": kind.bits,
                      "read_ports": 1, "write_ports": 1, "count": len(kind.instances),
                      "instances": kind.instances} for kind in kinds]}, indent=1) + "\n"
