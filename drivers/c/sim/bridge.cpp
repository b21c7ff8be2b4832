// Platform of the C driver: the accelerator in Verilator, with AXI4-Lite, a DMA and interrupts.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "example.h"
#include "host.h"

namespace {

constexpr uint64_t LONGEST_SLEEP = 10000;

struct Options : axi::Settings {
    bool interrupts = false;
    uint64_t limit = 20000000;  // cycles
};

class Machine : public axi::Host {
public:
    explicit Machine(const Options &options) : Host(options), options(options)
    {
    }

    bool sent()
    {
        tick();
        return Host::sent();
    }

    bool received(size_t *n_bytes)
    {
        tick();
        return Host::received(n_bytes);
    }

    void stop()
    {
        Host::stop();
        tick();
    }

    // Sleep until an interrupt, including one handled since the last sleep.
    void sleep()
    {
        for (uint64_t end = n_cycles + LONGEST_SLEEP; !woken && !irq() && n_cycles < end;)
            tick();
        woken = false;
    }

    // Run the handler if the interrupt is asserted and not masked.
    void interrupt()
    {
        if (!options.interrupts || handling || !irq())
            return;
        handling = woken = true;
        n_interrupts++;
        example_interrupt();
        handling = false;
    }

    void check_limit() const
    {
        check(n_cycles < options.limit, "the program must end");
    }

    void print_traffic() const
    {
        std::printf("bridge: %llu cycles, %llu reads, %llu writes, %llu beats sent, %llu received, "
                    "%llu interrupts\n", number(n_cycles), number(n_reads), number(n_writes),
                    number(n_sent), number(n_received), number(n_interrupts));
    }

private:
    static unsigned long long number(uint64_t value)
    {
        return value;
    }

    const Options options;
    bool handling = false, woken = false;
    uint64_t n_interrupts = 0;
};

Machine *machine;

// Call a function of the port, then handle a pending interrupt. A failure exits the program, as an
// exception cannot pass through the C driver.
template <typename Call> auto call(Call function)
{
    try {
        const auto result = function();
        machine->check_limit();
        machine->interrupt();
        return result;
    } catch (const axi::Failure &failure) {
        std::printf("%s\n", failure.what());
        machine->print_traffic();
        std::exit(3);
    }
}

Options parse(int argc, char **argv)
{
    Options options;
    for (int at = 1; at < argc; at++) {
        const char *text = argv[at];
        if (!std::strcmp(text, "--interrupts"))
            options.interrupts = true;
        else if (!std::strncmp(text, "--stall=", 8))
            options.stall = std::atof(text + 8);
        else if (!std::strncmp(text, "--seed=", 7))
            options.seed = std::atoi(text + 7);
        else if (!std::strncmp(text, "--limit=", 8))
            options.limit = std::atoll(text + 8);
        else {
            std::printf("usage: %s [--interrupts] [--stall=SHARE] [--seed=N] [--limit=CYCLES]\n",
                        argv[0]);
            std::exit(2);
        }
    }
    return options;
}

}  // namespace

uint64_t platform_cycles(void)
{
    return machine->n_cycles;
}

int main(int argc, char **argv)
{
    const Options options = parse(argc, argv);
    machine = new Machine(options);
    eie_port port{};
    port.read = [](void *, uint32_t address) {
        return call([=] { return machine->read(address); });
    };
    port.write = [](void *, uint32_t address, uint32_t value) {
        call([=] { machine->write(address, value); return 0; });
    };
    port.send = [](void *, const uint64_t *beats, size_t n_beats) {
        return call([=] { return machine->send(beats, n_beats); });
    };
    port.sent = [](void *) { return call([] { return machine->sent(); }); };
    port.receive = [](void *, void *buffer, size_t n_bytes) {
        return call([=] { return machine->receive(buffer, n_bytes); });
    };
    port.received = [](void *, size_t *n_bytes) {
        return call([=] { return machine->received(n_bytes); });
    };
    port.stop = [](void *) { call([] { machine->stop(); return 0; }); };
    if (options.interrupts)
        port.wait = [](void *) { call([] { machine->sleep(); return 0; }); };
    port.patience = 1000000;
    const int code = example(&port);
    machine->print_traffic();
    return code;
}
