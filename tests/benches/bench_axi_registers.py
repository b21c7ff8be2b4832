"""cocotb bench of all registers against the register map."""

import random

import cocotb
from cocotbext.axi import AxiResp

from benches.axi_buses import REGISTER_BYTES, seed
from benches.axi_cases import expect_words, random_build, random_inputs, reset_word
from benches.axi_host import Host
from eie_hdl.registers import ADDRESS_WIDTH, REGISTER, REGISTERS, Access

WRITABLE = [register for register in REGISTERS if register.access is Access.WRITE]
READABLE = [register for register in REGISTERS if register.access is Access.READ]
COMMANDS = [register for register in REGISTERS if register.access is Access.COMMAND]


def mask(register):
    """Return the mask of a register's fields."""
    return sum((1 << field.width) - 1 << field.low for field in register.fields)


def bytes_of(register):
    """Return the byte lanes that contain fields of a register."""
    return {bit // 8 for bit in range(8 * REGISTER_BYTES) if mask(register) >> bit & 1}


async def write_bytes(host, register, data, first=0):
    """Write `data` to bytes from `first` on, with the other strobes low."""
    resp, _ = await host.access(register.address + first, data)
    return resp


@cocotb.test()
async def registers_read_their_reset_values(dut):
    host = await Host.start(dut, pause=0.3)
    await expect_words(host, {})
    # Bytes can be read at any address, too.
    for register in REGISTERS:
        resp, half = await host.access(register.address + 1, n_bytes=2)
        assert (resp, half) == (AxiResp.OKAY, reset_word(register) >> 8 & 0xFFFF), register.name
    host.finish()


@cocotb.test()
async def addresses_without_a_register_are_refused(dut):
    host = await Host.start(dut, pause=0.3)
    known = {register.address for register in REGISTERS}
    for address in range(0, 1 << ADDRESS_WIDTH, REGISTER_BYTES):
        if address not in known:
            for data in (None, b"\xFF" * REGISTER_BYTES):
                resp, _ = await host.access(address, data)
                assert resp == AxiResp.SLVERR, f"0x{address:X} was answered with {resp.name}"
    await expect_words(host, {})
    host.finish()


@cocotb.test()
async def fields_are_written_by_the_bytes_that_are_strobed(dut):
    host = await Host.start(dut, pause=0.3)
    rng = random.Random(seed())
    words = {}
    for register in WRITABLE:
        word = reset_word(register)
        runs = [(first, n) for first in range(REGISTER_BYTES)
                for n in range(1, REGISTER_BYTES + 1 - first)]
        for first, n in [(0, REGISTER_BYTES), *rng.sample(runs, len(runs))]:
            for data in (b"\xFF" * n, rng.randbytes(n)):
                assert await write_bytes(host, register, data, first) == AxiResp.OKAY
                written = (1 << 8 * n) - 1 << 8 * first
                word = word & ~written | int.from_bytes(data, "little") << 8 * first
                words[register.name] = word = word & mask(register)
                assert await host.read_word(register.name) == word, register.name
    await expect_words(host, words)

    # A soft reset restores the reset values, and so does aresetn.
    await host.soft_reset()
    await expect_words(host, {})
    for register in WRITABLE:
        await write_bytes(host, register, bytes(REGISTER_BYTES))
    await host.reset()
    await expect_words(host, {})
    host.finish()


@cocotb.test()
async def writes_to_read_only_registers_and_partial_commands_are_refused(dut):
    host = await Host.start(dut, pause=0.3)
    for register in READABLE:
        for n in (1, REGISTER_BYTES):
            resp = await write_bytes(host, register, b"\xFF" * n)
            assert resp == AxiResp.SLVERR, register.name
    # A command needs the strobes of all bytes with fields, and no others.
    for register in COMMANDS:
        needed = bytes_of(register)
        for first in range(REGISTER_BYTES):
            for n in range(1, REGISTER_BYTES + 1 - first):
                if not needed <= set(range(first, first + n)):
                    resp = await write_bytes(host, register, b"\xFF" * n, first)
                    assert resp == AxiResp.SLVERR, register.name
    await expect_words(host, {})
    assert needed < set(range(REGISTER_BYTES))
    await write_bytes(host, REGISTER["CONTROL"], b"\0")
    await expect_words(host, {})
    host.finish()


@cocotb.test()
async def reads_and_writes_run_in_parallel(dut):
    """Reads and writes are in flight together, as many as the bus accepts."""
    host = await Host.start(dut)
    rng = random.Random(seed())
    words = {register.name: reset_word(register) for register in WRITABLE}
    constant = [register for register in READABLE if register.name != "STATUS"]

    async def write(register, data, first):
        assert await write_bytes(host, register, data, first) == AxiResp.OKAY

    async def read(register):
        assert await host.read_word(register.name) == reset_word(register), register.name

    n = 100
    for pause in (0, 0.5):
        host.set_pauses(pause)
        begin = host.cycle
        tasks = []
        for _ in range(n):
            register = rng.choice(WRITABLE)
            first = rng.choice([0, 2])
            data = rng.randbytes(REGISTER_BYTES - first)
            tasks += [cocotb.start_soon(write(register, data, first)),
                      cocotb.start_soon(read(rng.choice(constant)))]
            kept = (1 << 8 * first) - 1
            words[register.name] = (words[register.name] & kept
                                    | int.from_bytes(data, "little") << 8 * first) & mask(register)
        for task in tasks:
            await host.within("Answers", task)
        if not pause:
            # Both directions carry an access every two cycles.
            assert host.cycle - begin <= 2 * n + 20
        await expect_words(host, words)
    host.finish()


@cocotb.test()
async def registers_that_a_program_needs_are_locked_while_it_runs(dut):
    host = await Host.start(dut, pause=0.2)
    build = random_build(1)
    (inputs,) = random_inputs(build, 1)
    await host.load(build)
    host.post_input(build, inputs)
    await host.received()
    host.hold_results(True)
    locked = {register.name: await host.read_word(register.name)
              for register in REGISTERS if register.locked}
    await host.write("START", descriptor=0)
    assert locked
    for name, word in locked.items():
        assert await host.try_write(name, **{REGISTER[name].fields[0].name: 5}) == AxiResp.SLVERR
        assert await host.read_word(name) == word
    for register in WRITABLE:
        if not register.locked:
            resp = await write_bytes(host, register, bytes(REGISTER_BYTES))
            assert resp == AxiResp.OKAY, register.name
    host.hold_results(False)
    await host.expect_outputs()
    await host.rest()
    await host.write("INPUT_BASE", value=3)
    assert await host.value("INPUT_BASE") == 3
    host.finish()
