// A board with an SPI bridge, and an adapter to SPI as its host: see serial_board.h.

#include "serial_board.h"

namespace {

constexpr int BITS = 8;
constexpr int TRANSFER = 32;    // bytes for which the board remains selected

// Host in mode 0, most significant bit first. It never stops: a reply comes while it sends END.
class Line {
public:
    Line(Vtop &top, int phase_cycles) : top(top), phase_cycles(phase_cycles)
    {
        top.sck = top.mosi = 0;
        top.cs_n = 1;
    }

    bool tick()
    {
        if (!cycles) {
            advance();
            cycles = phase_cycles;
        }
        cycles--;
        board::clock(top);
        return sends || previous != board::END;
    }

    std::deque<uint8_t> outgoing, received;

private:
    // Begin the next phase.
    void advance()
    {
        if (top.cs_n) {
            top.cs_n = 0;
            bytes = TRANSFER;
            load();
        } else if (!bits) {
            top.cs_n = 1;
        } else if (!top.sck) {
            top.sck = 1;
            in_bits = in_bits << 1 | top.miso;
        } else {
            top.sck = 0;
            if (!--bits) {
                take(in_bits);
                if (--bytes)
                    load();
            }
        }
        if (bits)
            top.mosi = out_bits >> (bits - 1) & 1;
    }

    void load()
    {
        sends = !outgoing.empty();
        out_bits = board::END;
        if (sends) {
            out_bits = outgoing.front();
            outgoing.pop_front();
        }
        bits = BITS;
    }

    // Of successive END, pass only those on that begin and end a frame.
    void take(uint8_t byte)
    {
        const bool is_inside = byte != board::END;
        const bool was_inside = previous != board::END;
        if (is_inside && !was_inside)
            received.push_back(board::END);
        if (is_inside || was_inside)
            received.push_back(byte);
        previous = byte;
    }

    Vtop &top;
    const int phase_cycles;
    int cycles = 0, bits = 0, bytes = 0;
    bool sends = false;
    uint8_t out_bits = 0, in_bits = 0, previous = board::END;
};

}  // namespace

int main(int argc, char **argv)
{
    return board::run<Line>(argc, argv);
}
