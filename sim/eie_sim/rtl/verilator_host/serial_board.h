// The accelerator with a bridge in Verilator, as a board that is plugged in: a process whose line of
// bytes is a pseudo-terminal. The line is simulated bit by bit, by a class of the source that
// includes this:
//
//   Line(Vtop &top, int cycles)      cycles per bit, or per phase of a clock
//   bool tick()                      one clock cycle of the board; true if a byte is on the line
//   outgoing, received               bytes to and from the board
//
// usage: host CYCLES SEED NOISE
//
// The first line of output is the path of the terminal. The process ends when its standard input
// does. NOISE is the probability per byte and direction that it is lost, damaged, or preceded by
// others; SEED is that of the noise and of undefined power-on values.
#ifndef EIE_SERIAL_BOARD_H
#define EIE_SERIAL_BOARD_H

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

namespace board {

constexpr uint8_t END = 0xC0;           // begins and ends frames
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
                line.push_back(random() % 2 ? END : random());
        line.push_back(byte);
    }

private:
    const double rate;
    std::mt19937 random;
    std::uniform_real_distribution<double> chance;
};

inline void clock(Vtop &top)
{
    top.aclk = 0;
    top.eval();
    top.aclk = 1;
    top.eval();
}

// Create a terminal; print its path, and return the end that is not the host's.
inline int open_terminal()
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

template <typename Line> int run(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const int cycles = std::atoi(argv[1]);
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
    Line line(top, cycles);
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

}  // namespace board

#endif
