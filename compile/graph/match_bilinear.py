"""Recognize a bilinear resize. Not a pass itself."""

from __future__ import annotations

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.graph.shapes import feature_map_shape
from compile.kernels.common.bilinear import MOST_SHARES, count_shares


def match_bilinear(call: relax.Call) -> tuple[int, int]:
    """(rows, columns) of a ``call`` of relax.image.resize2d of an NHWC feature map.

    Raises:
        NotLowerable: it is another resize, or its weights are too fine for int32.
    """
    mode = str(call.attrs.coordinate_transformation_mode)
    if call.attrs.method != "linear" or mode != "half_pixel":
        raise NotLowerable(f"resizing by {call.attrs.method} with {mode} has no kernel")
    _, rows, columns, _ = feature_map_shape(call)
    if count_shares(feature_map_shape(call.args[0]), (rows, columns)) > MOST_SHARES:
        raise NotLowerable("the weights of the bilinear resizing are too fine for int32")
    return rows, columns
