// The accelerator in Verilator as a shared library: what eie_sim.rtl.verilator_bus calls.
//
// Functions that can fail return a text, which lives until the next call, and null otherwise.

#include <vector>

#include "host.h"

namespace {

struct Machine {
    axi::Host host;
    std::string failure;
    std::vector<uint64_t> packet;
    std::vector<uint8_t> results;
};

// No exception may come to those who know none.
template <typename Call> const char *guarded(Machine *machine, Call call)
{
    try {
        call(*machine);
        return nullptr;
    } catch (const std::exception &failure) {
        machine->failure = failure.what();
        return machine->failure.c_str();
    }
}

}  // namespace

extern "C" {

// Null if there is no memory for it.
Machine *eie_open(double stall, unsigned seed, uint64_t patience)
{
    try {
        return new Machine{axi::Host({stall, seed, patience}), {}, {}, {}};
    } catch (const std::exception &) {
        return nullptr;
    }
}

void eie_close(Machine *machine)
{
    delete machine;
}

const char *eie_read(Machine *machine, size_t n, const uint32_t *addresses, uint32_t *values)
{
    return guarded(machine, [=](Machine &machine) {
        std::transform(addresses, addresses + n, values,
                       [&](uint32_t address) { return machine.host.read(address); });
    });
}

const char *eie_write(Machine *machine, uint32_t address, uint32_t value)
{
    return guarded(machine, [=](Machine &machine) { machine.host.write(address, value); });
}

// The beats are copied: if the packet is not taken, the host still has it when this returns.
const char *eie_send(Machine *machine, const uint64_t *beats, size_t n_beats)
{
    return guarded(machine, [=](Machine &machine) {
        machine.packet.assign(beats, beats + n_beats);
        machine.host.send_all(machine.packet.data(), n_beats);
    });
}

// Expect a packet, instead of any expected before.
const char *eie_expect(Machine *machine, size_t n_bytes)
{
    return guarded(machine, [=](Machine &machine) {
        machine.host.stop_receiving();
        machine.results.assign(n_bytes, 0);
        machine.host.receive(machine.results.data(), n_bytes);
    });
}

// The packet that was expected, and its length; null if its end has not come. It is there until the
// next one is expected. What did not fit is zeros.
const uint8_t *eie_receive(Machine *machine, size_t *n_bytes)
{
    if (!machine->host.received(n_bytes))
        return nullptr;
    machine->host.stop_receiving();
    machine->results.resize(*n_bytes);
    return machine->results.data();
}

// Let cycles go by until there is an interrupt or a whole packet.
const char *eie_wait(Machine *machine, uint64_t n_cycles)
{
    return guarded(machine, [=](Machine &machine) {
        size_t n_bytes;
        for (const uint64_t end = machine.host.n_cycles + n_cycles;
             !machine.host.irq() && !machine.host.received(&n_bytes)
             && machine.host.n_cycles < end;)
            machine.host.tick();
    });
}

uint64_t eie_cycles(const Machine *machine)
{
    return machine->host.n_cycles;
}

}
