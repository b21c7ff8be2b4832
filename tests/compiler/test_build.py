import dataclasses
import hashlib
import json
import re
import shutil

import numpy as np
import pytest

from eie_compiler.build import MANIFEST, Build, BuildError, _checksum
from eie_compiler.lowering.compile import compile_network
from eie_compiler.preprocessing import Preprocessing
from eie_compiler.random_networks import random_network
from eie_hdl.config import PRESETS
from eie_hdl.format import FORMAT_VERSION, Layouts, image_file


def compile_small(**options):
    network = random_network(np.random.default_rng(11), [9, 20, 6], v_width=3, frac=4)
    return compile_network(network, PRESETS["tiny"], **options)


@pytest.fixture
def saved(tmp_path):
    compile_small(outputs="all").save(tmp_path / "build")
    return tmp_path / "build"


def reseal(folder, **changes):
    """Change the manifest and recompute its checksum."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8")) | changes
    manifest["checksum"] = _checksum(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def assert_same_vector(found, expected):
    assert (found.name, found.base_word, found.frac) == (expected.name, expected.base_word,
                                                         expected.frac)
    np.testing.assert_array_equal(found.columns, expected.columns, strict=True)


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
    with pytest.raises(BuildError, match=r"vectors\.npz: preprocessing: 'preprocessing_raw_frac'$"):
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
    with pytest.raises(BuildError, match=r"manifest\.json must be readable: No such file"):
        Build.load(saved)


@pytest.mark.parametrize("text, message", [
    ("{", "must be JSON: "),
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
    reseal(saved, config={"n_pe": 3})
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
