"""Recognize a feature map that channel attention has multiplied. Not a pass itself."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import relax
from tvm_ffi import structural_equal

from compile.graph.rewrite_kernel_calls import KernelCallRewriter
from compile.graph.shapes import tensor_shape
from compile.kernels.cpu.plain.elementwise import create_multiply


@dataclass(frozen=True)
class ScaledFeatureMap:
    """The product of a feature map and one scale per channel.

    Attributes:
        product: what it is bound to.
        feature_map: int8 [1,H,W,C].
        operands: the scales int8 [1,1,1,C], float32[1] and int32[5].
    """

    product: relax.Var
    feature_map: relax.Expr
    operands: list[relax.Expr]


def match_channel_scale(
    product: relax.Expr, calls: KernelCallRewriter, readers: list[relax.Var]
) -> ScaledFeatureMap | None:
    """The multiplication that ``product`` comes from, where only some of ``readers`` read it."""
    kernel = calls.kernel(product)
    if kernel is None or not set(calls.users[product]) <= set(readers):
        return None
    shape = tensor_shape(product)
    if not structural_equal(kernel, create_multiply(shape, (1, 1, 1, shape[3]))):
        return None
    feature_map, *operands = calls.operands(product)
    return ScaledFeatureMap(product, feature_map, operands)
