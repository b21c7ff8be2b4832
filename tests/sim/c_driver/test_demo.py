"""Figures of the digits program in C."""

import pytest

from eie_sim.c_driver import demo

PRINTED = """digits, polling: 360 images, accuracy 98.06 %
  program cycles per image  406.8 (387 to 433)
  with the host, one by one 439.0
  with the host, in a batch 408.2
  outputs                   7200, 0 not as expected
"""


def test_printed_figures_are_read():
    assert demo.parse(PRINTED) == demo.Run(accuracy=0.9806, cycles=406.8, least=387, greatest=433,
                                           single=439.0, batch=408.2, outputs=7200)


def test_other_text_is_rejected():
    with pytest.raises(ValueError, match="^the program must print its figures, not 'hello'$"):
        demo.parse("hello")


def test_the_program_runs_in_each_mode(monkeypatch, tmp_path):
    modes = []
    monkeypatch.setattr(demo, "compile_digits", lambda folder, **options: folder / "program")
    monkeypatch.setattr(demo, "run_program",
                        lambda program, *arguments: modes.append(arguments) or PRINTED)
    runs = demo.demo_in_c(tmp_path, n_pe=4, images=6)
    assert modes == list(demo.MODES.values())
    assert runs.keys() == demo.MODES.keys()
    assert (tmp_path / "report.json").exists()
