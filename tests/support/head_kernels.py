"""Kernels of a head with float activations, called one by one in a Relax function."""

from __future__ import annotations

import numpy as np
import tvm
from kernel_draws import SAME_3X3, draw_int8
from tvm import relax, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.kernel_function import FAMILY_ATTR
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.norm import planar_norm
from compile.kernels.cpu.norm.instance_norm import create_normalize, create_statistics
from compile.kernels.cpu.norm.row_statistics import create_row_statistics
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.planar import planar_conv_pointwise
from compile.kernels.cpu.planar.planar_conv import create_planar_conv, pack_planar
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise
from compile.kernels.families import families_of
from compile.passes.fuse_row_kernels import FuseRowKernels
from compile.passes.legalize_float_ops import LegalizeFloatOps

BIAS = ConvEpilogue(EpilogueKind.BIAS)


class Head:
    """Builds convolutions of float feature maps, InstanceNorm and what follows."""

    def __init__(self) -> None:
        self.builder = relax.BlockBuilder()
        self.random = np.random.default_rng(0)

    def constant(self, *shape: int) -> relax.Expr:
        return relax.const(self.random.uniform(-1, 1, shape).astype("float32"))

    def call(self, kernel: tirx.PrimFunc, name: str, *args: relax.Expr) -> relax.Var:
        result = kernel.params[-1].ty
        shape = [int(extent) for extent in result.shape]
        ty = relax.TensorType(shape, str(result.dtype.dtype))
        name = self.builder.add_func(kernel, name)
        return self.builder.emit(relax.op.call_tir(name, list(args), ty))

    def pointwise(self, data: relax.Expr, channels: int) -> relax.Var:
        shape = tuple(int(extent) for extent in data.ty.shape)
        kernel = create_pointwise(shape, channels, "float32", "float32", BIAS)
        weight, bias = self.constant(shape[3], channels), self.constant(channels)
        return self.call(kernel, "conv2d_float", data, weight, bias)

    def planar_conv(self, data: relax.Expr, channels: int, dot: DotProduct) -> relax.Var:
        shape = tuple(int(extent) for extent in data.ty.shape)
        window, scale = Window((3, 3), (1, 1), SAME_3X3), ConvEpilogue(EpilogueKind.SCALE)
        kernel = create_planar_conv(shape, channels, window, dot, scale)
        weight = draw_int8(self.random, (channels, shape[3], 3, 3))
        offset = -dot.shift * weight.astype(np.int32).sum(axis=(1, 2, 3))
        constants = [pack_planar(weight, dot), offset, np.zeros(4, np.int32)]
        weight, offset, quant = map(relax.const, constants)
        multiplier = relax.const(self.random.uniform(1e-4, 1e-3, channels).astype("float32"))
        operands = weight, self.constant(channels), multiplier, offset, quant
        return self.call(kernel, "conv2d_float", data, *operands)

    def planar_pointwise(self, data: relax.Expr, channels: int, interleaved: bool) -> relax.Var:
        shape = tuple(int(extent) for extent in data.ty.shape)
        kernel = create_planar_pointwise(shape, channels, "float32", BIAS, interleaved)
        weight, bias = self.constant(shape[2], channels), self.constant(channels)
        return self.call(kernel, "conv2d_float", data, weight, bias)

    def planar_norm(self, data: relax.Expr) -> relax.Var:
        shape = tuple(int(extent) for extent in data.ty.shape)
        _, height, channels, width = shape
        rows = self.call(planar_norm.create_row_statistics(shape), "row_statistics", data)
        statistics = planar_norm.create_statistics(height, channels, width, 1e-5)
        gamma, beta = self.constant(channels), self.constant(channels)
        scale_shift = self.call(statistics, "instance_norm_statistics", rows, gamma, beta)
        normalize = planar_norm.create_normalize(shape, 0.0)
        return self.call(normalize, "normalize", data, scale_shift)

    def norm(self, data: relax.Expr) -> relax.Var:
        shape = tuple(int(extent) for extent in data.ty.shape)
        rows = self.call(create_row_statistics(shape, "float32"), "row_statistics", data)
        statistics = create_statistics(*shape[1:], 1e-5)
        gamma, beta = self.constant(shape[3]), self.constant(shape[3])
        scale_shift = self.call(statistics, "instance_norm_statistics", rows, gamma, beta)
        return self.call(create_normalize(shape, 0.0, "float32"), "normalize", data, scale_shift)


def int8_network(dot: DotProduct, height: int = 5, width: int = 32) -> tvm.IRModule:
    """As MQNet's head: 3x3 of int8, norm, 1x1, norm, 1x1, elementwise; in rows of planes."""
    head = Head()
    x = relax.Var("x", relax.TensorType((1, height, width, 16), "int8"))
    image = relax.Var("image", relax.TensorType((1, height, width, 3), "float32"))
    with head.builder.function("main", [x, image]):
        with head.builder.dataflow():
            first = head.planar_conv(x, 12, dot)
            second = head.planar_pointwise(head.planar_norm(first), 6, interleaved=False)
            third = head.planar_pointwise(head.planar_norm(second), 3, interleaved=True)
            total = head.builder.emit(relax.op.add(relax.op.tanh(third), image))
            out = head.builder.emit_output(relax.op.sigmoid(total))
        head.builder.emit_func_output(out)
    return LegalizeFloatOps()(head.builder.get())


def conv_pointwise_kernel(dot: DotProduct, height: int, width: int) -> tirx.PrimFunc:
    """The kernel that computes the planes of :func:`int8_network` once more, where they are
    read."""
    mod = FuseRowKernels(families_of("cpu"), recompute_bytes=0)(int8_network(dot, height, width))
    family = planar_conv_pointwise.FAMILY.name
    (kernel,) = (
        function
        for function in mod.functions.values()
        if isinstance(function, tirx.PrimFunc) and function.attrs.get(FAMILY_ATTR) == family
    )
    return kernel
