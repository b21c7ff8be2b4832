"""Toggles and accesses in a waveform."""

import pytest

from eie_flows.asic.activity import read_activity

VCD = """$timescale 1s $end
$scope module bench $end
$scope module machine $end
$var wire 1 ! clk $end
$scope module pe $end
$scope module _1_ $end
$var wire 1 # Y $end
$var wire 1 ! A $end
$upscope $end
$scope module ram $end
$var wire 1 % r_en $end
$var wire 8 & r_data [7:0] $end
$upscope $end
$upscope $end
$upscope $end
$upscope $end
$enddefinitions $end
#100
$dumpvars
0!
x#
1%
b00000000 &
$end
#105
1!
0%
0#
#110
0!
1#
#115
1!
0#
1%
#120
0!
"""


def read(text=VCD, clock="clk", enables=("pe/ram/r_en",)):
    return read_activity(text.splitlines(keepends=True), clock, pins=["Y"], enables=enables)


def test_changes_time_and_enabled_edges_are_counted():
    found = read()
    assert found.cycles == 2
    assert found.toggles == {"pe/_1_/Y": 2}    # the first value was unknown
    assert found.high == {"pe/_1_/Y": pytest.approx(5 / 20)}
    # Sampled before each edge: 1 at the first, 0 at the second.
    assert found.enabled == {"pe/ram/r_en": 1}


@pytest.mark.parametrize(("change", "message"), [
    ({"clock": "aclk"}, "the waveform must have aclk, but does not"),
    ({"enables": ["pe/w_en"]}, "the waveform must have pe/w_en, but does not"),
    ({"text": VCD.split("#105")[0]}, "clk must rise in the waveform, but does not")])
def test_a_waveform_of_something_else_is_refused(change, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        read(**change)
