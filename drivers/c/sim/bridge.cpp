// The accelerator in Verilator as a platform of the C driver: AXI4-Lite, a DMA, interrupts.
//
// A call of the port lets clock cycles go by; the DMA and the machine work in all of them. The
// interrupt comes between two calls. What no host may do, or the machine must not, ends the
// program.

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "Vtop.h"
#include "example.h"
#include "verilated.h"

namespace {

constexpr unsigned BEAT_BYTES = 8, KEEP_ALL = 0xFF, STROBE_ALL = 0xF, OKAY = 0;
constexpr uint64_t LONGEST_SLEEP = 10000;

struct Options {
    bool interrupts = false;
    double stall = 0;           // probability of a cycle's rest, on each channel
    unsigned seed = 1;
    uint64_t limit = 20000000;  // cycles
};

class Machine {
public:
    explicit Machine(const Options &options) : options(options), random(options.seed)
    {
        // Verilator gives ports random values, too.
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 0;
        top.s_axil_arvalid = top.s_axil_rready = 0;
        top.s_axis_tvalid = 0;
        top.aresetn = 0;
        tick();
        tick();
        top.aresetn = 1;
    }

    uint32_t read(uint32_t address)
    {
        top.s_axil_araddr = address;
        bool asked = false, answered = false;
        uint32_t value = 0;
        while (!answered) {
            top.s_axil_arvalid = !asked && (top.s_axil_arvalid || goes());
            top.s_axil_rready = goes();
            step([&] {
                asked |= top.s_axil_arvalid && top.s_axil_arready;
                if ((answered = top.s_axil_rvalid && top.s_axil_rready)) {
                    value = top.s_axil_rdata;
                    check(top.s_axil_rresp == OKAY, "read of 0x%03x must be answered OKAY",
                          address);
                }
            });
        }
        top.s_axil_rready = 0;
        n_reads++;
        return value;
    }

    void write(uint32_t address, uint32_t value)
    {
        top.s_axil_awaddr = address;
        top.s_axil_wdata = value;
        top.s_axil_wstrb = STROBE_ALL;
        bool addressed = false, given = false, answered = false;
        while (!answered) {
            top.s_axil_awvalid = !addressed && (top.s_axil_awvalid || goes());
            top.s_axil_wvalid = !given && (top.s_axil_wvalid || goes());
            top.s_axil_bready = goes();
            step([&] {
                addressed |= top.s_axil_awvalid && top.s_axil_awready;
                given |= top.s_axil_wvalid && top.s_axil_wready;
                if ((answered = top.s_axil_bvalid && top.s_axil_bready))
                    check(top.s_axil_bresp == OKAY, "write of 0x%08x to 0x%03x must be answered "
                          "OKAY", value, address);
            });
        }
        top.s_axil_bready = 0;
        n_writes++;
    }

    bool send(const uint64_t *beats, size_t n_beats)
    {
        if (out_left)
            return false;
        out = beats;
        out_left = n_beats;
        return true;
    }

    bool sent()
    {
        tick();
        return !out_left;
    }

    bool receive(void *buffer, size_t n_bytes)
    {
        if (in_armed)
            return false;
        in = static_cast<uint8_t *>(buffer);
        in_size = n_bytes;
        in_bytes = 0;
        in_armed = true;
        in_complete = false;
        return true;
    }

    bool received(size_t *n_bytes)
    {
        tick();
        *n_bytes = in_bytes;
        return in_complete;
    }

    void stop()
    {
        out_left = 0;
        in_armed = in_complete = false;
        tick();
    }

    // Until the interrupt, even if it has been handled already since the last sleep.
    void sleep()
    {
        for (uint64_t end = n_cycles + LONGEST_SLEEP; !woken && !top.irq && n_cycles < end;)
            tick();
        woken = false;
    }

    // Let the handler run if the machine calls for it and interrupts are not masked.
    void interrupt()
    {
        if (!options.interrupts || handling || !top.irq)
            return;
        handling = woken = true;
        n_interrupts++;
        example_interrupt();
        handling = false;
    }

    void tell() const
    {
        std::printf("bridge: %llu cycles, %llu reads, %llu writes, %llu beats sent, %llu received, "
                    "%llu interrupts\n", n_cycles, n_reads, n_writes, n_sent, n_received,
                    n_interrupts);
    }

    unsigned long long n_cycles = 0;

private:
    // One clock cycle; `sample` sees the handshakes of the rising edge.
    template <typename Sample> void step(Sample sample)
    {
        top.s_axis_tvalid = out_left && (top.s_axis_tvalid || goes());
        if (out_left) {
            top.s_axis_tdata = *out;
            top.s_axis_tkeep = KEEP_ALL;
            top.s_axis_tlast = out_left == 1;
        }
        top.m_axis_tready = in_armed && goes();
        top.aclk = 0;
        top.eval();
        sample();
        const bool taken = top.s_axis_tvalid && top.s_axis_tready;
        if (top.m_axis_tvalid && top.m_axis_tready)
            take();
        top.aclk = 1;
        top.eval();
        if (taken) {
            out++;
            out_left--;
            n_sent++;
            top.s_axis_tvalid = 0;
        }
        check(++n_cycles < options.limit, "the program must end");
    }

    void tick()
    {
        step([] {});
    }

    // Take a beat of results. TKEEP marks the lowest bytes: all of them, but in the last beat.
    void take()
    {
        const unsigned keep = top.m_axis_tkeep;
        const uint64_t data = top.m_axis_tdata;
        unsigned n_bytes = 0;
        while (n_bytes < BEAT_BYTES && keep >> n_bytes & 1)
            n_bytes++;
        check(keep == (1u << n_bytes) - 1 && (n_bytes == BEAT_BYTES || top.m_axis_tlast),
              "TKEEP must not be 0x%02x", keep);
        if (in_bytes < in_size)
            std::memcpy(in + in_bytes, &data, std::min<size_t>(n_bytes, in_size - in_bytes));
        in_bytes += n_bytes;
        in_complete = top.m_axis_tlast;
        in_armed = !in_complete;
        n_received++;
    }

    bool goes()
    {
        return options.stall == 0 || chance(random) >= options.stall;
    }

    void check(bool right, const char *format, ...) const
    {
        if (right)
            return;
        va_list arguments;
        va_start(arguments, format);
        std::vprintf(format, arguments);
        va_end(arguments);
        std::printf("\nirq %d; s_axis valid %d ready %d, %zu beats left; m_axis valid %d ready %d, "
                    "%zu bytes taken\n", top.irq, top.s_axis_tvalid, top.s_axis_tready, out_left,
                    top.m_axis_tvalid, top.m_axis_tready, in_bytes);
        tell();
        std::exit(3);
    }

    const Options options;
    std::mt19937 random;
    std::uniform_real_distribution<double> chance;
    Vtop top;
    const uint64_t *out = nullptr;
    size_t out_left = 0;
    uint8_t *in = nullptr;
    size_t in_size = 0, in_bytes = 0;
    bool in_armed = false, in_complete = false, handling = false, woken = false;
    unsigned long long n_reads = 0, n_writes = 0, n_sent = 0, n_received = 0, n_interrupts = 0;
};

Machine *machine;

// A call of the port, with an interrupt behind it if there is one.
template <typename Call> auto call(Call function)
{
    const auto result = function();
    machine->interrupt();
    return result;
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
    Verilated::commandArgs(argc, argv);
    // What is unknown at power-on is random.
    Verilated::randReset(2);
    Verilated::randSeed(options.seed);
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
    port.stop = [](void *) { machine->stop(); };
    if (options.interrupts)
        port.wait = [](void *) { call([] { machine->sleep(); return 0; }); };
    port.patience = 1000000;
    const int code = example(&port);
    machine->tell();
    return code;
}
