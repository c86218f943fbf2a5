"""Smooths MQNet's output where the photograph is white and tells nothing.

Behind a quarter of the size the network (the paper's) has nearest-neighbour upsampling, 1x1
convolutions and one of 3x3. Where the photograph has detail its own pixels hide that; in a blown
area all that is left are squares of 4x4 pixels. So there the difference between the output and what
the photograph's pixels say is read as what it is, one value a square, and interpolated between the
squares' middles.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compile.imaging.brightest_channel import darkest_channel
from compile.imaging.decode_hdr import srgb_curve
from compile.imaging.square_means import STEP, square_means

# Smoothed fully where the darkest channel has the second value, and not at all below the first.
_BLOWN_FROM, _BLOWN = 235, 250
# Squares by which a blown one reaches into those about it: the mean of three, and interpolation.
_REACH = 2
_TILE = 32
_WEIGHTS = np.interp(np.arange(256), (_BLOWN_FROM, _BLOWN), (0, 1)).astype(np.float32)
_PLAIN = srgb_curve()
# Between the middles of two squares, pixel by pixel: how much of the one that is farther away.
_FARTHER = np.array((0.375, 0.125, 0.125, 0.375), np.float32)
_NEIGHBOUR = (-1, -1, 1, 1)


def smooth_blown(output: NDArray[np.float32], frame: NDArray[np.uint8]) -> None:
    """Smooth H, float32 [H,W,3], in place, where ``frame``, uint8 [H,W,3], is blown: all of its
    channels are near 255. Elsewhere nothing changes.

    ``frame`` lies on the network's grid: its first pixel is the first of a square. It takes as
    much memory again as ``frame``.
    """
    weights = _mean_of_squares(_WEIGHTS, darkest_channel(frame))
    if weights is None:
        return
    weights = _mean_of_three(_areas(weights))
    differences = np.zeros((*weights.shape, 3), np.float32)
    for squares, pixels in _tiles(weights, frame.shape, halo=_REACH):
        part = output[pixels] - _PLAIN.take(frame[pixels], mode="clip")
        differences[squares] = square_means(part)
    differences = _mean_of_three(differences)
    for squares, pixels in _tiles(weights, frame.shape):
        part = output[pixels]
        smooth = _between(differences, squares)[: part.shape[0], : part.shape[1]]
        share = _between(weights[..., None], squares)[: part.shape[0], : part.shape[1]]
        smooth += _PLAIN.take(frame[pixels], mode="clip")
        smooth -= part
        smooth *= share
        part += smooth


def _mean_of_squares(
    table: NDArray[np.float32], values: NDArray[np.uint8]
) -> NDArray[np.float32] | None:
    """Of ``table`` at ``values`` [H,W], square by square; None where all are 0."""
    height, width = values.shape
    means = np.zeros((-(-height // STEP), -(-width // STEP)), np.float32)
    found = False
    for top in range(0, height, _TILE * STEP):
        band = values[top : top + _TILE * STEP]
        if band.max(initial=0) > _BLOWN_FROM:
            found = True
            first = top // STEP
            rows = slice(first, first + -(-len(band) // STEP))
            means[rows] = square_means(table.take(band, mode="clip")[..., None])[..., 0]
    return means if found else None


def _areas(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """``weights`` [rows, columns] without what is narrower than three squares: of specks, of which
    water and leaves have thousands, nobody sees the shape."""
    for extreme in (np.minimum, np.maximum):
        for axis in (0, 1):
            before, own, after = _three(weights, axis)
            weights = np.moveaxis(extreme(extreme(before, own), after), 0, axis)
    return weights


def _three(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.float32], ...]:
    """Of each of ``values`` along ``axis``, which comes first, the one before it, itself, and the
    one after it; the edge stands for what is beyond it."""
    padding = [(1, 1) if axis == one else (0, 0) for one in range(values.ndim)]
    padded = np.moveaxis(np.pad(values, padding, mode="edge"), axis, 0)
    return padded[:-2], padded[1:-1], padded[2:]


def _mean_of_three(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of [rows, columns, ...] with weights 1, 2, 1 in both directions."""
    for axis in (0, 1):
        before, own, after = _three(values, axis)
        values = np.moveaxis((before + after) * np.float32(0.25) + own * np.float32(0.5), 0, axis)
    return values


def _tiles(
    weights: NDArray[np.float32], shape: tuple[int, ...], halo: int = 0
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """The tiles within ``halo`` squares of where ``weights``, interpolated, are not 0: as squares,
    and as pixels of a picture of ``shape``."""
    rows, columns = weights.shape
    margin = 1 + halo
    for top in range(0, rows, _TILE):
        for left in range(0, columns, _TILE):
            around = weights[
                max(top - margin, 0) : top + _TILE + margin,
                max(left - margin, 0) : left + _TILE + margin,
            ]
            if around.any():
                bottom, right = min(top + _TILE, rows), min(left + _TILE, columns)
                pixels = (
                    slice(top * STEP, min(bottom * STEP, shape[0])),
                    slice(left * STEP, min(right * STEP, shape[1])),
                )
                yield (slice(top, bottom), slice(left, right)), pixels


def _between(values: NDArray[np.float32], squares: tuple[slice, slice]) -> NDArray[np.float32]:
    """The pixels of ``squares``, [h,w,C], interpolated between the squares' middles."""
    rows, columns = (
        np.arange(part.start - 1, part.stop + 1).clip(0, total - 1)
        for part, total in zip(squares, values.shape[:2], strict=True)
    )
    high, wide, channels = len(rows) - 2, len(columns) - 2, values.shape[2]
    around = values[rows[:, None], columns].reshape(high + 2, -1)
    near = np.arange(1, wide + 1).repeat(STEP)
    numbers = (near, near + np.tile(_NEIGHBOUR, wide))
    # Element by element in rows: NumPy is slow where its innermost loop is over three channels.
    own, other = (
        around.take((number[:, None] * channels + np.arange(channels)).ravel(), 1)
        for number in numbers
    )
    own += (other - own) * np.tile(_FARTHER, wide).repeat(channels)
    full = np.empty((high, STEP, own.shape[1]), np.float32)
    for step in range(STEP):
        first = 1 + _NEIGHBOUR[step]
        np.subtract(own[first : first + high], own[1:-1], out=full[:, step])
        full[:, step] *= _FARTHER[step]
        full[:, step] += own[1:-1]
    return full.reshape(high * STEP, wide * STEP, channels)
