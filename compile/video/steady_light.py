"""Keeps a clip's light steady where its pictures stay as they are.

The network normalizes each frame by statistics of all of it, and looks far around each pixel. Where
something bright comes or goes, the rest of the picture, which has not changed, gets other light;
and noise that moves nothing makes it tremble. Here that is measured where a frame is as it was, and
taken back: what all cells of a luma do by a curve over it, the rest place by place. What was taken
back fades, so that a clip comes to what the network says of its frames. At a cut nothing is kept.

Of cells that are still this is a mean over about 40 frames, and of all others nearly nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compile.video.light_kernel import CELL, sdr_luma

# Of 255 codes: a cell whose mean has gone further from what it was of late is not still. A fade
# goes as far in a few frames.
_STILL = 0.75
_BINS = 32
# Of the cells of one luma, so many say what is theirs; with fewer it is in part what all do.
_TRUSTED = 10.0
# What is left of it a frame later, where a cell is still and where it is not.
_KEPT, _LET_GO = 0.975, 0.5
# Of the cells, how many are still where the camera is.
_TRIPOD_SHARE = 0.5
# Of the cells, how many have another luma behind a cut, by the histogram.
_CUT_SHARE = 0.4


@dataclass(frozen=True)
class Correction:
    """What to add to the network's output.

    Attributes:
        curve: at the photo's luma, float32 [256].
        cells: in the middles of the picture's cells, and of one more on each side, float32
            [rows + 2, columns + 2]; between them by straight lines.
    """

    curve: NDArray[np.float32]
    cells: NDArray[np.float32]

    def of(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """All of it, float32 [H, W], for ``photo`` uint8 [H, W, 3]: what the kernel adds."""
        along = self.cells
        for axis, side in enumerate(photo.shape[:2]):
            places = (np.arange(side) + CELL // 2) / np.float32(CELL)
            below = places.astype(int)
            share = (places - below).reshape((-1, 1) if axis == 0 else (1, -1))
            first, second = np.take(along, below, axis), np.take(along, below + 1, axis)
            along = first + (second - first) * share
        return (self.curve[sdr_luma(photo)] + along).astype(np.float32)


def no_correction(size: tuple[int, int]) -> Correction:
    """For frames of a height and width."""
    rows, columns = (-(-side // CELL) for side in size)
    return Correction(np.zeros(256, np.float32), np.zeros((rows + 2, columns + 2), np.float32))


class SteadyLight:
    """Follows the frames of a clip in their order."""

    def __init__(self) -> None:
        self._luma_before = self._light_before = self._usual = np.zeros((0, 0), np.float32)
        self._curve = np.zeros(_BINS)
        self._cells = np.zeros((0, 0), np.float32)

    def next(self, cells: NDArray[np.float32]) -> Correction:
        """The correction of the network's output for the next frame, of whose cells these are the
        means, float32 [2, rows, columns]: of its luma and of that output."""
        luma, light = cells
        if self._cells.shape != luma.shape or _is_cut(luma, self._luma_before):
            self._usual, self._curve[:], self._cells = luma, 0, np.zeros_like(luma)
        else:
            self._take_back(luma, light)
        self._luma_before, self._light_before = luma, light
        return self._correction()

    def _take_back(self, luma: NDArray[np.floating], light: NDArray[np.floating]) -> None:
        still = _everywhere(np.abs(luma - self._usual) < _STILL)
        self._usual = np.where(still, _KEPT * self._usual + (1 - _KEPT) * luma, luma)
        changes = light - self._light_before
        # By the mean of both, for what noise adds to a cell's luma it adds to its light.
        where = ((luma + self._luma_before) * (_BINS / 512)).astype(int).clip(0, _BINS - 1)
        counts = np.bincount(where[still], minlength=_BINS)
        sums = np.bincount(where[still], changes[still], minlength=_BINS)
        overall = changes[still].mean() if still.any() else 0.0
        by_luma = (sums + _TRUSTED * overall) / (counts + _TRUSTED)
        self._curve = (self._curve - by_luma) * _KEPT
        kept = (self._cells - (changes - by_luma[where])) * _KEPT
        # Where the camera itself moves, what seems to be still is only flat.
        kept_here = still & (still.mean() > _TRIPOD_SHARE)
        self._cells = np.where(kept_here, kept, self._cells * _LET_GO).astype(np.float32)

    def _correction(self) -> Correction:
        centres = (np.arange(_BINS) + 0.5) * (256 / _BINS)
        curve = np.interp(np.arange(256), centres, self._curve).astype(np.float32)
        # Straight lines between the middles mix each cell with its neighbours: so more of it.
        cells = 2 * self._cells - _mixed(_mixed(self._cells).T).T
        return Correction(curve, np.pad(cells, 1, "edge"))


def _everywhere(still: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the cells around are still, too: what moves comes in over an edge."""
    for _ in range(2):
        padded = np.pad(still, ((1, 1), (0, 0)), "edge")
        still = (padded[:-2] & padded[1:-1] & padded[2:]).T
    return still


def _mixed(cells: NDArray[np.floating]) -> NDArray[np.floating]:
    """Means over cells, of each row, of what lies on straight lines between their middles."""
    padded = np.pad(cells, ((0, 0), (1, 1)), "edge")
    return (padded[:, :-2] + 6 * padded[:, 1:-1] + padded[:, 2:]) / np.float32(8)


def _is_cut(luma: NDArray[np.floating], before: NDArray[np.floating]) -> bool:
    bins = [np.bincount((one.ravel() / 16).astype(int), minlength=16) for one in (luma, before)]
    return bool(np.abs(bins[0] - bins[1]).sum() / 2 > _CUT_SHARE * luma.size)
