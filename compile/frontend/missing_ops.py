"""Converters of PyTorch operators that TVM lacks or that were never compared (``amax``,
``embedding``, ``take``), or that it writes with the constant first (``rsub``), where a chain of
functions of one tensor is not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx
from tvm import relax

from compile.support.errors import GraphError


def amax(node: fx.Node, importer: Any) -> relax.Var:
    """``amax(x, axes, keepdim)``."""
    given: tuple[Any, ...] = node.args
    defaults: tuple[Any, ...] = (None, [], False)
    data, axes, keepdim = given + defaults[len(given) :]
    call = relax.op.max(importer.env[data], axis=axes or None, keepdims=bool(keepdim))
    return importer.block_builder.emit(call)


def rsub(node: fx.Node, importer: Any) -> relax.Var:
    """``rsub(x, number)``, number - x, as -x + number, which is rounded alike.

    Raises:
        GraphError: x has a factor.
    """
    data, number, factor = (*node.args, 1)[:3]
    if factor != 1:
        raise GraphError(f"{node.name}: rsub with a factor of {factor} cannot be imported")
    x = importer.env[data]
    dtype = str(x.ty.dtype)
    negative = importer.block_builder.emit(relax.op.multiply(x, relax.const(np.array(-1, dtype))))
    return importer.block_builder.emit(relax.op.add(negative, relax.const(np.array(number, dtype))))


def embedding(node: fx.Node, importer: Any) -> relax.Var:
    """``embedding(weight, indices, ...)``: the rows of the weight at indices of any shape."""
    weight, indices = (importer.env[arg] for arg in node.args[:2])
    return importer.block_builder.emit(relax.op.take(weight, indices, axis=0))


def take(node: fx.Node, importer: Any) -> relax.Var:
    """``take(x, indices)``: the numbers of x, flat, at indices of any shape, also from behind."""
    data, indices = importer.retrieve_args(node)
    emit = importer.block_builder.emit
    flat = data if len(data.ty.shape) == 1 else emit(relax.op.reshape(data, (-1,)))
    return emit(relax.op.take(flat, indices, axis=0, mode="wrap"))


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
MISSING_OPS = {
    "amax.default": amax,
    "embedding.default": embedding,
    "rsub.Scalar": rsub,
    "take.default": take,
}
