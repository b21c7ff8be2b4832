"""The host side: eie_hdl/top.py and eie_hdl/host."""

from blocks import Picture


def draw():
    p = Picture("Host side: registers, packets, starts, reads, errors and resets", 940, 450)
    p.box(20, 10, 900, 36, "host", "outside")
    p.box(20, 404, 900, 36, "eie_core: CCU, tree, PEs", "part")

    # Packets come in.
    queue = p.box(30, 110, 132, 46, "input queue", note="two beats")
    reader = p.box(30, 200, 132, 60, "packet reader", note="and its CRC-32")
    mux = p.box(30, 318, 132, 28, "mux")
    p.arrow((96, 46), queue.top(), text="s_axis", at=(104, 78), align="left")
    p.arrow(queue.bottom(), reader.top())
    p.arrow(reader.bottom(), mux.top(), text="words", at=(104, 289), align="left")
    p.arrow(mux.bottom(), (96, 404), text="load", at=(104, 376), align="left")

    # Registers.
    bank = p.box(196, 110, 574, 46, "register bank")
    p.arrow((400, 46), (400, 110), both=True, text="s_axil", at=(408, 78), align="left")
    p.arrow((600, 110), (600, 46), text="irq", at=(608, 78), align="left")

    # Resets.
    resets = p.box(196, 200, 104, 60, "reset\ncontrol")
    wiper = p.box(196, 308, 104, 48, "memory\nwiper")
    p.arrow((resets.top()[0], bank.bottom()[1]), resets.top(), text="CONTROL", at=(256, 178),
            align="left")
    p.arrow(resets.bottom(), wiper.top(), text="wipe", at=(256, 284), align="left")
    p.arrow(wiper.left(), mux.right(), text="address", at=(180, 320))
    p.arrow(resets.right(), (324, 230), (324, 404), text="reset", at=(332, 376), align="left")

    # Requests and errors.
    starts = p.box(346, 200, 104, 60, "start\nqueue")
    errors = p.box(484, 200, 136, 60, "error log", note="keeps the first")
    reads = p.box(654, 200, 104, 60, "read\nrequest")
    watchdog = p.box(520, 308, 100, 48, "watchdog")
    p.arrow((starts.top()[0], 156), starts.top(), text="START", at=(406, 178), align="left")
    p.arrow(errors.top(), (errors.top()[0], 156), text="ERROR", at=(560, 178), align="left")
    p.arrow((reads.top()[0], 156), reads.top(), text="READ", at=(714, 178), align="left")
    p.arrow(starts.right(), errors.left())
    p.arrow(reads.left(), errors.right())
    p.arrow((570, 308), (570, 260))
    p.arrow((570, 404), watchdog.bottom(), text="busy", at=(578, 376), align="left")
    p.arrow((502, 404), (502, 260), text="fault", at=(496, 376), align="right")
    p.arrow(starts.bottom(), (398, 404), text="run", at=(406, 376), align="left")
    p.arrow((690, 260), (690, 404), text="read", at=(682, 376), align="right")
    p.arrow((764, 404), (764, 156), text="done,\ncounters", at=(758, 362), align="right")

    # Packets go out.
    packer = p.box(790, 308, 130, 48, "result packer")
    terminator = p.box(790, 200, 130, 60, "packet\nterminator")
    p.arrow((855, 404), packer.bottom(), text="results", at=(863, 376), align="left")
    p.arrow(packer.top(), terminator.bottom())
    p.arrow(terminator.top(), (855, 46), text="m_axis", at=(863, 78), align="left")
    return p
