"""The converter of PyTorch's bilinear resize: TVM's own takes a factor for the ratio of the sizes,
which it is only where it gives a whole size."""

from __future__ import annotations

from typing import Any

from torch import fx
from tvm import relax

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


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
RESIZE = {"upsample_bilinear2d.vec": upsample_bilinear2d}
