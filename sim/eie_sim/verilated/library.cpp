// The accelerator in Verilator as a shared library: what eie_sim.driver.verilated calls.
//
// Functions that can fail return a text, which lives until the next call, and null otherwise.

#include <vector>

#include "host.h"

namespace {

struct Machine {
    axi::Host host;
    std::string failure;
    std::vector<uint8_t> results;
    uint64_t patience;
};

template <typename Call> const char *guarded(Machine *machine, Call call)
{
    try {
        call(machine->host);
        return nullptr;
    } catch (const axi::Failure &failure) {
        machine->failure = failure.what();
        return machine->failure.c_str();
    }
}

}  // namespace

extern "C" {

Machine *eie_open(double stall, unsigned seed, uint64_t patience)
{
    return new Machine{axi::Host({stall, seed, patience}), {}, {}, patience};
}

void eie_close(Machine *machine)
{
    delete machine;
}

const char *eie_read(Machine *machine, size_t n, const uint32_t *addresses, uint32_t *values)
{
    return guarded(machine, [=](axi::Host &host) {
        std::transform(addresses, addresses + n, values,
                       [&](uint32_t address) { return host.read(address); });
    });
}

const char *eie_write(Machine *machine, uint32_t address, uint32_t value)
{
    return guarded(machine, [=](axi::Host &host) { host.write(address, value); });
}

const char *eie_send(Machine *machine, const uint64_t *beats, size_t n_beats)
{
    return guarded(machine, [=](axi::Host &host) {
        const uint64_t end = host.n_cycles + n_beats + machine->patience;
        host.send(beats, n_beats);
        while (!host.sent()) {
            host.tick();
            host.check(host.n_cycles < end, "packet of %zu beats must be taken", n_beats);
        }
    });
}

// Expect a packet, instead of any expected before.
void eie_expect(Machine *machine, size_t n_bytes)
{
    machine->host.stop();
    machine->results.assign(n_bytes, 0);
    machine->host.receive(machine->results.data(), n_bytes);
}

// Bytes of the packet, at `bytes`; null if its end has not come.
const uint8_t *eie_receive(Machine *machine, size_t *n_bytes)
{
    return machine->host.received(n_bytes) ? machine->results.data() : nullptr;
}

// Let cycles go by until there is an interrupt or a whole packet.
const char *eie_wait(Machine *machine, uint64_t n_cycles)
{
    return guarded(machine, [=](axi::Host &host) {
        size_t n_bytes;
        for (const uint64_t end = host.n_cycles + n_cycles;
             !host.irq() && !host.received(&n_bytes) && host.n_cycles < end;)
            host.tick();
    });
}

uint64_t eie_cycles(const Machine *machine)
{
    return machine->host.n_cycles;
}

}
