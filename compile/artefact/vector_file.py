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
# The fastest: weights hardly get smaller.
_COMPRESSION = 1
_PIECE, _SAMPLE = 1 << 18, 1 << 12
# Of a sample of base64 three quarters are left, of loops and calls a tenth.
_LEAST_LEFT_OF_NUMBERS = 0.6


class VectorTensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input: its elements in order, without gaps."""

    shape: tuple[int, ...]
    dtype: str
    data: bytes


class ProgramNodes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a build knows of the quantized program that it was made of, whose nodes the calls in its
    modules are marked by (:mod:`compile.graph.layers`).

    Attributes:
        names: of all nodes, in order.
        scales: by the number of the node, scale and zero point of each int8 tensor.
    """

    names: tuple[str, ...] = ()
    scales: dict[int, tuple[float, int]] = {}


class VectorRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, in MessagePack.

    Attributes:
        format: of the file: 1.
        tvm: the version that the modules are for.
        inputs: of the network.
        modules: by the library that is made of it, TVM's JSON of a module behind the phase "lower",
            compressed by zlib.
        nodes: of the quantized program; none in builds of earlier versions.
    """

    format: int
    tvm: str
    inputs: tuple[VectorTensor, ...]
    modules: dict[str, bytes]
    nodes: ProgramNodes = ProgramNodes()


@dataclass(frozen=True)
class TestVector:
    """What a build is checked by.

    Attributes:
        inputs: of the network.
        modules: of each library of the build, by its name: kernels without schedules, which any
            machine can be made to compute, and the function that calls them.
        nodes: of the quantized program that they were made of.
    """

    __test__ = False  # For pytest, which takes a class of this name for a test.

    inputs: Frame
    modules: Mapping[str, tvm.IRModule]
    nodes: ProgramNodes = ProgramNodes()


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
            name: _compress(tvm.ir.save_json(module).encode())
            for name, module in vector.modules.items()
        },
        vector.nodes,
    )
    write_atomically(path, msgspec.msgpack.encode(record))


def _compress(text: bytes) -> bytes:
    """As zlib does it, but four times as fast where ``text`` is numbers in base64: nothing is
    repeated there, so nothing is looked for."""
    # RFC 1950: a header, blocks of which only the last one says so, and a checksum.
    found = [b"\x78\x01"]
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        sample = piece[:_SAMPLE]
        left = len(zlib.compress(sample, _COMPRESSION)) / len(sample)
        is_numbers = left > _LEAST_LEFT_OF_NUMBERS
        strategy = zlib.Z_HUFFMAN_ONLY if is_numbers else zlib.Z_DEFAULT_STRATEGY
        blocks = _blocks(strategy)
        found += [blocks.compress(piece), blocks.flush(zlib.Z_FULL_FLUSH)]
    found += [_blocks(zlib.Z_DEFAULT_STRATEGY).flush(), zlib.adler32(text).to_bytes(4, "big")]
    return b"".join(found)


def _blocks(strategy: int) -> zlib._Compress:
    return zlib.compressobj(
        _COMPRESSION, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy
    )


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
    return TestVector(inputs, modules, record.nodes)
