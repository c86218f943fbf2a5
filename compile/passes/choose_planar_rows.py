"""Hold float activations of few channels as rows of planes: NHWC becomes NHCW between convolutions.

Channels-last, a vector is not filled by fewer than 16 channels, and the head has 12, 6 and 3.
Planes begin behind a convolution of int8, which makes its lanes pixels at no cost, go through
InstanceNorm, or the multiply-add by arguments in its place, and ReLU into 1x1 convolutions, and end
in the last of them.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import numpy as np
import tvm
from tvm import relax

from compile.graph.constants import constant_value, variables_of
from compile.graph.match_convolution import NHCW, Convolution, match_convolution
from compile.graph.quantized_graph import NotLowerable, QuantizedTensor, op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import tensor_shape
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.planar.planar_conv import serves_planar

#: As many channels fill a vector of any instruction set.
_ENOUGH_CHANNELS = 16


@tvm.transform.module_pass(opt_level=0, name="ChoosePlanarRows")
class ChoosePlanarRows:
    """Give convolutions with few outputs the layout NHCW, in every Relax function.

    Args:
        dot: the dot product instruction that int8 data is multiplied by; where the backend has
            none, nothing changes.
    """

    def __init__(self, dot: DotProduct | None) -> None:
        self.dot = dot

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        if self.dot is None:
            return mod
        return rewrite_functions(mod, partial(_Planarizer, self.dot))


class _Planarizer(FunctionRewriter):
    """``_planar`` holds the original variables whose replacement is NHCW."""

    def __init__(self, dot: DotProduct, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        self._dot = dot
        self._users: dict[relax.Var, list[relax.Var | None]] = defaultdict(list)
        for var, value in self.definitions.items():
            for operand in variables_of(value):
                self._users[operand].append(var)
        for result in variables_of(function.body.body):
            self._users[result].append(None)
        self._planar: set[relax.Var] = set()
        for var, value in self.definitions.items():
            if self._is_planar(var, value):
                self._planar.add(var)

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        reads_planes = isinstance(value, relax.Call) and any(a in self._planar for a in value.args)
        if var not in self._planar and not reads_planes:
            return self.renewed(value)
        return _CONVERTERS[op_name(value)](self, var, value)

    def _is_planar(self, var: relax.Var, value: relax.Expr) -> bool:
        name = op_name(value)
        if name in _THROUGH:
            return value.args[0] in self._planar
        if name != "nn.conv2d" or not self._goes_on(var):
            return False
        return value.args[0] in self._planar or self._begins(value)

    def _goes_on(self, var: relax.Var) -> bool:
        """Whether all that reads ``var`` takes planes, down to a 1x1 convolution."""
        users = self._users[var]
        return bool(users) and all(self._takes_planes(user, var) for user in users)

    def _takes_planes(self, user: relax.Var | None, var: relax.Var) -> bool:
        value = self.definitions.get(user)
        if not isinstance(value, relax.Call) or value.args[0] != var:
            return False
        if op_name(value) == "nn.conv2d":
            return self._is_pointwise(value)
        if op_name(value) in ("add", "multiply") and not self._is_by_channel(value):
            return False
        return op_name(value) in _THROUGH and self._goes_on(user)

    def _is_by_channel(self, value: relax.Call) -> bool:
        """Whether ``value`` adds a constant, or adds or multiplies by an argument of one number for
        each channel."""
        other = value.args[1]
        if other in list(self.function.params):
            return tensor_shape(other) == (1, 1, 1, tensor_shape(value)[3])
        return op_name(value) == "add" and constant_value(other, self.definitions) is not None

    def _is_pointwise(self, value: relax.Call) -> bool:
        convolution = self._matched(value)
        return convolution is not None and convolution.is_pointwise

    def _begins(self, value: relax.Call) -> bool:
        convolution = self._matched(value)
        return (
            convolution is not None
            and isinstance(convolution.data, QuantizedTensor)
            and convolution.groups == 1
            and convolution.dilation == (1, 1)
            and convolution.weight.shape[0] < _ENOUGH_CHANNELS
            and str(convolution.weight.dtype) == "int8"
            # What turns planes into pixels of words shuffles lanes of 32 bits.
            and value.ty.dtype == "float32"
            and serves_planar(
                convolution.weight, convolution.stride, int(value.ty.shape[2]), self._dot
            )
        )

    def _matched(self, value: relax.Call) -> Convolution | None:
        try:
            return match_convolution(value, self.definitions)
        except NotLowerable:
            return None

    def _conv2d(self, var: relax.Var, call: relax.Call) -> relax.Expr:
        attrs = call.attrs
        return relax.op.nn.conv2d(
            *(self.renewed(arg) for arg in call.args),
            strides=attrs.strides,
            padding=attrs.padding,
            dilation=attrs.dilation,
            groups=attrs.groups,
            data_layout=NHCW if call.args[0] in self._planar else "NHWC",
            kernel_layout="OIHW",
            out_layout=NHCW if var in self._planar else "NHWC",
        )

    def _add(self, _var: relax.Var, call: relax.Call) -> relax.Expr:
        return relax.op.add(self.renewed(call.args[0]), self._planes(call.args[1]))

    def _multiply(self, _var: relax.Var, call: relax.Call) -> relax.Expr:
        return relax.op.multiply(self.renewed(call.args[0]), self._planes(call.args[1]))

    def _planes(self, by_channel: relax.Expr) -> relax.Expr:
        """A constant or an argument of one number for each channel, for planes."""
        constant = constant_value(by_channel, self.definitions)
        if constant is None:
            channels = tensor_shape(by_channel)[3]
            return self.builder.emit(relax.op.reshape(by_channel, (1, 1, channels, 1)))
        return relax.const(np.ascontiguousarray(constant.reshape(1, 1, constant.size, 1)))

    def _relu(self, _var: relax.Var, call: relax.Call) -> relax.Expr:
        return self.renewed(call)

    def _instance_norm(self, _var: relax.Var, call: relax.Call) -> relax.Expr:
        data, gamma, beta = (self.renewed(arg) for arg in call.args)
        return relax.op.nn.instance_norm(
            data, gamma, beta, channel_axis=2, axes=[1, 3], epsilon=call.attrs.epsilon
        )


#: Ops that leave planes planar.
_THROUGH = ("add", "multiply", "nn.relu", "nn.instance_norm")

_CONVERTERS = {
    "nn.conv2d": _Planarizer._conv2d,
    "add": _Planarizer._add,
    "multiply": _Planarizer._multiply,
    "nn.relu": _Planarizer._relu,
    "nn.instance_norm": _Planarizer._instance_norm,
}
