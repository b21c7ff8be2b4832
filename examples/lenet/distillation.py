"""Effect of distillation on MNIST: a student of a third of LeNet-300-100, several seeds.

The controls have the same layers, seeds, epochs and rates, but learn the labels alone; one has the
dropout that is best for it. The teacher is a LeNet-300-100. Writes weights and logs,
`distillation.json` and `distillation.md` to a folder.
"""

import argparse
from pathlib import Path

from eie_bench.seeds import SEEDS, format_changes, run_training
from eie_compiler.files.json_file import write_json

#: Options of the teacher are those of lenet.py.
COMMON = {"epochs": 25, "rate": 2e-3, "decay": 0.3, "validation": 1 / 12}
TEACHER = {**COMMON, "layers": "300,100", "dropout": 0.2, "seed": 1}

#: 88,568 of 266,200 weights, 33.3 %.
STUDENT = {**COMMON, "layers": "107,40"}

#: Runs of each seed -> title, dropout, and whether the teacher is learnt. Of 0 and 0.1, the dropout
#: was chosen for either way of training by the validation error with seed 0; temperature and weight
#: are the defaults of the command.
RUNS = {"plain": ("labels alone, no dropout", 0.0, False),
        "control": ("labels alone, dropout 0.1", 0.1, False),
        "student": ("with the teacher, no dropout", 0.0, True)}


def main() -> None:
    """Train the teacher, then all students, one after another."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("mnist", type=Path, help="MNIST as .npz; mnist.py makes it")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/distillation"))
    arguments = parser.parse_args()
    mnist, folder = arguments.mnist, arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    teacher = run_training(mnist, folder / "teacher", TEACHER)
    rows = []
    for seed in SEEDS:
        stages = {}
        for name, (_, dropout, is_taught) in RUNS.items():
            options = {**STUDENT, "dropout": dropout, "seed": seed}
            if is_taught:
                options["teacher"] = folder / "teacher.npz"
            stages[name] = run_training(mnist, folder / f"{name}-{seed}", options)
        errors = {name: records[-1]["test"] for name, records in stages.items()}
        rows.append({"seed": seed, **errors, "change": errors["student"] - errors["control"],
                     "stages": stages})
    text = format_changes(rows, {name: title for name, (title, *_) in RUNS.items()})
    write_json(folder / "distillation.json", {
        "teacher": {"options": TEACHER, "stages": teacher}, "options": STUDENT, "runs": RUNS,
        "rows": rows})
    (folder / "distillation.md").write_text(text, encoding="utf-8")
    print(f"{text}\nteacher: {teacher[-1]['test']:.2%}")


if __name__ == "__main__":
    main()
