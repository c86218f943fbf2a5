"""Recognize a mean over all pixels, or over all channels. Not a pass itself."""

from __future__ import annotations

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.kernels.common.channel_maximum import MOST_CHANNELS

#: Numbers whose sum fits an int32, each as far from its zero point as int8 goes.
_MOST_BYTES = (2**31 - 1) // 255

#: Of an NHWC feature map: rows and columns, and channels.
_PIXELS, _CHANNELS = [1, 2], [3]


def check_integer_sum(call: relax.Call) -> None:
    """Raise where a ``call`` that averages the pixels of an NHWC feature map has too many of them.

    Raises:
        NotLowerable: their sum may not fit an int32.
    """
    _, height, width, _ = map(int, call.args[0].ty.shape)
    if height * width > _MOST_BYTES:
        raise NotLowerable(
            f"the mean is over {height * width} pixels, and an int32 holds the sum of {_MOST_BYTES}"
        )


def is_over_channels(call: relax.Call) -> bool:
    """Whether a ``call`` of relax.mean gives one number a pixel, and not one a channel.

    Raises:
        NotLowerable: it gives neither, or there are too many channels.
    """
    shape = call.args[0].ty.shape
    axes = [] if call.attrs.axis is None else sorted(int(axis) for axis in call.attrs.axis)
    if len(shape) != 4 or not call.attrs.keepdims or axes not in (_PIXELS, _CHANNELS):
        raise NotLowerable("the mean is lowered over all pixels or over all channels only")
    if axes == _CHANNELS and int(shape[3]) > MOST_CHANNELS:
        raise NotLowerable(f"the mean is lowered over up to {MOST_CHANNELS} channels only")
    return axes == _CHANNELS
