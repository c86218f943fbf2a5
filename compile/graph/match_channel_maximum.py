"""Recognize a maximum over channels. Not a pass itself."""

from __future__ import annotations

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.kernels.common.channel_maximum import MOST_CHANNELS


def check_channel_maximum(call: relax.Call) -> None:
    """Raise where a ``call`` of relax.max gives anything but the largest channel of each pixel.

    Raises:
        NotLowerable: it is over other axes, or over too many channels.
    """
    shape = call.args[0].ty.shape
    axes = [] if call.attrs.axis is None else [int(axis) for axis in call.attrs.axis]
    if len(shape) != 4 or axes != [3] or not call.attrs.keepdims or int(shape[3]) > MOST_CHANNELS:
        raise NotLowerable(f"the maximum is lowered over up to {MOST_CHANNELS} channels only")
