"""Effect of distillation on MNIST: a student of a third of LeNet-300-100, several seeds.

The control has the same layers, seeds, epochs and rates, but learns the labels alone. Both are
compared with the teacher, a LeNet-300-100. Writes weights and logs, `distillation.json` and
`distillation.md` to a folder.
"""

import argparse
from pathlib import Path

from eie_bench.seeds import SEEDS, format_changes, run_training
from eie_compiler.files.json_file import write_json

#: Options of the teacher are those of lenet.py.
COMMON = {"epochs": 25, "rate": 2e-3, "decay": 0.3, "validation": 1 / 12}
TEACHER = {**COMMON, "layers": "300,100", "dropout": 0.2, "seed": 1}

#: 88,568 of 266,200 weights, 33.3 %. The dropout is the better of 0 and 0.1 for the control, by the
#: validation error with seed 0; temperature and weight are the defaults of the command.
STUDENT = {**COMMON, "layers": "107,40", "dropout": 0.1}


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
        control = run_training(mnist, folder / f"control-{seed}", {**STUDENT, "seed": seed})
        taught = run_training(mnist, folder / f"student-{seed}", {
            **STUDENT, "seed": seed, "teacher": folder / "teacher.npz"})
        rows.append({"seed": seed, "control": control[-1]["test"], "student": taught[-1]["test"],
                     "change": taught[-1]["test"] - control[-1]["test"],
                     "stages": {"control": control, "student": taught}})
    text = format_changes(rows, {"control": "labels alone", "student": "with the teacher"})
    write_json(folder / "distillation.json", {"teacher": {"options": TEACHER, "stages": teacher},
                                              "options": STUDENT, "rows": rows})
    (folder / "distillation.md").write_text(text, encoding="utf-8")
    print(f"{text}\nteacher: {teacher[-1]['test']:.2%}")


if __name__ == "__main__":
    main()
