// The accelerator with a UART bridge in Verilator, as a board that is plugged in: a process whose
// UART is a pseudo-terminal. The UART is simulated bit by bit.
//
// usage: host BIT_CYCLES SEED NOISE
//
// The first line of output is the path of the terminal. The process ends when its standard input
// does. NOISE is the probability per byte and direction that it is lost, damaged, or preceded by
// others; SEED is that of the noise and of undefined power-on values.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fcntl.h>
#include <poll.h>
#include <random>
#include <string>
#include <termios.h>
#include <unistd.h>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr int BITS = 10;                // of a byte, with start and stop
constexpr int STEP = 1000;              // cycles between two looks at the terminal
constexpr int AWAKE = 20 * STEP;        // cycles without a byte before the board sleeps
constexpr int NAP = 5;                  // milliseconds

class Noise {
public:
    Noise(double rate, unsigned seed) : rate(rate), random(seed) {}

    void carry(uint8_t byte, std::deque<uint8_t> &line)
    {
        const double kind = rate > 0 ? 3 * chance(random) / rate : 3;
        if (kind < 1)
            return;
        if (kind < 2)
            byte ^= 1u << random() % 8;
        else if (kind < 3)
            for (unsigned n = random() % 9; n; n--)
                line.push_back(random() % 2 ? 0xC0 : random());
        line.push_back(byte);
    }

private:
    const double rate;
    std::mt19937 random;
    std::uniform_real_distribution<double> chance;
};

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
        top.aclk = 0;
        top.eval();
        top.aclk = 1;
        top.eval();
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

// Create a terminal; print its path, and return the end that is not the host's.
int open_terminal()
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master))
        return -1;
    // It stays open here, so that it lives on when a host closes it.
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    termios settings;
    if (slave < 0 || tcgetattr(slave, &settings))
        return -1;
    cfmakeraw(&settings);
    if (tcsetattr(slave, TCSANOW, &settings))
        return -1;
    std::printf("%s\n", ptsname(master));
    std::fflush(stdout);
    return master;
}

}  // namespace

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const int bit_cycles = std::atoi(argv[1]);
    const unsigned seed = std::strtoul(argv[2], nullptr, 10);
    const double rate = std::strtod(argv[3], nullptr);
    const int terminal = open_terminal();
    if (terminal < 0)
        return 1;

    VerilatedContext context;
    context.commandArgs(0, static_cast<const char **>(nullptr));
    context.randReset(2);
    context.randSeed(static_cast<int>(seed));
    Vtop top(&context);
    Line line(top, bit_cycles);
    Noise to_board(rate, seed), to_host(rate, seed + 1);
    top.aresetn = 0;
    line.tick();
    line.tick();
    top.aresetn = 1;

    std::deque<uint8_t> sent;
    for (int quiet = 0;;) {
        pollfd files[] = {{STDIN_FILENO, POLLIN, 0},
                          {terminal, static_cast<short>(sent.empty() ? POLLIN : POLLOUT), 0}};
        poll(files, 2, quiet > AWAKE ? NAP : 0);
        if (files[0].revents)
            break;
        uint8_t bytes[4096];
        const ssize_t n_read = read(terminal, bytes, sizeof bytes);
        for (ssize_t n = 0; n < n_read; n++)
            to_board.carry(bytes[n], line.outgoing);
        for (int n = 0; n < STEP; n++)
            quiet = line.tick() ? 0 : quiet + 1;
        for (; !line.received.empty(); line.received.pop_front())
            to_host.carry(line.received.front(), sent);
        while (!sent.empty() && write(terminal, &sent.front(), 1) == 1)
            sent.pop_front();
        if (context.gotFinish())
            return 1;
    }
    top.final();
    return 0;
}
