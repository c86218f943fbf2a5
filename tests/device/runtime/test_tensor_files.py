"""Files of tensors: by name, and what is wrong with one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from compile.artefact.manifest import PICTURE, NetworkTensor
from compile.support.errors import MqnetError
from device.runtime.tensor_files import check_writes_tensors, read_tensors, write_tensors

TWO = (NetworkTensor("file", (1, 3), "float32"), NetworkTensor("mask", (1, 2, 2), "int8"))
FILE, MASK = np.float32([[1, 2, 3]]), np.int8([[[1, 2], [3, 4]]])


def savez(path: Path, arrays: dict) -> None:
    """Of numpy.savez `file` is a parameter."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, array)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_tensors(tmp_path / "two.npz", (FILE, MASK), TWO)
    for found, tensor in zip(read_tensors(tmp_path / "two.npz", TWO), (FILE, MASK), strict=True):
        np.testing.assert_array_equal(found, tensor)
    write_tensors(tmp_path / "one.npy", (MASK,), TWO[1:])
    (found,) = read_tensors(tmp_path / "one.npy", TWO[1:])
    np.testing.assert_array_equal(found, MASK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npy", "two.npz"]


def test_a_number_has_no_dimensions(tmp_path: Path) -> None:
    number = (NetworkTensor("sum", (), "float32"),)
    write_tensors(tmp_path / "sum.npz", (np.float32(3).reshape(()),), number)
    assert read_tensors(tmp_path / "sum.npz", number)[0].shape == ()


def test_the_order_of_a_file_does_not_matter(tmp_path: Path) -> None:
    savez(tmp_path / "turned.npz", {"mask": MASK, "file": FILE})
    assert read_tensors(tmp_path / "turned.npz", TWO)[0].shape == (1, 3)


def test_a_picture_is_written_as_the_module_has_it(tmp_path: Path) -> None:
    picture = np.arange(30, dtype=np.float32).reshape(1, 2, 5, 3)
    described = [NetworkTensor("h", picture.shape, "float32", PICTURE)]
    write_tensors(tmp_path / "h.npy", (picture,), described)
    np.testing.assert_array_equal(np.load(tmp_path / "h.npy"), picture.transpose(0, 3, 1, 2))


def test_several_tensors_are_no_npy() -> None:
    check_writes_tensors(Path("x.npy"), TWO[:1])
    check_writes_tensors(Path("x.npz"), TWO)
    with pytest.raises(MqnetError, match="x.npy holds one tensor, and the network gives 2"):
        check_writes_tensors(Path("x.npy"), TWO)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"file": FILE}, "holds 'file', and the network takes 'file', 'mask'"),
        ({"file": FILE, "mask": MASK, "more": MASK}, "holds 'file', 'mask', 'more', and"),
        ({"file": FILE, "mask": MASK[..., 0]}, r"has int8 \[1, 2\] for 'mask', and .*int8 \[1, 2"),
        (
            {"file": FILE.astype(float), "mask": MASK},
            "has float64 .* takes float32",
        ),
        ({"file": np.array([object()]), "mask": MASK}, "damaged or no file of NumPy's: Object"),
    ],
)
def test_another_networks_tensors(tmp_path: Path, arrays: dict, said: str) -> None:
    savez(tmp_path / "other.npz", arrays)
    with pytest.raises(MqnetError, match=said):
        read_tensors(tmp_path / "other.npz", TWO)


def test_a_file_that_numpy_fails_on(tmp_path: Path) -> None:
    """Each ends in an error of another kind: of memory, of tokens, of what zip files may be."""
    path = tmp_path / "odd.npy"
    for text in ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, %s)}" % 10**14, "(" * 9000):
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
        with pytest.raises(MqnetError, match="odd.npy is damaged or no file of NumPy's: .") as said:
            read_tensors(path, TWO[1:])
        assert len(str(said.value).splitlines()) == 1
    path = tmp_path / "odd.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("file", b"no array")
        archive.writestr("mask", b"")
    with pytest.raises(MqnetError, match=r"odd.npz has .* \[\] for 'file', and the network takes"):
        read_tensors(path, TWO)
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 10] = 99
    path.write_bytes(content)
    with pytest.raises(MqnetError, match="damaged .*: That compression method is not supported"):
        read_tensors(path, TWO)


def test_no_tensors_at_all(tmp_path: Path) -> None:
    for content in (b"", b"PK", b"some text", b"PK\x03\x04 no zip", b"\x93NUMPY no array"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(MqnetError, match=r"bad.npz is damaged or no file of NumPy's"):
            read_tensors(tmp_path / "bad.npz", TWO)
    whole = tmp_path / "cut.npz"
    savez(whole, {"file": FILE, "mask": MASK})
    for length in range(0, whole.stat().st_size, 37):
        (tmp_path / "part.npz").write_bytes(whole.read_bytes()[:length])
        with pytest.raises(MqnetError, match=r"part.npz is damaged"):
            read_tensors(tmp_path / "part.npz", TWO)
    with pytest.raises(MqnetError, match=r"none.npz cannot be read: No such file"):
        read_tensors(tmp_path / "none.npz", TWO)
    with pytest.raises(MqnetError, match=r"a.jpg is no file of tensors, .*a .npz with 'file'"):
        read_tensors(tmp_path / "a.jpg", TWO)
    np.save(tmp_path / "alone.npy", FILE)
    with pytest.raises(MqnetError, match=r"holds 'alone.npy', and .* takes 'file', 'mask'"):
        read_tensors(tmp_path / "alone.npy", TWO)
