"""How far around a pixel an operation looks: what a tile of a picture needs of its neighbours. Not
a pass itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tvm
from tvm import relax

from compile.graph.constants import Definitions, constant_value
from compile.graph.match_bilinear import match_bilinear, match_nearest
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.shapes import tensor_shape
from compile.support.errors import GraphError

#: Operations that compute a pixel of one pixel of each operand.
_POINTWISE = frozenset(
    {
        *("add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "negative"),
        *("abs", "astype", "clip", "exp", "floor", "log", "rsqrt", "sigmoid", "sqrt", "square"),
        *("tanh", "erf", "quantize", "dequantize", "nn.relu", "nn.leakyrelu", "nn.silu"),
        *("nn.gelu", "nn.gelu_tanh", "nn.prelu", "nn.softplus"),
        *("greater", "greater_equal", "less", "less_equal", "where"),
    }
)

_CHANNEL_AXIS = 3


def reach_of(call: relax.Expr, definitions: Definitions) -> int:
    """Count the rows and columns around its own that a pixel of ``call``, of NHWC feature maps, is
    computed of, in pixels of the operand.

    Raises:
        GraphError: it is not known, or it is all of them.
    """
    name = op_name(call)
    if name in _POINTWISE or isinstance(call, relax.Var):
        return 0
    counted = _COUNTED.get(name)
    reach = None if counted is None else counted(call, definitions)
    if reach is None:
        raise GraphError(
            f"the network cannot be computed in tiles: how far {name or call} looks around a pixel "
            "is not known; build it without --tiles"
        )
    return reach


def is_global(call: relax.Expr | None) -> bool:
    """Whether a ``call`` gives one number for each channel of a whole NHWC feature map."""
    name = op_name(call)
    if name not in ("nn.adaptive_avg_pool2d", "mean"):
        return False
    assert isinstance(call, relax.Call)
    if len(tensor_shape(call.args[0])) != 4:
        return False
    if name == "mean":
        axes = [] if call.attrs.axis is None else [int(axis) for axis in call.attrs.axis]
        return sorted(axes) == [1, 2]
    return tensor_shape(call)[1:3] == (1, 1)


def _convolution(call: relax.Call, definitions: Definitions) -> int | None:
    kernel = tensor_shape(call.args[1])[2:]
    return _window(kernel, call.attrs)


def _pooling(call: relax.Call, _definitions: Definitions) -> int | None:
    return _window(call.attrs.pool_size, call.attrs)


def _window(kernel: Sequence[int], attrs: tvm.ir.Attrs) -> int:
    reach = 0
    along = (kernel, attrs.padding[:2], attrs.dilation, attrs.strides)
    for size, before, dilation, stride in zip(*(map(int, of) for of in along), strict=True):
        # A result has as many operands of its own as a stride has.
        behind = (size - 1) * dilation - before - (stride - 1)
        reach = max(reach, before, behind)
    return reach


def _resize(call: relax.Call, _definitions: Definitions) -> int | None:
    try:
        if call.attrs.method == "linear":
            _, aligned = match_bilinear(call)
            # Where corners are aligned, each pixel's weights are of its place in the picture.
            return None if aligned else 1
        _, factor = match_nearest(call)
    except NotLowerable:
        return None
    return None if factor is None else 0


def _concat(call: relax.Call, _definitions: Definitions) -> int | None:
    return 0 if int(call.attrs.axis) == _CHANNEL_AXIS else None


def _over_channels(call: relax.Call, _definitions: Definitions) -> int | None:
    axes = call.attrs.axis
    axes = [int(axis) for axis in axes] if isinstance(axes, Sequence) else [int(axes)]
    return 0 if [axis % 4 for axis in axes] == [_CHANNEL_AXIS] and call.attrs.keepdims else None


def _normalized(call: relax.Call, definitions: Definitions) -> int | None:
    """What is added and multiplied once the moments of the whole picture are known."""
    axes = [int(axis) for axis in call.attrs.axes]
    if axes != [1, 2] or int(call.attrs.channel_axis) != _CHANNEL_AXIS:
        return None
    known = all(constant_value(weight, definitions) is not None for weight in call.args[1:])
    return 0 if known else None


_COUNTED: dict[str, Callable[[relax.Call, Definitions], int | None]] = {
    "nn.conv2d": _convolution,
    "nn.max_pool2d": _pooling,
    "nn.avg_pool2d": _pooling,
    "image.resize2d": _resize,
    "concat": _concat,
    "max": _over_channels,
    "mean": _over_channels,
    "nn.instance_norm": _normalized,
}
