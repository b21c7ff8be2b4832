import io
import re
import resource
import struct
import zipfile

import numpy as np
import pytest

from eie_compiler.files.untrusted_npz import ArchiveError, read_array, read_arrays


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), **options)
    return stream.getvalue()


def write(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("array", [
    np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array("text"),
    np.array(True), np.zeros((0, 4)), np.array(["a", "bc"]), np.array([1, 2], ">i4"),
])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path, array, save):
    save(tmp_path / "a.npz", first=array, second=array.T)
    arrays = read_arrays(tmp_path / "a.npz")
    assert list(arrays) == ["first", "second"]
    np.testing.assert_array_equal(arrays["first"], array, strict=True)
    np.testing.assert_array_equal(arrays["second"], array.T, strict=True)


def test_the_order_is_that_of_writing(tmp_path):
    np.savez(tmp_path / "a.npz", b=1, a=2, c=3)
    assert list(read_arrays(tmp_path / "a.npz")) == ["b", "a", "c"]


def test_a_single_array_is_read_as_numpy_writes_it(tmp_path):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_array(tmp_path / "a.npy"), array, strict=True)
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ArchiveError, match=r"a\.npy must contain numbers or text, not object$"):
        read_array(tmp_path / "a.npy")


def test_objects_are_refused(tmp_path):
    content = npy(np.array([{}]), allow_pickle=True)
    path = write(tmp_path / "a.npz", [("a.npy", content)])
    with pytest.raises(ArchiveError, match="^a must contain numbers or text, not object$"):
        read_arrays(path)


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(7,)", "(-8, -1)", "(0,)",
                                   "(1000000000000, 1000000000000)"])
def test_a_shape_that_is_not_the_data_is_refused(tmp_path, shape):
    content = npy(np.arange(8)).replace(b"(8,), }", f"{shape}, }}".encode(), 1)
    header = int.from_bytes(content[8:10], "little") + len(shape) - 4
    content = content[:8] + header.to_bytes(2, "little") + content[10:]
    path = write(tmp_path / "a.npz", [("a.npy", content)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveError, match="^a must have a header for its 64 bytes, not for "
                                           f"shape {re.escape(shape)} of int64$"):
        read_arrays(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16    # KiB


def test_an_empty_array_of_an_impossible_shape_is_refused(tmp_path):
    content = npy(np.zeros((0, 8))).replace(b"(0, 8), }", b"(0, %d), }" % 10 ** 30, 1)
    header = int.from_bytes(content[8:10], "little") + 30
    content = content[:8] + header.to_bytes(2, "little") + content[10:]
    path = write(tmp_path / "a.npz", [("a.npy", content)])
    with pytest.raises(ArchiveError, match=r"^a must have a valid shape, not \(0, 10{30}\)$"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00\x00\x00",
                                     npy(np.arange(3))[:60], b"\x93NUMPY\x01\x00\x02\x00{]",
                                     b"\x93NUMPY\x01\x00\x0b\x00{'descr': (",
                                     *(b"\x93NUMPY\x01\x00\x88\x13" + 5000 * text
                                       for text in (b"(", b"-", b"{"))])
def test_a_broken_header_is_refused(tmp_path, content):
    path = write(tmp_path / "a.npz", [("a.npy", content)])
    with pytest.raises(ArchiveError, match="^a must be an array in NumPy's .npy format: "):
        read_arrays(path)


def test_a_member_that_promises_more_than_it_can_hold_is_refused(tmp_path):
    path = write(tmp_path / "a.npz", [("a.npy", npy(np.arange(8)))])
    content = path.read_bytes()
    size = len(npy(np.arange(8))).to_bytes(4, "little")
    path.write_bytes(content.replace(size, (1 << 30).to_bytes(4, "little")))
    with pytest.raises(ArchiveError, match=r"^File must be an intact \.npz archive, expanded at "
                                           f"most 64 times: its {len(content)} bytes promise "
                                           "arrays of 1073741824 bytes$"):
        read_arrays(path)


def test_members_that_overlap_are_refused(tmp_path):
    path = write(tmp_path / "a.npz", [("0.npy", npy(np.zeros(50_000)))])
    content = path.read_bytes()
    start = content.rindex(b"PK\x01\x02")
    entry, end = content[start:-22], content[-22:]
    n = 5000
    entries = b"".join(entry[:-5] + b"%05d" % number for number in range(n))
    path.write_bytes(content[:start] + entries + struct.pack(
        "<4sHHHHIIH", end[:4], 0, 0, n, n, len(entries), start, 0))
    size = len(npy(np.zeros(50_000)))
    with pytest.raises(ArchiveError, match=f"promise arrays of {n * size} bytes$"):
        read_arrays(path)


def test_text_of_no_length_is_refused(tmp_path):
    header = b"{'descr': '|S0', 'fortran_order': False, 'shape': (1073741824,), }"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    path = write(tmp_path / "a.npz", [("a.npy", content)])
    with pytest.raises(ArchiveError, match=r"^a must contain numbers or text, not \|S0$"):
        read_arrays(path)


def test_other_compressions_are_refused(tmp_path):
    path = write(tmp_path / "a.npz", [("a.npy", npy(np.arange(8)))], zipfile.ZIP_LZMA)
    with pytest.raises(ArchiveError, match=r"^a\.npy must be stored or deflated, not compressed "
                                           r"by method 14$"):
        read_arrays(path)


def test_two_arrays_of_the_same_name_are_refused(tmp_path):
    path = write(tmp_path / "a.npz", [("a.npy", npy(1)), ("a", npy(2))])
    with pytest.raises(ArchiveError, match="^File must not have two arrays of the same name$"):
        read_arrays(path)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.npz").write_text("nothing", encoding="utf-8")
    with pytest.raises(ArchiveError, match="^File must be an intact .npz archive: "):
        read_arrays(tmp_path / "a.npz")
