"""The converters of PyTorch's resizes: TVM's own take a factor for the ratio of the sizes, which it
is only where it gives a whole size."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx
from tvm import relax

from compile.frontend.node_origin import module_of
from compile.support.errors import GraphError


def upsample_bilinear2d(node: fx.Node, importer: Any) -> relax.Var:
    """``upsample_bilinear2d(x, size, align_corners, factors)``, NCHW.

    Raises:
        GraphError: a factor gives no whole size.
    """
    (data, size, align_corners, factors), meta = (*node.args, None)[:4], node.meta["val"]
    assert isinstance(data, fx.Node)
    before, after = data.meta["val"].shape[2:], meta.shape[2:]
    if size is None and isinstance(factors, list | tuple):
        for extent, factor, result in zip(before, factors, after, strict=True):
            if extent * factor != result:
                raise GraphError(
                    f"{node.name}: a bilinear resize by {factor} of {extent} pixels gives no whole "
                    "size: give F.interpolate a size"
                )
    mode = "align_corners" if align_corners else "half_pixel"
    return importer.block_builder.emit(
        relax.op.image.resize2d(
            importer.env[data],
            tuple(int(extent) for extent in after),
            layout="NCHW",
            method="linear",
            coordinate_transformation_mode=mode,
        )
    )


def upsample_nearest2d(node: fx.Node, importer: Any) -> relax.Var:
    """``upsample_nearest2d(x, size, factors)``, NCHW: pixel i of m is pixel i * n // m of n.

    Raises:
        GraphError: PyTorch, which multiplies by a rounded ratio, takes another pixel.
    """
    data, size, factors = (*node.args, None)[:3]
    assert isinstance(data, fx.Node)
    before, after = data.meta["val"].shape[2:], node.meta["val"].shape[2:]
    ratios = factors if size is None and isinstance(factors, list | tuple) else (None, None)
    for extent, result, factor in zip(before, after, ratios, strict=True):
        ratio = np.float32(extent / result) if factor is None else np.float32(1 / float(factor))
        places = np.arange(result)
        taken = np.minimum(np.floor(places.astype(np.float32) * ratio).astype(int), extent - 1)
        if not np.array_equal(taken, places * extent // result):
            raise GraphError(
                f"{module_of(node)}: a resize of {extent} to {result} pixels by nearest neighbours "
                "takes pixels by a factor that is not the ratio of the sizes: give F.interpolate a "
                "size, or another one"
            )
    return importer.block_builder.emit(
        relax.op.image.resize2d(
            importer.env[data],
            tuple(int(extent) for extent in after),
            layout="NCHW",
            method="nearest_neighbor",
            coordinate_transformation_mode="asymmetric",
            rounding_method="floor",
        )
    )


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
RESIZE = {
    "upsample_bilinear2d.vec": upsample_bilinear2d,
    "upsample_nearest2d.vec": upsample_nearest2d,
}
