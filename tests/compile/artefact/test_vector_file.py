"""The file of a test vector."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import tvm
from small_net import small_module
from tvm import relax

from compile.artefact.vector_file import TestVector, read_vector, write_vector
from compile.support.errors import ArtefactError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    inputs = np.arange(6, dtype=np.int16).reshape(2, 3).T, np.zeros((), np.float32)
    write_vector(tmp_path / "vector.bin", TestVector(inputs, {"mqnet.so": small_module()}))
    return tmp_path / "vector.bin"


def test_what_is_written_is_read(path: Path) -> None:
    found = read_vector(path)
    assert [(one.shape, str(one.dtype)) for one in found.inputs] == [
        ((3, 2), "int16"),
        ((), "float32"),
    ]
    np.testing.assert_array_equal(found.inputs[0], [[0, 3], [1, 4], [2, 5]])
    tvm.ir.assert_structural_equal(found.modules["mqnet.so"], small_module())


def test_weights_of_several_pieces(tmp_path: Path) -> None:
    """They are compressed in another way than loops, and both are read back."""
    random = np.random.default_rng(0)
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1,), "float32"))
    with builder.function("main", [x]):
        sums = [
            builder.emit(relax.op.add(x, relax.const(values.astype(np.float32))))
            for values in (random.standard_normal(200_000), np.zeros(200_000))
        ]
        builder.emit_func_output(sums[-1])
    module = builder.get()
    write_vector(tmp_path / "vector.bin", TestVector((), {"mqnet.so": module}))
    assert (tmp_path / "vector.bin").stat().st_size < 200_000 * 4 * 1.1
    found = read_vector(tmp_path / "vector.bin").modules["mqnet.so"]
    tvm.ir.assert_structural_equal(found, module)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tvm": "0.1"}, f"written with TVM 0.1, and this is {tvm.__version__}: build it again"),
        ({"modules": {"mqnet.so": b"no module"}}, "damaged"),
        ({"inputs": [{"shape": [4], "dtype": "int16", "data": b""}]}, "damaged"),
        ({"inputs": [{"shape": [4], "dtype": "none", "data": b""}]}, "damaged"),
        ({"more": 1}, "damaged"),
        ({"inputs": 1}, "damaged"),
    ],
)
def test_other_content(path: Path, changes: dict[str, object], words: str) -> None:
    path.write_bytes(msgspec.msgpack.encode(msgspec.msgpack.decode(path.read_bytes()) | changes))
    with pytest.raises(ArtefactError, match=words):
        read_vector(path)


@pytest.mark.parametrize("content", [b"", b"no vector", b"\x80"])
def test_no_vector(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vector.bin").write_bytes(content)
    with pytest.raises(ArtefactError, match="no test vector or a damaged one: build it again"):
        read_vector(tmp_path / "vector.bin")
