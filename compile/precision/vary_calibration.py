"""How much the dB depend on which photographs the scales of activations are chosen on."""

from __future__ import annotations

import contextlib
import math
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.build_request import BuildRequest
from compile.precision.measure_decibels import ExactOutputs
from compile.quantize.crop_size import crop_size
from compile.quantize.quantize import quantize_network
from compile.support.errors import MqnetError
from compile.support.progress import Step

_SEED = 0
# Where two choices differ by more, there are too few photographs.
_MUCH_DB = 1.0


@dataclass(frozen=True)
class CalibrationRow:
    """Of so many photographs.

    Attributes:
        photographs: that scales were chosen on.
        choices: of those, each calibrated anew.
        mean_db, least_db, most_db: mean over the outputs, over the choices.
        worst_db: of one output, of all choices.
    """

    photographs: int
    choices: int
    mean_db: float
    least_db: float
    most_db: float
    worst_db: float

    @property
    def spread(self) -> float:
        """dB by which the choices differ."""
        return self.most_db - self.least_db

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "spread_db": self.spread}


def choices_of(count: int, size: int, most: int) -> list[tuple[int, ...]]:
    """Choose ``most`` different rows of ``size`` of the numbers below ``count``, or all that there
    are, those in order first; the same each time.

    Crops are cut from photographs in turn, so another order of the same ones gives other crops.
    """
    draw, found = random.Random(_SEED), {tuple(range(size)): None}
    for _ in range(min(most, math.perm(count, size)) - 1):
        while (one := tuple(draw.sample(range(count), size))) in found:
            pass
        found[one] = None
    return [*found]


def plan_choices(count: int, most: int) -> list[tuple[int, ...]]:
    """All choices of ``count`` photographs that :func:`vary_calibration` tries: of one, two, four
    and so on, and all of them, of which the first is what a build takes."""
    sizes = [2**power for power in range(count.bit_length()) if 2**power < count]
    return [one for size in (*sizes, count) for one in choices_of(count, size, most)]


def vary_calibration(
    request: BuildRequest,
    photos: Sequence[NDArray[np.uint8]],
    plan: Sequence[tuple[int, ...]],
    exact: ExactOutputs,
    step: Step,
) -> list[CalibrationRow]:
    """Quantize the network of ``request`` on each choice of ``photos`` in the ``plan``, by their
    numbers, and measure it; ``step`` counts them.

    Raises:
        MqnetError: it cannot be quantized.
    """
    by_size: dict[int, list[list[float]]] = {}
    for chosen, found in zip(plan, _decibels(request, photos, plan, exact), strict=True):
        by_size.setdefault(len(chosen), []).append(found)
        step.advance()
    rows = []
    for size, choices in by_size.items():
        means = [statistics.fmean(each) for each in choices]
        least, most, worst = min(means), max(means), min(map(min, choices))
        rows.append(CalibrationRow(size, len(means), statistics.fmean(means), least, most, worst))
    return rows


def check_can_vary(request: BuildRequest) -> None:
    """Raise where there is nothing to vary.

    Raises:
        MqnetError: it says why.
    """
    network, scheme = request.network, request.quantization
    network.check_scheme(scheme.name, scheme.calibrates)
    if network.scheme:
        raise MqnetError(f"network {network.title} is quantized already: give one in float")
    if not scheme.calibrates:
        raise MqnetError(f"scheme {scheme.name} chooses no scales: name one with int8 activations")
    if not network.takes_photographs:
        raise MqnetError(f"network {network.title} takes tensors, and photographs are varied")


def why_too_few(rows: Sequence[CalibrationRow]) -> str:
    """Why there are too few photographs in ``rows``, or "": other crops of all of them change
    much."""
    *_, whole = rows
    if whole.spread <= _MUCH_DB:
        return ""
    number = "1 photograph is" if whole.photographs == 1 else f"{whole.photographs} photographs are"
    return (
        f"{number} too few to choose scales on: two choices of crops differ by "
        f"{whole.spread:.1f} dB"
    )


def _decibels(
    request: BuildRequest,
    photos: Sequence[NDArray[np.uint8]],
    plan: Sequence[tuple[int, ...]],
    exact: ExactOutputs,
) -> Iterator[list[float]]:
    network = request.network
    net = network.load(request.weights)
    crop = crop_size(network, net, *request.size)
    for chosen in plan:
        with contextlib.redirect_stdout(sys.stderr):
            program = quantize_network(
                network,
                net,
                request.quantization,
                [photos[number] for number in chosen],
                *request.size,
                crop,
            )
        yield exact.decibels(program)
