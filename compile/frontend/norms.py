"""Converters of normalizations by the statistics of their input, with and without weights.

Of an InstanceNorm, TVM's own takes the running variance for the epsilon, and 1e-5 where there is
none; of the others it needs the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import fx
from tvm import relax


def instance_norm(node: fx.Node, importer: Any) -> relax.Var:
    """``instance_norm(x, weight, bias, running_mean, running_var, use_input_stats, momentum, eps,
    cudnn_enabled)`` by the statistics of x: NCHW."""
    data, weight, bias, *_, epsilon, _ = importer.retrieve_args(node)
    gamma, beta = _factors(data, [data.ty.shape[1]], weight, bias)
    return importer.block_builder.emit(
        relax.op.nn.instance_norm(
            data, gamma, beta, channel_axis=1, axes=[2, 3], epsilon=float(epsilon)
        )
    )


def group_norm(node: fx.Node, importer: Any) -> relax.Var:
    """``group_norm(x, groups, weight, bias, eps, cudnn_enabled)``: channels are axis 1."""
    return _group_norm(importer, *_given(node, importer, [None, None, 1e-5]))


def native_group_norm(node: fx.Node, importer: Any) -> relax.Var:
    """``native_group_norm(x, weight, bias, N, C, HxW, groups, eps)``, its first result: what
    ``group_norm`` is decomposed to."""
    data, weight, bias, _, _, _, groups, epsilon = importer.retrieve_args(node)
    return _group_norm(importer, data, groups, weight, bias, epsilon)


def layer_norm(node: fx.Node, importer: Any) -> relax.Var:
    """``layer_norm(x, shape, weight, bias, eps, cudnn_enable)``: over the last axes."""
    data, shape, weight, bias, epsilon = _given(node, importer, [None, None, 1e-5])
    gamma, beta = _factors(data, shape, weight, bias)
    axes = list(range(-len(shape), 0))
    return importer.block_builder.emit(
        relax.op.nn.layer_norm(data, gamma, beta, axes, epsilon=float(epsilon))
    )


def _group_norm(
    importer: Any,
    data: relax.Expr,
    groups: Any,
    weight: relax.Expr | None,
    bias: relax.Expr | None,
    epsilon: Any,
) -> relax.Var:
    gamma, beta = _factors(data, [data.ty.shape[1]], weight, bias)
    axes = list(range(2, len(data.ty.shape)))
    return importer.block_builder.emit(
        relax.op.nn.group_norm(data, gamma, beta, int(groups), 1, axes, epsilon=float(epsilon))
    )


def _given(node: fx.Node, importer: Any, defaults: list[Any]) -> list[Any]:
    """The first two arguments, and the next ones or their ``defaults``."""
    given = importer.retrieve_args(node)
    return [*given, *defaults[len(given) - 2 :]][: 2 + len(defaults)]


def _factors(
    data: relax.Expr, shape: Sequence[Any], weight: relax.Expr | None, bias: relax.Expr | None
) -> tuple[relax.Expr, relax.Expr]:
    """``weight`` and ``bias``, ones and zeros of ``shape`` where they are None."""
    sizes, dtype = [int(size) for size in shape], str(data.ty.dtype)
    gamma = relax.const(np.ones(sizes, dtype)) if weight is None else weight
    beta = relax.const(np.zeros(sizes, dtype)) if bias is None else bias
    return gamma, beta


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
NORMS = {
    "group_norm.default": group_norm,
    "instance_norm.default": instance_norm,
    "layer_norm.default": layer_norm,
    "native_group_norm.default": native_group_norm,
}
