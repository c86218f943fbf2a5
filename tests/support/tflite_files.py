"""Small .tflite files, written with the format's own schema, and what LiteRT computes of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

_TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}


@dataclass
class TfliteFile:
    """A network that grows by a tensor and an operator at a time."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: str = "int8",
        scales: float | NDArray | None = None,
        zero_point: int = 0,
        axis: int = 0,
        values: NDArray | None = None,
    ) -> int:
        """The number of a new tensor; a constant where it has ``values``."""
        tensor = schema.TensorT()
        tensor.name = f"layer/part{len(self.tensors)}".encode()
        tensor.shape, tensor.type = np.array(shape, np.int32), _TYPES[dtype]
        if scales is not None:
            q = schema.QuantizationParametersT()
            q.scale = np.atleast_1d(np.float32(scales))
            q.zeroPoint = np.full(len(q.scale), zero_point, np.int64)
            q.quantizedDimension = axis
            tensor.quantization = q
        self.tensors.append(tensor)
        index = len(self.tensors) - 1
        if values is not None:
            self.set_values(index, values)
        return index

    def set_values(self, index: int, values: NDArray) -> None:
        """Make tensor ``index`` a constant."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)

    def operator(
        self,
        kind: str,
        inputs: list[int],
        output: int | list[int],
        options: str = "",
        **values: Any,
    ) -> int:
        """``output``, or the first of several, computed by a new operator of ``kind`` with
        ``values`` for ``options``."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = _VERSIONS.get(kind, 1)
        code.customCode = b"Mine" if kind == "CUSTOM" else None
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        outputs = [output] if isinstance(output, int) else output
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in values.items():
                assert hasattr(operator.builtinOptions, name)
                setattr(operator.builtinOptions, name, value)
        self.codes.append(code)
        self.operators.append(operator)
        return outputs[0]

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> Path:
        """The file at ``path``."""
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        model.version, model.subgraphs = 3, [graph]
        model.operatorCodes, model.buffers = self.codes, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        path.write_bytes(builder.Output())
        return path


_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "QUANTIZE": 2, "FULLY_CONNECTED": 4, "ADD": 2,
             "SUB": 2, "MUL": 2, "CONCATENATION": 2, "LOGISTIC": 2, "TANH": 2, "MEAN": 2,
             "MAX_POOL_2D": 2, "PAD": 2, "RELU": 2, "RELU6": 2, "RSQRT": 2,
             "RESIZE_NEAREST_NEIGHBOR": 2, "DEQUANTIZE": 2}  # fmt: skip


def run_litert(path: Path, image: NDArray[np.uint8], reference: bool = False) -> NDArray:
    """What LiteRT computes of a photograph, uint8 [1, H, W, C]: with XNNPACK, or with its
    ``reference`` kernels."""
    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kind)
    (result,) = interpreter.get_output_details()
    _run(interpreter, image)
    return interpreter.get_tensor(result["index"])


def litert_tensors(path: Path, image: NDArray[np.uint8]) -> list[NDArray]:
    """Every tensor that LiteRT computes of a photograph on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = Interpreter(str(path), num_threads=1, experimental_preserve_all_tensors=True)
    _run(interpreter, image)
    computed = [index for one in interpreter._get_ops_details() for index in one["outputs"]]
    return [interpreter.get_tensor(index) for index in dict.fromkeys(computed)]


def _run(interpreter: Interpreter, image: NDArray[np.uint8]) -> None:
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    x = image / np.float32(255)
    if given["dtype"] is not np.float32:
        scale, zero_point = given["quantization"]
        steps = np.rint(x * (np.float32(1) / np.float32(scale))) + zero_point
        limits = np.iinfo(given["dtype"])
        x = np.clip(steps, limits.min, limits.max)
    interpreter.set_tensor(given["index"], x.astype(given["dtype"]))
    interpreter.invoke()


def result_bytes(path: Path, real: NDArray[np.float32]) -> NDArray[np.int64]:
    """The bytes of a file's int8 result from the numbers that they mean."""
    (result,) = Interpreter(str(path)).get_output_details()
    scale, zero_point = result["quantization"]
    return np.rint(real.astype(np.float64) / np.float32(scale)).astype(np.int64) + zero_point
