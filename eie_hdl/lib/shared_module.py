"""Components emitted once as a Verilog module and instantiated many times."""

from amaranth.hdl import Const, Elaboratable, Module, ResetInserter, Shape, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from .registered_reset import register_reset

__all__ = ["Shared", "ports"]


def ports(component):
    """Yield the Verilog name, flow and value of each port.

    Constants and zero-width ports are skipped. Member `valid` of member `load` is ``load_valid``.
    """
    for path, member, value in component.signature.flatten(component):
        value = Value.cast(value)
        if len(value) and not isinstance(value, Const):
            yield "_".join(str(key) for key in path), member.flow, value


def _plain(signature):
    """Replace the structures in a signature by plain bits.

    Amaranth emits a wire for every field of every structure, which would be most of the Verilog of
    the top module.
    """
    if isinstance(signature, stream.Signature):
        return stream.Signature(_width(signature.members["payload"]),
                                always_valid=signature.always_valid,
                                always_ready=signature.always_ready)
    members = {}
    for name, member in signature.members.items():
        if member.is_port:
            inner = _width(member)
        else:    # the signature of an `In` member is flipped
            inner = _plain(member.signature.flip() if member.flow == In else member.signature)
        members[name] = member.flow(inner).array(*member.dimensions)
    return wiring.Signature(members)


def _width(member):
    return unsigned(Shape.cast(member.shape).width)


class Shared(Elaboratable):
    """Instance of a component that shares its Verilog module with other instances.

    Amaranth emits a copy of a module for each instance. The platform of
    :mod:`eie_hdl.export.verilog` emits the module once, and an instance of it here. The module
    registers its reset. Without a platform, in simulation, this contains the component itself; the
    reset of the clock domain acts at once.

    Parameters
    ----------
    name : :class:`str`
        Name of the submodule, and prefix of its wires.
    module : :class:`str`
        Name of the Verilog module. Components with the same module name must be identical.
    signature : :class:`~amaranth.lib.wiring.Signature`
        Signature of the component. The members of this class are plain bits instead.
    make : callable
        Creates the component.
    reset : :class:`~amaranth.hdl.Signal`, optional
        Synchronous reset, in addition to that of the clock domain. Registered in both cases.
    """
    def __init__(self, name, module, signature, make, *, reset=None):
        self.signature = _plain(signature)
        self.name = name
        self.module = module
        self.make = make
        self.reset = Const(0) if reset is None else reset
        self.__dict__.update(self.signature.members.create(path=(name,)))

    def elaborate(self, platform):
        if hasattr(platform, "get_shared"):
            return platform.get_shared(self)

        m = Module()

        inner = self.make()
        reset, statements = register_reset(self.reset)
        m.d.sync += statements
        m.submodules.inner = ResetInserter(reset)(inner)
        for (_, flow, outer), (_, _, port) in zip(ports(self), ports(inner)):
            m.d.comb += port.eq(outer) if flow == In else outer.eq(port)

        return m
