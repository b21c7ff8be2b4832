"""Block diagrams as SVG: boxes, groups and arrows at given places."""

import math
import re
from typing import NamedTuple

import schemdraw
from schemdraw.elements import Element
from schemdraw.segments import Segment, SegmentPoly, SegmentText

__all__ = ["Box", "Picture"]

schemdraw.use("svg")
# Text is drawn as outlines: a picture does not depend on the reader's fonts.
schemdraw.svgconfig.text = "path"

INK, FAINT = "#24292f", "#59636e"

#: Fill of a box by its kind: logic, a memory, a part with a picture of its own, the outside.
FILLS = {"logic": "#ddf4ff", "memory": "#fff3c4", "part": "#e6e4fb", "outside": "#f0f1f3"}


class Box(NamedTuple):
    """Rectangle in pixels, from the top left corner of the picture."""

    x: float
    y: float
    width: float
    height: float

    def left(self, along=0.5):
        """Point on the left side, `along` of its height from the top."""
        return self.x, self.y + along * self.height

    def right(self, along=0.5):
        return self.x + self.width, self.y + along * self.height

    def top(self, along=0.5):
        """Point on the upper side, `along` of its width from the left."""
        return self.x + along * self.width, self.y

    def bottom(self, along=0.5):
        return self.x + along * self.width, self.y + self.height


def longer(start, end):
    """Move `end` away from `start`, as schemdraw leaves a gap between an arrow and its end."""
    (x0, y0), (x1, y1) = start, end
    factor = 1 + 1.5 / math.hypot(x1 - x0, y1 - y0)
    return x0 + factor * (x1 - x0), y0 + factor * (y1 - y0)


class Picture:
    """Picture of `width` × `height` pixels with a title for readers that do not show it."""

    def __init__(self, title, width, height):
        self._title, self._size = title, (width, height)
        self._drawing = schemdraw.Drawing(show=False)
        # A unit is a pixel.
        self._drawing.config(unit=1, inches_per_unit=1 / 72, lw=1.2, color=INK, margin=0)

    def _add(self, *segments):
        element = Element()
        element.segments.extend(segments)
        self._drawing.add(element.at((0, 0)).theta(0))

    def text(self, x, y, text, *, size=12, color=INK, align="center"):
        """Write `text` at its middle, or with its left or right end there."""
        self._add(SegmentText((x, -y), text, fontsize=size, color=color,
                              align=(align, "center"), rotation_global=False))

    def box(self, x, y, width, height, text, kind="logic", *, note=None):
        """Draw a box with a name and, below it, a smaller `note`; return its :class:`Box`."""
        box = Box(x, y, width, height)
        corners = [(x, -y), (x + width, -y), (x + width, -y - height), (x, -y - height)]
        self._add(SegmentPoly(corners, fill=FILLS[kind], color=INK, lw=1.2))
        lines = [(line, 14, INK) for line in text.split("\n")]
        lines += [(line, 11.5, FAINT) for line in (note or "").split("\n") if line]
        top = y + height / 2 - 8 * (len(lines) - 1)
        for number, (line, size, color) in enumerate(lines):
            self.text(x + width / 2, top + 16 * number, line, size=size, color=color)
        return box

    def group(self, x, y, width, height, title):
        """Draw a dashed frame with its title in the upper left corner."""
        corners = [(x, -y), (x + width, -y), (x + width, -y - height), (x, -y - height)]
        self._add(SegmentPoly(corners, fill=None, color=FAINT, lw=1.2, ls="--"))
        self.text(x + 10, y + 14, title, size=14, color=FAINT, align="left")
        return Box(x, y, width, height)

    def arrow(self, *points, text=None, at=None, align="center", both=False):
        """Draw an arrow through `points`, with `text` at the place `at`."""
        points = list(points)
        points[-1] = longer(*points[-2:])
        if both:
            points[0] = longer(points[1], points[0])
        self._add(Segment([(x, -y) for x, y in points], color=INK, lw=1.3, capstyle="butt",
                          arrow="<->" if both else "->", arrowwidth=7, arrowlength=8))
        if text:
            for number, line in enumerate(text.split("\n")):
                self.text(at[0], at[1] + 14 * number, line, size=12, align=align)

    @staticmethod
    def _once_each(text):
        """Keep the first definition of each glyph."""
        seen = set()

        def keep(symbol):
            name = symbol[1]
            return "" if name in seen else seen.add(name) or symbol[0]

        return re.sub(r'<symbol id="(\w+)"(?:[^>]*/>|.*?</symbol>)\n', keep, text, flags=re.DOTALL)

    def svg(self):
        """Return the picture as SVG, its numbers rounded so that every computer writes the same."""
        width, height = self._size
        text = self._drawing.get_imagedata("svg").decode()
        text = re.sub(r"-?\d+\.\d+(?:e-?\d+)?",
                      lambda number: f"{round(float(number[0]), 2) + 0:g}", text)
        text = text.replace("stroke-dasharray:-;", "").replace("><", ">\n<")
        content = self._once_each(text[text.index(">") + 1:])
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                f'viewBox="0 0 {width} {height}" role="img">\n<title>{self._title}</title>\n'
                f'<rect width="{width}" height="{height}" fill="white"/>{content}\n')
