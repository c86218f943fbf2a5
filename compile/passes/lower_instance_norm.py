"""Lower InstanceNorm to a statistics kernel and a multiply-add with the ReLU behind it."""

from __future__ import annotations

import tvm
from tvm import relax

from compile.kernels.instance_norm import create_normalize, create_statistics
from compile.passes.quantized_graph import op_name
from compile.passes.rewrite_function import FunctionRewriter, rewrite_functions


@tvm.transform.module_pass(opt_level=0, name="LowerInstanceNorm")
class LowerInstanceNorm:
    """Replace instance_norm (NHWC) and relu(instance_norm), in every Relax function."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, _InstanceNormLowering)


class _InstanceNormLowering(FunctionRewriter):
    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if op_name(value) == "nn.instance_norm":
            return self._normalize(value, low=None)
        if op_name(value) == "nn.relu":
            source = self.definitions.get(value.args[0])
            if op_name(source) == "nn.instance_norm":
                return self._normalize(source, low=0.0)
        return self.renewed(value)

    def _normalize(self, call: relax.Call, low: float | None) -> relax.Expr:
        data, gamma, beta = (self.renewed(arg) for arg in call.args)
        shape = tuple(int(extent) for extent in data.ty.shape)
        statistics = create_statistics(shape, float(call.attrs.epsilon))
        scale_shift = self.builder.emit(
            relax.op.call_tir(
                self.builder.add_func(statistics, "instance_norm_statistics"),
                [data, gamma, beta],
                relax.TensorType((2, shape[3]), "float32"),
            )
        )
        normalize = self.builder.add_func(create_normalize(shape, low), "normalize")
        return relax.op.call_tir(normalize, [data, scale_shift], data.ty)
