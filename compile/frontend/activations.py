"""The converters of PyTorch's activations that Relax has no op for, in ops of one tensor and in
PyTorch's order of roundings, so that a chain of them is one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx
from tvm import relax


def hardsigmoid(node: fx.Node, importer: Any) -> relax.Var:
    """``hardsigmoid(x)``, min(max(x + 3, 0), 6) / 6."""
    x = importer.env[node.args[0]]
    return importer.block_builder.emit(
        relax.op.divide(_clipped(x, importer), relax.const(np.array(6, str(x.ty.dtype))))
    )


def hardswish(node: fx.Node, importer: Any) -> relax.Var:
    """``hardswish(x)``, x * min(max(x + 3, 0), 6) / 6."""
    x = importer.env[node.args[0]]
    product = importer.block_builder.emit(relax.op.multiply(x, _clipped(x, importer)))
    sixth = relax.const(np.array(6, str(x.ty.dtype)))
    return importer.block_builder.emit(relax.op.divide(product, sixth))


def _clipped(x: relax.Var, importer: Any) -> relax.Var:
    three = relax.const(np.array(3, str(x.ty.dtype)))
    return importer.block_builder.emit(
        relax.op.clip(importer.block_builder.emit(relax.op.add(x, three)), 0, 6)
    )


def prelu(node: fx.Node, importer: Any) -> relax.Var:
    """``prelu(x, slopes)``, max(x, 0) + slope * min(x, 0) with a slope for each channel, or one."""
    x, slopes = (importer.env[arg] for arg in node.args)
    rank, dtype = len(x.ty.shape), str(x.ty.dtype)
    shape = [-1 if axis == min(1, rank - 1) else 1 for axis in range(rank)]
    emit = importer.block_builder.emit
    below = emit(relax.op.minimum(x, relax.const(np.array(0, dtype))))
    scaled = emit(relax.op.multiply(below, emit(relax.op.reshape(slopes, shape))))
    return emit(relax.op.add(emit(relax.op.nn.relu(x)), scaled))


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
ACTIVATION_OPS = {
    "hardsigmoid.default": hardsigmoid,
    "hardsigmoid_.default": hardsigmoid,
    "hardswish.default": hardswish,
    "hardswish_.default": hardswish,
    "prelu.default": prelu,
}
