"""Weights for a network that brings none: seeded, and such that features keep their size."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

RELU_GAIN = math.sqrt(2.0)
"""Of a layer with a ReLU behind it, which halves the mean square."""

_Layer = TypeVar("_Layer", nn.Conv2d, nn.ConvTranspose2d)
_Net = TypeVar("_Net", bound=nn.Module)


def start(layer: _Layer, gain: float = 1.0, bias: float = 0.0) -> _Layer:
    """``layer``, for which :func:`fill_he_weights` takes this ``gain`` and ``bias``.

    1 suits a layer without activation; less keeps a long chain of residual sums from growing.
    """
    layer.start = (gain, bias)  # type: ignore[assignment]
    return layer


def fill_he_weights(net: _Net, seed: int = 0) -> _Net:
    """``net``, in evaluation mode, with weights drawn as He et al. (ICCV 2015, section 2.2) do.

    A weight is normal with deviation gain / sqrt(fan in), where fan in is the number of products
    in an output. Biases are zero, but for those that :func:`start` names, and batch norms the
    identity. The numbers are drawn in float64, so that machines agree but for a last bit of a few.
    A module with a method ``derive_weights`` is told afterwards to compute what follows from them.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                _fill_layer(module, generator)
        for module in net.modules():
            derive = getattr(module, "derive_weights", None)
            if callable(derive):
                derive()
    return net.eval()


def _fill_layer(layer: nn.Conv2d | nn.ConvTranspose2d, generator: torch.Generator) -> None:
    gain, bias = getattr(layer, "start", (RELU_GAIN, 0.0))
    fan_in: float = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        # An output is the sum over the input channels of the taps that fall on its phase.
        taps = math.prod(layer.kernel_size) / math.prod(layer.stride)
        fan_in = layer.in_channels * taps / layer.groups
    drawn = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
    layer.weight.copy_(drawn * (gain / math.sqrt(fan_in)))
    if layer.bias is not None:
        layer.bias.fill_(bias)
