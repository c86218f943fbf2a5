"""Lower the float ops that are neither convolutions nor elementwise: pooling, upsampling, concat,
depth to space, borders.

The kernels are those of the int8 backbone, on floats: a mean sums by rows, the others move runs of
channels.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import tvm
from tvm import relax, tirx

from compile.backends.backend import Backend
from compile.graph.match_bilinear import match_bilinear, match_nearest
from compile.graph.match_border import match_border
from compile.graph.match_channel_maximum import check_channel_maximum
from compile.graph.match_depth_to_space import match_depth_to_space
from compile.graph.match_mean import is_over_channels
from compile.graph.match_pooling import match_average_pooling, match_pooling
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import feature_map_shape, tensor_shape
from compile.kernels.cpu.plain.average_pool import create_float_average_pool
from compile.kernels.cpu.plain.mean import create_float_mean


@tvm.transform.module_pass(opt_level=0, name="LowerFloatActivations")
class LowerFloatActivations:
    """Replace average and max pooling, nearest and bilinear resizing, depth to space,
    borders, means and maxima of channels and concat along channels of float tensors.

    Args:
        backend: whose kernels they are.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_ActivationLowering, self.backend))


class _ActivationLowering(FunctionRewriter):
    def __init__(self, backend: Backend, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._backend = backend

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        kernel = self._kernel(value)
        if kernel is None:
            return self.renewed(value)
        name = op_name(value).rsplit(".", 1)[-1]
        args = list(value.args[0].fields if name == "concat" else value.args[:1])
        if name == "avg_pool2d":
            args.append(relax.const((1 / match_average_pooling(value).counts).astype(np.float32)))
        if name == "reshape":
            name, args = "depth_to_space", [match_depth_to_space(value, self.definitions).data]
        function = self.builder.add_func(kernel, name)
        return relax.op.call_tir(function, [self.renewed(arg) for arg in args], value.ty)

    def _kernel(self, value: relax.Expr) -> tirx.PrimFunc | None:
        name = op_name(value)
        if not name or not isinstance(value.ty, relax.TensorType):
            return None
        dtype = str(value.ty.dtype)
        if dtype not in ("float32", "float16"):
            return None
        if name == "nn.adaptive_avg_pool2d" and tensor_shape(value)[1:3] == (1, 1):
            return create_float_mean(feature_map_shape(value.args[0]), dtype)
        if name == "concat" and len(value.ty.shape) == 4 and int(value.attrs.axis) == 3:
            shapes = [feature_map_shape(field) for field in value.args[0].fields]
            _, height, width, _ = shapes[0]
            return self._backend.concat(height, width, [shape[3] for shape in shapes], dtype)
        try:
            if name == "image.resize2d" and value.attrs.method == "linear":
                shape = feature_map_shape(value.args[0])
                size, aligned = match_bilinear(value)
                return self._backend.bilinear(shape, size, dtype, aligned)
            if name == "image.resize2d":
                size, factor = match_nearest(value)
                shape = feature_map_shape(value.args[0])
                if factor is None:
                    return self._backend.nearest(shape, size, dtype)
                return self._backend.upsample(shape, factor, dtype)
            if name == "nn.max_pool2d":
                window = match_pooling(value)
                return self._backend.max_pool(feature_map_shape(value.args[0]), window, dtype)
            if name == "nn.avg_pool2d":
                shape = feature_map_shape(value.args[0])
                return create_float_average_pool(shape, match_average_pooling(value), dtype)
            if name == "max":
                check_channel_maximum(value)
                return self._backend.channel_maximum(feature_map_shape(value.args[0]), dtype)
            if name == "mean":
                over_channels, shape = is_over_channels(value), feature_map_shape(value.args[0])
                if over_channels:
                    return self._backend.channel_mean(shape, dtype)
                return create_float_mean(shape, dtype)
            if name == "nn.pad":
                border = match_border(value)
                return self._backend.bordered(feature_map_shape(value.args[0]), border, dtype)
            if name == "reshape":
                shuffle = match_depth_to_space(value, self.definitions)
                shape = feature_map_shape(shuffle.data)
                together = shuffle.channels_together
                return self._backend.depth_to_space(shape, shuffle.factor, together, dtype)
        except NotLowerable:
            return None
        return None
