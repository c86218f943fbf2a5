"""Make the tensors that a concat joins alike in range, exactly, before they are quantized.

A concat only moves bytes, so its inputs and its output share scale and zero point, and a tensor of
small range beside one of a large range loses bits. The decoder's tensors are linear or ReLU
outputs, so a scale per channel can be moved from their producer's weights to their readers' without
changing what the network computes (cross-layer equalization: Nagel et al., "Data-free quantization
through weight equalization and bias correction", ICCV 2019, section 4.1).

PSNR of ``mixed`` against float32, mean over 31 held-out crops (``ca``, the undertrained weights):
52.6 dB where a concat's tensors share nothing (which integers cannot add up), 52.2 dB where they
share as they are, 52.9 dB with every channel scaled to the full range, 53.4 dB with one scale for
all channels of a tensor, and 53.5 dB with the geometric mean of the two, which is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compile.networks.mqnet.network import InvertedResidual, MQNet

SKIP_RANGE = 6.0
"""Skips are ReLU6 outputs."""

IMAGE_RANGE = 1.0
"""The image lies in [0, 1]."""

LEAST_PEAK = 1e-3
"""Channels that are dead beside the largest are not blown up by more than its square root."""


def equalize_concats(net: MQNet, images: Tensor) -> None:
    """Scale, in place, what the decoder upsamples to the range of what it is joined with.

    ``net`` has its batch norms folded; ``images`` are float32 [N, 3, H, W] in [0, 1] and give the
    ranges. The output of the network does not change, but for float32 rounding.
    """
    decoder = net.backbone.decoder
    stages = list(decoder.stages)
    readers = [stage[0].expand.conv for stage in stages[1:]] + [decoder.merge_skip.conv]
    peaks = _channel_peaks(net, [*stages, decoder.merge_skip], images)
    for stage, reader in zip(stages, readers, strict=True):
        scale = _balanced_scale(peaks[stage], SKIP_RANGE)
        _scale_stage(stage, scale)
        _divide_inputs(reader, scale)
    scale = _balanced_scale(peaks[decoder.merge_skip], IMAGE_RANGE)
    _multiply_outputs(decoder.merge_skip.conv, scale)
    _divide_inputs(decoder.merge_image.conv, scale)


def _balanced_scale(peaks: Tensor, wanted: float) -> Tensor:
    """Scale per channel, [C], after which the largest peak is ``wanted`` and the others nearer it.

    ``wanted / sqrt(peak * largest peak)``: half-way, in powers, between one scale for all channels
    and full use of the range by each, which would make the readers' weights as uneven as the
    channels were (SmoothQuant's alpha = 0.5: Xiao et al., ICML 2023, section 4).
    """
    largest = peaks.max()
    return wanted / (peaks.clamp_min(largest * LEAST_PEAK) * largest).sqrt()


def _channel_peaks(net: MQNet, modules: list[nn.Module], images: Tensor) -> dict[nn.Module, Tensor]:
    """The largest magnitude of each channel of each module's output, [C], over all images."""
    peaks: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        peak = output.abs().amax(dim=(0, 2, 3))
        peaks[module] = torch.maximum(peaks[module], peak) if module in peaks else peak

    hooks = [module.register_forward_hook(record) for module in modules]
    with torch.no_grad():
        for image in images:
            net.backbone(image[None])
    for hook in hooks:
        hook.remove()
    return peaks


def _scale_stage(stage: nn.Sequential, scale: Tensor) -> None:
    """Multiply the channels of a decoder stage's output, [C], keeping its gates as they are."""
    for position, block in enumerate(stage):
        block: InvertedResidual
        if position > 0:
            _divide_inputs(block.expand.conv, scale)
        _multiply_outputs(block.project.conv, scale)
        for name in getattr(block.attention, "reads_input", ()):
            _divide_inputs(getattr(block.attention, name), scale)


def _multiply_outputs(conv: nn.Conv2d, scale: Tensor) -> None:
    conv.weight.data *= scale[:, None, None, None]
    conv.bias.data *= scale


def _divide_inputs(conv: nn.Conv2d, scale: Tensor) -> None:
    """Divide the weights that read the first len(scale) input channels."""
    if conv.groups == 1:
        conv.weight.data[:, : len(scale)] /= scale[:, None, None]
    else:
        conv.weight.data /= scale[:, None, None, None]
