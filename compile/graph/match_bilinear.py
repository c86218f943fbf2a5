"""Recognize a resize. Not a pass itself."""

from __future__ import annotations

from tvm import relax

from compile.graph.quantized_graph import NotLowerable
from compile.graph.shapes import feature_map_shape
from compile.kernels.common.bilinear import MOST_SHARES, count_shares


def match_bilinear(call: relax.Call) -> tuple[tuple[int, int], bool]:
    """(rows, columns) of a ``call`` of relax.image.resize2d of an NHWC feature map, and whether
    corners are aligned.

    Raises:
        NotLowerable: it is another resize, or its weights are too fine for int32.
    """
    mode = str(call.attrs.coordinate_transformation_mode)
    if call.attrs.method != "linear" or mode not in ("half_pixel", "align_corners"):
        raise NotLowerable(f"resizing by {call.attrs.method} with {mode} has no kernel")
    _, rows, columns, _ = feature_map_shape(call)
    aligned = mode == "align_corners"
    if count_shares(feature_map_shape(call.args[0]), (rows, columns), aligned) > MOST_SHARES:
        raise NotLowerable("the weights of the bilinear resizing are too fine for int32")
    return (rows, columns), aligned


def match_nearest(call: relax.Call) -> tuple[tuple[int, int], int | None]:
    """(rows, columns) of a ``call`` of relax.image.resize2d of an NHWC feature map by nearest
    neighbours, and how often each pixel is repeated where that is the same for all.

    Raises:
        NotLowerable: another method, or pixels are not counted from the first row and column.
    """
    if call.attrs.method != "nearest_neighbor":
        raise NotLowerable(f"resizing by {call.attrs.method} has no kernel")
    (_, height, width, _), (_, rows, columns, _) = map(feature_map_shape, (call.args[0], call))
    if rows % height == columns % width == 0 and rows // height == columns // width:
        return (rows, columns), rows // height
    mode, rounding = call.attrs.coordinate_transformation_mode, call.attrs.rounding_method
    if (str(mode), str(rounding)) != ("asymmetric", "floor"):
        raise NotLowerable(
            f"resizing by nearest neighbours with {mode} and {rounding} has no kernel"
        )
    return (rows, columns), None
