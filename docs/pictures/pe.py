"""A processing element: eie_hdl/pe/pe.py."""

from blocks import Picture

WIDTH, GAP = 84, 22


def draw():
    p = Picture("Processing element: scanner, and the path from the broadcast to the write-back",
                960, 420)
    p.group(84, 10, 866, 400, "PE")
    p.box(10, 30, 46, 360, "tree", "part")

    # The path.
    stages = [("message\nregister", "1 cycle"), ("pointer\nread", "2 cycles"),
              ("activation\nqueue", "1 cycle"), ("spmat\nread", "4 cycles"),
              ("entry\ndecode", "1 cycle"), ("drain", "0 cycles"), ("MAC", "4 cycles"),
              ("write-back", "4 cycles")]
    path = [p.box(102 + number * (WIDTH + GAP), 170, WIDTH, 74, name, note=note)
            for number, (name, note) in enumerate(stages)]
    for before, after in zip(path, path[1:]):
        p.arrow(before.right(), after.left())
    message, pointer_read, queue, spmat_read, _, drain, mac, write_back = path
    p.arrow((56, 207), message.left())

    # Memories that the path reads, above it.
    for name, x, width, target in [
        ("ptr even", 178, 68, pointer_read.left()[0] + 12),
        ("ptr odd", 252, 68, pointer_read.right()[0] - 12),
        ("spmat", spmat_read.x, WIDTH, spmat_read.top()[0]),
        ("codebook", mac.x - 34, 78, mac.x + 18),
    ]:
        memory = p.box(x, 90, width, 40, name, "memory")
        p.arrow((target, memory.bottom()[1]), (target, pointer_read.y))
    accumulators = p.box(mac.x + 56, 90, 96, 40, "accumulators", "memory")
    p.arrow((accumulators.x + 14, 130), (accumulators.x + 14, 170), both=True)

    # The scanner and the activations, below it.
    scanner = p.box(102, 300, 112, 50, "scanner", note="nonzeros")
    act = p.box(drain.x - 40, 300, 112, 50, "act", "memory")
    p.arrow(message.bottom(), (message.bottom()[0], 300), text="START", at=(150, 272),
            align="left")
    p.arrow(act.left(), scanner.right(), text="words of four activations", at=(400, 314))
    p.arrow((drain.bottom()[0], 300), drain.bottom(), text="bias", at=(drain.bottom()[0] + 8, 272),
            align="left")
    p.arrow(write_back.bottom(0.3), (write_back.bottom(0.3)[0], 325), act.right(),
            text="results", at=(780, 314))
    p.arrow(scanner.left(), (56, 325))

    # To the tree, and to all memories.
    p.arrow(queue.top(), (queue.top()[0], 58), (56, 58), text="filling, full", at=(290, 46))
    p.arrow(write_back.bottom(0.75), (write_back.bottom(0.75)[0], 380), (56, 380),
            text="tile written, overflow", at=(500, 369))
    words = p.box(98, 96, 66, 58, "word\nregister", note="1 cycle")
    p.arrow((56, 125), words.left())
    p.arrow(words.top(), (131, 72), text="to the memories", at=(139, 77), align="left")
    return p
