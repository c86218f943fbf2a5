"""Quantize a network after training: from float weights and photographs to an exported program.

Stands between :mod:`compile.networks` and :mod:`compile.frontend`. The program computes in
float with quantize and dequantize operations (PT2E's form); the compiler turns those into integer
arithmetic.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from compile.networks.export_wrapper import ROOT
from compile.networks.network import Network
from compile.quantize.calibration import CROPS, SEED, calibration_crops
from compile.quantize.correct_bias import correct_biases, float_weights
from compile.quantize.count_convolutions import check_complete, count_convolutions
from compile.quantize.crop_size import crop_size
from compile.quantize.equalize import equalize_concats
from compile.quantize.equalize_layers import equalize_layers
from compile.quantize.export_network import export_network
from compile.quantize.fake_quantize import fine_tune
from compile.quantize.fold import fold_batch_norms, fold_traced_batch_norms
from compile.quantize.generate_late import generating_late
from compile.quantize.lift_program import lift_program
from compile.quantize.name_weights import name_weights
from compile.quantize.observe_in_threads import observing_in_threads
from compile.quantize.observed_tensors import ObservedTensors
from compile.quantize.one_thread import one_thread
from compile.quantize.precisions import check_ranges, check_rules, precisions_of
from compile.quantize.pt2e import convert_pt2e, prepare_pt2e
from compile.quantize.quantizer import SchemeQuantizer
from compile.quantize.replace_modules import replace_modules
from compile.quantize.schemes import Precision, Scheme
from compile.quantize.specifications import observers_for
from compile.support.errors import MqnetError

log = logging.getLogger(__name__)


def quantize_network(
    network: Network,
    net: nn.Module,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    height: int,
    width: int,
    crop: tuple[int, int] | None = None,
    observed: ObservedTensors | None = None,
) -> ExportedProgram:
    """Export ``net``, the module of ``network``, at a fixed size, quantized by ``scheme``.

    The program takes a uint8 image [1, height, width, 3] and gives float32 [1, height, width, C].
    ``photos``, uint8 [H, W, 3] of any sizes, are read only where activations are quantized.
    Calibration runs on crops, so that its cost does not depend on the size asked for. Where nothing
    in the graph holds a size (upsampling is by a factor, pooling is to 1x1), the converted graph is
    simply exported once more at that size; else the crops have that size. A network that is
    quantized already is only exported. ``crop`` is what :func:`crop_size` has given for this size,
    where the caller has it already. ``observed`` is of earlier calls with the same network, weights
    and photographs: what they have observed is not observed again.

    Raises:
        MqnetError: the network does not take this size.
    """
    network.check_size(height, width)
    network.check_scheme(scheme.name, scheme.calibrates)
    if network.scheme:
        return export_network(
            network,
            network.export_wrapper(net, torch.float32).eval(),
            network.example_inputs(height, width),
        )
    crop = crop or crop_size(network, net, height, width)
    dtype = getattr(torch, scheme.float_dtype)
    folded = _with_kernels(network, fold_batch_norms(net), crop).to(dtype)
    with one_thread():
        program = _quantized(network, folded, scheme, photos, dtype, crop, observed)
    inputs = network.example_inputs(height, width)
    if isinstance(program, GraphModule):
        return lift_program(network, program, inputs)
    return export_network(network, program, inputs)


def float_program(
    network: Network,
    net: nn.Module,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    height: int,
    width: int,
) -> ExportedProgram | None:
    """Export what :func:`quantize_network` quantizes for the same arguments, before it does: node
    by node the same operations, in float32. None of a network that is quantized already.

    Raises:
        MqnetError: the network does not take this size.
    """
    if network.scheme:
        return None
    crop = crop_size(network, net, height, width)
    folded = _with_kernels(network, fold_batch_norms(net), crop)
    if scheme.calibrates and network.takes_photographs:
        with one_thread():
            _equalized_crops(network, folded, scheme, photos, crop)
    wrapper = network.export_wrapper(folded, torch.float32).eval()
    return export_network(network, wrapper, network.example_inputs(height, width))


def _with_kernels(network: Network, folded: nn.Module, crop: tuple[int, int]) -> nn.Module:
    """``folded`` with modules that have kernels in place of those that have none."""
    if any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()):
        wrapper = network.export_wrapper(folded, torch.float32).eval()
        graph = export_network(network, wrapper, network.example_inputs(*crop)).graph
        fold_traced_batch_norms(folded, graph, ROOT)
    replace_modules(folded)
    return folded


def _quantized(
    network: Network,
    folded: nn.Module,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    dtype: torch.dtype,
    crop: tuple[int, int],
    observed: ObservedTensors | None,
) -> nn.Module:
    wrapper = network.export_wrapper(folded, dtype).eval()
    if scheme.calibrates:
        if not network.takes_photographs:
            if scheme.fine_tuned:
                raise MqnetError(
                    f"network {network.title} takes tensors, and is trained under quantization on "
                    "photographs only: choose scheme mixed"
                )
            return _quantize(
                network, wrapper, folded, scheme, network.calibration_tensors(), observed
            )
        crops = _equalized_crops(network, folded, scheme, photos, crop)
        frames = [(one[None],) for one in crops]
        if scheme.fine_tuned and network.training is not None:
            observed = None  # The weights are others than before.
        return _quantize(network, wrapper, folded, scheme, frames, observed)
    if Precision.WEIGHT_ONLY_INT8 in scheme.precisions:
        return _quantize(network, wrapper, folded, scheme, [network.example_inputs(*crop)])
    return wrapper


def _equalized_crops(
    network: Network,
    folded: nn.Module,
    scheme: Scheme,
    photos: Sequence[NDArray[np.uint8]],
    crop: tuple[int, int],
) -> Tensor:
    """The crops that calibrate; ``folded`` is equalized by them, and trained where the network has
    a function for it, in place, where the ``scheme`` wants it."""
    if len(photos) > CROPS:
        log.warning("scales are chosen on %d of the %d photographs", CROPS, len(photos))
    crops = torch.from_numpy(calibration_crops(photos, SEED, CROPS, crop))
    if scheme.fine_tuned and network.training is None:
        # It was done before training; once more would undo half of it (53.9 dB, not 55.4).
        return crops
    images = crops.permute(0, 3, 1, 2) / 255
    if joined := network.joined_tensors(folded):
        equalize_concats(folded, joined, images)
    if scheme.calibration.equalize:
        done = {conv for tensor in joined for conv in (*tensor.producers, *tensor.readers)}
        wrapper = network.export_wrapper(folded, torch.float32).eval()
        graph = export_network(network, wrapper, network.example_inputs(*crop)).graph
        count = equalize_layers(folded, graph, ROOT, images, done)
        log.info("equalized %d tensors between convolutions", count)
    if scheme.fine_tuned:
        fine_tune(network, folded, scheme, images)
    return crops


def _quantize(
    network: Network,
    wrapper: nn.Module,
    folded: nn.Module,
    scheme: Scheme,
    frames: Sequence[tuple[Tensor, ...]],
    observed: ObservedTensors | None = None,
) -> GraphModule:
    """Prepare ``wrapper``, around ``folded``, calibrate on the inputs ``frames`` and convert."""
    # Guards would tie the graph to the size of the crops.
    graph = export_network(network, wrapper, frames[0]).module(check_guards=False)
    network.explain_parts(graph.graph)
    parts = network.parts(graph.graph)
    root = network.module_path
    check_rules(parts, scheme, root)
    quantizer = SchemeQuantizer(
        scheme,
        parts,
        network.known_ranges,
        observers_for(scheme.calibration),
        of_photographs=network.takes_photographs,
        root=root,
    )
    wanted = count_convolutions(folded, graph.graph, parts, precisions_of(parts, scheme, root))
    with generating_late():
        prepared = prepare_pt2e(graph, quantizer)
    check_complete(wanted, quantizer.convolutions)
    check_ranges(quantizer.ranges, scheme, root)
    remembered = (observed or ObservedTensors()).remembering(prepared)
    with remembered as is_known, torch.no_grad(), observing_in_threads(prepared):
        # Where all activations are known, weights are looked at.
        for frame in frames[:1] if is_known else frames:
            prepared(*frame)
    with generating_late():
        converted = convert_pt2e(prepared)
    if scheme.calibration.correct_bias:
        count = correct_biases(converted, float_weights(folded, ROOT), frames)
        log.info("corrected the biases of %d convolutions", count)
    name_weights(converted)
    log.info("scheme %s: int8 weights in %s", scheme.name, dict(quantizer.convolutions))
    return converted
