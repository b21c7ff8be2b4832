"""The machine: eie_hdl/top.py, core.py and ccu/ccu.py."""

from blocks import Picture


def draw():
    p = Picture("The machine: host side, CCU, tree and PEs", 980, 420)
    p.box(10, 20, 44, 390, "host", "outside")
    p.group(112, 10, 218, 400, "host side")
    p.group(390, 10, 270, 400, "CCU")

    # Host side.
    load = p.box(126, 40, 190, 50, "load path", note="packet reader, memory wiper")
    p.box(126, 112, 190, 42, "register bank")
    p.box(126, 174, 164, 64, "supervisor", note="watchdog, error log,\nreset control")
    p.box(126, 258, 190, 50, "start control", note="start queue, read request")
    result = p.box(126, 340, 190, 50, "result path", note="packer, packet terminator")
    p.arrow((200, 154), (200, 174), both=True)
    p.arrow((303, 154), (303, 258), both=True)
    p.arrow((54, 65), load.left(), text="s_axis", at=(83, 55))
    p.arrow((54, 124), (126, 124), both=True, text="s_axil", at=(83, 114))
    p.arrow((126, 143), (54, 143), text="irq", at=(83, 154))
    p.arrow(result.left(), (54, 365), text="m_axis", at=(83, 355))

    # CCU.
    program = p.box(404, 128, 100, 44, "program SRAM", "memory")
    sequencer = p.box(404, 218, 100, 100, "sequencer")
    sender = p.box(404, 343, 100, 44, "vector sender")
    p.box(544, 122, 104, 64, "throttle")
    tracker = p.box(544, 226, 104, 44, "tile tracker")
    p.arrow((454, 65), program.top())
    p.arrow(program.bottom(), sequencer.top())
    p.arrow((504, 230), (524, 230), (524, 168), (544, 168))
    p.arrow(tracker.left(), (504, 248))
    p.arrow(sequencer.bottom(), sender.top())
    p.arrow((316, 283), (404, 283), text="run, read", at=(360, 273))
    p.arrow(sender.left(), result.right(), text="results", at=(360, 355))

    # Tree and PEs.
    p.box(752, 30, 70, 370, "tree", "part", note="of LNZD\nnodes")
    p.arrow(load.right(), (752, 65), text="words", at=(360, 55))
    p.text(706, 55, "words")
    p.arrow((752, 140), (648, 140), text="filling, full", at=(706, 130))
    p.arrow((648, 168), (752, 168), text="messages", at=(706, 158))
    p.arrow((752, 248), tracker.right(), text="tile written", at=(706, 238))
    p.arrow((752, 297), (504, 297), text="activations", at=(706, 287))
    for name, y in [("PE 0", 40), ("PE 1", 120), ("PE 2", 200), ("PE N−1", 340)]:
        pe = p.box(870, y, 96, 48, name, "part")
        p.arrow((822, y + 24), pe.left(), both=True)
    p.text(918, 294, "…", size=20)
    return p
