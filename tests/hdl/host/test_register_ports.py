# amaranth: UnusedElaboratable=no
"""RegisterPorts, and their connection to a register bank."""

import random

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from eie_hdl.host.register_bank import RegisterBank
from eie_hdl.host.register_ports import RegisterPorts, connect_registers
from eie_hdl.registers import ADDRESS_WIDTH, REGISTERS


class User(wiring.Component):
    """Component that uses some registers."""

    registers: In(RegisterPorts.of("CONTROL", "STATUS", "WATCHDOG", "IRQ_STATUS"))

    def elaborate(self, platform):
        return Module()


def test_members_follow_the_access_of_the_register():
    """Directions of the bank, for fields of all access types."""
    members = RegisterPorts.of("ERROR_ADDRESS", "WATCHDOG", "READ", "IRQ_STATUS").members
    assert {name: (member.flow, member.shape, member.init or 0)
            for name, member in members.items()} == {
        "error_address_value": (In, 24, 0),
        "watchdog_value": (Out, 32, 1 << 24),
        "read_count": (Out, 24, 0), "read_write": (Out, 1, 0),
        "irq_status_done": (Out, 1, 0), "irq_status_done_set": (In, 1, 0),
        "irq_status_error": (Out, 1, 0), "irq_status_error_set": (In, 1, 0)}


def test_members_of_the_bank_are_the_ports_of_its_registers():
    bank = RegisterBank(REGISTERS, addr_width=ADDRESS_WIDTH)
    members = dict(bank.signature.members)
    assert {name for name in members if name not in RegisterPorts(REGISTERS).members} == {
        "bus", "lock", "restore"}


def test_connection_drives_each_member_from_the_side_it_comes_from(simulate):
    rng = random.Random(5)
    bank = RegisterPorts(REGISTERS).flip().create()    # in place of a bank
    user = User()
    top = Module()
    top.submodules.user = user
    connect_registers(top, bank, user)
    top.signature = wiring.Signature({})

    async def bench(ctx):
        n_driven = {In: 0, Out: 0}
        for name, member in RegisterPorts.of("CONTROL", "STATUS", "WATCHDOG",
                                             "IRQ_STATUS").members.items():
            source, sink = getattr(bank, name), getattr(user.registers, name)
            if member.flow == In:
                source, sink = sink, source
            value = rng.getrandbits(len(source)) or 1
            ctx.set(source, value)
            assert ctx.get(sink) == value
            n_driven[member.flow] += 1
        assert n_driven[In] > 0 and n_driven[Out] > 0

    simulate(top, bench)
