"""A layout of two buffers in a library of one cell, as LEF and DEF that tests change."""

from eie_flows.asic.layout.netlist import read_blif

__all__ = ["DEF", "LEF", "NETLIST"]

#: The pin A has two shapes, which are one inside the cell.
LEF = """VERSION 5.4 ;
UNITS
  DATABASE MICRONS 1000 ;
END UNITS
LAYER cc
  TYPE CUT ;
END cc
LAYER metal1
  TYPE ROUTING ;
  DIRECTION HORIZONTAL ;
  PITCH 1 ;
  WIDTH 0.3 ;
  SPACING 0.3 ;
END metal1
LAYER via
  TYPE CUT ;
  SPACING 0.3 ;
END via
LAYER metal2
  TYPE ROUTING ;
  DIRECTION VERTICAL ;
  PITCH 1 ;
  WIDTH 0.3 ;
  SPACING 0.3 ;
END metal2
VIA M2_M1 DEFAULT
  LAYER metal1 ;
    RECT -0.2 -0.2 0.2 0.2 ;
  LAYER via ;
    RECT -0.1 -0.1 0.1 0.1 ;
  LAYER metal2 ;
    RECT -0.2 -0.2 0.2 0.2 ;
END M2_M1
MACRO BUF
  CLASS CORE ;
  ORIGIN 0 0 ;
  SIZE 4 BY 10 ;
  PIN A
    DIRECTION INPUT ;
    PORT
      LAYER metal1 ;
        RECT 0.4 3 0.8 4 ;
        RECT 0.4 6 0.8 7 ;
    END
  END A
  PIN Y
    DIRECTION OUTPUT ;
    PORT
      LAYER metal1 ;
        RECT 3.2 3 3.6 7 ;
    END
  END Y
  PIN vdd
    DIRECTION INOUT ;
    USE POWER ;
    PORT
      LAYER metal1 ;
        RECT 0 9.7 4 10.3 ;
    END
  END vdd
  PIN gnd
    DIRECTION INOUT ;
    USE GROUND ;
    PORT
      LAYER metal1 ;
        RECT 0 -0.3 4 0.3 ;
    END
  END gnd
  OBS
    LAYER metal1 ;
      RECT 1.8 2 2.2 4 ;
  END
END BUF
END LIBRARY
"""

#: The input comes on metal 2 from above; the net between the buffers uses both metals.
DEF = """VERSION 5.6 ;
DESIGN top ;
UNITS DISTANCE MICRONS 100 ;
DIEAREA ( -100 -100 ) ( 1100 1300 ) ;
COMPONENTS 2 ;
- BUF_1 BUF + PLACED ( 0 0 ) N ;
- BUF_2 BUF + PLACED ( 400 0 ) N ;
END COMPONENTS
PINS 2 ;
- a + NET a
  + LAYER metal2 ( -15 -15 ) ( 15 15 )
  + PLACED ( 60 1200 ) N ;
- y + NET y
  + LAYER metal1 ( -15 -15 ) ( 15 15 )
  + PLACED ( 1000 500 ) N ;
END PINS
NETS 3 ;
- a
  ( PIN a ) ( BUF_1 A )
+ ROUTED metal2 ( 60 1200 ) ( * 650 ) M2_M1 ;
- b
  ( BUF_1 Y ) ( BUF_2 A )
+ ROUTED metal1 ( 340 600 ) M2_M1
  NEW metal2 ( 340 600 ) ( * 450 ) ( 460 * ) ( * 650 ) M2_M1 ;
- y
  ( PIN y ) ( BUF_2 Y )
+ ROUTED metal1 ( 740 500 ) ( 1000 * ) ;
END NETS
END DESIGN
"""

NETLIST = read_blif(""".model top
.inputs a
.outputs y
.gate BUF A=a Y=b
.gate BUF A=b Y=y
.end
""")
