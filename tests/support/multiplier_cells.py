"""Cells of an ECP5 in the JSON of Yosys: a multiplier, and the register that follows it."""

MULTIPLIER_CELLS = {
    "multiplier": {"type": "MULT18X18D", "connections": {"P0": [6]}, "parameters": {},
                   "port_directions": {}},
    "register": {"type": "TRELLIS_FF", "connections": {
        "CLK": [2], "DI": [6], "LSR": ["0"], "Q": [7]},
        "parameters": {"CEMUX": "1", "CLKMUX": "CLK", "REGSET": "RESET"}}}
