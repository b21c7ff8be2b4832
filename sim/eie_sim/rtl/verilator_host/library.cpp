// The accelerator in Verilator as a shared library, for eie_sim.rtl.verilator_bus.
//
// Functions that can fail return null, or an error message that is valid until the next call.

#include <vector>

#include "host.h"

namespace {

struct Machine {
    axi::Host host;
    std::string failure;
    std::vector<uint64_t> packet;
    std::vector<uint8_t> results;
};

// Convert exceptions to messages: none may leave a C function.
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

// Create a machine; null if memory is exhausted.
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

// Send a copy of the beats: after a timeout the host still refers to them.
const char *eie_send(Machine *machine, const uint64_t *beats, size_t n_beats)
{
    return guarded(machine, [=](Machine &machine) {
        machine.packet.assign(beats, beats + n_beats);
        machine.host.send_all(machine.packet.data(), n_beats);
    });
}

// Set the pauses before the following beats of inputs and results, as of Schedule.
void eie_set_pauses(Machine *machine, const uint32_t *inputs, size_t n_inputs,
                    const uint32_t *results, size_t n_results)
{
    machine->host.input_pauses.set(inputs, n_inputs);
    machine->host.result_pauses.set(results, n_results);
}

// Expect a packet, replacing any earlier expectation.
const char *eie_expect(Machine *machine, size_t n_bytes)
{
    return guarded(machine, [=](Machine &machine) {
        machine.host.stop_receiving();
        machine.results.assign(n_bytes, 0);
        machine.host.receive(machine.results.data(), n_bytes);
    });
}

// Return the expected packet and its length, or null until it is complete. It is valid until the
// next call of eie_expect. Bytes beyond the expected length are zero.
const uint8_t *eie_receive(Machine *machine, size_t *n_bytes)
{
    if (!machine->host.received(n_bytes))
        return nullptr;
    machine->host.stop_receiving();
    machine->results.resize(*n_bytes);
    return machine->results.data();
}

// Advance the clock until an interrupt or a complete packet, for at most n_cycles.
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

// Cycles of the streams since the previous call, as Host::take_interval.
uint64_t eie_take_interval(Machine *machine)
{
    return machine->host.take_interval();
}

uint64_t eie_latency(const Machine *machine)
{
    return machine->host.latency();
}

}
