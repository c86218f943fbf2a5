"""Make the tensors that a concat joins alike in range, exactly, before they are quantized.

A concat only moves bytes, so its inputs and its output share scale and zero point, and a tensor of
small range beside one of a large range loses bits. Where such a tensor is a linear or ReLU output,
a scale per channel can be moved from its producer's weights to its readers' without changing what
the network computes (cross-layer equalization: Nagel et al., "Data-free quantization through weight
equalization and bias correction", ICCV 2019, section 4.1). The network names those tensors.

PSNR of MQNet's ``mixed`` against float32, mean over 31 held-out crops (undertrained ``ca``):
52.6 dB where a concat's tensors share nothing (which integers cannot add up), 52.2 dB where they
share as they are, 52.9 dB with every channel scaled to the full range, 53.4 dB with one scale for
all channels of a tensor, and 53.5 dB with the geometric mean of the two, which is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import torch
from torch import Tensor, nn

from compile.networks.network import JoinedTensor

LEAST_PEAK = 1e-3
"""Channels that are dead beside the largest are not blown up by more than its square root."""


def equalize_concats(net: nn.Module, joined: Sequence[JoinedTensor], images: Tensor) -> None:
    """Scale, in place, each of the ``joined`` tensors to the range of what it is joined with.

    ``net`` has its batch norms folded; ``images`` are float32 [N, C, H, W] in [0, 1] and give the
    ranges. The output of the network does not change, but for float32 rounding.
    """
    peaks = channel_peaks(net, [tensor.module for tensor in joined], images)
    for tensor in joined:
        scale = _balanced_scale(peaks[tensor.module], tensor.wanted)
        for conv in tensor.producers:
            _multiply_outputs(conv, scale)
        for conv in tensor.readers:
            _divide_inputs(conv, scale)


def _balanced_scale(peaks: Tensor, wanted: float) -> Tensor:
    """Scale per channel, [C], after which the largest peak is ``wanted`` and the others nearer it.

    ``wanted / sqrt(peak * largest peak)``: half-way, in powers, between one scale for all channels
    and full use of the range by each, which would make the readers' weights as uneven as the
    channels were (SmoothQuant's alpha = 0.5: Xiao et al., ICML 2023, section 4). 1 where all
    channels are dead.
    """
    largest = peaks.max()
    if not largest:
        return torch.ones_like(peaks)
    return wanted / (peaks.clamp_min(largest * LEAST_PEAK) * largest).sqrt()


def channel_peaks(
    net: nn.Module, modules: Sequence[nn.Module], images: Tensor
) -> dict[nn.Module, Tensor]:
    """The largest magnitude of each channel of each module's output, [C], over all images."""
    peaks: dict[nn.Module, Tensor] = {}
    one_at_a_time = Lock()

    def record(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        peak = output.abs().amax(dim=(0, 2, 3))
        with one_at_a_time:
            peaks[module] = torch.maximum(peaks[module], peak) if module in peaks else peak

    @torch.no_grad()  # It is a setting of each thread.
    def run(image: Tensor) -> None:
        net(image[None])

    hooks = [module.register_forward_hook(record) for module in modules]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        list(threads.map(run, images))
    for hook in hooks:
        hook.remove()
    return peaks


def _multiply_outputs(conv: nn.Conv2d, scale: Tensor) -> None:
    assert conv.bias is not None  # a batch norm was folded into it
    conv.weight.data *= scale[:, None, None, None]
    conv.bias.data *= scale


def _divide_inputs(conv: nn.Conv2d, scale: Tensor) -> None:
    """Divide the weights that read the first len(scale) input channels."""
    if conv.groups == 1:
        conv.weight.data[:, : len(scale)] /= scale[:, None, None]
    else:
        conv.weight.data /= scale[:, None, None, None]
