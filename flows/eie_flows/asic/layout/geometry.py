"""Geometry of a layout: read from LEF and DEF, written as GDS, measured, and drawn."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .netlist import GROUND, POWER, Pin

if TYPE_CHECKING:
    import klayout.db as kdb

__all__ = ["Geometry", "Rule", "draw", "read_geometry", "read_rules"]

#: Names of the properties that the reader gives to shapes and instances.
_NET, _PIN, _INSTANCE = "net", "pin", "instance"

#: Units a µm, those of the DEF file.
_UNITS = 100

#: Colours of the metal layers, from the lowest, and of cells.
_COLOURS = (0x5b8def, 0xe0605a, 0x55b36a, 0xe6a23c, 0xa56bd6, 0x45b8c4)
_CELL = 0x9aa0a6


@dataclass(frozen=True)
class Rule:
    """Rules of a metal layer.

    Attributes
    ----------
    layer : :class:`str`
        Name.
    width, spacing : :class:`float`
        Least, in µm.
    """

    layer: str
    width: float
    spacing: float


def read_rules(lef: str) -> tuple[list[Rule], list[str]]:
    """Read the metal layers of a LEF file, the lowest first, and the cut layers between them."""
    metals, cuts = [], []
    for name, body in re.findall(r"^LAYER (\S+)(.*?)^END \1", lef, re.MULTILINE | re.DOTALL):
        values = dict(re.findall(r"^\s*(TYPE|WIDTH|SPACING)\s+(\S+)", body, re.MULTILINE))
        if values["TYPE"] == "ROUTING":
            metals.append(Rule(name, float(values["WIDTH"]), float(values["SPACING"])))
        elif values["TYPE"] == "CUT" and metals:    # not the contacts below the first metal
            cuts.append(name)
    return metals, cuts[:len(metals) - 1]


class Geometry:
    """Cells, wires and vias of a layout.

    Parameters
    ----------
    layout : :class:`klayout.db.Layout`
        Layout that :func:`read_geometry` has read.
    lef : :class:`str`
        Library.
    """

    def __init__(self, layout: "kdb.Layout", lef: str) -> None:
        self.layout = layout
        self.metals, self.cuts = read_rules(lef)
        self._vias = set(re.findall(r"^VIA (\S+)", lef, re.MULTILINE))
        self.layers = {layout.get_info(index).name: index for index in layout.layer_indexes()}

    def region(self, *layers: str) -> "kdb.Region":
        """Return all shapes of some layers, merged."""
        import klayout.db as kdb

        found = kdb.Region()
        for name in layers:
            if name in self.layers:
                found += kdb.Region(self.layout.top_cell().begin_shapes_rec(self.layers[name]))
        # Those of different nets would not be merged.
        found.remove_properties()
        return found.merged()

    def conductors(self, metal: str) -> "kdb.Region":
        """Return the wires and pins of a metal layer."""
        return self.region(metal, f"{metal}.PIN")

    def metal(self, metal: str) -> "kdb.Region":
        """Return everything of a metal layer, also what is inside the cells."""
        return self.region(metal, f"{metal}.PIN", f"{metal}.OBS")

    def kinds(self) -> dict[str, str]:
        """Return the type of each cell by its name, fillers included."""
        return {name: instance.cell.name for instance in self.layout.top_cell().each_inst()
                if (name := instance.property(_INSTANCE))}

    def pins(self) -> list[tuple[Pin, str, "kdb.Point"]]:
        """List each shape of a pin: the pin, its metal layer, and a point in it."""
        found, top = [], self.layout.top_cell()
        for rule in self.metals:
            layer = self.layers.get(f"{rule.layer}.PIN")
            if layer is not None:
                found += [(("", shape.property(_PIN)), rule.layer, shape.bbox().center())
                          for shape in top.shapes(layer).each()]
                found += [((name, shape.property(_PIN)), rule.layer,
                           (instance.trans * shape.bbox()).center())
                          for instance in top.each_inst()
                          if (name := instance.property(_INSTANCE))
                          for shape in instance.cell.shapes(layer).each()]
        return found

    def cell_area(self, kind: str) -> float:
        """Return the area of a cell in µm²."""
        return self._outline(self.layout.cell(kind)).area() / _UNITS ** 2

    def die(self) -> tuple[float, float]:
        """Return width and height of the block in µm."""
        box = self._outline(self.layout.top_cell())
        return box.width() / _UNITS, box.height() / _UNITS

    def core(self) -> float:
        """Return the area in µm² that the rows of cells cover."""
        import klayout.db as kdb

        box = kdb.Box()
        for instance in self.layout.top_cell().each_inst():
            if instance.property(_INSTANCE):
                box += instance.trans * self._outline(instance.cell)
        return box.area() / _UNITS ** 2

    def _outline(self, cell: "kdb.Cell") -> "kdb.Box":
        return next(cell.shapes(self.layers["OUTLINE"]).each()).bbox()

    def wires(self) -> dict[str, float]:
        """Return the length in µm of the wires of signals by metal layer."""
        top, length = self.layout.top_cell(), Counter[str]()
        for rule in self.metals:
            if rule.layer in self.layers:
                for shape in top.shapes(self.layers[rule.layer]).each():
                    if shape.is_path() and shape.property(_NET) not in (POWER, GROUND):
                        path = shape.path    # whose length has its ends beyond the last points
                        length[rule.layer] += (path.length() - path.bgn_ext - path.end_ext) / _UNITS
        return {name: round(total, 1) for name, total in length.items()}

    def vias(self) -> int:
        """Count the vias of the library; the supply has those that the DEF file defines."""
        return sum(1 for instance in self.layout.top_cell().each_inst()
                   if not instance.property(_INSTANCE)
                   and instance.cell.name.removeprefix("VIA_") in self._vias)

    def write(self, file: Path) -> None:
        """Write the layout as GDS."""
        self.layout.write(str(file))


def read_geometry(definition: Path, lef: Path) -> Geometry:
    """Read a placed and routed DEF file, with the outlines and pins of the cells."""
    import klayout.db as kdb

    options = kdb.LoadLayoutOptions()
    config = options.lefdef_config
    config.lef_files = [str(lef)]
    config.read_lef_with_def = False
    config.macro_resolution_mode = 1    # cells from LEF
    config.dbu = 1 / _UNITS
    config.net_property_name, config.pin_property_name = _NET, _PIN
    config.instance_property_name = _INSTANCE
    layout = kdb.Layout()
    layout.read(str(definition), options)
    return Geometry(layout, lef.read_text(encoding="utf-8"))


def draw(geometry: Geometry, file: Path, *, width: int = 1000) -> None:
    """Draw the outlines of the cells, and the metal layers, as PNG."""
    import klayout.lay as lay

    view = lay.LayoutView()
    view.set_config("background-color", "#ffffff")
    view.set_config("grid-visible", "false")
    view.set_config("text-visible", "false")
    view.show_layout(geometry.layout.dup(), True)    # which it will own
    view.max_hier()
    view.clear_layers()
    layers = [("OUTLINE", _CELL)]
    for rule, colour in zip(geometry.metals, _COLOURS):
        layers += [(f"{rule.layer}.OBS", colour), (f"{rule.layer}.PIN", colour),
                   (rule.layer, colour)]
    for name, colour in layers:
        if name in geometry.layers:
            properties = lay.LayerPropertiesNode()
            properties.source_layer_index = geometry.layers[name]
            properties.frame_color = properties.fill_color = colour
            properties.dither_pattern = 1 if name == "OUTLINE" else 0    # hollow, solid
            properties.transparent = False    # the upper layers cover the lower
            view.insert_layer(view.end_layers(), properties)
    view.zoom_fit()
    wide, high = geometry.die()
    view.save_image(str(file), width, round(width * high / wide))
