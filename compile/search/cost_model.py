"""Predicts how fast a configuration will be, from what was measured so far.

Gradient-boosted trees over the configuration's numbers and the kernel's extents. They learn each
time relative to the kernel's other ones, so that kernels of any size teach each other, and so do
the logs of other targets with the same instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from math import log2, prod

import numpy as np
import tvm
import xgboost
from numpy.typing import NDArray

from compile.kernels.common.kernel_function import FAMILY_ATTR, MACS_ATTR
from compile.kernels.families import FAMILIES
from compile.search.candidate import configuration_numbers

# Fewer measurements than this teach nothing.
_FEWEST = 8
_TUNABLE = [
    (family.name, family.configuration)
    for of_device in FAMILIES.values()
    for family in of_device.values()
    if family.configuration is not None
]
_FAMILIES = tuple(dict.fromkeys(name for name, _ in _TUNABLE))
_FIELDS = tuple(
    sorted({one.name for _, configuration in _TUNABLE for one in fields(configuration)})
)
_TREES = {
    "objective": "reg:squarederror",
    "max_depth": 6,
    "eta": 0.15,
    "subsample": 0.8,
    "min_child_weight": 2,
    "seed": 0,
    "nthread": 1,
}
_ROUNDS = 150


def kernel_features(module: tvm.IRModule) -> list[float]:
    """What a kernel is, of a module with that kernel: numbers on a logarithmic scale."""
    kernel = module["main"]
    shapes = [[int(extent) for extent in param.ty.shape] for param in kernel.params]
    attributes = kernel.attrs or {}
    family = str(attributes.get(FAMILY_ATTR, ""))
    macs = int(attributes.get(MACS_ATTR, 0))
    result, data = shapes[-1], shapes[0]
    return [
        float(_FAMILIES.index(family)) if family in _FAMILIES else -1.0,
        log2(1 + macs),
        *(log2(extent) for extent in ([1] * 4 + result)[-3:]),
        log2(data[-1]),
        log2(prod(data)),
        log2(macs / prod(result) if macs else 1),
    ]


def _features(kernel: Sequence[float], configuration: str) -> list[float]:
    numbers = configuration_numbers(configuration)
    chosen = [float(numbers.get(name, "nan")) for name in _FIELDS]
    tile = prod(numbers.get(name, 1) for name in ("pixels", "vectors"))
    block = prod(numbers.get(name, 1) for name in ("rows", "columns"))
    return [*kernel, *chosen, log2(tile), log2(block)]


class CostModel:
    """Learns from all that it is told; knows nothing at first."""

    def __init__(self) -> None:
        self._kernels: dict[str, list[float]] = {}
        self._seconds: dict[str, dict[str, float]] = {}
        self._trees: xgboost.Booster | None = None

    def tell(self, key: str, kernel: list[float], seconds: Mapping[str, float]) -> None:
        """Seconds of configurations of the kernel with the hash ``key``, which has the features
        ``kernel``."""
        self._kernels[key] = kernel
        self._seconds.setdefault(key, {}).update(seconds)

    def learn(self) -> None:
        """Fit anew to all that was told."""
        rows, targets = [], []
        for key, seconds in self._seconds.items():
            if len(seconds) < 2:
                continue
            times = np.log(list(seconds.values()))
            rows += [_features(self._kernels[key], configuration) for configuration in seconds]
            targets += list(times - np.median(times))
        if len(rows) >= _FEWEST:
            data = xgboost.DMatrix(np.array(rows), label=np.array(targets))
            self._trees = xgboost.train(_TREES, data, _ROUNDS)

    def predict(
        self, kernel: list[float], configurations: Iterable[str]
    ) -> NDArray[np.float64] | None:
        """Logarithm of the time of each configuration, up to a constant of the kernel; None while
        too little is known."""
        if self._trees is None:
            return None
        rows = np.array([_features(kernel, configuration) for configuration in configurations])
        return self._trees.predict(xgboost.DMatrix(rows)).astype(np.float64)
