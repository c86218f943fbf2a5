"""A network of `--network help` as files of other engines, below build/peers.

Run by `make peers NETWORK=unet`, which installs requirements-peers.lock into an environment of its
own. LiteRT gets channels last, and nearest upsampling by what XNNPACK takes; ONNX Runtime and
OpenVINO get QDQ with uint8 activations and int8 weights per channel, for which they have kernels.
All of them choose their scales on the pictures that ours are chosen on. What an engine's converter
refuses is said and left out.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ai_edge_quantizer import qtyping, quantizer
from torch import Tensor, nn

from bench.peers import convert_litert, convert_onnx
from bench.peers.calibration import calibration_pictures
from bench.peers.convert_litert import SCHEMES, upsample
from bench.peers.network_files import files_of, note_weights
from bench.peers.peer_files import litert_name, onnx_name
from compile.networks import single_hdr
from compile.networks.network import Network
from compile.networks.registry import network_named
from compile.quantize.fold import fold_batch_norms
from compile.support.atomic import atomic_path, make_folder

_ALL = qtyping.TFLOperationName.ALL_SUPPORTED
_interpolate = torch.nn.functional.interpolate


def write_litert(
    network: Network, net: nn.Module, size: tuple[int, int], pictures: np.ndarray
) -> None:
    """Write LiteRT's float32, int8 and mixed files of ``net``, the module of ``network``."""
    folder = files_of(network)
    float_file = folder / litert_name("fp32", size)
    with _with_concats(), atomic_path(float_file) as beside:
        convert_litert.export(net, beside, size)

    def mixed(q: quantizer.Quantizer) -> None:
        # Operations are chosen by the path of the module that they come from.
        q.add_static_config(f"_{network.backbone}/", _ALL, 8, 8)
        q.add_weight_only_config(f"^(?!.*_{network.backbone}/)", _ALL, 8)

    for scheme, configure in (("int8", SCHEMES["int8"]), ("mixed", mixed)):
        path = folder / litert_name(scheme, size)
        with _reported(f"litert {scheme}"), atomic_path(path) as beside:
            convert_litert.quantize(float_file, beside, configure, pictures)


def write_onnx(
    network: Network, net: nn.Module, size: tuple[int, int], pictures: np.ndarray
) -> None:
    """Write the float32 and the int8 file of ``net`` for ONNX Runtime and OpenVINO."""
    folder = files_of(network)
    float_file = folder / onnx_name("fp32", size)
    with _with_long_indices(), atomic_path(float_file) as beside:
        convert_onnx.export(net, beside, size)
    with TemporaryDirectory() as temporary, _reported("onnx int8"):
        prepared = Path(temporary) / "prepared.onnx"
        convert_onnx.prepare(float_file, prepared)
        with atomic_path(folder / onnx_name("int8", size)) as beside:
            convert_onnx.quantize(prepared, beside, pictures)


@contextmanager
def _with_concats() -> Iterator[None]:
    """Meanwhile nearest upsampling by 2 is traced as :func:`upsample`."""

    def interpolate(x: Tensor, *args: Any, **options: Any) -> Tensor:
        if options.get("mode") == "nearest" and options.get("scale_factor") in (2, 2.0):
            return upsample(x)
        return _interpolate(x, *args, **options)

    torch.nn.functional.interpolate = interpolate  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.nn.functional.interpolate = _interpolate


@contextmanager
def _with_long_indices() -> Iterator[None]:
    """Meanwhile SingleHDR looks its curve up by int64: ONNX's GatherND takes no int32."""
    look_up = single_hdr.look_up
    single_hdr.look_up = lambda tables, index: look_up(tables, index.long())
    try:
        yield
    finally:
        single_hdr.look_up = look_up


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Say what is done, and what a converter refuses: its other files are of use without it."""
    try:
        yield
        print(what, flush=True)
    except Exception as error:  # Converters raise anything.
        reason = next(iter(str(error).splitlines()), "")
        print(f"{what} is refused: {type(error).__name__}: {reason}", flush=True)


def main() -> None:
    """Write the files of the network that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True, help="one of `--network help`")
    parser.add_argument("--size", default="256x256", help="height x width")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    network = network_named(options.network)
    height, width = map(int, options.size.split("x"))
    size = network.fitting_size(height, width)
    make_folder(files_of(network))
    loaded = network.load(None)
    net, pictures = fold_batch_norms(loaded), calibration_pictures(size)
    converters: tuple[Callable[..., None], ...] = (write_litert, write_onnx)
    for convert in converters:
        with _reported(convert.__name__):
            convert(network, net, size, pictures)
    note_weights(network, loaded)


if __name__ == "__main__":
    main()
