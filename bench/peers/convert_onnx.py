"""MQNet as ONNX files for ONNX Runtime and OpenVINO: float32, and QDQ by ONNX Runtime's quantizer.

Run by `make peers`. Activations are uint8 and weights int8 per channel, for which both engines have
kernels. A file serves every size: the engine is told the size before it optimizes.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from torch import nn
from torch.export import Dim

from bench.peers.calibration import calibration_pictures
from bench.peers.peer_files import PEER_FILES, write_checksums
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.quantize.fold import fold_batch_norms
from compile.support.atomic import atomic_path

_SIZE = (256, 256)


class _Pictures(CalibrationDataReader):
    def __init__(self, pictures: np.ndarray) -> None:
        self._pictures: Iterator[np.ndarray] = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"x": picture.transpose(0, 3, 1, 2).copy()}


def convert() -> None:
    """Write the three files."""
    PEER_FILES.mkdir(exist_ok=True)
    net = fold_batch_norms(load_checkpoint(None, "ca"))
    float_file = _file("fp32")
    with atomic_path(float_file) as beside:
        export(net, beside, _SIZE, ({2: 32 * Dim("rows"), 3: 32 * Dim("columns")},))
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        prepare(float_file, prepared)
        head = _head_nodes(prepared)
        for scheme, excluded in (("int8", []), ("mixed", head)):
            print(f"{scheme}: {len(excluded)} nodes stay float", flush=True)
            with atomic_path(_file(scheme)) as beside:
                quantize(prepared, beside, calibration_pictures(_SIZE), excluded)


def export(
    net: nn.Module, path: Path, size: tuple[int, int], dynamic_shapes: tuple[Any, ...] | None = None
) -> None:
    """Write ``net``, of a photograph [1,3,*size], in float32; it tells nothing of this machine."""
    torch.onnx.export(
        net,
        (torch.rand(1, 3, *size),),
        str(path),
        dynamic_shapes=dynamic_shapes,
        dynamo=True,
        input_names=["x"],
        output_names=["y"],
        external_data=False,
    )
    _strip_metadata(path)


def prepare(float_file: Path, path: Path) -> None:
    """Write what the quantizer takes for ``float_file``."""
    # Symbolic shape inference fails on MQNet and leaves two files where it runs.
    quant_pre_process(str(float_file), str(path), skip_symbolic_shape=True)


def quantize(
    prepared: Path, path: Path, pictures: np.ndarray, excluded: Sequence[str] = ()
) -> None:
    """Write the network of ``prepared`` in QDQ, its scales chosen on ``pictures`` (float32
    [n,1,H,W,3]), the nodes that are ``excluded`` in float."""
    quantize_static(
        str(prepared),
        str(path),
        _Pictures(pictures),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=list(excluded),
    )


def _strip_metadata(path: Path) -> None:
    """The exporter notes at each node and value where in which file on this machine it is from."""
    model = onnx.load(path)
    graph = model.graph
    for entry in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")
    onnx.save(model, path)


def _head_nodes(path: Path) -> list[str]:
    """The convolution that feeds the first InstanceNormalization, and all that comes after it."""
    nodes = onnx.load(path).graph.node
    first = next(node for node in nodes if node.op_type == "InstanceNormalization")
    begin = next(i for i, node in enumerate(nodes) if first.input[0] in node.output)
    return [node.name for node in nodes[begin:]]


def _file(scheme: str) -> Path:
    return PEER_FILES / f"onnx-{scheme}.onnx"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    logging.disable(logging.WARNING)
    convert()
    write_checksums()
