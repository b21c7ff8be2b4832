"""`eie_cli.training_options`: options and checkpoint of training commands."""

import json

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
