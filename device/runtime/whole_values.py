"""The numbers that a feature map of a whole picture decides, added up tile by tile: as integers of
int8, else in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from compile.artefact.stage_facts import WholeValue

#: Rows whose squares are added up in float32 before they go into float64.
_ROWS = 8


class Total(Protocol):
    """What is added up of a feature map."""

    def add(self, part: NDArray[Any]) -> None:
        """Take in ``part`` of it, [H, W, C]; each pixel is in one part."""

    def values(self) -> tuple[NDArray[Any], ...]:
        """What the stages that read it take."""


def total_for(value: WholeValue) -> Total:
    """Begin to add up for ``value``."""
    return _TOTALS[value.kind](value)


class _IntegerMean:
    """As :func:`compile.kernels.cpu.plain.mean.create_mean` computes it of a whole feature map, bit
    for bit, and for any number of pixels."""

    def __init__(self, value: WholeValue) -> None:
        self._value = value
        self._sums = np.zeros(value.shape[-1], np.int64)
        self._pixels = 0

    def add(self, part: NDArray[Any]) -> None:
        self._pixels += part.shape[0] * part.shape[1]
        self._sums += part.sum((0, 1), np.int64)

    def values(self) -> tuple[NDArray[Any], ...]:
        facts = self._value
        scale = np.float64(np.float32(facts.output_scale)) * self._pixels
        multiplier = np.float32(np.float64(np.float32(facts.input_scale)) / scale)
        centred = self._sums - facts.input_zero_point * self._pixels
        steps = np.rint(centred.astype(np.float32) * multiplier)
        means = np.clip(steps + facts.output_zero_point, facts.low, facts.high)
        return (means.astype(np.int8).reshape(facts.shape),)


class _Moments:
    """Mean and sum of squared deviations, merged as Chan, Golub and LeVeque, "Updating Formulae and
    a Pairwise Algorithm for Computing Sample Variances" (1979)."""

    def __init__(self, value: WholeValue) -> None:
        self._value = value
        self._mean = np.zeros(value.shape[-1])
        self._squares = np.zeros(value.shape[-1])
        self._pixels = 0

    def add(self, part: NDArray[Any]) -> None:
        for first in range(0, part.shape[0], _ROWS):
            self._merge(part[first : first + _ROWS])

    def _merge(self, rows: NDArray[Any]) -> None:
        pixels = np.ascontiguousarray(rows, np.float32).reshape(-1, rows.shape[-1])
        count = len(pixels)
        ones = np.ones(count, np.float32)
        mean = (ones @ pixels) / np.float32(count)
        deviations = pixels - mean
        # What rounding has left in the mean is in their sum.
        rest = ((ones @ deviations) / np.float32(count)).astype(np.float64)
        np.square(deviations, out=deviations)
        squares = (ones @ deviations).astype(np.float64) - count * rest**2
        offset = mean + rest - self._mean
        both = self._pixels + count
        self._mean += offset * (count / both)
        self._squares += squares + offset**2 * (self._pixels * count / both)
        self._pixels = both


class _Mean(_Moments):
    def values(self) -> tuple[NDArray[Any], ...]:
        return (self._mean.astype(self._value.dtype).reshape(self._value.shape),)


class _Norm(_Moments):
    def values(self) -> tuple[NDArray[Any], ...]:
        facts = self._value
        variance = self._squares / self._pixels
        scale = np.array(facts.gamma) / np.sqrt(variance + facts.epsilon)
        shift = np.array(facts.beta) - self._mean * scale
        return tuple(one.astype(np.float32).reshape(facts.shape) for one in (scale, shift))


_TOTALS: dict[str, Callable[[WholeValue], Total]] = {
    "integer mean": _IntegerMean,
    "mean": _Mean,
    "norm": _Norm,
}
