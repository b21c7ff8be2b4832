"""Runs of several seeds: the command, and the table."""

import json
import subprocess

from eie_bench.seeds import format_changes, run_training


def test_a_run_resumes_and_gives_the_last_record_of_each_stage(tmp_path, monkeypatch):
    records = [{"stage": "dense", "epoch": 0}, {"stage": "dense", "epoch": 1, "test": 0.5}]
    seen = []

    def run(words, **options):
        seen.extend(map(str, words))
        log, = (word.removeprefix("--log=") for word in seen if word.startswith("--log="))
        with open(log, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    monkeypatch.setattr(subprocess, "run", run)
    name = tmp_path / "teacher-0.5"
    assert run_training("mnist.npz", name, {"epochs": 3}) == records[1:]
    assert seen[1:] == ["train", "mnist.npz", "-o", f"{name}.npz", "--resume",
                        f"--log={name}.jsonl", "--epochs=3"]


def test_the_table_has_mean_and_spread():
    rows = [{"seed": 1, "before": 0.016, "after": 0.015, "change": -0.001},
            {"seed": 2, "before": 0.014, "after": 0.016, "change": 0.002}]
    assert format_changes(rows, {"before": "without", "after": "with it"}).splitlines() == [
        "| seed | without | with it | change |", "|---|---|---|---|",
        "| 1 | 1.60% | 1.50% | -0.10 |", "| 2 | 1.40% | 1.60% | +0.20 |",
        "| mean | 1.50% | 1.55% | +0.05 ± 0.21 |"]
