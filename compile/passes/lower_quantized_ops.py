"""Lower every int8 tensor that is computed from int8 tensors to an integer kernel.

Dequantize, a float op and quantize become one call of a TIR kernel that has no float tensor: int8
in, int32 accumulator, requantize in a register, int8 out.
"""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx

from compile.backends.backend import Backend, PackedConcatConvolution, PackedConvolution
from compile.backends.packing import accumulator_scale, integer_bias
from compile.graph.linear_table import as_requantization
from compile.graph.match_convolution import Convolution
from compile.graph.match_joined_parts import find_joined_tensors, match_joined_parts
from compile.graph.match_quantized_op import QuantizedOp, match_quantized_op
from compile.graph.match_upsampled_concat import match_upsampled_concat
from compile.graph.quantized_graph import NotLowerable, QuantizedTensor, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import feature_map_shape, tensor_shape
from compile.kernels.common.bilinear import count_shares
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain.average_pool import create_average_pool
from compile.kernels.cpu.plain.elementwise import (
    create_add,
    create_channel_table_lookup,
    create_multiply,
    create_rescale,
    create_table_lookup,
)
from compile.kernels.cpu.plain.mean import create_mean

log = logging.getLogger(__name__)


@tvm.transform.module_pass(opt_level=0, name="LowerQuantizedOps")
class LowerQuantizedOps:
    """Replace dequantize-op-quantize quantized ops by integer kernels, in every Relax function.

    Args:
        backend: whose kernels they are.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_QuantizedOpLowering, self.backend))


class _QuantizedOpLowering(FunctionRewriter):
    def __init__(self, backend: Backend, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._backend = backend

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if op_name(value) != "quantize":
            return self.renewed(value)
        try:
            quantized_op = match_quantized_op(var, self.definitions)
        except NotLowerable as reason:
            log.info("%s stays in float: %s", var.name, reason)
            return self.renewed(value)
        return _LOWERINGS[quantized_op.kind](self, quantized_op)

    def call(
        self, kernel: tirx.PrimFunc, name: str, args: list, shape: tuple[int, ...]
    ) -> relax.Expr:
        """A call of ``kernel``; arrays among ``args`` become constants."""
        args = [relax.const(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
        kernel = self.builder.add_func(kernel, name)
        return relax.op.call_tir(kernel, args, relax.TensorType(shape, "int8"))

    def inputs(self, quantized_op: QuantizedOp) -> tuple[list[relax.Expr], list[tuple[int, ...]]]:
        """The new int8 operands of ``quantized_op`` and their shapes."""
        tensors = [self.renewed(operand.tensor) for operand in quantized_op.inputs]
        return tensors, [tensor_shape(tensor) for tensor in tensors]

    def input(self, quantized_op: QuantizedOp) -> tuple[relax.Expr, tuple[int, int, int, int]]:
        """The new int8 feature map that ``quantized_op`` reads, and its shape."""
        (operand,) = quantized_op.inputs
        data = self.renewed(operand.tensor)
        return data, feature_map_shape(data)

    def _conv2d(self, quantized_op: QuantizedOp) -> relax.Expr:
        convolution = quantized_op.convolution
        assert convolution is not None
        is_relu = quantized_op.low == quantized_op.output.zero_point
        low = 0.0 if is_relu and self._backend.kernels_know_relu else None
        epilogue = ConvEpilogue(EpilogueKind.REQUANTIZE, low)
        joined = match_upsampled_concat(convolution, self.definitions)
        concat = None
        if joined is not None:
            concat = self._backend.concat_convolution(convolution, joined, epilogue)
        packed: PackedConvolution | PackedConcatConvolution
        if joined is not None and concat is not None:
            packed = concat
            low, high = (self.renewed(part.tensor) for part in (joined.low, joined.high))
            args = [low, high, concat.low_weight, concat.high_weight]
        else:
            tensors, packed = self._on_parts(convolution, epilogue)
            args = [*tensors, packed.weight]
        assert packed.offset is not None
        multiplier = accumulator_scale(convolution) / np.float64(quantized_op.output.scale)
        bias = integer_bias(convolution, packed.offset)
        args += [bias, multiplier.astype(np.float32), _quant(quantized_op)]
        return self.call(packed.kernel, "conv2d_requantize", args, packed.shape)

    def _on_parts(
        self, convolution: Convolution, epilogue: ConvEpilogue
    ) -> tuple[list[relax.Expr], PackedConvolution]:
        """The kernel of ``convolution`` and the tensors that it reads: those that its data is made
        of by moving bytes, where there is a kernel for them."""
        assert isinstance(convolution.data, QuantizedTensor)
        matched = match_joined_parts(convolution.data, self.definitions)
        if any(tensor is not convolution.data for tensor, _ in matched):
            parts = tuple(part for _, part in matched)
            packed = self._backend.joined_convolution(convolution, parts, epilogue)
            if packed is not None:
                return [self.renewed(tensor.tensor) for tensor, _ in matched], packed
        data = self.renewed(convolution.data.tensor)
        shape = feature_map_shape(data)
        return [data], self._backend.convolution(convolution, shape, "int8", epilogue)

    def _add(self, quantized_op: QuantizedOp) -> relax.Expr:
        operands, shapes = self.inputs(quantized_op)
        scales = [np.float64(operand.quantization.scale) for operand in quantized_op.inputs]
        multiplier = np.array(scales) / np.float64(quantized_op.output.scale)
        return self._binary(create_add(*shapes), "add", quantized_op, operands, shapes, multiplier)

    def _multiply(self, quantized_op: QuantizedOp) -> relax.Expr:
        operands, shapes = self.inputs(quantized_op)
        scales = [np.float64(operand.quantization.scale) for operand in quantized_op.inputs]
        multiplier = np.array([scales[0] * scales[1] / np.float64(quantized_op.output.scale)])
        kernel = create_multiply(*shapes)
        return self._binary(kernel, "multiply", quantized_op, operands, shapes, multiplier)

    def _binary(
        self,
        kernel: tirx.PrimFunc,
        name: str,
        quantized_op: QuantizedOp,
        operands: list[relax.Expr],
        shapes: list[tuple[int, ...]],
        multiplier: NDArray[np.float64],
    ) -> relax.Expr:
        right_zero_point = quantized_op.inputs[1].quantization.zero_point
        quant = np.append(_quant(quantized_op), np.int32(right_zero_point))
        shape = tuple(max(a, b) for a, b in zip(*shapes, strict=True))
        args = [*operands, multiplier.astype(np.float32), quant]
        return self.call(kernel, name, args, shape)

    def _mean(self, quantized_op: QuantizedOp) -> relax.Expr:
        data, shape = self.input(quantized_op)
        scale = np.float64(quantized_op.inputs[0].quantization.scale)
        multiplier = scale / (np.float64(quantized_op.output.scale) * (shape[1] * shape[2]))
        args = [data, np.array([multiplier], np.float32), _quant(quantized_op)]
        return self.call(create_mean(shape), "mean", args, (1, 1, 1, shape[3]))

    def _average_pool(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), pooling = self.input(quantized_op), quantized_op.averaged
        assert pooling is not None
        scale = np.float64(quantized_op.inputs[0].quantization.scale)
        multiplier = scale / (np.float64(quantized_op.output.scale) * pooling.counts)
        args = [data, multiplier.astype(np.float32), _quant(quantized_op)]
        out_shape = (1, *pooling.window.output_size(*shape[1:3]), shape[3])
        return self.call(create_average_pool(shape, pooling), "average_pool", args, out_shape)

    def _upsample(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), factor = self.input(quantized_op), quantized_op.factor
        assert factor is not None
        kernel = self._backend.upsample(shape, factor, "int8")
        out_shape = (1, shape[1] * factor, shape[2] * factor, shape[3])
        return self.call(kernel, "upsample", [data], out_shape)

    def _concat(self, quantized_op: QuantizedOp) -> relax.Expr:
        # One that is joined itself is read part by part: it may then be of no other use.
        tensors = [
            tensor
            for operand in quantized_op.inputs
            for tensor in find_joined_tensors(operand, self.definitions)
        ]
        operands = [self.renewed(tensor.tensor) for tensor in tensors]
        shapes = [feature_map_shape(operand) for operand in operands]
        channels = [shape[3] for shape in shapes]
        _, height, width, _ = shapes[0]
        kernel = self._backend.concat(height, width, channels, "int8")
        return self.call(kernel, "concat", operands, (*shapes[0][:3], sum(channels)))

    def _max_pool(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), window = self.input(quantized_op), quantized_op.window
        assert window is not None
        kernel = self._backend.max_pool(shape, window, "int8")
        out_shape = (1, *window.output_size(*shape[1:3]), shape[3])
        return self.call(kernel, "max_pool", [data], out_shape)

    def _depth_to_space(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), shuffle = self.input(quantized_op), quantized_op.shuffle
        assert shuffle is not None
        factor = shuffle.factor
        kernel = self._backend.depth_to_space(shape, factor, shuffle.channels_together, "int8")
        out_shape = (1, shape[1] * factor, shape[2] * factor, shape[3] // factor**2)
        return self.call(kernel, "depth_to_space", [data], out_shape)

    def _rearrangement(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data,), _ = self.inputs(quantized_op)
        arranged = quantized_op.arranged
        assert arranged is not None
        kernel = self._backend.rearranged(arranged, "int8")
        return self.call(kernel, "rearrangement", [data], arranged.result_shape)

    def _cut(self, quantized_op: QuantizedOp) -> relax.Expr:
        ((data,), (shape,)), cut = self.inputs(quantized_op), quantized_op.cut
        assert cut is not None
        return self.call(self._backend.cut(shape, cut, "int8"), "slice", [data], cut.extents)

    def _nearest(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), size = self.input(quantized_op), quantized_op.size
        assert size is not None
        kernel = self._backend.nearest(shape, size, "int8")
        return self.call(kernel, "nearest", [data], (1, *size, shape[3]))

    def _bilinear(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), size = self.input(quantized_op), quantized_op.size
        assert size is not None
        kernel = self._backend.bilinear(shape, size, "int8", quantized_op.aligned)
        shares = count_shares(shape, size, quantized_op.aligned)
        multiplier = np.array([1 / shares], np.float32)
        args = [data, multiplier, np.array([0, 0, -128, 127], np.int32)]
        return self.call(kernel, "bilinear", args, (1, *size, shape[3]))

    def _channel_maximum(self, quantized_op: QuantizedOp) -> relax.Expr:
        data, shape = self.input(quantized_op)
        kernel = self._backend.channel_maximum(shape, "int8")
        return self.call(kernel, "channel_maximum", [data], (*shape[:3], 1))

    def _channel_mean(self, quantized_op: QuantizedOp) -> relax.Expr:
        data, shape = self.input(quantized_op)
        scale = np.float64(quantized_op.inputs[0].quantization.scale)
        multiplier = scale / (np.float64(quantized_op.output.scale) * shape[3])
        args = [data, np.array([multiplier], np.float32), _quant(quantized_op)]
        kernel = self._backend.channel_mean(shape, "int8")
        return self.call(kernel, "channel_mean", args, (*shape[:3], 1))

    def _border(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data, shape), border = self.input(quantized_op), quantized_op.border
        assert border is not None
        kernel = self._backend.bordered(shape, border, "int8")
        out_shape = (1, *border.output_size(*shape[1:3]), shape[3])
        return self.call(kernel, "border", [data], out_shape)

    def _unary(self, quantized_op: QuantizedOp) -> relax.Expr:
        (data,), (shape,) = self.inputs(quantized_op)
        dtype, zero_point = data.ty.dtype, quantized_op.output.zero_point
        table = quantized_op.table
        assert table is not None
        if table.ndim == 2:
            kernel = create_channel_table_lookup(feature_map_shape(data), dtype)
            return self.call(kernel, "table_lookup", [data, table], shape)
        linear = as_requantization(table, 0 if dtype == "uint8" else -128, zero_point)
        if linear is None:
            kernel = create_table_lookup(shape, dtype)
            return self.call(kernel, "table_lookup", [data, table], shape)
        quant = np.array([linear.centre, zero_point, linear.low, linear.high], np.int32)
        args = [data, np.array([linear.multiplier]), quant]
        return self.call(create_rescale(shape, dtype), "rescale", args, shape)


_LOWERINGS = {
    "conv2d": _QuantizedOpLowering._conv2d,
    "add": _QuantizedOpLowering._add,
    "multiply": _QuantizedOpLowering._multiply,
    "mean": _QuantizedOpLowering._mean,
    "average_pool": _QuantizedOpLowering._average_pool,
    "upsample": _QuantizedOpLowering._upsample,
    "concat": _QuantizedOpLowering._concat,
    "max_pool": _QuantizedOpLowering._max_pool,
    "depth_to_space": _QuantizedOpLowering._depth_to_space,
    "rearrangement": _QuantizedOpLowering._rearrangement,
    "cut": _QuantizedOpLowering._cut,
    "nearest": _QuantizedOpLowering._nearest,
    "bilinear": _QuantizedOpLowering._bilinear,
    "channel_maximum": _QuantizedOpLowering._channel_maximum,
    "channel_mean": _QuantizedOpLowering._channel_mean,
    "border": _QuantizedOpLowering._border,
    "unary": _QuantizedOpLowering._unary,
}


def _quant(quantized_op: QuantizedOp) -> np.ndarray:
    """The kernels' int32[4]: input zero point, output zero point, lower and upper limit."""
    zero_points = [quantized_op.inputs[0].quantization.zero_point, quantized_op.output.zero_point]
    return np.array([*zero_points, quantized_op.low, quantized_op.high], np.int32)
