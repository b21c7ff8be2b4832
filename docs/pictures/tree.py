"""The tree between CCU and PEs, and one of its nodes: eie_hdl/tree/tree.py."""

from blocks import Picture


def draw():
    p = Picture("Tree of 16 PEs, and what a node does with the links of its children", 960, 400)

    # The tree of 16 PEs.
    ccu = p.box(225, 20, 110, 40, "CCU")
    root = p.box(225, 120, 110, 40, "node_0_0", "part")
    p.arrow(ccu.bottom(), root.top(), both=True)
    for branch in range(4):
        node = p.box(22 + 134 * branch, 225, 114, 40, f"node_1_{branch}", "part")
        p.arrow(root.bottom((branch + 0.5) / 4), node.top(), both=True)
        for leaf in range(4):
            pe = p.box(18 + 134 * branch + 31 * leaf, 330, 28, 34, str(branch + 4 * leaf))
            p.arrow(node.bottom((leaf + 0.5) / 4), pe.top(), both=True)
    p.text(280, 382, "The lowest base-4 digit of a PE number selects the child of the root.",
           size=12)

    # A node.
    p.group(572, 80, 380, 250, "node")
    p.text(770, 20, "parent", size=12)
    p.text(770, 366, "each child", size=12)
    for number, (name, latency, member) in enumerate([
        ("registers", "1 cycle", "message, load"), ("LNZD", "2 cycles", "scan"),
        ("all\nchildren", "2 cycles", "written"), ("any\nchild", "1 cycle", "filling, full"),
        ("sum", "1 cycle", "events"),
    ]):
        box = p.box(596 + 70 * number, 170, 64, 74, name, note=latency)
        middle = box.top()[0]
        for points in [(middle, 60), box.top()], [box.bottom(), (middle, 350)]:
            p.arrow(*(points if name == "registers" else reversed(points)))
        p.text(middle, 46, member, size=12)
    return p
