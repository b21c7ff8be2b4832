// The accelerator in Verilator with a host: an AXI4-Lite master, a DMA for its streams, interrupts.
//
// Each call advances the clock; DMA and machine run in every cycle. A protocol error of the machine
// throws a Failure with the state of the buses. After a timeout the host issues no more accesses:
// a late answer would be taken for that to a later access.
#ifndef EIE_HOST_H
#define EIE_HOST_H

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"

namespace axi {

constexpr unsigned BEAT_BYTES = 8, KEEP_ALL = 0xFF, STROBE_ALL = 0xF, OKAY = 0;

struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Settings {
    double stall = 0;             // probability of a pause, per cycle and channel
    unsigned seed = 1;            // seed of pauses and undefined power-on values
    uint64_t patience = 1000000;  // limit of an access in cycles; a packet gets one more per beat
};

// Pauses before the beats of a stream in cycles; the last is followed by the first.
class Schedule {
public:
    void set(const uint32_t *cycles, size_t n)
    {
        pauses.assign(cycles, cycles + n);
        next = 0;
        advance();
    }

    // Begin the pause before the next beat.
    void advance()
    {
        if (pauses.empty())
            return;
        left = pauses[next];
        next = (next + 1) % pauses.size();
    }

    // Spend a cycle; true if the pause is over.
    bool is_over()
    {
        return left ? left--, false : true;
    }

private:
    std::vector<uint32_t> pauses;
    size_t next = 0;
    uint32_t left = 0;
};

class Host {
public:
    explicit Host(const Settings &settings)
        : settings(settings), random(settings.seed), context(settings.seed), top(&context)
    {
        // Verilator randomises ports as well.
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 0;
        top.s_axil_arvalid = top.s_axil_rready = 0;
        top.s_axis_tvalid = 0;
        top.aresetn = 0;
        tick();
        tick();
        top.aresetn = 1;
    }

    ~Host()
    {
        top.final();
    }

    uint32_t read(uint32_t address)
    {
        top.s_axil_araddr = address;
        bool addressed = false, answered = false;
        uint32_t value = 0;
        unsigned response = OKAY;
        for (const uint64_t end = deadline(); !answered && n_cycles < end;) {
            top.s_axil_arvalid = !addressed && (top.s_axil_arvalid || is_active());
            top.s_axil_rready = is_active();
            step([&] {
                addressed |= top.s_axil_arvalid && top.s_axil_arready;
                if ((answered = top.s_axil_rvalid && top.s_axil_rready)) {
                    value = top.s_axil_rdata;
                    response = top.s_axil_rresp;
                }
            });
        }
        top.s_axil_arvalid = top.s_axil_rready = 0;
        check_in_time(answered, "read of 0x%03x must end", address);
        check(response == OKAY, "read of 0x%03x must be answered OKAY", address);
        n_reads++;
        return value;
    }

    void write(uint32_t address, uint32_t value)
    {
        top.s_axil_awaddr = address;
        top.s_axil_wdata = value;
        top.s_axil_wstrb = STROBE_ALL;
        bool addressed = false, given = false, answered = false;
        unsigned response = OKAY;
        for (const uint64_t end = deadline(); !answered && n_cycles < end;) {
            top.s_axil_awvalid = !addressed && (top.s_axil_awvalid || is_active());
            top.s_axil_wvalid = !given && (top.s_axil_wvalid || is_active());
            top.s_axil_bready = is_active();
            step([&] {
                addressed |= top.s_axil_awvalid && top.s_axil_awready;
                given |= top.s_axil_wvalid && top.s_axil_wready;
                if ((answered = top.s_axil_bvalid && top.s_axil_bready))
                    response = top.s_axil_bresp;
            });
        }
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 0;
        check_in_time(answered, "write of 0x%08x to 0x%03x must end", value, address);
        check(response == OKAY, "write of 0x%08x to 0x%03x must be answered OKAY", value, address);
        n_writes++;
    }

    // Start sending a packet; false while another one is being sent.
    bool send(const uint64_t *beats, size_t n_beats)
    {
        if (out_left)
            return false;
        out = beats;
        out_left = n_beats;
        return true;
    }

    bool sent() const
    {
        return !out_left;
    }

    // Start receiving a packet; false while another one is expected.
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

    // True if the packet is complete. `n_bytes` is its length so far, which may exceed the buffer.
    bool received(size_t *n_bytes) const
    {
        *n_bytes = in_bytes;
        return in_complete;
    }

    // Send a packet and wait until all of it is taken.
    void send_all(const uint64_t *beats, size_t n_beats)
    {
        check(send(beats, n_beats), "previous packet must have been sent");
        for (const uint64_t end = deadline() + n_beats; !sent() && n_cycles < end;)
            tick();
        check_in_time(sent(), "packet of %zu beats must be taken", n_beats);
    }

    // Stop expecting a packet, and drop the received one.
    void stop_receiving()
    {
        in_armed = in_complete = false;
    }

    // Drop the packets being sent and received.
    void stop()
    {
        out_left = 0;
        stop_receiving();
    }

    void tick()
    {
        step([] {});
    }

    bool irq() const
    {
        return top.irq;
    }

    // Cycles from the first beat sent to the last result beat taken since the previous call, both
    // included; 0 without such beats.
    uint64_t take_interval()
    {
        const uint64_t cycles = first_sent && first_sent < last_taken ? last_taken - first_sent + 1
                                                                      : 0;
        first_sent = last_taken = 0;
        return cycles;
    }

    // Cycles from the last beat sent to the last result beat; 0 if no result has come since.
    uint64_t latency() const
    {
        return last_sent < last_taken ? last_taken - last_sent : 0;
    }

    Schedule input_pauses, result_pauses;
    uint64_t n_cycles = 0, n_reads = 0, n_writes = 0, n_sent = 0, n_received = 0;

    // Throw a Failure with the state of the buses unless `ok`.
    template <typename... Values> void check(bool ok, const char *format, Values... values) const
    {
        if (ok)
            return;
        char what[200], state[200];
        std::snprintf(what, sizeof what, format, values...);
        std::snprintf(state, sizeof state, "\nirq %d; s_axis valid %d ready %d, %zu beats left; "
                      "m_axis valid %d ready %d, %zu bytes taken", top.irq, top.s_axis_tvalid,
                      top.s_axis_tready, out_left, top.m_axis_tvalid, top.m_axis_tready, in_bytes);
        throw Failure(std::string(what) + state);
    }

private:
    // Cycle by which an answer must come.
    uint64_t deadline() const
    {
        check(!hung, "machine must answer, but an earlier access timed out");
        return n_cycles + settings.patience;
    }

    // As check; after a failure the machine is not accessed any more.
    template <typename... Values> void check_in_time(bool ok, const char *format, Values... values)
    {
        hung = !ok;
        check(ok, format, values...);
    }

    // One clock cycle; `sample` sees the handshakes of the rising edge. It must not throw, or the
    // edge would be lost.
    template <typename Sample> void step(Sample sample)
    {
        top.s_axis_tvalid = out_left && (top.s_axis_tvalid
                                         || (input_pauses.is_over() && is_active()));
        if (out_left) {
            top.s_axis_tdata = *out;
            top.s_axis_tkeep = KEEP_ALL;
            top.s_axis_tlast = out_left == 1;
        }
        top.m_axis_tready = in_armed && result_pauses.is_over() && is_active();
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
            input_pauses.advance();
            if (!first_sent)
                first_sent = n_cycles;
            last_sent = n_cycles;
            top.s_axis_tvalid = 0;
        }
        n_cycles++;
        check(!keep_wrong, "TKEEP must not be 0x%02x", keep);
        check(!context.gotError(), "simulation must not end with the error above");
    }

    // Take a beat of results. TKEEP must mark all bytes, in the last beat any number of low bytes.
    void take()
    {
        keep = top.m_axis_tkeep;
        const uint64_t data = top.m_axis_tdata;
        unsigned n_bytes = 0;
        while (n_bytes < BEAT_BYTES && keep >> n_bytes & 1)
            n_bytes++;
        keep_wrong = keep != (1u << n_bytes) - 1 || (n_bytes < BEAT_BYTES && !top.m_axis_tlast);
        if (in_bytes < in_size)
            std::memcpy(in + in_bytes, &data, std::min<size_t>(n_bytes, in_size - in_bytes));
        in_bytes += n_bytes;
        in_complete = top.m_axis_tlast;
        in_armed = !in_complete;
        n_received++;
        result_pauses.advance();
        last_taken = n_cycles;
    }

    bool is_active()
    {
        return settings.stall == 0 || chance(random) >= settings.stall;
    }

    // Randomises undefined power-on values.
    struct Context : VerilatedContext {
        explicit Context(unsigned seed)
        {
            commandArgs(0, static_cast<const char **>(nullptr));    // the memories read plusargs
            randReset(2);
            randSeed(static_cast<int>(seed));
            fatalOnError(false);    // an error is a Failure of the step instead of an abort
        }
    };

    const Settings settings;
    std::mt19937 random;
    std::uniform_real_distribution<double> chance;
    Context context;
    Vtop top;
    const uint64_t *out = nullptr;
    size_t out_left = 0;
    uint8_t *in = nullptr;
    size_t in_size = 0, in_bytes = 0;
    bool in_armed = false, in_complete = false, hung = false, keep_wrong = false;
    unsigned keep = KEEP_ALL;
    uint64_t first_sent = 0, last_sent = 0, last_taken = 0;    // cycles; the reset precedes them
};

}  // namespace axi

#endif
