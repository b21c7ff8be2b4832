"""Geometry of a layout: rules and shapes that are read, figures, GDS and picture."""

import struct

import pytest

from eie_flows.asic.layout.geometry import Rule, draw, read_geometry, read_rules
from support.tiny_layout import DEF, LEF

pytest.importorskip("klayout")


@pytest.fixture
def geometry(tmp_path):
    (tmp_path / "cells.lef").write_text(LEF, encoding="utf-8")
    (tmp_path / "top.def").write_text(DEF, encoding="utf-8")
    return read_geometry(tmp_path / "top.def", tmp_path / "cells.lef")


def test_rules_are_those_of_the_metals_and_the_cuts_between_them():
    assert read_rules(LEF) == ([Rule("metal1", 0.3, 0.3), Rule("metal2", 0.3, 0.3)], ["via"])


def test_cells_and_outlines_are_those_of_the_files(geometry):
    assert geometry.kinds() == {"BUF_1": "BUF", "BUF_2": "BUF"}
    assert (geometry.cell_area("BUF"), geometry.core(), geometry.die()) == (40, 80, (12, 14))


def test_wires_and_vias_are_counted_without_the_supply(geometry, tmp_path):
    assert (geometry.wires(), geometry.vias()) == ({"metal1": 2.6, "metal2": 10.2}, 3)
    wide = """VIAS 1 ;
- wide + RECT metal1 ( -80 -40 ) ( 80 40 ) + RECT via ( -10 -10 ) ( 10 10 )
  + RECT metal2 ( -80 -40 ) ( 80 40 ) ;
END VIAS
COMPONENTS"""
    supply = """END NETS
SPECIALNETS 1 ;
- vdd
+ FIXED metal2 160 ( 200 -100 ) ( * 1100 )
  NEW metal1 60 ( 200 1000 ) ( * * ) wide ;
END SPECIALNETS"""
    text = DEF.replace("COMPONENTS", wide, 1).replace("END NETS", supply)
    (tmp_path / "supply.def").write_text(text, encoding="utf-8")
    other = read_geometry(tmp_path / "supply.def", tmp_path / "cells.lef")
    assert other.region("metal2").area() > geometry.region("metal2").area()
    assert other.region("via").area() > geometry.region("via").area()
    assert (other.wires(), other.vias()) == (geometry.wires(), geometry.vias())


def test_gds_has_the_wires(geometry, tmp_path):
    import klayout.db as kdb

    geometry.write(tmp_path / "top.gds")
    written = kdb.Layout()
    written.read(str(tmp_path / "top.gds"))
    layer = geometry.layout.get_info(geometry.layout.find_layer(kdb.LayerInfo("metal2")))
    shapes = kdb.Region(written.top_cell().begin_shapes_rec(
        written.find_layer(layer.layer, layer.datatype)))
    assert shapes.merged().area() == geometry.region("metal2").area() > 0


def test_picture_shows_cells_and_wires_in_the_shape_of_the_block(geometry, tmp_path):
    file = tmp_path / "top.png"
    draw(geometry, file, width=240)
    assert struct.unpack(">2I", file.read_bytes()[16:24]) == (240, 280)
    full = file.stat().st_size
    for index in geometry.layout.layer_indexes():
        if geometry.layout.get_info(index).name != "OUTLINE":
            geometry.layout.clear_layer(index)
    draw(geometry, file, width=240)
    assert file.stat().st_size < full
