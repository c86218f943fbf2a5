"""What a network gives, as a frame of HDR10: :mod:`compile.video.light_kernel`, compiled for the
processor that this runs on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm_ffi import from_dlpack

from compile.imaging.decode_hdr import WHITE_NITS
from compile.video.light_kernel import (
    CELL,
    CELLS_NAME,
    NAME,
    create_cells_kernel,
    create_light_kernel,
)
from compile.video.steady_light import Correction, no_correction
from targets.describe_target import tvm_target
from targets.load_target import load_target


@dataclass(frozen=True)
class HdrFrame:
    """A frame in PQ and BT.2020.

    Attributes:
        planes: uint16: Y [H, W], then Cb and Cr [H/2, W/2], rounded up, 10 bits in the narrow
            range.
        levels: of each row, float32 [H, 3].
    """

    planes: NDArray[np.uint16]
    levels: NDArray[np.float32]


class LightConverter:
    """Makes frames of one size.

    Args:
        size: height and width.
        decoding: what the network's output means.
        to_bt2020: its linear light to that of BT.2020, [3, 3].
        corrected: whether the output is corrected.
    """

    def __init__(
        self,
        size: tuple[int, int],
        decoding: str,
        to_bt2020: NDArray[np.floating],
        corrected: bool = False,
    ) -> None:
        kernel = create_light_kernel(size, decoding, to_bt2020, WHITE_NITS, corrected)
        target = tvm_target(load_target("host"), 1)
        functions = {NAME: kernel, CELLS_NAME: create_cells_kernel(size)}
        library = tvm.compile(tvm.IRModule(functions), target=target).jit()
        self._kernel, self._cells = library[NAME], library[CELLS_NAME]
        height, width = self._size = size
        self._none = no_correction(size)
        self._samples = height * width + 2 * (-(-height // 2) * -(-width // 2))

    def convert(
        self,
        output: NDArray[np.float32],
        photo: NDArray[np.uint8],
        correction: Correction | None = None,
    ) -> HdrFrame:
        """The frame of ``output`` [H, W, 3], which the network has made of ``photo`` [H, W, 3],
        with its ``correction``."""
        own = correction or self._none
        planes = np.empty(self._samples, np.uint16)
        levels = np.empty((self._size[0], 3), np.float32)
        read = (np.ascontiguousarray(output), np.ascontiguousarray(photo), own.curve, own.cells)
        self._kernel(*map(from_dlpack, (*read, planes, levels)))
        return HdrFrame(planes, levels)

    def cells(self, output: NDArray[np.float32], photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Means over cells, float32 [2, rows, columns], of the luma of ``photo`` [H, W, 3] and of
        ``output`` [H, W, 3]: what :class:`compile.video.steady_light.SteadyLight` follows."""
        means = np.empty((2, *(-(-side // CELL) for side in self._size)), np.float32)
        read = (np.ascontiguousarray(output), np.ascontiguousarray(photo))
        self._cells(*map(from_dlpack, (*read, means)))
        return means
