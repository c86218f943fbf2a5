"""Hold the feature maps inside of the head in float16; what they are computed from stays in
float32.

A convolution's sum, its scale and its bias, InstanceNorm's statistics and everything behind the
last convolution are float32 as before: a value is rounded to 11 significant bits once, where it is
stored for the next kernel. That halves what the head moves through memory, and a GPU's float16 has
no part in any sum, of which 10 bits would hardly be left.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax

from compile.graph.constants import constant_value
from compile.graph.parts import HEAD, parts_among
from compile.graph.quantized_graph import op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions

_WIDE, _NARROW = "float32", "float16"
#: Ops whose result may be held in float16 where what they read is.
_STORED = frozenset({"nn.conv2d", "add", "nn.instance_norm", "nn.relu", "clip"})


@tvm.transform.module_pass(opt_level=0, name="NarrowHead")
class NarrowHead:
    """Give the feature maps of each head the dtype float16, from its first convolution to its last;
    its results stay as they are."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        parts = parts_among(name.name_hint for name in mod.get_global_vars())
        heads = {name: mod[name] for name in parts if name.startswith(HEAD)}
        narrow = rewrite_functions(tvm.IRModule(heads), _HeadNarrowing)
        result = mod.clone()
        for name in heads:
            result.update_func(result.get_global_var(name), narrow[name])
        return result


class _HeadNarrowing(FunctionRewriter):
    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if not isinstance(value, relax.Call):
            return self.renewed(value)
        renewed = self.renewed(value)
        if op_name(value) == "dequantize":
            data, scale, zero_point = renewed.args
            return relax.op.dequantize(data, scale, zero_point, value.attrs.axis, _NARROW)
        constants = [constant_value(arg, self.definitions) for arg in value.args]
        is_narrow = [_is_narrow(arg) for arg in renewed.args]
        stays = op_name(value) in _STORED and all(
            narrow or constant is not None
            for narrow, constant in zip(is_narrow, constants, strict=True)
        )
        if stays:
            args = [
                arg if narrow or constant is None else relax.const(constant.astype(np.float16))
                for arg, narrow, constant in zip(renewed.args, is_narrow, constants, strict=True)
            ]
        else:
            args = [_widened(arg) for arg in renewed.args]
        return relax.Call(value.op, args, value.attrs)

    def finish(self, output: relax.Expr) -> relax.Expr:
        result = self.renewed(output)
        while isinstance(output, relax.Var) and output in self.definitions:
            output = self.definitions[output]
        if isinstance(output, relax.Tuple):
            return relax.Tuple([_widened(self.renewed(field)) for field in output.fields])
        return _widened(result)


def _is_narrow(expr: relax.Expr) -> bool:
    return isinstance(expr.ty, relax.TensorType) and expr.ty.dtype == _NARROW


def _widened(expr: relax.Expr) -> relax.Expr:
    return relax.op.astype(expr, _WIDE) if _is_narrow(expr) else expr
