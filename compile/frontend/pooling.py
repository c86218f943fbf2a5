"""The converters of PyTorch's poolings: their windows as the kernels have them, with what a size
that is rounded up needs as padding, and an adaptive pooling as one of equal windows."""

from __future__ import annotations

from typing import Any

from torch import fx
from tvm import relax

from compile.frontend.node_origin import module_of
from compile.support.errors import GraphError


def max_pool2d(node: fx.Node, importer: Any) -> relax.Var:
    """``max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)``, NCHW."""
    data, kernel, stride, padding, dilation, _ = _arguments(node, [1, 1], False)
    step = _pair(dilation)
    reach = [(taps - 1) * apart + 1 for taps, apart in zip(kernel, step, strict=True)]
    call = relax.op.nn.max_pool2d(
        importer.env[data],
        pool_size=kernel,
        strides=stride,
        padding=_padding(node, reach, stride, padding),
        dilation=step,
    )
    return importer.block_builder.emit(call)


def avg_pool2d(node: fx.Node, importer: Any) -> relax.Var:
    """``avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)``, NCHW.

    Raises:
        GraphError: the divisor is given, or a window goes beyond padding that counts.
    """
    data, kernel, stride, padding, _, counts_padding, divisor = _arguments(node, False, True, None)
    if divisor is not None:
        raise GraphError(
            f"{module_of(node)}: average pooling with a divisor of its own has no kernel: leave "
            "divisor_override out and multiply by a number"
        )
    widths = _padding(node, kernel, stride, padding)
    begun = widths != [*padding, *padding]
    if begun and counts_padding and any(padding):
        raise GraphError(
            f"{module_of(node)}: average pooling that counts its padding and rounds its size up "
            "has no kernel: use ceil_mode=False or count_include_pad=False"
        )
    call = relax.op.nn.avg_pool2d(
        importer.env[data],
        pool_size=kernel,
        strides=stride,
        padding=widths,
        count_include_pad=counts_padding and not begun,
    )
    return importer.block_builder.emit(call)


def adaptive_avg_pool2d(node: fx.Node, importer: Any) -> relax.Var:
    """``adaptive_avg_pool2d(x, size)``, NCHW.

    Raises:
        GraphError: its windows are not all alike.
    """
    data = node.args[0]
    assert isinstance(data, fx.Node)
    before, after = (tuple(one.meta["val"].shape[2:]) for one in (data, node))
    if after == (1, 1):
        call = relax.op.nn.adaptive_avg_pool2d(importer.env[data], (1, 1))
        return importer.block_builder.emit(call)
    kernel = [extent // parts for extent, parts in zip(before, after, strict=True)]
    if any(extent % parts for extent, parts in zip(before, after, strict=True)):
        raise GraphError(
            f"{module_of(node)}: adaptive average pooling of {before[0]}x{before[1]} pixels to "
            f"{after[0]}x{after[1]} has windows of several sizes: choose a size of the input for "
            "which they divide each other, or pool to 1x1"
        )
    pooled = relax.op.nn.avg_pool2d(importer.env[data], pool_size=kernel, strides=kernel)
    return importer.block_builder.emit(pooled)


def _arguments(node: fx.Node, *defaults: Any) -> list[Any]:
    """The arguments of a pooling, whose last ones have ``defaults``; windows as pairs."""
    given = list(node.args)
    data, kernel = given[0], _pair(given[1])
    stride = _pair(given[2]) if len(given) > 2 and given[2] else kernel
    padding = _pair(given[3]) if len(given) > 3 else [0, 0]
    return [data, kernel, stride, padding, *given[4:], *defaults[max(0, len(given) - 4) :]]


def _pair(value: Any) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * 2 if len(values) == 1 else values


def _padding(node: fx.Node, reach: list[int], stride: list[int], padding: list[int]) -> list[int]:
    """(top, left, bottom, right): so many more at the end as PyTorch's size, which may be rounded
    up, asks for."""
    data = node.args[0]
    assert isinstance(data, fx.Node)
    before, after = data.meta["val"].shape[2:], node.meta["val"].shape[2:]
    ends = [
        max(width, (outputs - 1) * step + taps - extent - width)
        for extent, outputs, taps, step, width in zip(
            before, after, reach, stride, padding, strict=True
        )
    ]
    return [*padding, *ends]


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
POOLING = {
    "max_pool2d.default": max_pool2d,
    "avg_pool2d.default": avg_pool2d,
    "adaptive_avg_pool2d.default": adaptive_avg_pool2d,
}
