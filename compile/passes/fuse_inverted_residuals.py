"""Make one kernel of an inverted residual block: expand, depthwise, project and the residual add;
and the multiplication by channel scales before it.

The tensor between the first two convolutions, and the one between the last two, are the largest of
the network. :mod:`compile.kernels.cpu.inverted_residual.inverted_residual` computes both a block of
rows at a time in the cache, bit for bit. An inverted residual stays as it is where something else
reads one of them, as the skip connections do, or where so many rows would be computed twice that it
would not pay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import tvm
from tvm import relax
from tvm_ffi import structural_equal

from compile.graph.match_channel_scale import ScaledFeatureMap, match_channel_scale
from compile.graph.rewrite_function import rewrite_functions
from compile.graph.rewrite_kernel_calls import KernelCallRewriter
from compile.graph.shapes import tensor_shape
from compile.kernels.common.core_model import CoreModel, CpuCore
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8 import int8_concat_pointwise, int8_depthwise, int8_pointwise
from compile.kernels.cpu.inverted_residual.inverted_residual import create_inverted_residual
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual
from compile.kernels.cpu.inverted_residual.tile_inverted_residual import cut_inverted_residual
from compile.kernels.cpu.plain.elementwise import create_add

_EXPANSIONS = (int8_pointwise.FAMILY.name, int8_concat_pointwise.FAMILY.name)


@tvm.transform.module_pass(opt_level=0, name="FuseInvertedResiduals")
class FuseInvertedResiduals:
    """Fuse inverted residual blocks, in every Relax function.

    Args:
        dot: the dot product instruction that the kernels use; where the backend has none, nothing
            is fused.
        core: whose level 2 cache and threads the kernels are cut for.
    """

    def __init__(self, dot: DotProduct | None, core: CoreModel) -> None:
        self.dot, self.core = dot, core

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        dot, core = self.dot, self.core
        if dot is None:
            return mod
        assert isinstance(core, CpuCore)  # Only a processor's backend has a dot product.
        return rewrite_functions(mod, lambda mod, f: _BlockFusion(mod, f, dot, core))


@dataclass(frozen=True)
class _Chain:
    """The kernel calls of a block: what each is bound to."""

    expand: relax.Var
    depthwise: relax.Var
    project: relax.Var
    add: relax.Var | None = None
    scaled: ScaledFeatureMap | None = None

    @property
    def members(self) -> list[relax.Var]:
        """All of them, in order."""
        scale = [] if self.scaled is None else [self.scaled.product]
        add = [] if self.add is None else [self.add]
        return [*scale, self.expand, self.depthwise, self.project, *add]


class _BlockFusion(KernelCallRewriter):
    def __init__(
        self, mod: tvm.IRModule, function: relax.Function, dot: DotProduct, core: CpuCore
    ) -> None:
        super().__init__(mod, function)
        self._dot = dot
        self._cuts: dict[relax.Var, tuple[_Chain, InvertedResidual]] = {}
        for var in self.definitions:
            chain = self._chain(var)
            if chain is None:
                continue
            cut = cut_inverted_residual(self._sizes(chain), dot, core)
            if cut is not None:
                self._cuts[chain.members[-1]] = chain, cut

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        # The calls of the other members stay, without a reader.
        return self._fused(*self._cuts[var]) if var in self._cuts else self.renewed(value)

    def _chain(self, depthwise: relax.Var) -> _Chain | None:
        """The block around a ``depthwise`` convolution."""
        if self.family(depthwise) != int8_depthwise.FAMILY.name or depthwise.ty.dtype != "int8":
            return None
        expand = self.operands(depthwise)[0]
        project = self.only_reader(depthwise)
        if (
            project is None
            or self.family(expand) not in _EXPANSIONS
            or self.only_reader(expand) != depthwise
            or self.family(project) != int8_pointwise.FAMILY.name
            or project.ty.dtype != "int8"
        ):
            return None
        chain = _Chain(expand, depthwise, project)
        if not self._fills_groups(chain):
            return None
        add = self.only_reader(project)
        if self._adds_data(chain, add):
            chain = replace(chain, add=add)
        first, *_ = self._feature_maps(chain)
        return replace(chain, scaled=match_channel_scale(first, self, chain.members))

    def _fills_groups(self, chain: _Chain) -> bool:
        """Whether the instruction's groups and vectors have no gaps."""
        dot, expanded = self._dot, _channels(chain.expand)
        return expanded % dot.lanes_for(expanded) == 0 and all(
            _channels(feature_map) % dot.group == 0 for feature_map in self._feature_maps(chain)
        )

    def _adds_data(self, chain: _Chain, add: relax.Var | None) -> bool:
        """Whether ``add`` adds the block's data to its result."""
        kernel = self.kernel(add)
        *_, data = self._feature_maps(chain)
        shape = tensor_shape(chain.project)
        if kernel is None or len(self._feature_maps(chain)) > 1 or tensor_shape(data) != shape:
            return False
        operands = self.operands(add)[:2]
        is_sum = structural_equal(kernel, create_add(shape, shape))
        return is_sum and any(operand == data for operand in operands)

    def _sizes(self, chain: _Chain) -> InvertedResidual:
        """The block as one row block and one channel block."""
        *low, data = self._feature_maps(chain)
        _, height, width, channels_in = tensor_shape(data)
        return InvertedResidual(
            height=height,
            width=width,
            channels_in=channels_in,
            low_channels=_channels(low[0]) if low else 0,
            factor=width // tensor_shape(low[0])[2] if low else 1,
            expanded=_channels(chain.expand),
            window=self._window(chain),
            channels_out=_channels(chain.project),
            adds_data=chain.add is not None,
            has_channel_scale=chain.scaled is not None,
            row_block=tensor_shape(chain.project)[1],
            channel_block=_channels(chain.expand),
        )

    def _fused(self, chain: _Chain, cut: InvertedResidual) -> relax.Expr:
        """One call of the kernel of a block that has been ``cut``."""
        expand, depthwise, project = (
            self.operands(var) for var in (chain.expand, chain.depthwise, chain.project)
        )
        if chain.scaled is not None:
            expand[0] = chain.scaled.feature_map
        operands = [*expand, *depthwise[1:], *project[1:]]
        if chain.add is not None:
            left, _, multiplier, quant = self.operands(chain.add)
            if left != chain.project:
                multiplier, quant = _swapped(multiplier, [1, 0]), _swapped(quant, [4, 1, 2, 3, 0])
            operands += [multiplier, quant]
        if chain.scaled is not None:
            operands += chain.scaled.operands
        kernel = self.builder.add_func(
            create_inverted_residual(cut, self._dot), "inverted_residual_requantize"
        )
        operands = [self.renewed(operand) for operand in operands]
        call = relax.op.call_tir(
            kernel, operands, relax.TensorType(tensor_shape(chain.project), "int8")
        )
        return self.with_layers_of(call, chain.members)

    def _feature_maps(self, chain: _Chain) -> list[relax.Expr]:
        """What the expansion reads: a smaller feature map, if there is one, and the data."""
        is_joined = self.family(chain.expand) == int8_concat_pointwise.FAMILY.name
        return list(self.operands(chain.expand)[: 2 if is_joined else 1])

    def _window(self, chain: _Chain) -> int8_depthwise.Window:
        return int8_depthwise.window_of(self.kernel(chain.depthwise))


def _channels(tensor: relax.Expr) -> int:
    return tensor_shape(tensor)[3]


def _swapped(constant: relax.Constant, order: list[int]) -> relax.Expr:
    """``constant``, one-dimensional, with its elements in ``order``."""
    return relax.const(constant.value.numpy()[order])
