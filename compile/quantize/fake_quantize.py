"""A network under fake quantization, to be trained on, and the way back to plain weights.

Quantization-aware training (Jacob et al., CVPR 2018, section 3) through PT2E: the graph rounds
every tensor as the scheme will, and gradients pass straight through the rounding. What comes out
are weights like any other, which :func:`compile.quantize.quantize.quantize_network` then quantizes.
"""

from __future__ import annotations

import copy
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
from compile.quantize.calibration import CROPS, SEED, calibration_crops
from compile.quantize.count_convolutions import check_complete, count_convolutions
from compile.quantize.equalize import equalize_concats
from compile.quantize.fold import fold_batch_norms, unfold_batch_norms
from compile.quantize.observers import FastHistogramObserver, WideMinMaxObserver
from compile.quantize.one_thread import one_thread
from compile.quantize.precisions import precisions_of
from compile.quantize.pt2e import (
    FakeQuantize,
    MovingAveragePerChannelMinMaxObserver,
    QuantizationSpec,
    prepare_qat_pt2e,
)
from compile.quantize.quantizer import SchemeQuantizer
from compile.quantize.schemes import Scheme
from compile.quantize.specifications import (
    LEAST_SCALE,
    OBSERVED,
    OBSERVED_ONCE_PER_IMAGE,
    WEIGHTS,
    Specifications,
)
from compile.support.errors import MqnetError

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
    folded = fold_batch_norms(net)
    crops = torch.from_numpy(calibration_crops(photos, SEED, CROPS)).permute(0, 3, 1, 2) / 255
    with one_thread(), torch.no_grad():
        equalize_concats(folded, network.joined_tensors(folded), crops)
        return rounding_network(network, folded, scheme, crops)


def rounding_network(
    network: Network, folded: nn.Module, scheme: Scheme, crops: Tensor
) -> GraphModule:
    """As :func:`fake_quantized`, of a module without batch norms, calibrated on float32 ``crops``
    [N,C,H,W]. Its parameters are copies of those of ``folded``."""
    wrapper = Batched(folded).requires_grad_()
    # Guards would tie the graph to the size and number of the crops.
    graph = torch.export.export(wrapper, (crops[:2],)).module(check_guards=False)
    assert isinstance(graph, GraphModule)
    parts, root = network.parts(graph.graph), network.module_path
    quantizer = SchemeQuantizer(scheme, parts, network.known_ranges, FAKE_QUANTIZERS, root=root)
    precisions = precisions_of(parts, scheme, root)
    wanted = count_convolutions(folded, graph.graph, parts, precisions)
    prepared = prepare_qat_pt2e(graph, quantizer)
    check_complete(wanted, quantizer.convolutions)
    for crop in crops:
        prepared(crop[None])
    for module in prepared.modules():
        if isinstance(module, CalibratedFakeQuantize):
            module.freeze()
    return prepared


def fine_tune(network: Network, folded: nn.Module, scheme: Scheme, crops: Tensor) -> None:
    """Let the training function of ``network`` train ``folded``, a module without batch norms,
    under the rounding of ``scheme``, in place. Float32 ``crops`` [N,C,H,W] calibrate it.

    Raises:
        MqnetError: the function fails, or leaves weights that are no numbers.
    """
    train = network.training
    assert train is not None
    exact = copy.deepcopy(folded).requires_grad_(False)
    with torch.no_grad():
        module = rounding_network(network, folded, scheme, crops)
    with torch.enable_grad(), torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED)
        try:
            train(module, exact)
        except Exception as error:  # Of the user's own code.
            lines = [line for line in str(error).splitlines() if line.strip()]
            said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
            raise MqnetError(f"the training function of {network.title} fails: {said}") from error
    load_trained(folded, module)
    if not all(tensor.isfinite().all() for tensor in folded.parameters()):
        raise MqnetError(
            f"the training function of {network.title} leaves weights that are no numbers: choose "
            "a lower learning rate"
        )
    folded.requires_grad_(False)


def load_trained(folded: nn.Module, module: nn.Module) -> None:
    """Give ``folded`` the weights of ``module``, which was a :func:`rounding_network` of it."""
    state = module.state_dict()
    folded.load_state_dict({name: state[f"{ROOT}.{name}"] for name in folded.state_dict()})


def trained_network(module: nn.Module, net: _Net) -> _Net:
    """``net``, a new module of the same network, in evaluation mode and with the weights of a
    :func:`fake_quantized` one."""
    folded = fold_batch_norms(net.eval())
    load_trained(folded, module)
    return unfold_batch_norms(folded, net)
