"""The test vector that travels with a build: an input, and the network as it was before its kernels
were scheduled.

What the kernels have to compute of the input is not in it: to compute that takes as long as a
quarter of a build, so it is done when a build is checked, and kept
(:mod:`device.runtime.reference_network`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import tvm

# Their operators are in the modules, which cannot be read before TVM knows them.
from compile.kernels.common import quantize_op, wrapping  # noqa: F401
from compile.kernels.gpu import dp4a  # noqa: F401
from compile.support.atomic import write_atomically
from compile.support.errors import ArtefactError
from compile.support.frame import Frame

_FORMAT = 1
# Fast: weights hardly get smaller.
_COMPRESSION = 1


class VectorTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input: its elements in order, without gaps."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes


class VectorRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, in MessagePack.

    Attributes:
        format: of the file: 1.
        tvm: the version that the modules are for.
        inputs: of the network.
        modules: by the library that is made of it, TVM's JSON of a module behind the phase "lower",
            compressed by zlib.
    """

    format: int
    tvm: str
    inputs: tuple[VectorTensor, ...]
    modules: dict[str, bytes]


@dataclass(frozen=True)
class TestVector:
    """What a build is checked by.

    Attributes:
        inputs: of the network.
        modules: of each library of the build, by its name: kernels without schedules, which any
            machine can be made to compute, and the function that calls them.
    """

    __test__ = False  # For pytest, which takes a class of this name for a test.

    inputs: Frame
    modules: Mapping[str, tvm.IRModule]


def write_vector(path: Path, vector: TestVector) -> None:
    """Write ``vector``.

    Raises:
        OutputError: it cannot be written.
    """
    record = VectorRecord(
        _FORMAT,
        tvm.__version__,
        tuple(
            VectorTensor(one.shape, str(one.dtype), np.ascontiguousarray(one).tobytes())
            for one in vector.inputs
        ),
        {
            name: zlib.compress(tvm.ir.save_json(module).encode(), _COMPRESSION)
            for name, module in vector.modules.items()
        },
    )
    write_atomically(path, msgspec.msgpack.encode(record))


def read_vector(path: Path) -> TestVector:
    """Read what :func:`write_vector` has written.

    Raises:
        ArtefactError: it is damaged, or of another version of TVM.
    """
    damaged = ArtefactError(f"{path} is no test vector or a damaged one: build it again")
    try:
        record = msgspec.msgpack.decode(path.read_bytes(), type=VectorRecord)
    except (OSError, msgspec.DecodeError):
        raise damaged from None
    if record.format != _FORMAT or record.tvm != tvm.__version__:
        raise ArtefactError(
            f"{path} was written with TVM {record.tvm}, and this is {tvm.__version__}: build it "
            "again"
        )
    try:
        inputs = tuple(
            np.frombuffer(one.data, one.dtype).reshape(one.shape) for one in record.inputs
        )
        modules = {
            name: tvm.ir.load_json(zlib.decompress(text).decode())
            for name, text in record.modules.items()
        }
    except (ValueError, TypeError, RuntimeError, AttributeError, zlib.error):
        raise damaged from None
    return TestVector(inputs, modules)
