"""What a .tflite file holds: tensors, operators and constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.networks.files.graph_builder import Quantized
from compile.support.errors import MqnetError

_MAGIC = b"TFL3"
_DTYPES = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT32": np.int32, "INT64": np.int64,
           "INT8": np.int8, "UINT8": np.uint8}  # fmt: skip


@dataclass(frozen=True)
class TensorFacts:
    """A tensor of the file.

    Attributes:
        name: as the file calls it.
        shape: NHWC, of one to four extents, or none for a number.
        dtype: "INT8", "FLOAT32" and so on.
        scales, zero_points: one, or one for each channel along ``axis``; empty for floats.
        constant: its values, or None where they are computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: NDArray[np.float32]
    zero_points: NDArray[np.int64]
    axis: int
    constant: NDArray | None

    @property
    def is_int8(self) -> bool:
        """Whether its numbers are int8."""
        return self.dtype == "INT8"

    @property
    def quantized(self) -> Quantized:
        """The one scale and zero point, of int8 numbers: those of uint8 are 128 less.

        Raises:
            MqnetError: it has none, or several.
        """
        if self.scales.size != 1:
            raise MqnetError(
                f"tensor {self.name} has {self.scales.size} scales, and one is taken: quantize "
                "activations by tensor"
            )
        shift = 128 if self.dtype == "UINT8" else 0
        return Quantized(float(self.scales[0]), int(self.zero_points[0]) - shift)

    @cached_property
    def real(self) -> NDArray[np.float32]:
        """A constant's numbers."""
        assert self.constant is not None
        if self.dtype not in ("INT8", "UINT8"):
            return self.constant.astype(np.float32)
        shape = [1] * self.constant.ndim
        if self.scales.size > 1:
            shape[self.axis] = self.scales.size
        scales, zero_points = self.scales.reshape(shape), self.zero_points.reshape(shape)
        return ((self.constant.astype(np.float32) - zero_points) * scales).astype(np.float32)


@dataclass(frozen=True)
class Operator:
    """One operator: its ``kind`` as the format calls it, the numbers of the tensors that it reads
    (-1 for one that is left out) and writes, and its ``options``, which are None where it has none;
    their type and the operator's ``code`` are the format's own."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    options_type: int
    code: Any


@dataclass(frozen=True)
class TfliteModel:
    """A model of one graph; ``names`` are what its signature calls inputs and outputs, by number,
    where it has one."""

    tensors: list[TensorFacts]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    names: Mapping[int, str]

    def names_of(self, indices: tuple[int, ...]) -> list[str]:
        """What a user calls tensors."""
        return [self.names.get(index, self.tensors[index].name) for index in indices]


def read_model(path: Path) -> TfliteModel:
    """Read the file at ``path``.

    Raises:
        MqnetError: it is cut off, of another kind, or holds what is not taken; or the package that
            knows the format is missing.
    """
    known = schema()
    content = path.read_bytes()
    if content[4:8] != _MAGIC:
        raise MqnetError(f"network {path} is no .tflite file: give one of LiteRT's converter")
    try:
        model = known.ModelT.InitFromPackedBuf(content, 0)
        return _read(known, model, content)
    except MqnetError as error:
        raise MqnetError(f"network {path}: {error}") from None
    except Exception as error:  # Of flatbuffers, which checks nothing.
        raise MqnetError(f"network {path} is cut off or damaged: write it again") from error


def schema() -> Any:
    """The package's module of the format's classes.

    Raises:
        MqnetError: it is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise MqnetError(
            "a .tflite file is read with the package ai-edge-litert, which is not installed: "
            "pip install 'mqnet-tvm[files]'"
        ) from None
    return schema_py_generated


def _read(known: Any, model: Any, content: bytes) -> TfliteModel:
    if len(model.subgraphs) != 1:
        raise MqnetError(f"it has {len(model.subgraphs)} graphs, and one is taken")
    (graph,) = model.subgraphs
    types = _names(known.TensorType)
    kinds = _names(known.BuiltinOperator)
    tensors = [_tensor(one, types, model.buffers[one.buffer], content) for one in graph.tensors]
    operators = []
    for one in graph.operators:
        code = model.operatorCodes[one.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if kind == "CUSTOM":
            custom = code.customCode.decode() if code.customCode else "custom"
            name = tensors[one.outputs[0]].name
            raise MqnetError(
                f"{name} is computed by the custom op {custom}, which no other tool knows: convert "
                "the network without it"
            )
        operators.append(
            Operator(
                kind,
                tuple(map(int, one.inputs)),
                tuple(map(int, one.outputs)),
                one.builtinOptions,
                one.builtinOptionsType,
                code,
            )
        )
    signatures = model.signatureDefs or []
    entries = [one for each in signatures[:1] for one in (*each.inputs, *each.outputs)]
    return TfliteModel(
        tensors,
        operators,
        tuple(map(int, graph.inputs)),
        tuple(map(int, graph.outputs)),
        {int(one.tensorIndex): one.name.decode() for one in entries},
    )


def _names(kind: type) -> dict[int, str]:
    return {value: name for name, value in vars(kind).items() if isinstance(value, int)}


def _tensor(one: Any, types: dict[int, str], buffer: Any, content: bytes) -> TensorFacts:
    name, dtype = one.name.decode(), types[one.type]
    shape = tuple(int(extent) for extent in ([] if one.shape is None else one.shape))
    signature = [] if one.shapeSignature is None else list(one.shapeSignature)
    if -1 in signature:
        sizes = ", ".join("?" if extent < 0 else str(extent) for extent in signature)
        raise MqnetError(f"tensor {name} has a dynamic shape, [{sizes}]: convert for a fixed size")
    q = one.quantization
    is_quantized = q is not None and q.scale is not None and len(q.scale)
    scales = np.array(q.scale if is_quantized else [], np.float32)
    zero_points = np.array(q.zeroPoint if is_quantized else [], np.int64)
    axis = int(q.quantizedDimension) if is_quantized else 0
    return TensorFacts(
        name, shape, dtype, scales, zero_points, axis, _values(name, shape, dtype, buffer, content)
    )


def _values(
    name: str, shape: tuple[int, ...], dtype: str, buffer: Any, content: bytes
) -> NDArray | None:
    """The constant in ``buffer``, which may lie behind the flatbuffer."""
    if buffer.data is not None:
        data = bytes(buffer.data)
    elif buffer.offset > 1:
        data = content[buffer.offset : buffer.offset + buffer.size]
    else:
        return None
    if dtype not in _DTYPES:
        raise MqnetError(
            f"constant {name} is {dtype}, which is not taken: convert to float or int8"
        )
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
