"""The converter of PyTorch's convolution: TVM's own gives float32 whatever its operands are.

PyTorch's pads alike on both sides. A border of zeros before it, which other tools write where one
side has more, becomes its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from tvm import relax


def conv2d(node: fx.Node, importer: Any) -> relax.Var:
    """``conv2d(x, weight, bias, stride, padding, dilation, groups)``: NCHW, OIHW, result of x's
    dtype."""
    defaults: tuple[Any, ...] = (None, None, None, [1, 1], [0, 0], [1, 1], 1)
    given: list[Any] = importer.retrieve_args(node)
    data, weight, bias, stride, padding, dilation, groups = (*given, *defaults[len(given) :])
    bordered = _bordered(node.args[0], padding)
    if bordered is not None:
        source, padding = bordered
        data = importer.env[source]
    result = importer.block_builder.emit(
        relax.op.nn.conv2d(
            data, weight, strides=stride, padding=padding, dilation=dilation, groups=groups
        )
    )
    if bias is None:
        return result
    bias = importer.block_builder.emit(relax.op.reshape(bias, (1, -1, 1, 1)))
    return importer.block_builder.emit(relax.op.add(result, bias))


def _bordered(data: Any, padding: Any) -> tuple[fx.Node, list[int]] | None:
    """What has a border of zeros in ``data``, and rows above, columns before, rows below and
    columns behind, with the convolution's own ``padding``; None where there is no such border."""
    if not isinstance(data, fx.Node) or data.target is not torch.ops.aten.pad.default:
        return None
    defaults: tuple[Any, ...] = (None, None, "constant", None)
    given: list[Any] = list(data.args)
    source, widths, mode, value = (*given, *defaults[len(given) :])
    is_zero = mode == "constant" and not value and min(widths) >= 0 and not any(widths[4:])
    if isinstance(padding, str) or not is_zero:
        return None
    left, right, top, bottom = (*widths[:4], 0, 0)[:4]
    rows, columns = padding if len(padding) == 2 else (*padding, *padding)
    return source, [top + rows, left + columns, bottom + rows, right + columns]


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
CONVOLUTION = {"conv2d.default": conv2d}
