"""Quantize a network after training: from float weights and photographs to an exported program.

Stands between :mod:`compile.networks` and :mod:`compile.frontend`. The program computes in
float with quantize and dequantize operations (PT2E's form); the compiler turns those into integer
arithmetic.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from compile.networks.network import Network
from compile.quantize.calibration import CROP, calibration_crops
from compile.quantize.equalize import equalize_concats
from compile.quantize.fold import fold_batch_norms
from compile.quantize.name_weights import name_weights
from compile.quantize.observe_in_threads import observing_in_threads
from compile.quantize.pt2e import convert_pt2e, prepare_pt2e
from compile.quantize.quantizer import SchemeQuantizer
from compile.quantize.schemes import Precision, Scheme

CROPS = 24
"""How many crops calibrate the network."""

SEED = 0
"""Where the crops are cut; fixed, so that a build can be repeated bit for bit."""

log = logging.getLogger(__name__)


def quantize_network(
    network: Network,
    net: nn.Module,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    height: int,
    width: int,
) -> ExportedProgram:
    """Export ``net``, the module of ``network``, at a fixed size, quantized by ``scheme``.

    The program takes a uint8 image [1, height, width, 3] and gives float32 [1, height, width, C].
    ``photos``, uint8 [H, W, 3] of any sizes, are read only where activations are quantized.
    Calibration runs on crops, so that its cost does not depend on the size asked for. Nothing in
    the graph holds a size (upsampling is by a factor, pooling is to 1x1), so the converted graph is
    simply exported once more at that size.

    Raises:
        MqnetError: the network does not take this size.
    """
    network.check_size(height, width)
    dtype = getattr(torch, scheme.float_dtype)
    folded = fold_batch_norms(net).to(dtype)
    with one_thread():
        program = _quantized(network, folded, scheme, photos, dtype)
    return torch.export.export(program, network.example_inputs(height, width))


def _quantized(
    network: Network,
    folded: nn.Module,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    dtype: torch.dtype,
) -> nn.Module:
    wrapper = network.export_wrapper(folded, dtype).eval()
    precisions = (scheme.backbone, scheme.head)
    if Precision.INT8 in precisions:
        crops = torch.from_numpy(calibration_crops(photos, SEED, CROPS))
        if not scheme.fine_tuned:
            # Else it was done before training; once more would undo half of it (53.9 dB, not 55.4).
            images = crops.permute(0, 3, 1, 2) / 255
            equalize_concats(folded, network.joined_tensors(folded), images)
        return _quantize(network, wrapper, folded, scheme, crops)
    if Precision.WEIGHT_ONLY_INT8 in precisions:
        (crops,) = network.example_inputs(CROP, CROP)
        return _quantize(network, wrapper, folded, scheme, crops)
    return wrapper


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: sums in another order would give other scales on another machine, and
    beside other work its threads wait for each other ten times longer than they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _quantize(
    network: Network, wrapper: nn.Module, folded: nn.Module, scheme: Scheme, crops: Tensor
) -> GraphModule:
    """Prepare ``wrapper``, around ``folded``, calibrate on ``crops`` (uint8 [n, 256, 256, 3]) and
    convert."""
    # Guards would tie the graph to the size of the crops.
    graph = torch.export.export(wrapper, (crops[:1],)).module(check_guards=False)
    quantizer = SchemeQuantizer(scheme, network.backbone_path)
    prepared = prepare_pt2e(graph, quantizer)
    check_complete(folded, network.backbone, scheme, quantizer.convolutions)
    with torch.no_grad(), observing_in_threads(prepared):
        for crop in crops:
            prepared(crop[None])
    converted = convert_pt2e(prepared)
    name_weights(converted)
    log.info("scheme %s: int8 weights in %s", scheme.name, dict(quantizer.convolutions))
    return converted


def check_complete(net: nn.Module, backbone: str, scheme: Scheme, quantized: Counter[str]) -> None:
    """Compare with the modules of ``net``, whose ``backbone`` is at that path: a quantizer that
    matches nothing would raise nothing by itself.

    Raises:
        RuntimeError: a convolution was missed.
    """
    in_backbone = _count_convolutions(net.get_submodule(backbone))
    parts = (
        ("backbone", scheme.backbone, in_backbone),
        ("head", scheme.head, _count_convolutions(net) - in_backbone),
    )
    for part, precision, convolutions in parts:
        wanted = 0 if precision is Precision.FLOAT else convolutions
        if quantized[part] != wanted:
            raise RuntimeError(
                f"{quantized[part]} of the {wanted} convolutions of the {part} were quantized"
            )


def _count_convolutions(module: nn.Module) -> int:
    return sum(isinstance(inner, nn.Conv2d) for inner in module.modules())
