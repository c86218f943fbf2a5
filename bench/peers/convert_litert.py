"""MQNet as LiteRT (TFLite) files: float32, and what ai-edge-quantizer makes of it.

Run by `make peers`, which installs requirements-peers.lock into an environment of its own. LiteRT
is given its best: InstanceNorm and upsampling are written so that XNNPACK takes every operation of
the float and of the mixed network.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import qtyping, quantizer, recipe
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from torch import Tensor, nn

from bench.peers.calibration import calibration_pictures
from bench.peers.peer_files import PEER_FILES, SIZES, write_checksums
from compile.networks.mqnet import network
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.support.atomic import atomic_path

_ALL = qtyping.TFLOperationName.ALL_SUPPORTED
# Operations are chosen by the path of the module that they come from.
_BACKBONE, _HEAD = "Backbone_backbone", "Head_head"


class InstanceNorm(nn.Module):
    """nn.InstanceNorm2d (affine) by means that keep their axes, so that the layout stays NHWC."""

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(norm.weight.data.reshape(1, -1, 1, 1))
        self.bias = nn.Parameter(norm.bias.data.reshape(1, -1, 1, 1))
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """The normalized ``x``, float32 [N,C,H,W]."""
        centred = x - x.mean((2, 3), keepdim=True)
        variance = (centred * centred).mean((2, 3), keepdim=True)
        return centred * (self.weight * torch.rsqrt(variance + self.eps)) + self.bias


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by 2, of NHWC data in an NCHW view, as concats and reshapes:
    RESIZE_NEAREST_NEIGHBOR is not among what XNNPACK takes."""
    count, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1)
    rows = torch.cat([rows, rows], 3).reshape(count, height, 1, 2 * width * channels)
    rows = torch.cat([rows, rows], 2).reshape(count, 2 * height, 2 * width, channels)
    return rows.permute(0, 3, 1, 2)


def _float16(q: quantizer.Quantizer) -> None:
    q.add_weight_only_config(".*", _ALL, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)


def _mixed(q: quantizer.Quantizer) -> None:
    q.add_static_config(_BACKBONE, _ALL, 8, 8)
    q.add_weight_only_config(_HEAD, _ALL, 8)


SCHEMES: dict[str, Callable[[quantizer.Quantizer], None]] = {
    "fp16": _float16,
    "w8a32": lambda q: q.load_quantization_recipe(recipe.dynamic_wi8_afp32()),
    "int8": lambda q: q.load_quantization_recipe(recipe.static_wi8_ai8()),
    "w8a16": lambda q: q.load_quantization_recipe(recipe.static_wi8_ai16()),
    "mixed": _mixed,
}


def convert(size: tuple[int, int]) -> None:
    """Write every scheme's file for ``size`` (height, width)."""
    folder = PEER_FILES
    folder.mkdir(exist_ok=True)
    name = f"litert-{{}}-{size[0]}x{size[1]}.tflite"
    net = load_checkpoint(None, "ca")
    for norm in ("norm1", "norm2"):
        setattr(net.head, norm, InstanceNorm(getattr(net.head, norm)))
    network.upsample = upsample
    float_file = folder / name.format("fp32")
    with atomic_path(float_file) as beside:
        export(net, beside, size)
    for scheme, configure in SCHEMES.items():
        print(f"{size[0]}x{size[1]} {scheme}", flush=True)
        with atomic_path(folder / name.format(scheme)) as beside:
            quantize(float_file, beside, configure, calibration_pictures(size))


def export(net: nn.Module, path: Path, size: tuple[int, int]) -> None:
    """Write ``net``, of a photograph [1,3,*size], in float32, channels last."""
    channels_last = litert_torch.to_channel_last_io(net, args=[0], outputs=[0]).eval()
    litert_torch.convert(channels_last, (torch.rand(1, *size, 3),)).export(str(path))


def quantize(
    float_file: Path,
    path: Path,
    configure: Callable[[quantizer.Quantizer], None],
    pictures: np.ndarray,
) -> None:
    """Write the network of ``float_file`` as ``configure`` says, its scales chosen on ``pictures``
    (float32 [n,1,H,W,3])."""
    q = quantizer.Quantizer(str(float_file))
    configure(q)
    result = q.calibrate(_calibration(float_file, pictures)) if q.need_calibration else None
    q.quantize(result).export_model(str(path), overwrite=True)


def _calibration(file: Path, pictures: np.ndarray) -> dict[str, list[dict[str, np.ndarray]]]:
    """``pictures`` as the model's signature wants them."""
    ((signature, names),) = Interpreter(str(file)).get_signature_list().items()
    return {signature: [{names["inputs"][0]: x} for x in pictures]}


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    logging.disable(logging.WARNING)
    for wanted in SIZES:
        convert(wanted)
    write_checksums()
