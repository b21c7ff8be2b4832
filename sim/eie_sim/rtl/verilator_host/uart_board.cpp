// A board with a UART bridge: see serial_board.h.

#include "serial_board.h"

namespace {

constexpr int BITS = 10;    // of a byte, with start and stop

// The end of the line at the host: bits to and from the pins of the board.
class Line {
public:
    Line(Vtop &top, int bit_cycles) : top(top), bit_cycles(bit_cycles) {}

    // One clock cycle. True if a byte is on the line.
    bool tick()
    {
        if (!out_cycles && !outgoing.empty()) {
            out_bits = 1u << (BITS - 1) | outgoing.front() << 1;
            outgoing.pop_front();
            out_cycles = BITS * bit_cycles;
        }
        top.rx = out_cycles ? out_bits >> (BITS - 1 - (out_cycles - 1) / bit_cycles) & 1 : 1;
        out_cycles -= out_cycles > 0;
        board::clock(top);
        if (!in_cycles && !top.tx)
            in_cycles = BITS * bit_cycles - bit_cycles / 2;
        else if (in_cycles && --in_cycles % bit_cycles == 0) {
            in_bits = in_bits >> 1 | top.tx << (BITS - 1);
            if (!in_cycles && top.tx)
                received.push_back(in_bits >> 1);
        }
        return out_cycles || in_cycles;
    }

    std::deque<uint8_t> outgoing, received;

private:
    Vtop &top;
    const int bit_cycles;
    int out_cycles = 0, in_cycles = 0;
    unsigned out_bits = 0, in_bits = 0;
};

}  // namespace

int main(int argc, char **argv)
{
    return board::run<Line>(argc, argv);
}
