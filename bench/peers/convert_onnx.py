"""MQNet as ONNX files for ONNX Runtime and OpenVINO: float32, and QDQ by ONNX Runtime's quantizer.

Run by `make peers`. Activations are uint8 and weights int8 per channel, for which both engines have
kernels. A file serves every size: the engine is told the size before it optimizes.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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
from torch.export import Dim

from bench.peers.calibration import calibration_pictures
from bench.peers.peer_files import PEER_FILES, write_checksums
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.quantize.fold import fold_batch_norms
from compile.support.atomic import atomic_path

_SIZE = (256, 256)


class _Pictures(CalibrationDataReader):
    def __init__(self) -> None:
        self._pictures: Iterator[np.ndarray] = iter(calibration_pictures(_SIZE))

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"x": picture.transpose(0, 3, 1, 2).copy()}


def convert() -> None:
    """Write the three files."""
    PEER_FILES.mkdir(exist_ok=True)
    net = fold_batch_norms(load_checkpoint(None, "ca"))
    float_file = _file("fp32")
    with atomic_path(float_file) as beside:
        torch.onnx.export(
            net,
            (torch.rand(1, 3, *_SIZE),),
            str(beside),
            dynamic_shapes=({2: 32 * Dim("rows"), 3: 32 * Dim("columns")},),
            dynamo=True,
            input_names=["x"],
            output_names=["y"],
            external_data=False,
        )
        strip_metadata(beside)
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        # Symbolic shape inference fails on this network and leaves two files where it runs.
        quant_pre_process(str(float_file), str(prepared), skip_symbolic_shape=True)
        head = _head_nodes(prepared)
        for scheme, excluded in (("int8", []), ("mixed", head)):
            print(f"{scheme}: {len(excluded)} nodes stay float", flush=True)
            with atomic_path(_file(scheme)) as beside:
                quantize_static(
                    str(prepared),
                    str(beside),
                    _Pictures(),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=excluded,
                )


def strip_metadata(path: Path) -> None:
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
