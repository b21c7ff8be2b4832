"""A bus on which one access is interrupted, as by Ctrl-C."""

from eie_driver.bus import Bus


class Interruption(Exception):
    """Exception of the interrupted access."""


class InterruptedBus(Bus):
    """Bus whose access number `at` raises :class:`Interruption`, before or after it takes effect.

    Each method of the bus but `now` counts as an access; without a number, none is interrupted.
    """

    def __init__(self, bus):
        self.bus, self.at, self.late = bus, None, False

    def read(self, address):
        return self._access(self.bus.read, address)

    def read_all(self, addresses):
        return self._access(self.bus.read_all, addresses)

    def write(self, address, value):
        return self._access(self.bus.write, address, value)

    def send(self, beats):
        return self._access(self.bus.send, beats)

    def expect(self, n_bytes):
        return self._access(self.bus.expect, n_bytes)

    def receive(self):
        return self._access(self.bus.receive)

    def wait(self, seconds):
        return self._access(self.bus.wait, seconds)

    def now(self):
        return self.bus.now()

    def _access(self, function, *arguments):
        interrupted = self.at == 0
        if self.at is not None:
            self.at -= 1
        if interrupted and not self.late:
            raise Interruption
        result = function(*arguments)
        if interrupted:
            raise Interruption
        return result


def interruptions(bus, call):
    """Interrupt `call` at each of its accesses in turn; yield after each interruption."""
    for late in (False, True):
        for at in range(10_000):
            bus.at, bus.late = at, late
            try:
                call()
            except Interruption:
                bus.at = None
                yield at
            else:
                bus.at = None
                break
