"""A network under fake quantization, to be trained on, and the way back to plain weights.

Quantization-aware training (Jacob et al., CVPR 2018, section 3) through PT2E: the graph rounds
every tensor as the scheme will, and gradients pass straight through the rounding. What comes out
are weights like any other, which :func:`compile.quantize.quantize.quantize_network` then quantizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx import GraphModule

from compile.networks.export_wrapper import ROOT
from compile.networks.network import Network
from compile.quantize.calibration import calibration_crops
from compile.quantize.equalize import equalize_concats
from compile.quantize.fold import fold_batch_norms, unfold_batch_norms
from compile.quantize.observers import FastHistogramObserver, WideMinMaxObserver
from compile.quantize.precisions import precisions_of
from compile.quantize.pt2e import (
    FakeQuantize,
    MovingAveragePerChannelMinMaxObserver,
    QuantizationSpec,
    prepare_qat_pt2e,
)
from compile.quantize.quantize import CROPS, SEED, check_complete, count_convolutions, one_thread
from compile.quantize.quantizer import (
    LEAST_SCALE,
    OBSERVED,
    OBSERVED_ONCE_PER_IMAGE,
    WEIGHTS,
    SchemeQuantizer,
    Specifications,
)
from compile.quantize.schemes import Scheme

_Net = TypeVar("_Net", bound=nn.Module)


class CalibratedFakeQuantize(FakeQuantize):
    """Watches until it is frozen, and from then on rounds with the scale that calibration found.

    torchao's own computes a scale with every call while it watches: a search, for a histogram.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x``, rounded once this is frozen."""
        if self.observer_enabled[0]:
            return self.activation_post_process(x)
        return torch.fake_quantize_per_tensor_affine(
            x, self.scale, self.zero_point, self.quant_min, self.quant_max
        )

    def freeze(self) -> None:
        """Fix scale and zero point, and forget what was seen."""
        scale, zero_point = self.calculate_qparams()
        self.scale.copy_(scale)
        self.zero_point.copy_(zero_point)
        self.disable_observer()
        del self.activation_post_process


def _fake(
    specification: QuantizationSpec, kind: type[FakeQuantize], **observer: object
) -> QuantizationSpec:
    made = kind.with_args(eps=LEAST_SCALE, **observer)
    return replace(specification, observer_or_fake_quant_ctr=made)


FAKE_QUANTIZERS = Specifications(
    activations=_fake(OBSERVED, CalibratedFakeQuantize, observer=FastHistogramObserver),
    once_per_image=_fake(
        OBSERVED_ONCE_PER_IMAGE, CalibratedFakeQuantize, observer=WideMinMaxObserver
    ),
    # Weights change with every step, and their range with them: no memory of what it was.
    weights=_fake(
        WEIGHTS,
        FakeQuantize,
        observer=MovingAveragePerChannelMinMaxObserver,
        averaging_constant=1.0,
    ),
)


class Batched(nn.Module):
    """Float32 [N,3,H,W] to the same: a network below the path that the quantizer knows it by."""

    def __init__(self, net: nn.Module) -> None:
        """Around ``net``."""
        super().__init__()
        self.net = net

    def forward(self, photos: Tensor) -> Tensor:
        """The network's output for ``photos``."""
        return self.net(photos)


def fake_quantized(
    network: Network, net: nn.Module, scheme: Scheme, photos: Sequence[NDArray[np.uint8]]
) -> GraphModule:
    """``net``, the module of ``network``, with its batch norms folded and rounding as ``scheme``
    will: float32 [N,3,H,W] to float32 [N,C,H,W].

    Scales of activations are calibrated on ``photos``, uint8 [H,W,3], and stay; those of weights
    follow the weights, which are parameters of the module.
    """
    folded = fold_batch_norms(net).requires_grad_()
    crops = torch.from_numpy(calibration_crops(photos, SEED, CROPS)).permute(0, 3, 1, 2) / 255
    with one_thread(), torch.no_grad():
        equalize_concats(folded, network.joined_tensors(folded), crops)
        # Guards would tie the graph to the size and number of the crops.
        graph = torch.export.export(Batched(folded), (crops[:2],)).module(check_guards=False)
        parts = network.parts(graph.graph)
        quantizer = SchemeQuantizer(scheme, parts, network.known_ranges, FAKE_QUANTIZERS)
        precisions = precisions_of(parts, scheme, network.module_path)
        wanted = count_convolutions(folded, graph.graph, parts, precisions)
        prepared = prepare_qat_pt2e(graph, quantizer)
        check_complete(wanted, quantizer.convolutions)
        for crop in crops:
            prepared(crop[None])
        for module in prepared.modules():
            if isinstance(module, CalibratedFakeQuantize):
                module.freeze()
    return prepared


def trained_network(module: nn.Module, net: _Net) -> _Net:
    """``net``, a new module of the same network, in evaluation mode and with the weights of a
    :func:`fake_quantized` one."""
    folded = fold_batch_norms(net.eval())
    state = module.state_dict()
    folded.load_state_dict({name: state[f"{ROOT}.{name}"] for name in folded.state_dict()})
    return unfold_batch_norms(folded, net)
