"""Ideas that lead from one machine to the other."""

from eie_bench.paper.ablation import IDEAS, steps
from eie_bench.paper.nine_layers import MACHINES
from eie_hdl.config import FILLING_LIMIT


def test_ideas_lead_from_the_published_machine_to_the_tuned_one():
    *_, (_, machine, sparse) = found = steps(MACHINES["isca2016"], MACHINES["tuned"])
    timeless = {"spmat_depth", "act_depth", "acc_width"}
    last, tuned = ({name: value for name, value in one.config.as_dict().items()
                    if name not in timeless} for one in (machine, MACHINES["tuned"]))
    assert last == tuned and machine.mapping == MACHINES["tuned"].mapping
    assert sparse == FILLING_LIMIT
    assert len(found) == len(IDEAS) + 1
    assert len({(machine, sparse) for _, machine, sparse in found}) == len(found)
