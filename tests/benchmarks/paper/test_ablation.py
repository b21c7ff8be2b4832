"""Steps that lead from one machine to the other."""

from eie_bench.paper.ablation import STEPS, steps
from eie_bench.paper.nine_layers import MACHINES
from eie_hdl.config import FILLING_LIMIT


def test_steps_lead_from_the_published_machine_to_the_tuned_one():
    *_, (_, machine, filling_limit) = found = steps(MACHINES["isca2016"], MACHINES["tuned"])
    timeless = {"spmat_depth", "act_depth", "acc_width"}
    last, tuned = ({name: value for name, value in one.config.as_dict().items()
                    if name not in timeless} for one in (machine, MACHINES["tuned"]))
    assert last == tuned and machine.mapping == MACHINES["tuned"].mapping
    assert filling_limit == FILLING_LIMIT
    assert len(found) == len(STEPS) + 1
    assert len({(machine, filling_limit) for _, machine, filling_limit in found}) == len(found)
