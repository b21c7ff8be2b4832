"""Manifests that are whole but wrong, of which eie_compiler.files.build_manifest checks fields."""

import functools
import hashlib
import json
import re

import numpy as np
import pytest

from eie_cli.console import show_build
from eie_compiler.build import Build
from eie_compiler.files.manifest_folder import MANIFEST, BuildError, manifest_checksum
from eie_compiler.lowering.compile import compile_network
from eie_compiler.random_networks import random_network
from eie_hdl.config import LATER_PARAMETERS, PRESETS
from support.dead_inputs import clear_inputs
from support.saved_builds import compile_small, reseal


@pytest.fixture
def saved(tmp_path):
    compile_small(outputs="all").save(tmp_path / "build")
    return tmp_path / "build"


def paths(value, path=()):
    """Paths to all values in JSON, and to a key and an element that are new."""
    yield path
    if isinstance(value, (dict, list)):
        for key in (*value, "new") if isinstance(value, dict) else range(len(value) + 1):
            yield from paths(value[key], (*path, key)) if key != "new" and (
                isinstance(value, dict) or key < len(value)) else [(*path, key)]


def changed(value, path, new):
    """Copy JSON with another value at a path; None removes it."""
    if not path:
        return new
    key, *rest = path
    copy = value.copy()
    if rest or new is not None:
        if isinstance(copy, list) and key == len(copy):
            copy.append(new)
        else:
            copy[key] = changed(copy.get(key) if isinstance(copy, dict) else copy[key], rest, new)
    elif isinstance(copy, dict):
        copy.pop(key, None)
    else:
        del copy[key:key + 1]
    return copy


#: Fields of the report that no program reads.
NOT_READ = ["slots", "columns", "nonzeros", "entries_per_pe", "macs_dense_input", "formats",
            "overflow", "precision", "codebook", "source", "destination", "bias", "sent", "total",
            "new"]


@pytest.mark.parametrize("value", [
    None, -1, 0, 1 << 63, 10 ** 12, 10 ** 400, 1.5, np.nan, True, "../escape", "a" * 250,
    "é" * 101, "\n", "", [], {}, [[1]], {"input": 1}, [1, 0],
    functools.reduce(lambda inner, _: [inner], range(30), 1)],
    ids=lambda value: str(value)[:12])
def test_any_value_in_any_field_of_a_resealed_manifest_is_refused_or_right(saved, value):
    manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
    del manifest["checksum"]
    accepted = []
    for path in paths(manifest):
        if path and changed(manifest, path, value) != manifest \
                and not (path[0] == "report" and set(path) & set(NOT_READ)):
            other = changed(manifest, path, value)
            other["checksum"] = manifest_checksum(other)
            (saved / MANIFEST).write_text(json.dumps(other), encoding="utf-8")
            try:
                build = Build.load(saved)
            except BuildError as error:
                assert str(error).startswith(str(saved)) and len(str(error)) < 1500
            else:
                accepted.append(path)
                show_build("build", build)
    # What another writer may choose, or leave out.
    assert all(path[0] == "report"
               or path[-1] in ("name", "patches", "nonnegative_inputs", "mac_stages", "loops",
                               "local", "maximum", "products", "tables", "scales")
               for path in accepted), accepted


def test_column_numbers_of_another_type_or_range_are_refused(saved):
    with np.load(saved / "vectors.npz") as file:
        arrays = dict(file)
    for name in arrays:
        for wrong in (arrays[name] - 1, arrays[name] + 10 ** 6, arrays[name] * 0, arrays[name] * 1.,
                      arrays[name][:0], arrays[name][np.newaxis], np.array(3)):
            np.savez(saved / "vectors.npz", **arrays | {name: wrong})
            content = (saved / "vectors.npz").read_bytes()
            files = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))["files"]
            reseal(saved, files=files | {"vectors.npz": hashlib.sha256(content).hexdigest()})
            with pytest.raises(BuildError, match=rf"vectors\.npz: {name} must be different int64 "
                                                 "numbers from 0 to "):
                Build.load(saved)


@pytest.mark.parametrize("n_dead", [0, 1, 3])
def test_another_number_of_dead_inputs_is_refused(tmp_path, n_dead):
    network = random_network(np.random.default_rng(11), [9, 20, 6], v_width=3, frac=4)
    build = compile_network(clear_inputs(network, [0, 4]), PRESETS["tiny"])
    build.save(tmp_path)
    found = Build.load(tmp_path)
    assert found.input.columns.tolist() == build.input.columns.tolist()
    assert np.flatnonzero(~found.input.is_sent).tolist() == [0, 4]
    reseal(tmp_path, report=build.report | {"dead_inputs": n_dead})
    suffix = f", and -1 for {n_dead} dead inputs" if n_dead else ""
    with pytest.raises(BuildError, match=rf"input must be different int64 numbers .* on{suffix}$"):
        Build.load(tmp_path)


def test_results_that_the_program_does_not_send_are_refused(tmp_path):
    compile_small(keep_dead_rows=True).save(tmp_path)
    reseal(tmp_path, sent=[0, 1])
    with pytest.raises(BuildError, match=r"vectors\.npz: sent layers must have \[6\] columns, as "
                                         r"the program sends them, not \[20, 6\]$"):
        Build.load(tmp_path)


@pytest.mark.parametrize("changes", [
    {"v_width": 4}, {"z_width": 3}, {"codebook_width": 8}, {"act_width": 9}, {"acc_width": 21},
    {"acc_width": 19}, {"v_width": 4, "z_width": 1}, {"v_width": 2, "z_width": 3},
    {"entries_per_word": 4}, {"acc_depth": 32}, {"spmat_depth": 257}, {"ptr_depth": 127},
    {"act_depth": 65}, {"n_codebooks": 4}, {"program_depth": 17}], ids=str)
def test_a_machine_that_the_images_are_not_for_is_refused(saved, changes):
    """Also if the files could be of such a machine, as they have no more digits."""
    reseal(saved, config=PRESETS["tiny"].as_dict() | changes)
    with pytest.raises(BuildError, match=rf"^{re.escape(str(saved))}/"):
        Build.load(saved)


def test_a_build_without_the_stages_of_the_mac_and_loops_is_loaded(saved):
    """Builds of the same format were written before they could be chosen."""
    config = PRESETS["tiny"].interface
    reseal(saved, config={name: value for name, value in config.items()
                          if name not in LATER_PARAMETERS})
    assert Build.load(saved).config == PRESETS["tiny"]


@pytest.mark.parametrize("n_rows", [1, 65])
def test_used_rows_of_activations_are_those_of_the_image_or_more(saved, n_rows):
    report = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))["report"]
    report["memory"]["act"]["words_used"] = n_rows
    reseal(saved, report=report)
    with pytest.raises(BuildError, match=r"manifest\.json: report\.memory\.act\.words_used "
                                         f"must be from [0-9]+ to 64, not {n_rows}$"):
        Build.load(saved)


def test_input_buffers_that_overlap_or_do_not_fit_are_refused(saved):
    manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
    n_words, n_rows = manifest["input_words"], 64 - manifest["vectors"]["input"]["base_word"]
    for buffers, least, greatest in [(1, 0, 0), (2, n_words, n_rows - n_words)]:
        for stride in (least, greatest):
            reseal(saved, input_buffers=buffers, input_stride=stride)
            assert Build.load(saved).input_buffers == buffers
        for stride in (least - 1, greatest + 1):
            reseal(saved, input_buffers=buffers, input_stride=stride)
            with pytest.raises(BuildError, match=rf"manifest\.json: input_stride must be an "
                                                 rf"integer from {least} to {greatest}, not "
                                                 rf"{stride}$"):
                Build.load(saved)


@pytest.mark.parametrize("key", ["input", "layer0", "layer1"])
def test_formats_that_are_not_those_of_the_vectors_are_refused(saved, key):
    vectors = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))["vectors"]
    vectors[key]["frac"] += 1
    reseal(saved, vectors=vectors)
    with pytest.raises(BuildError, match=r"manifest\.json: report\.layers\[[01]\]\.formats\."
                                         r"(in|out)put_frac must be 5, as in vectors, not 4$"):
        Build.load(saved)


@pytest.mark.parametrize(("key", "message"), [
    ("input", r"manifest\.json: input must begin in \[\d+\], the rows of the activation SRAM "
              r"that the program reads, not in \[\d+\]$"),
    ("layer1", r"sent layers must begin in \[\d+\], the rows .* not in \[\d+\]$"),
])
@pytest.mark.parametrize("step", [-1, 1])
def test_vectors_in_rows_that_the_program_does_not_read_are_refused(tmp_path, key, message, step):
    compile_small().save(tmp_path)
    vectors = json.loads((tmp_path / MANIFEST).read_text(encoding="utf-8"))["vectors"]
    vectors[key]["base_word"] += step
    reseal(tmp_path, vectors=vectors)
    with pytest.raises(BuildError, match=message):
        Build.load(tmp_path)
