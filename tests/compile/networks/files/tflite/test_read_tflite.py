"""The reader of .tflite: what it takes, and one sentence for what it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from quantized_files import Compiled
from tflite_cases import SHAPE, convolution, write_case
from tflite_files import TfliteFile, run_litert

from bench.peers.peer_files import litert_name, peer_file
from compile.networks.files.tflite.read_tflite import read_tflite
from compile.networks.registry import find_network
from compile.support.errors import MqnetError


def refused(path: Path, said: str) -> None:
    with pytest.raises(MqnetError, match=said) as error:
        read_tflite(path)
    assert str(error.value).startswith(f"network {path}")


def test_what_it_says_of_a_file(tmp_path: Path) -> None:
    file = read_tflite(write_case("depthwise", tmp_path / "net.tflite"))
    assert (file.channels, file.size, file.scheme) == (3, SHAPE[1:3], "int8")


@pytest.mark.parametrize(
    ("scheme", "own", "close"),
    [("fp32", "", 1e-4), ("fp16", "", 1e-4), ("w8a32", "w8a32", 0.05), ("mixed", "mixed", 0.02)],
)
def test_files_of_mqnet(scheme: str, own: str, close: float) -> None:
    """In float; LiteRT rounds activations of w8a32 as it runs, and PyTorch adds in float here."""
    path = peer_file(litert_name(scheme, (256, 256)))
    file = read_tflite(path)
    assert (file.channels, file.size, file.scheme) == (3, (256, 256), own)
    image = np.random.default_rng(0).integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    with torch.no_grad():
        found = file.module(torch.from_numpy(image).permute(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), run_litert(path, image), atol=close)


def test_16_bits_are_refused() -> None:
    refused(peer_file(litert_name("w8a16", (256, 256))), "is INT16, which is not taken")


def test_damaged_files(tmp_path: Path) -> None:
    path = write_case("same", tmp_path / "net.tflite")
    whole = path.read_bytes()
    for kept in (60, len(whole) // 3, len(whole) * 2 // 3):
        path.write_bytes(whole[:kept])
        refused(path, "cut off or damaged")
    path.write_bytes(b"no network at all")
    refused(path, "is no .tflite file")
    long = peer_file(litert_name("int8", (256, 256))).read_bytes()
    path.write_bytes(long[:-1000])
    refused(path, "cut off or damaged")


def _file(
    kind: str, dtype: str = "int8", shape: tuple[int, ...] = SHAPE, zero_point: int = -128
) -> TfliteFile:
    file = TfliteFile()
    scale = None if dtype == "float32" else 1 / 255
    for _ in range(2):
        file.tensor(shape, dtype, scale, zero_point)
    file.operator(kind, [0], 1)
    return file


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (_file("CUSTOM"), "layer/part1 is computed by the custom op Mine"),
        (_file("COS", "float32"), r"op COS \(layer/part1\) is not known: write it with other"),
        (_file("RELU", "int16"), "its input layer/part0 is INT16"),
        (_file("RELU", "uint8", zero_point=0), r"op RELU \(layer/part1\) has UINT8 numbers"),
        (_file("RELU", "int8", (2, 8, 8, 3)), r"layer/part0 is INT8 \[2, 8, 8, 3\]"),
        (_file("RELU", "int8", (1, 2, 8, 8, 3)), r"layer/part0 is INT8 \[1, 2, 8, 8, 3\]"),
    ],
)
def test_what_is_refused(file: TfliteFile, said: str, tmp_path: Path) -> None:
    refused(file.write(tmp_path / "net.tflite", [0], [1]), said)


def test_dynamic_shapes_are_refused(tmp_path: Path) -> None:
    file = _file("RELU")
    file.tensors[0].shapeSignature = np.array([1, -1, 16, 3], np.int32)
    path = file.write(tmp_path / "net.tflite", [0], [1])
    refused(path, r"layer/part0 has a dynamic shape, \[1, \?, 16, 3\]")


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 127.5, 0), (1.0, -128)])
def test_pictures_of_another_range_are_tensors(
    scale: float, zero_point: int, tmp_path: Path
) -> None:
    file = TfliteFile()
    data = file.tensor(SHAPE, "int8", scale, zero_point)
    output = convolution(file, data, np.random.default_rng(0))
    read = read_tflite(file.write(tmp_path / "net.tflite", [data], [output]))
    assert not read.takes_photographs and read.inputs[0].shape == SHAPE


def test_weights_with_zero_points_are_refused(tmp_path: Path) -> None:
    file = TfliteFile()
    data = file.tensor(SHAPE, "int8", 1 / 255, -128)
    output = convolution(file, data, np.random.default_rng(0))
    file.tensors[1].quantization.zeroPoint[3] = 5
    refused(file.write(tmp_path / "net.tflite", [data], [output]), "have zero points")


def test_tensors_in_the_files_order(tmp_path: Path) -> None:
    """Two inputs, of bytes and of rows, and three outputs, of which one is in integers."""
    rng, file = np.random.default_rng(0), TfliteFile()
    data = file.tensor((1, 16, 16, 6), "int8", 0.02, 5)
    rows = file.tensor((4, 8), "float32")
    features = convolution(file, data, rng)
    axes = file.tensor((1,), "int32", values=np.array([3], np.int32))
    best = file.operator(
        "ARG_MAX", [features, axes], file.tensor((1, 16, 16), "int64"), "ArgMaxOptions",
        outputType=4,
    )  # fmt: skip
    doubled = file.tensor((4, 8), "float32")
    file.operator("ADD", [rows, rows], doubled, "AddOptions")
    path = file.write(tmp_path / "net.tflite", [data, rows], [features, doubled, best])
    network = find_network(str(path), {})
    assert not network.takes_photographs and not network.makes_pictures
    assert len(network.input_names) == 2 and len(network.output_names) == 3
    given = rng.integers(-128, 128, (1, 16, 16, 6), dtype=np.int8)
    matrix = rng.normal(size=(4, 8)).astype(np.float32)
    real = (given.astype(np.float32) - 5) * np.float32(0.02)
    found = Compiled(network, "int8").run_tensors(real, matrix)
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    for one, value in zip(interpreter.get_input_details(), (given, matrix), strict=True):
        interpreter.set_tensor(one["index"], value)
    interpreter.invoke()
    bytes_, twice, places = (
        interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()
    )
    q = file.tensors[features].quantization
    np.testing.assert_array_equal(
        np.rint(found[0] / q.scale[0]).astype(int) + q.zeroPoint[0], bytes_
    )
    np.testing.assert_array_equal(found[1], twice)
    np.testing.assert_array_equal(found[2], places)
