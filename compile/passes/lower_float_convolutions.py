"""Lower convolutions with a float result: the head's, and all of a network with float activations.

Weights stay as they are stored. int8 data and weights (the head's first convolution) multiply in
integers and are scaled to float once, after the int32 accumulator; int8 weights under float data
are widened in a register and their scale is applied to the accumulator.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial

import numpy as np
import tvm
from tvm import relax

from compile.backends.backend import Backend
from compile.backends.packing import accumulator_scale
from compile.graph.constants import variables_of
from compile.graph.match_convolution import Convolution, activation_limits, match_convolution
from compile.graph.quantized_graph import NotLowerable, QuantizedTensor, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import feature_map_shape
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.support.errors import GraphError


@tvm.transform.module_pass(opt_level=0, name="LowerFloatConvolutions")
class LowerFloatConvolutions:
    """Replace conv2d, its bias and its activation by one kernel, in every Relax function.

    Args:
        backend: whose kernels they are.

    Raises:
        GraphError: a convolution that no kernel serves (grouped, unknown weights).
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, partial(_ConvolutionLowering, self.backend))


class _ConvolutionLowering(FunctionRewriter):
    def __init__(self, backend: Backend, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._backend = backend
        users = defaultdict(list)
        for var, value in self.definitions.items():
            for operand in variables_of(value):
                users[operand].append(var)
        self._results = {}
        for var, value in self.definitions.items():
            if op_name(value) == "nn.conv2d":
                result, convolution = self._with_epilogue(var, users)
                self._results[result] = convolution

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        convolution = self._results.get(var)
        if convolution is None:
            return self.renewed(value)
        return self._lower(convolution, str(var.ty.dtype))

    def _with_epilogue(self, var: relax.Var, users: dict) -> tuple[relax.Var, Convolution]:
        """The variable behind the bias and the activation that follow ``var``, and the whole."""
        result = var
        try:
            convolution = match_convolution(var, self.definitions)
        except NotLowerable as reason:
            raise GraphError(f"convolution {var.name} has no kernel: {reason}") from None
        following = _only_user(result, users)
        if op_name(self.definitions.get(following)) == "add":
            try:
                convolution = match_convolution(following, self.definitions)
                result, following = following, _only_user(following, users)
            except NotLowerable:
                pass  # What follows is no bias.
        limits = activation_limits(self.definitions.get(following))
        if limits is None:
            return result, convolution
        return following, replace(convolution, low=limits[0], high=limits[1])

    def _lower(self, convolution: Convolution, dtype: str) -> relax.Expr:
        is_integer = isinstance(convolution.data, QuantizedTensor)
        data = self.renewed(convolution.data.tensor if is_integer else convolution.data)
        shape = feature_map_shape(data)
        kind = EpilogueKind.BIAS if convolution.weight_scale is None else EpilogueKind.SCALE
        epilogue = ConvEpilogue(kind, convolution.low, convolution.high, dtype)
        packed = self._backend.convolution(convolution, shape, data.ty.dtype, epilogue)
        operands = [packed.weight, convolution.bias]
        if is_integer:
            assert packed.offset is not None
            zero_point = convolution.data.quantization.zero_point
            operands += [
                accumulator_scale(convolution).astype(np.float32),
                packed.offset.astype(np.int32),
                np.array([zero_point, 0, 0, 0], np.int32),
            ]
        elif convolution.weight_scale is not None:
            operands.append(convolution.weight_scale)
        function = self.builder.add_func(packed.kernel, "conv2d_float")
        args = [data, *(relax.const(operand) for operand in operands)]
        return relax.op.call_tir(function, args, relax.TensorType(packed.shape, dtype))


def _only_user(var: relax.Var, users: dict) -> relax.Var | None:
    return users[var][0] if len(users[var]) == 1 else None
