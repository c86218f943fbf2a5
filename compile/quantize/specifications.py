"""How each kind of tensor is watched for its range, or which range it has without being watched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from compile.quantize.observers import FastHistogramObserver, RangeObserver, WideMinMaxObserver
from compile.quantize.pt2e import (
    FixedQParamsQuantizationSpec,
    PerChannelMinMaxObserver,
    QuantizationSpec,
)
from compile.quantize.schemes import Calibration

aten = torch.ops.aten


def fixed_range(scale: float, zero_point: int) -> FixedQParamsQuantizationSpec:
    """Int8 of a range that is known beforehand: real = scale * (q - zero_point)."""
    return FixedQParamsQuantizationSpec(
        torch.int8, scale, zero_point, -128, 127, torch.per_tensor_affine
    )


# Exact for a photograph of 8 bits: the byte u becomes u - 128.
IMAGE = fixed_range(1 / 255, -128)

FIXED_OUTPUTS = {
    aten.hardsigmoid.default: fixed_range(1 / 255, -128),  # It reaches 1.
    aten.sigmoid.default: fixed_range(1 / 256, -128),
    aten.tanh.default: fixed_range(1 / 128, 0),
}

# What these read may be cut off there, for their own numbers of 8 bits are the same beyond: the
# least and the largest of them are reached half a step before.
SATURATION: Mapping[object, tuple[float, float]] = {
    aten.hardsigmoid.default: (-3.0, 3.0),
    aten.sigmoid.default: (math.log(0.5 / 255.5), math.log(254.5 / 1.5)),
    aten.tanh.default: (math.atanh(-127.5 / 128), math.atanh(126.5 / 128)),
}

# The least scale keeps the int32 bias in range: a bias below 2**31 * (2**-12)**2 = 128 always fits,
# also in a channel whose weights are all nearly zero.
LEAST_SCALE = 2**-12

# Histograms rather than extremes: 53.5 against 52.6 dB (see compile/quantize/equalize.py).
OBSERVED = QuantizationSpec(
    torch.int8,
    FastHistogramObserver.with_args(eps=LEAST_SCALE),
    -128,
    127,
    torch.per_tensor_affine,
)

# A global mean has one value per channel and photograph, so calibration sees few of them and the
# next photograph lies outside.
OBSERVED_ONCE_PER_IMAGE = replace(
    OBSERVED, observer_or_fake_quant_ctr=WideMinMaxObserver.with_args(eps=LEAST_SCALE)
)
WEIGHTS = QuantizationSpec(
    torch.int8,
    PerChannelMinMaxObserver.with_args(eps=LEAST_SCALE),
    -127,
    127,
    torch.per_channel_symmetric,
    ch_axis=0,
)


@dataclass(frozen=True)
class Specifications:
    """How tensors whose range is not known beforehand are watched or quantized.

    Attributes:
        activations: for most of them.
        once_per_image: for those of one pixel.
        weights: of convolutions.
    """

    activations: QuantizationSpec
    once_per_image: QuantizationSpec
    weights: QuantizationSpec

    def observed(
        self, once_per_image: bool, limits: tuple[float, float] | None = None
    ) -> QuantizationSpec:
        """How one is watched that is looked at between ``limits`` only."""
        chosen = self.once_per_image if once_per_image else self.activations
        if limits is None:
            return chosen
        given = chosen.observer_or_fake_quant_ctr.p
        made = given.func.with_args(**given.keywords, limits=limits)
        return replace(chosen, observer_or_fake_quant_ctr=made)


OBSERVERS = Specifications(OBSERVED, OBSERVED_ONCE_PER_IMAGE, WEIGHTS)
"""For quantization after training."""


def observers_for(calibration: Calibration) -> Specifications:
    """How tensors are watched whose ranges ``calibration`` chooses."""
    if calibration.method == "histogram":
        return OBSERVERS
    made = RangeObserver.with_args(calibration=calibration, eps=LEAST_SCALE)
    return replace(OBSERVERS, activations=replace(OBSERVED, observer_or_fake_quant_ctr=made))
