"""Components of which there are many alike: emitted once, instantiated often."""

from amaranth.hdl import Const, Elaboratable, Module, ResetInserter, Shape, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

__all__ = ["Shared", "ports"]


def ports(component):
    """Each port that has a width and is no constant: its name in Verilog, flow and value.

    Member `valid` of member `load` is ``load_valid``.
    """
    for path, member, value in component.signature.flatten(component):
        value = Value.cast(value)
        if len(value) and not isinstance(value, Const):
            yield "_".join(str(key) for key in path), member.flow, value


def _plain(signature):
    """The same signature with plain bits in place of structures.

    Amaranth writes a wire for every field of every structure into the Verilog, which at the top
    would be most of the text.
    """
    if isinstance(signature, stream.Signature):
        return stream.Signature(_width(signature.members["payload"]),
                                always_valid=signature.always_valid,
                                always_ready=signature.always_ready)
    members = {}
    for name, member in signature.members.items():
        if member.is_port:
            inner = _width(member)
        else:    # an input's signature is given as its user sees it
            inner = _plain(member.signature.flip() if member.flow == In else member.signature)
        members[name] = member.flow(inner).array(*member.dimensions)
    return wiring.Signature(members)


def _width(member):
    return unsigned(Shape.cast(member.shape).width)


class Shared(Elaboratable):
    """Place of a component of which there are many alike.

    Amaranth emits a copy of a module for each place where it is. For Verilog, this leaves an
    instance and tells the platform (of :mod:`eie_hdl.export.verilog`) how to make the module, once.
    Without a platform, in simulation, the component itself is here.

    Parameters
    ----------
    place : :class:`str`
        Name of the submodule; wires around it are named after it.
    module : :class:`str`
        Name of the Verilog module. Components of one name must be the same.
    signature : :class:`~amaranth.lib.wiring.Signature`
        Signature of the component. The members are here as plain bits.
    make : callable
        Makes the component.
    reset : :class:`~amaranth.hdl.Signal`, optional
        Resets it, as the reset of its clock domain does.
    """
    def __init__(self, place, module, signature, make, *, reset=None):
        self.signature = _plain(signature)
        self.place = place
        self.module = module
        self.make = make
        self.reset = Const(0) if reset is None else reset
        self.__dict__.update(self.signature.members.create(path=(place,)))

    def elaborate(self, platform):
        if hasattr(platform, "get_shared"):
            return platform.get_shared(self)

        m = Module()

        inner = self.make()
        m.submodules.inner = ResetInserter(self.reset)(inner)
        for (_, flow, outer), (_, _, port) in zip(ports(self), ports(inner)):
            m.d.comb += port.eq(outer) if flow == In else outer.eq(port)

        return m
