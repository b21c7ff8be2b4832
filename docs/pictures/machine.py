"""The machine: eie_hdl/top.py, core.py and ccu."""

from blocks import Picture


def draw():
    p = Picture("The machine: host side, CCU, tree and PEs", 980, 420)
    p.box(10, 20, 44, 390, "host", "outside")
    p.group(112, 10, 200, 400, "host side")
    p.group(390, 10, 270, 400, "CCU")

    # Host side.
    bank = p.box(126, 40, 172, 46, "register bank")
    control = p.box(126, 116, 172, 100, "control", note=(
        "start queue, read request,\nwatchdog, error log,\nreset control"))
    reader = p.box(126, 256, 172, 50, "packet reader", note="or memory wiper")
    packer = p.box(126, 340, 172, 50, "result packer", note="and packet terminator")
    p.arrow(bank.bottom(), control.top(), both=True)
    p.arrow((54, 55), (126, 55), both=True, text="s_axil", at=(83, 45))
    p.arrow((126, 74), (54, 74), text="irq", at=(83, 84))
    p.arrow((54, 281), reader.left(), text="s_axis", at=(83, 271))
    p.arrow(packer.left(), (54, 365), text="m_axis", at=(83, 355))

    # CCU.
    p.box(404, 40, 100, 120, "sequencer", note="runs\ndescriptors")
    program = p.box(404, 196, 100, 44, "program SRAM", "memory")
    tracker = p.box(544, 40, 104, 44, "tile tracker")
    throttle = p.box(544, 136, 104, 44, "throttle")
    broadcaster = p.box(544, 246, 104, 70, "broadcaster")
    sender = p.box(544, 343, 104, 44, "vector sender")
    p.arrow(program.top(), (454, 160))
    p.arrow(tracker.left(), (504, 62))
    p.arrow(throttle.bottom(), broadcaster.top(), text="stop", at=(604, 213), align="left")
    p.arrow((504, 140), (524, 140), (524, 264), (544, 264))
    p.arrow((298, 140), (404, 140), text="run, read", at=(351, 130))
    p.arrow((298, 290), (544, 290), text="words", at=(351, 280))
    p.arrow((454, 290), program.bottom())
    p.arrow(sender.left(), packer.right(), text="results", at=(351, 355))

    # Tree and PEs.
    p.box(752, 30, 70, 370, "tree", "part", note="of LNZD\nnodes")
    p.arrow((752, 62), tracker.right(), text="tile written", at=(706, 52))
    p.arrow((752, 158), throttle.right(), text="filling, full", at=(706, 148))
    p.arrow((648, 264), (752, 264), text="broadcast", at=(706, 254))
    p.arrow((752, 298), (648, 298), text="activations", at=(706, 288))
    p.arrow((674, 298), (674, 365), sender.right())
    for name, y in [("PE 0", 40), ("PE 1", 120), ("PE 2", 200), ("PE N−1", 340)]:
        pe = p.box(870, y, 96, 48, name, "part")
        p.arrow((822, y + 24), pe.left(), both=True)
    p.text(918, 294, "…", size=20)
    return p
