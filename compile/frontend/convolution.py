"""The converter of PyTorch's convolution: TVM's own gives float32 whatever its operands are."""

from __future__ import annotations

from typing import Any

from torch import fx
from tvm import relax


def conv2d(node: fx.Node, importer: Any) -> relax.Var:
    """``conv2d(x, weight, bias, stride, padding, dilation, groups)``: NCHW, OIHW, result of x's
    dtype."""
    defaults: tuple[Any, ...] = (None, None, None, [1, 1], [0, 0], [1, 1], 1)
    given: list[Any] = importer.retrieve_args(node)
    data, weight, bias, stride, padding, dilation, groups = (*given, *defaults[len(given) :])
    result = importer.block_builder.emit(
        relax.op.nn.conv2d(
            data, weight, strides=stride, padding=padding, dilation=dilation, groups=groups
        )
    )
    if bias is None:
        return result
    bias = importer.block_builder.emit(relax.op.reshape(bias, (1, -1, 1, 1)))
    return importer.block_builder.emit(relax.op.add(result, bias))


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
CONVOLUTION = {"conv2d.default": conv2d}
