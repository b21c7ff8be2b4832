"""Build folders: files, checksums, and what replaces what (`eie_compiler.files.build_folder`)."""

import dataclasses
import hashlib
import itertools
import json
import os
import re
import shutil

import numpy as np
import pytest

from eie_compiler.build import Build
from eie_compiler.files.manifest_folder import MANIFEST, BuildError
from eie_compiler.lowering.compile import compile_network
from eie_compiler.lowering.programs import compile_programs
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_hdl.format import FORMAT_VERSION, Layouts, image_file
from support.saved_builds import compile_small, reseal


@pytest.fixture
def saved(tmp_path):
    compile_small(outputs="all").save(tmp_path / "build")
    return tmp_path / "build"


def assert_same_vector(found, expected):
    assert (found.name, found.base_word, found.frac) == (expected.name, expected.base_word,
                                                         expected.frac)
    np.testing.assert_array_equal(found.columns, expected.columns, strict=True)


def other_build(n_pe):
    network = random_network(np.random.default_rng(12), [9, 20, 6], v_width=3, frac=4)
    return compile_network(network, dataclasses.replace(PRESETS["tiny"], n_pe=n_pe))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def test_a_build_replaces_only_the_files_of_the_former_one(saved):
    mine = {"notes.txt": b"n", "mine.hex": b"h", "results/fc1.npy": b"r"}
    (saved / "results").mkdir()
    for name, content in mine.items():
        (saved / name).write_bytes(content)
    other_build(2).save(saved)    # fewer images
    assert Build.load(saved).config.n_pe == 2
    found = contents(saved)
    assert {name: found.pop(name) for name in mine} == mine
    manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
    assert found.keys() == {MANIFEST, *manifest["files"]}


@pytest.mark.parametrize("text", ["{}", "{", '{"kind": "web-app", "files": {"a.hex": ""}}', "[1]",
                                  '{"kind": "eie-build"}', "\udc80", ""])
def test_a_foreign_manifest_and_its_folder_are_left_alone(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text, errors="surrogateescape", encoding="utf-8")
    (tmp_path / "a.hex").write_text("mine", encoding="utf-8")
    before = contents(tmp_path)
    with pytest.raises(BuildError) as caught:
        other_build(2).save(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / MANIFEST} must be the manifest of an earlier build, to be replaced, not "
        f"another file: choose another folder, or remove it")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["vectors.npz", "pe_1.act.hex"])
def test_a_file_that_no_build_lists_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(BuildError) as caught:
        other_build(2).save(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / name} must be of an earlier build, to be replaced, but its {MANIFEST} does "
        f"not list it: choose another folder, or remove it")
    assert contents(tmp_path) == {name: b"mine"}


def test_a_manifest_cannot_name_files_outside_or_of_another_kind_for_removal(tmp_path):
    folder = tmp_path / "build"
    folder.mkdir()
    for path in (tmp_path / "a.hex", folder / "notes.txt", folder / "old.hex"):
        path.write_text("mine", encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps({"kind": "eie-build", "files": {
        "../a.hex": "", str(tmp_path / "a.hex"): "", "notes.txt": "", "..": "", "old.hex": ""}}),
        encoding="utf-8")
    other_build(2).save(folder)
    assert (tmp_path / "a.hex").exists() and (folder / "notes.txt").exists()
    assert not (folder / "old.hex").exists()


def test_a_symbolic_link_to_another_manifest_is_refused(saved, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / MANIFEST).symlink_to(saved / MANIFEST)
    before = contents(saved)
    with pytest.raises(BuildError, match="must be the manifest of an earlier build"):
        other_build(2).save(tmp_path / "new")
    assert contents(saved) == before


@pytest.mark.parametrize("fresh", [False, True])
def test_an_interruption_leaves_the_former_build_or_one_that_is_refused(
        saved, tmp_path, monkeypatch, fresh):
    """Interrupt at each write and each rename."""
    folder = tmp_path / "fresh" if fresh else saved
    build, before = other_build(2), {} if fresh else contents(saved)
    replace = os.replace
    n_refused = 0
    for at in itertools.count():
        calls = iter(range(at))

        def stop(old, new, calls=calls):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            replace(old, new)

        monkeypatch.setattr(os, "replace", stop)
        try:
            build.save(folder)
            break
        except KeyboardInterrupt:
            monkeypatch.setattr(os, "replace", replace)
        if fresh and not folder.exists() or not fresh and contents(folder) == before:
            continue
        with pytest.raises(BuildError) as caught:
            Build.load(folder)
        assert str(caught.value) == (f"{folder} must contain a whole build, but `eie compile` was "
                                     f"interrupted while it wrote there: compile again")
        n_refused += 1
        other_build(4).save(folder)    # compiling again helps
        Build.load(folder)
        shutil.rmtree(folder)
        if not fresh:
            compile_small(outputs="all").save(folder)
            before = contents(folder)
    monkeypatch.setattr(os, "replace", replace)
    assert Build.load(folder).config.n_pe == 2
    assert n_refused == len(list(folder.iterdir())) and at > n_refused


@pytest.mark.parametrize("outputs", ["last", "all"])
def test_loaded_is_what_was_saved(tmp_path, outputs):
    build = compile_small(outputs=outputs)
    build.save(tmp_path)
    found = Build.load(tmp_path)
    assert found.config == build.config
    assert found.report == build.report
    assert found.images.keys() == build.images.keys()
    for instance, words in build.images.items():
        np.testing.assert_array_equal(found.images[instance], words, strict=True)
    assert_same_vector(found.input, build.input)
    assert [vector.name for vector in found.layers] == ["fc1", "fc2"]
    assert len(found.outputs) == (1 if outputs == "last" else 2)
    for vector, expected in zip((*found.layers, *found.outputs), (*build.layers, *build.outputs)):
        assert_same_vector(vector, expected)


def test_a_program_that_does_not_begin_the_memory_is_restored(tmp_path):
    networks = {str(seed): random_network(np.random.default_rng(seed), [9, 6 + seed], v_width=3)
                for seed in range(3)}
    builds = compile_programs(networks, PRESETS["tiny"])
    assert [build.first_descriptor for build in builds.values()] == [0, 2, 4]
    builds["1"].save(tmp_path)
    found = Build.load(tmp_path)
    assert found.first_descriptor == 2 and found.report == builds["1"].report
    for first, message in ((1, "program, 0, 2, 4, not 1"), (6, "program, 0, 2, 4, not 6")):
        reseal(tmp_path, first_descriptor=first)
        with pytest.raises(BuildError, match="must be the beginning of a " + message):
            Build.load(tmp_path)


def test_preprocessing_and_signs_are_restored(tmp_path):
    network = random_network(np.random.default_rng(11), [9, 6], v_width=3, frac=4)
    network = dataclasses.replace(network, nonnegative_inputs=True, preprocessing=Preprocessing(
        np.arange(9.0), np.arange(1.0, 10)))
    build = compile_network(network, PRESETS["tiny"])
    build.save(tmp_path)
    found = Build.load(tmp_path)
    x = np.random.default_rng(12).normal(0, 5, (40, 9))
    words = found.quantise(x)
    assert words.tolist() == build.quantise(x).tolist()
    assert words.min() == 0 < words.max()
    unsigned = np.maximum(build.preprocessing.quantise(x, 8), 0)
    assert words.tolist() == unsigned.tolist()


def test_a_build_without_its_preprocessing_is_refused(saved):
    reseal(saved, preprocessing=True)
    with pytest.raises(BuildError, match=r"vectors\.npz: file must contain "
                                         "preprocessing_multiplier, preprocessing_offset, "
                                         "preprocessing_raw_frac, "
                                         "preprocessing_shift$"):
        Build.load(saved)


def test_builds_without_preprocessing_have_no_field_of_it(saved):
    manifest = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))
    assert not {"preprocessing", "nonnegative_inputs"} & manifest.keys()
    with np.load(saved / "vectors.npz") as vectors:
        assert set(vectors) == {"input", "layer0", "layer1"}


def test_there_is_one_file_for_each_memory_instance(saved):
    instances = [instance for instance, *_ in Layouts.of(PRESETS["tiny"]).images(PRESETS["tiny"])]
    files = {path.name for path in saved.iterdir()}
    assert files == {*map(image_file, instances), "vectors.npz", MANIFEST}


def test_the_same_network_gives_the_same_files(saved, tmp_path):
    compile_small(outputs="all").save(tmp_path / "again")
    for path in saved.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_every_file_with_a_changed_bit_is_refused_by_name(saved, tmp_path):
    rng = np.random.default_rng(12)
    for path in sorted(saved.iterdir()):
        if path.name == MANIFEST:
            continue
        content = bytearray(path.read_bytes())
        for at in rng.integers(len(content), size=3):
            changed = content.copy()
            changed[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            with pytest.raises(BuildError, match=f"^{re.escape(str(path))} must be unchanged, "
                                                 "but its checksum differs from that in "
                                                 "manifest.json: compile again$"):
                Build.load(saved)
        path.write_bytes(content)
    Build.load(saved)


def test_every_changed_bit_of_the_manifest_is_refused_or_means_the_same(saved):
    path, rng = saved / MANIFEST, np.random.default_rng(13)
    content, n_refused = bytearray(path.read_bytes()), 0
    expected = json.loads(content)
    for at in rng.integers(len(content), size=300):
        changed = content.copy()
        changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            Build.load(saved)
            assert json.loads(changed) == expected
        except BuildError as error:
            assert str(path) in str(error)
            n_refused += 1
    assert n_refused > 100    # other bytes are white space


def test_a_missing_file_is_named(saved):
    (saved / "pe_2.act.hex").unlink()
    with pytest.raises(BuildError, match=r"pe_2\.act\.hex must be readable: No such file"):
        Build.load(saved)
    shutil.rmtree(saved)
    with pytest.raises(BuildError, match=f"^{re.escape(str(saved))} must be a folder that `eie "
                                         "compile` writes, but has no manifest.json$"):
        Build.load(saved)


@pytest.mark.parametrize("text, message", [
    ("{", "must be JSON in UTF-8: "),
    ("[]", "must be the manifest of a build, with kind 'eie-build'"),
    ('{"kind": "eie-build", "format": 0}', f"format must be {FORMAT_VERSION}, not 0: compile "
                                           "again"),
    (f'{{"kind": "eie-build", "format": {FORMAT_VERSION}}}',
     "schema_version must be 1, not None: compile the network again"),
])
def test_a_manifest_of_something_else_is_refused(saved, text, message):
    (saved / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(BuildError, match=f"manifest.json:? {re.escape(message)}"):
        Build.load(saved)


def test_an_impossible_configuration_is_refused(saved):
    reseal(saved, config=PRESETS["tiny"].as_dict() | {"n_pe": 3})
    with pytest.raises(BuildError, match="n_pe must be a power of two from 1 to 256, not 3$"):
        Build.load(saved)


def test_an_image_that_does_not_fit_is_refused_with_its_line(saved):
    path = saved / "pe_0.act.hex"
    text = path.read_bytes()
    n_lines = text.count(b"\n")
    path.write_bytes(text + b"00000000\n" * (65 - n_lines))
    files = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))["files"]
    reseal(saved, files=files | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(BuildError, match=r"pe_0\.act\.hex: image must have at most 64 lines, the "
                                         "words of the memory, not 65$"):
        Build.load(saved)


def test_places_that_are_no_archive_are_refused(saved):
    (saved / "vectors.npz").write_bytes(b"nothing")
    files = json.loads((saved / MANIFEST).read_text(encoding="utf-8"))["files"]
    reseal(saved, files=files | {"vectors.npz": hashlib.sha256(b"nothing").hexdigest()})
    with pytest.raises(BuildError, match=r"vectors\.npz: File must be an intact \.npz archive: "):
        Build.load(saved)


def test_a_program_with_states_is_not_written_without_its_graph(tmp_path):
    with pytest.raises(BuildError, match=(
            "^build must have no states, as a folder keeps those of a graph only: write the build "
            "of the graph$")):
        dataclasses.replace(compile_small(), steps=2).save(tmp_path / "build")
    assert not (tmp_path / "build").exists()
