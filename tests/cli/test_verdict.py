"""The words of a verdict, and its exit code."""

import pytest

from eie_cli.verdict import (
    conclude,
    describe_score,
    show_score,
    warn_of_labels,
    warn_of_outputs,
    warn_of_precision,
)

CHECK = {"samples": 500, "task": "classification", "task_assumed": False,
         "verdict": "good", "cause": None,
         "agreement": 0.9871, "r2": None, "labels": None}
LABELS = {"model": 0.976, "network": 0.33, "constant": 0.1, "judge": True}


@pytest.mark.parametrize("changes, text", [
    ({}, "the greatest output is that of the floating-point model for 98.7% of 500 inputs."),
    ({"task_assumed": True},
     "the greatest output is that of the floating-point model for 98.7% of 500 inputs. The outputs "
     "are taken as scores of classes; with --task regression, numbers."),
    ({"agreement": None, "r2": 0.99123},
     "R² 0.9912 against the floating-point model on 500 inputs."),
    ({"labels": LABELS, "data": "validation inputs"},
     "accuracy 33.0% on 500 validation inputs, 97.6% in floating point."),
    ({"labels": LABELS, "agreement": None, "r2": 0.9},
     "R² 0.3300 on 500 inputs, 0.9760 in floating point."),
    ({"labels": LABELS | {"judge": False}},
     "the greatest output is that of the floating-point model for 98.7% of 500 inputs."),
    ({"cause": "format", "reason": "too wide"}, "the machine has no number format for it: "
                                                "too wide."),
])
def test_score_is_a_sentence(changes, text):
    assert describe_score(CHECK | changes) == text


def test_good_result_goes_to_the_output(capsys):
    conclude(CHECK, "net.npz", accept_loss=False)
    assert capsys.readouterr() == (
        "Good: the greatest output is that of the floating-point model for 98.7% of 500 inputs.\n",
        "")
    conclude(CHECK, "net.npz", accept_loss=False, quiet=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("cause, words", [
    ("pruning", "pruning: keep more weights (--density, --quality), or give --retrain DATA.npz."),
    ("sharing", "sharing of weights: raise --v-width, up to 8, or give --retrain DATA.npz."),
    ("accumulator", "the narrow accumulator: give --config a machine of greater acc_width."),
])
@pytest.mark.parametrize("quiet", [False, True])
def test_doubtful_result_names_cause_and_remedy_on_the_standard_error(capsys, cause, words, quiet):
    conclude(CHECK | {"verdict": "doubtful", "cause": cause}, "net.npz", accept_loss=False,
             quiet=quiet)
    output, error = capsys.readouterr()
    assert output == ""
    assert error.startswith("Doubtful: the greatest output ")
    assert error.endswith(f" The main cause is {words}\n")


def test_bad_result_ends_with_exit_code_3(capsys):
    bad = CHECK | {"verdict": "bad", "cause": "pruning"}
    with pytest.raises(SystemExit) as ending:
        conclude(bad, "net.npz", accept_loss=False)
    assert ending.value.code == 3
    assert capsys.readouterr().err.endswith(
        " net.npz is written; with --accept-loss the exit code is 0.\n")
    conclude(bad, "net.npz", accept_loss=True)
    assert capsys.readouterr().err.endswith(" net.npz is written.\n")


def test_labels_that_do_not_fit_are_warned_of(capsys):
    warn_of_labels(CHECK)
    warn_of_labels(CHECK | {"labels": LABELS})
    assert capsys.readouterr().err == ""
    warn_of_labels(CHECK | {"labels": LABELS | {"model": 0.08, "judge": False}})
    assert capsys.readouterr().err.startswith(
        "eie: warning: the floating-point model reaches only 8.0% on the labels, no better than a "
        "constant answer (10.0%)")


@pytest.mark.parametrize("labels, source", [
    (None, "the floating-point model"), (LABELS, "their labels"),
])
def test_data_with_a_single_answer_are_warned_of(capsys, labels, source):
    warn_of_labels(CHECK | {"labels": labels, "constant": 0.99})
    assert capsys.readouterr().err == ""
    warn_of_labels(CHECK | {"labels": labels, "constant": 1.0})
    assert capsys.readouterr().err == (
        f"eie: warning: all 500 inputs have the same answer by {source}, so they do not measure "
        "what compression costs: give inputs as they occur, of all kinds\n")
    warn_of_labels(CHECK | {"labels": labels, "constant": 1.0, "samples": 1})
    assert "a single input has a single answer, so it does not measure" in capsys.readouterr().err
    conclude(CHECK | {"samples": 1, "verdict": "doubtful", "cause": "data"}, "net.npz",
             accept_loss=False)
    assert capsys.readouterr().err.endswith(
        " of 1 input. That measures nothing: give inputs as they occur, of all kinds.\n")
    show_score("classification", 0.0, 1.0, 1)
    assert capsys.readouterr().out == "Accuracy 0.00% on 1 input.\n"
    for task, what in (("classification", "of one class"), ("regression", "equal")):
        show_score(task, 1.0, 1.0, 10)
        assert f"warning: all labels are {what}, so they do not" in capsys.readouterr().err


def test_bad_outputs_of_a_good_network_are_warned_of(capsys):
    warn_of_outputs(CHECK)
    warn_of_outputs(CHECK | {"bad_outputs": []})
    warn_of_outputs(CHECK | {"verdict": "bad", "bad_outputs": [
        {"output": 3, "model": 1.0, "network": 0.0}]})
    assert capsys.readouterr().err == ""
    bad = [{"output": 3, "model": 1.0, "network": 0.9},
           {"output": 5, "model": 0.9, "network": -0.25}]
    warn_of_outputs(CHECK | {"bad_outputs": bad[:1]})
    assert capsys.readouterr().err == (
        "eie: warning: 1 class alone would be bad: accuracy of class 3 is 90.0%, 100.0% in "
        "floating point. The accuracy of all inputs hides single classes: raise --v-width or "
        "--density of `eie compress`, or give it --retrain DATA.npz\n")
    warn_of_outputs(CHECK | {"bad_outputs": [{"output": 1, "model": 0.42, "network": 0.4}]})
    assert capsys.readouterr().err.endswith(
        " class 1 is 40.0%, 42.0% in floating point. The accuracy of all inputs hides single "
        "classes: train with more inputs of them\n")
    warn_of_outputs({"task": "regression", "bad_outputs": [bad[1] | {"model": None}]})
    assert capsys.readouterr().err.endswith(
        " R² of output 5 is -0.2500. All outputs share one number format and one codebook: train "
        "outputs of similar magnitude, and scale the results on the host; `eie compress` with "
        "--calibrate and --labels measures the model itself\n")
    warn_of_outputs(CHECK | {"task": "regression", "bad_outputs": bad})
    assert capsys.readouterr().err.startswith(
        "eie: warning: 2 outputs alone would be bad: R² of output 5 is -0.2500, 0.9000 in floating "
        "point. All outputs share one number format and one codebook: ")


def test_labels_that_are_numbers_by_their_type_are_explained(capsys):
    hint = ("; the labels of classes are one integer for each input, or --task classification "
            "takes them as such\n")
    show_score("regression", -3.0, 0.0, 10)
    assert capsys.readouterr().err.endswith(hint)
    warn_of_labels(CHECK | {"agreement": None, "labels": LABELS | {"model": -3, "judge": False}})
    assert capsys.readouterr().err.endswith(hint)


def test_narrow_accumulators_are_warned_of(capsys):
    layers = [{"name": name, "precision": {"lost_bits": bits, "error": 0.01, "possible_error": 1e-5,
                                           "acc_width": 32 + bits}}
              for name, bits in (("fc1", 2), ("fc2", 5))]
    warn_of_precision([{"name": "input"}, *layers])
    assert capsys.readouterr().err == (
        "eie: warning: the accumulator is narrow: weights lose up to 5 bits (layer 'fc2': they are "
        "rounded by 0.01 of their size, not 1e-05); no weight loses any with acc_width = 37\n")
    layers[0]["precision"]["lost_bits"] = layers[1]["precision"]["lost_bits"] = 0
    warn_of_precision(layers)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("task, score, line, warning", [
    ("classification", 0.975, "Accuracy 97.50% on 1,000 inputs.\n", ""),
    ("regression", 0.5, "R² 0.5000 on 1,000 inputs.\n", ""),
    ("classification", 0.1, "Accuracy 10.00% on 1,000 inputs.\n",
     "eie: warning: a constant answer is as good (10.00%): check --labels, their order, and the "
     "scale of --input\n"),
])
def test_score_of_a_run_is_compared_with_a_constant_answer(capsys, task, score, line, warning):
    show_score(task, score, 0.1 if task == "classification" else 0.0, 1000)
    assert capsys.readouterr() == (line, warning)


def test_retraining_is_no_remedy_for_a_convolution(capsys):
    conclude(CHECK | {"verdict": "doubtful", "cause": "sharing"}, "net.npz", accept_loss=False,
             retrainable=False)
    assert capsys.readouterr().err.endswith(": raise --v-width, up to 8.\n")
