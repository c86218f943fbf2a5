"""Make one kernel of a convolution with a float result and its neighbours.

A full-resolution float tensor is larger than the caches, so what matters is how often it crosses
memory. Into the convolution's loop over rows go

- the normalization of its data, where it is a 1x1 convolution and the only reader;
- the row statistics of its result, which InstanceNorm starts with;
- the elementwise kernel behind a 1x1 convolution, where that is the only reader of its result.

What InstanceNorm normalizes is read twice: for its statistics, and to be normalized. Where it takes
more memory than the core's ``recompute_bytes``, it is not kept for the second time: the convolution
that it comes from goes into the loops of the 1x1 convolution that reads it normalized, too.

On a GPU, where a work item computes a tile and not a row, the row statistics stay by themselves,
and what is fused is inlined into the tile; so is the elementwise kernel behind any convolution,
also of int8, such as the sum with what goes around a block.

Nothing is computed otherwise than before.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import tvm
from tvm import relax, s_tir, tirx

from compile.graph.layers import keep_layers
from compile.graph.rewrite_function import rewrite_functions
from compile.graph.rewrite_kernel_calls import KernelCallRewriter
from compile.graph.shapes import tensor_shape
from compile.kernels.common.kernel_function import FAMILY_ATTR, MACS_ATTR
from compile.kernels.cpu.plain import elementwise
from compile.kernels.family import Fusion, KernelFamilies


@tvm.transform.module_pass(opt_level=0, name="FuseRowKernels")
class FuseRowKernels:
    """Fuse convolutions with a float result with their neighbours, in every Relax function.

    Args:
        families: the device's, which say what fuses with what.
        recompute_bytes: a feature map before InstanceNorm that takes more memory than this is
            computed twice, where there is a kernel that does so; None: none is.
    """

    def __init__(self, families: KernelFamilies, recompute_bytes: int | None = None) -> None:
        self.families = families
        self.recompute_bytes = recompute_bytes

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        fused: dict[str, dict[str, object]] = {}
        mod = rewrite_functions(
            mod, lambda mod, f: _RowFusion(mod, f, fused, self.families, self.recompute_bytes)
        )
        _narrow_indices(mod)
        mod = keep_layers(relax.transform.FuseTIR())(mod)
        for name, attrs in fused.items():
            mod.update_func(mod.get_global_var(name), mod[name].with_attrs(attrs))
        return relax.transform.DeadCodeElimination()(mod)


def _narrow_indices(mod: tvm.IRModule) -> None:
    """Give the kernels of ``mod`` indices of 32 bits, but for those of numbers of 64, which TVM
    takes for indices that do not fit."""
    kernels = {
        variable: function
        for variable, function in mod.functions_items()
        if isinstance(function, tirx.PrimFunc) and not _has_wide_numbers(function)
    }
    narrowed = tirx.transform.ForceNarrowIndexToInt32()(tvm.IRModule(kernels))
    for variable in kernels:
        mod.update_func(variable, narrowed[variable.name_hint])


def _has_wide_numbers(kernel: tirx.PrimFunc) -> bool:
    dtypes = [param.ty.dtype for param in kernel.params]
    dtypes += [buffer.dtype for buffer in kernel.body.block.alloc_buffers]
    return "int64" in map(str, dtypes)


@dataclass
class _Group:
    """Kernel calls that become one.

    Attributes:
        anchor: what the convolution is bound to.
        family: of the kernel.
        members: the variables of all calls in order.
        results: those of them that are read outside.
    """

    anchor: relax.Var
    family: str
    members: list[relax.Var]
    results: list[relax.Var]


class _RowFusion(KernelCallRewriter):
    def __init__(
        self,
        mod: tvm.IRModule,
        function: relax.Function,
        fused_attrs: dict[str, dict[str, object]],
        families: KernelFamilies,
        recompute_bytes: int | None,
    ) -> None:
        super().__init__(mod, function)
        self._families, self._fused_attrs = families, fused_attrs
        self._recompute_bytes = recompute_bytes
        # What no kernel reads any more, because each reader computes it.
        self._recomputed: set[relax.Var] = set()
        anchors = {
            var: fusion for var in self.definitions if (fusion := self._fusion(var)) is not None
        }
        # A convolution is computed twice by a reader behind it, which has to be known before.
        groups = [self._group(var, anchors[var]) for var in reversed(anchors)]
        self._groups = {group.members[-1]: group for group in groups if len(group.members) > 1}

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        # The calls of the other members stay, without a reader.
        return self._fused(self._groups[var]) if var in self._groups else self.renewed(value)

    def _fusion(self, var: relax.Var) -> Fusion | None:
        """What the kernel that computes ``var`` can take into its loops."""
        name = self.family(var)
        family = None if name is None else self._families.get(name)
        if family is None or family.fusion is None:
            return None
        return family.fusion if var.ty.dtype != "int8" or family.fusion.int8_results else None

    def _group(self, anchor: relax.Var, fusion: Fusion) -> _Group:
        members, name = [anchor], str(self.family(anchor))
        readers = self.users[anchor]
        statistics = [user for user in readers if self.family(user) in fusion.consumers]
        data = self.definitions[anchor].args[1].fields[0]
        if self.family(data) in fusion.producers and self.users[data] == [anchor]:
            members.insert(0, data)
            source = self.definitions[data].args[1].fields[0]
            if statistics and self._is_recomputed(source, data, statistics[0], fusion):
                members.insert(0, source)
                self._recomputed.add(source)
                name = fusion.recomputing
        if statistics:
            members.append(statistics[0])
        elif fusion.elementwise and len(readers) == 1 and self._is_elementwise(readers[0], anchor):
            members.append(readers[0])
        results = [
            var
            for var in members
            if var not in self._recomputed and not set(self.users[var]) <= set(members)
        ]
        return _Group(anchor, name, members, results)

    def _is_recomputed(
        self, source: relax.Expr, normalized: relax.Var, statistics: relax.Var, fusion: Fusion
    ) -> bool:
        """Whether ``source``, which ``normalized`` and a kernel like ``statistics`` read, is
        computed twice."""
        if self._recompute_bytes is None or self.family(source) not in fusion.recomputed:
            return False
        others = [user for user in self.users[source] if user != normalized]
        if [self.family(user) for user in others] != [self.family(statistics)]:
            return False
        size = prod(tensor_shape(source)) * tvm.DataType(source.ty.dtype).itemsize
        return size > self._recompute_bytes

    def _is_elementwise(self, var: relax.Var | None, anchor: relax.Var) -> bool:
        """Whether ``var`` is an elementwise kernel's result of the size of ``anchor``."""
        kernel = self.kernel(var)
        if kernel is None:
            return False
        operands = [anchor, var, *self.definitions[var].args[1].fields]
        if self.family(var) == elementwise.FAMILY.name:
            # What it is multiplied by and its zero points are no feature maps; a table is looked up
            # element by element, which a vector of results does not do.
            if any(len(v.ty.shape) == 1 and v.ty.dtype == "int8" for v in operands):
                return False
            operands = [v for v in operands if len(v.ty.shape) > 1]
        elif FAMILY_ATTR in (kernel.attrs or {}) or not elementwise.serves(s_tir.Schedule(kernel)):
            return False
        return len({tuple(int(extent) for extent in v.ty.shape) for v in operands}) == 1

    def _fused(self, group: _Group) -> relax.Expr:
        """One call of the group's kernels."""
        function, operands = self._primitive(group)
        anchor = self.definitions[group.anchor]
        name = self.builder.add_func(function, f"{anchor.args[0].name_hint}_rows")
        kernels = [self.mod[self.definitions[member].args[0]] for member in group.members]
        macs = sum(int((kernel.attrs or {}).get(MACS_ATTR, 0)) for kernel in kernels)
        self._fused_attrs[name.name_hint] = {FAMILY_ATTR: group.family, MACS_ATTR: macs}
        call = relax.Call(name, [self.renewed(operand) for operand in operands])
        call = self.with_layers_of(call, group.members)
        if len(group.results) == 1:
            return call
        values = self.builder.emit(call)
        for index, var in enumerate(group.results):
            self.replace(var, self.builder.emit(relax.TupleGetItem(values, index)))
        return self.renewed(group.results[-1])

    def _primitive(self, group: _Group) -> tuple[relax.Function, list[relax.Expr]]:
        """A function of the group's calls, which FuseTIR makes a kernel of, and the operands that
        it takes from outside."""
        operands: dict[relax.Expr, relax.Var] = {}
        for var in group.members:
            for operand in self.definitions[var].args[1].fields:
                if operand not in group.members:
                    operands[operand] = relax.Var(f"operand{len(operands)}", operand.ty)
        values: dict[relax.Expr, relax.Expr] = dict(operands)
        builder = relax.BlockBuilder()
        attrs = {"Primitive": True}
        with builder.function("fused", list(operands.values()), attrs=attrs, private=True):
            with builder.dataflow():
                for var in group.members:
                    call = self.definitions[var]
                    args = [values[operand] for operand in call.args[1].fields]
                    inner = relax.op.call_tir(call.args[0], args, call.ty_args[0])
                    values[var] = builder.emit(inner)
                results = [builder.emit_output(values[var]) for var in group.results]
            builder.emit_func_output(results[0] if len(results) == 1 else relax.Tuple(results))
        return builder.get()["fused"], list(operands)
