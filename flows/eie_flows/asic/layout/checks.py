"""Checks of a layout: its connections against the netlist, and widths and distances of metal."""

from collections.abc import Iterable
from dataclasses import dataclass

from .geometry import Geometry
from .netlist import GROUND, POWER, Netlist, Pin

__all__ = ["Connections", "Violations", "check_cells", "check_connections", "check_rules"]


@dataclass(frozen=True)
class Connections:
    """Comparison of the connections of a layout and of a netlist.

    Attributes
    ----------
    nets, pins : :class:`int`
        Numbers that were compared, those of the supply included.
    opened : :class:`tuple` of :class:`str`
        Nets whose pins are not all connected.
    shorted : :class:`tuple` of :class:`tuple`
        Sets of nets that are connected to one another.
    """

    nets: int
    pins: int
    opened: tuple[str, ...]
    shorted: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Violations:
    """Places of one metal layer that break its rules.

    Attributes
    ----------
    narrow, close : :class:`int`
        Places that are too narrow, and that are too close to another.
    blocked : :class:`int`
        Wires that touch an obstruction, the metal inside a cell.
    """

    narrow: int
    close: int
    blocked: int


def check_cells(geometry: Geometry, netlist: Netlist, fillers: Iterable[str]) -> list[str]:
    """List the cells that the layout lacks, has as another type, or has too many."""
    fillers = set(fillers)
    found = {name: kind for name, kind in geometry.kinds().items() if kind not in fillers}
    return sorted(name for name in found.keys() | netlist.kinds.keys()
                  if found.get(name) != netlist.kinds.get(name))


def check_connections(geometry: Geometry, netlist: Netlist) -> Connections:
    """Trace the metal between the pins, and compare it with the nets of a netlist.

    Shapes of one pin are connected inside the cell, as LEF defines. What the files say of nets and
    routes is not used.
    """
    islands = _trace(geometry)
    nets = {net: set(pins) for net, pins in netlist.nets.items()}
    for pin in islands:
        if pin[1] in (POWER, GROUND):
            nets.setdefault(pin[1], set()).add(pin)
    opened, owners = [], dict[int, set[str]]()
    for net, pins in nets.items():
        places = {islands.get(pin) for pin in pins}
        if len(places) > 1 or None in places:
            opened.append(net)
        for place in places - {None}:
            owners.setdefault(place, set()).add(net)    # type: ignore[arg-type]
    shorted = sorted(tuple(sorted(together)) for together in owners.values() if len(together) > 1)
    return Connections(len(nets), sum(map(len, nets.values())), tuple(sorted(opened)),
                       tuple(shorted))


def _trace(geometry: Geometry) -> dict[Pin, int]:
    """Number the pieces of connected metal, and return that of each pin that has metal."""
    import klayout.db as kdb

    tracer = kdb.LayoutToNetlist(geometry.layout.top_cell().name, geometry.layout.dbu)
    metals = {rule.layer: geometry.conductors(rule.layer) for rule in geometry.metals}
    layers = [*metals.items(), *((name, geometry.region(name)) for name in geometry.cuts)]
    for name, region in layers:
        tracer.register(region, name)
        tracer.connect(region)
    cuts = dict(layers[len(metals):])
    pairs = zip(geometry.metals, geometry.cuts, geometry.metals[1:])
    for below, cut, above in pairs:
        tracer.connect(metals[below.layer], cuts[cut])
        tracer.connect(cuts[cut], metals[above.layer])
    tracer.extract_netlist()

    joined: dict[int, int] = {}

    def root(piece: int) -> int:
        while piece != joined.setdefault(piece, piece):
            piece = joined[piece]
        return piece

    found: dict[Pin, int] = {}
    for pin, layer, point in geometry.pins():
        net = tracer.probe_net(metals[layer], point)
        if net is not None:
            piece = root(net.cluster_id)
            joined[piece] = root(found.setdefault(pin, piece))
    return {pin: root(piece) for pin, piece in found.items()}


def check_rules(geometry: Geometry) -> dict[str, Violations]:
    """Check width and distance of all metal, also inside the cells, by metal layer."""
    found = {}
    for rule in geometry.metals:
        metal, units = geometry.metal(rule.layer), geometry.layout.dbu
        spacing = round(rule.spacing / units)
        blocked = geometry.region(f"{rule.layer}.OBS")
        found[rule.layer] = Violations(
            metal.width_check(round(rule.width / units)).count(),
            # Together what `space_check` finds, in a fraction of its time.
            metal.isolated_check(spacing).count() + metal.notch_check(spacing).count(),
            geometry.region(rule.layer).interacting(blocked).count())
    return found
