"""Quantize MQNet after training: from float weights and photographs to an exported program.

Stands between :mod:`compile.networks.mqnet` and :mod:`compile.frontend`. The program computes in
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

from compile.networks.mqnet.export_wrapper import ExportWrapper
from compile.networks.mqnet.network import SIZE_MULTIPLE, MQNet
from compile.quantize.calibration import CROP, calibration_crops
from compile.quantize.equalize import equalize_concats
from compile.quantize.fold import fold_batch_norms
from compile.quantize.name_weights import name_weights
from compile.quantize.pt2e import convert_pt2e, prepare_pt2e
from compile.quantize.quantizer import MQNetQuantizer
from compile.quantize.schemes import Precision, Scheme
from compile.support.errors import MqnetError

CROPS = 24
"""How many crops calibrate the network."""

SEED = 0
"""Where the crops are cut; fixed, so that a build can be repeated bit for bit."""

log = logging.getLogger(__name__)


def quantize_network(
    net: MQNet,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    height: int,
    width: int,
) -> ExportedProgram:
    """``net`` as :class:`ExportWrapper` at a fixed size, quantized by ``scheme``.

    The program takes a uint8 image [1, height, width, 3] and gives float32 H of the same shape.
    ``photos``, uint8 [H, W, 3] of any sizes, are read only where activations are quantized.
    Calibration runs on crops, so that its cost does not depend on the size asked for. Nothing in
    the graph holds a size (upsampling is by a factor, pooling is to 1x1), so the converted graph is
    simply exported once more at that size.

    Raises:
        MqnetError: height or width is not a positive multiple of 32.
    """
    if min(height, width) < SIZE_MULTIPLE or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
        raise MqnetError(
            f"the network cannot be built for {height}x{width}: "
            f"height and width must be multiples of {SIZE_MULTIPLE}"
        )
    dtype = getattr(torch, scheme.float_dtype)
    deployed = ExportWrapper(fold_batch_norms(net).to(dtype), dtype).eval()
    with one_thread():
        program = _quantized(deployed, scheme, photos)
    return torch.export.export(program, (torch.zeros(1, height, width, 3, dtype=torch.uint8),))


def _quantized(
    deployed: ExportWrapper, scheme: Scheme, photos: Sequence[NDArray[np.uint8]]
) -> nn.Module:
    precisions = (scheme.backbone, scheme.head)
    if Precision.INT8 in precisions:
        crops = torch.from_numpy(calibration_crops(photos, SEED, CROPS))
        if not scheme.fine_tuned:
            # Else it was done before training; once more would undo half of it (53.9 dB, not 55.4).
            equalize_concats(deployed.net, crops.permute(0, 3, 1, 2) / 255)
        return _quantize(deployed, scheme, crops)
    if Precision.WEIGHT_ONLY_INT8 in precisions:
        return _quantize(deployed, scheme, torch.zeros(1, CROP, CROP, 3, dtype=torch.uint8))
    return deployed


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


def _quantize(deployed: ExportWrapper, scheme: Scheme, crops: Tensor) -> GraphModule:
    """Prepare, calibrate on ``crops`` (uint8 [n, 256, 256, 3]) and convert."""
    # Guards would tie the graph to the size of the crops.
    graph = torch.export.export(deployed, (crops[:1],)).module(check_guards=False)
    quantizer = MQNetQuantizer(scheme)
    prepared = prepare_pt2e(graph, quantizer)
    check_complete(deployed.net, scheme, quantizer.convolutions)
    with torch.no_grad():
        for crop in crops:
            prepared(crop[None])
    converted = convert_pt2e(prepared)
    name_weights(converted)
    log.info("scheme %s: int8 weights in %s", scheme.name, dict(quantizer.convolutions))
    return converted


def check_complete(net: MQNet, scheme: Scheme, quantized: Counter[str]) -> None:
    """Compare with the modules: a quantizer that matches nothing would raise nothing by itself."""
    for part, precision in (("backbone", scheme.backbone), ("head", scheme.head)):
        convolutions = [m for m in getattr(net, part).modules() if isinstance(m, nn.Conv2d)]
        wanted = 0 if precision is Precision.FLOAT else len(convolutions)
        if quantized[part] != wanted:
            raise RuntimeError(
                f"{quantized[part]} of the {wanted} convolutions of the {part} were quantized"
            )
