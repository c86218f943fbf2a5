"""Converters of operators that TVM's own compute otherwise than PyTorch.

Found by comparing what a network may use with PyTorch on random numbers
(tests/compile/frontend/test_every_converter.py).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import fx
from tvm import relax

from compile.frontend.node_origin import module_of
from compile.support.errors import GraphError

_SUMS = {"add": (relax.op.add, operator.add), "sub": (relax.op.subtract, operator.sub)}


def _sum(name: str) -> Callable[[fx.Node, Any], relax.Var]:
    """``add(x, y, *, alpha)`` and ``sub``: TVM's forget alpha, by which y is multiplied."""

    def convert(node: fx.Node, importer: Any) -> relax.Var:
        factor = node.kwargs.get("alpha", 1)
        function, of_numbers = _SUMS[name]
        if factor == 1:
            return importer._binary_op(function, of_numbers)(node)
        left, right = node.args[:2]
        x, dtype = importer.env[left], str(importer.env[left].ty.dtype)
        if isinstance(right, fx.Node):
            scaled = relax.op.multiply(
                importer.env[right], relax.const(np.array(factor, dtype), dtype)
            )
            scaled = importer.block_builder.emit(scaled)
        else:
            assert isinstance(right, int | float) and isinstance(factor, int | float)
            scaled = relax.const(np.array(right * factor, dtype), dtype)
        return importer.block_builder.emit(function(x, scaled))

    return convert


def batch_norm(node: fx.Node, importer: Any) -> relax.Var:
    """``batch_norm(x, weight, bias, mean, variance, training, momentum, eps, cudnn_enabled)``,
    NCHW: TVM's takes the momentum for eps.

    Raises:
        GraphError: it depends on the whole batch.
    """
    data, weight, bias, mean, variance, training, _, epsilon, _ = importer.retrieve_args(node)
    if training or mean is None or variance is None:
        raise GraphError(
            f"{node.name} in {module_of(node)}: a batch norm that depends on the whole batch: call "
            "eval(), and keep running statistics"
        )
    channels, dtype = int(data.ty.shape[1]), str(data.ty.dtype)
    gamma = relax.const(np.ones(channels, dtype)) if weight is None else weight
    beta = relax.const(np.zeros(channels, dtype)) if bias is None else bias
    normalized = relax.op.nn.batch_norm(
        data, gamma, beta, mean, variance, axis=1, epsilon=float(epsilon), training=False
    )
    return importer.block_builder.emit(importer.block_builder.emit(normalized)[0])


def celu(node: fx.Node, importer: Any) -> relax.Var:
    """``celu(x, alpha)``: max(x, 0) + min(alpha (e^(x / alpha) - 1), 0)."""
    data, alpha = (*node.args, 1.0)[:2]
    x, emit = importer.env[data], importer.block_builder.emit
    dtype = str(x.ty.dtype)
    number, one, zero = (relax.const(np.array(value, dtype)) for value in (alpha, 1, 0))
    curve = emit(relax.op.subtract(emit(relax.op.exp(emit(relax.op.divide(x, number)))), one))
    below = emit(relax.op.minimum(emit(relax.op.multiply(curve, number)), zero))
    return emit(relax.op.add(emit(relax.op.nn.relu(x)), below))


def elu(node: fx.Node, importer: Any) -> relax.Var:
    """``elu(x, alpha, scale, input_scale)``: max(x, 0) scale + min(alpha scale (e^(x input_scale) -
    1), 0). TVM's forgets the scales, by which a decomposed SELU is one."""
    given: list[Any] = [*node.args, 1, 1, 1]
    data, alpha, scale, input_scale = given[:4]
    if (scale, input_scale) == (1, 1):
        return importer._elu(node)
    x, emit = importer.env[data], importer.block_builder.emit
    dtype = str(x.ty.dtype)

    def times(value: relax.Expr, number: Any) -> relax.Var:
        return emit(relax.op.multiply(value, relax.const(np.array(number, dtype), dtype)))

    least = emit(relax.op.minimum(x, relax.const(np.array(0, dtype), dtype)))
    curve = emit(relax.op.exp(times(least, input_scale)))
    curve = emit(relax.op.subtract(curve, relax.const(np.array(1, dtype), dtype)))
    below = times(curve, alpha * scale)
    return emit(relax.op.add(times(emit(relax.op.nn.relu(x)), scale), below))


def clamp_max(node: fx.Node, importer: Any) -> relax.Var:
    """``clamp_max(x, number)``: TVM's forgets the number."""
    data, limit = importer.retrieve_args(node)
    dtype = str(data.ty.dtype)
    number = relax.const(np.array(limit, dtype), dtype)
    return importer.block_builder.emit(relax.op.minimum(data, number))


def narrow(node: fx.Node, importer: Any) -> relax.Var:
    """``narrow(x, axis, start, length)``: TVM's takes the length for the end."""
    data, axis, start, length = importer.retrieve_args(node)
    axis, start = int(axis) % len(data.ty.shape), int(start)
    start += int(data.ty.shape[axis]) if start < 0 else 0
    return importer.block_builder.emit(
        relax.op.strided_slice(data, axes=[axis], begin=[start], end=[start + int(length)])
    )


def select(node: fx.Node, importer: Any) -> relax.Var:
    """``select(x, axis, index)``: TVM's reads what is before x for an index from behind."""
    data, axis, index = importer.retrieve_args(node)
    axis = int(axis) % len(data.ty.shape)
    index = int(index) % int(data.ty.shape[axis])
    return importer.block_builder.emit(relax.op.take(data, relax.const(index, "int64"), axis))


def index(node: fx.Node, importer: Any) -> relax.Var:
    """``index(x, indices)``, one tensor of indices among Nones: from behind as ``select``.

    Raises:
        GraphError: there are several, or they are a mask.
    """
    data, indices = importer.retrieve_args(node)
    given = [(axis, one) for axis, one in enumerate(indices) if one is not None]
    if len(given) != 1 or str(given[0][1].ty.dtype) == "bool":
        raise GraphError(
            f"{node.name} in {module_of(node)}: indexing by several tensors or by a mask cannot be "
            "imported: index one axis at a time"
        )
    ((axis, places),) = given
    emit, dtype = importer.block_builder.emit, str(places.ty.dtype)
    size = relax.const(int(data.ty.shape[axis]), dtype)
    is_behind = emit(relax.op.less(places, relax.const(0, dtype)))
    places = emit(relax.op.where(is_behind, emit(relax.op.add(places, size)), places))
    return emit(relax.op.take(data, places, axis))


def attention(node: fx.Node, importer: Any) -> relax.Var:
    """``scaled_dot_product_attention(q, k, v, mask, ...)``: TVM's forgets a scale.

    Raises:
        GraphError: it has one.
    """
    if node.kwargs.get("scale") is not None:
        raise GraphError(
            f"{node.name} in {module_of(node)}: attention with a scale of its own cannot be "
            "imported: multiply the queries by a number"
        )
    return importer._scaled_dot_product_attention(node)


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
MENDED_OPS = {
    **{f"{name}.{kind}": _sum(name) for name in _SUMS for kind in ("Tensor", "Scalar")},
    "add_.Tensor": _sum("add"),
    "batch_norm.default": batch_norm,
    "celu.default": celu,
    "clamp_max.default": clamp_max,
    "elu.default": elu,
    "index.Tensor": index,
    "narrow.default": narrow,
    "select.int": select,
    "scaled_dot_product_attention.default": attention,
}
