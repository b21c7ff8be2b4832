"""`eie_cli.training_options`: options and checkpoint of training commands."""

import json

import numpy as np
import pytest


@pytest.mark.usefixtures("torch")
def test_a_run_that_was_stopped_is_resumed(tmp_path, data, eie, monkeypatch):
    arguments = ["train", data, "--layers", 8, "--epochs", 4, "-o", tmp_path / "net.npz", "--log",
                 tmp_path / "log.jsonl", "--accept-loss"]
    from eie_compiler.training import loop

    write, left = loop.write_checkpoint, [3]

    def stop(*details):
        write(*details)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_checkpoint", stop)
    code, text = eie(*arguments)
    assert code == 130 and "stopped: the same command with --resume continues" in text
    assert (tmp_path / "net.npz.checkpoint.npz").exists() and not (tmp_path / "net.npz").exists()
    monkeypatch.undo()
    code, text = eie(*arguments)
    assert code == 2 and "continue with --resume, or delete it to start over" in text
    code, text = eie(*arguments, "--seed", 1, "--resume")
    assert code == 2
    assert "net.npz.checkpoint.npz: checkpoint must be of the same model, data and options" in text
    assert eie(*arguments, "--resume")[0] == 0
    log = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in log.splitlines()]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3, 4]
    assert not (tmp_path / "net.npz.checkpoint.npz").exists()


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("retrain", [False, True])
def test_a_teacher_is_learnt_by_training_and_by_retraining(tmp_path, data, dense, eie, retrain):
    command = (("compress", dense, "--retrain", data, "--density", 0.5) if retrain
               else ("train", data, "--layers", 4))

    def loss(*options):
        code, _ = eie(*command, "--epochs", 1, "--accept-loss", "-o", tmp_path / "net.npz",
                      "--log", tmp_path / "log.jsonl", *options)
        assert code == 0
        log = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
        return json.loads(log.splitlines()[-1])["loss"]

    teacher = ("--teacher", dense)
    losses = {loss(*teacher), loss(*teacher, "--teacher-weight", 0.5),
              loss(*teacher, "--teacher-temperature", 2), loss()}
    assert len(losses) == 4
    assert loss(*teacher, "--teacher-weight", 0.0) == loss()


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("options, message", [
    (["--teacher-weight", "0.5"], "Error: --teacher-weight needs --teacher"),
    (["--teacher", "{model}", "--teacher-weight", "2"],
     "eie: --teacher-weight must be from 0 to 1, not 2.0"),
    (["--teacher", "{model}", "--teacher-temperature", "0"],
     "eie: --teacher-temperature must be above 0 and finite, not 0.0"),
    (["--teacher", "{model}"], "eie: --teacher must have 6 numbers per input, as the data have, "
                               "not 5 of shape (5,)"),
])
def test_wrong_teachers_are_refused(tmp_path, data, eie, options, message):
    model = tmp_path / "model.npz"
    np.savez(model, **{"a.weight": np.ones((3, 5 if len(options) == 2 else 6)),
                       "a.bias": np.ones(3)})
    code, text = eie("train", data, "--layers", 8, "-o", tmp_path / "dense.npz",
                     *(option.format(model=model) for option in options))
    assert code == 2
    assert message in text.splitlines()
