"""The reader of .onnx: what it takes, and one sentence for what it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx_files import IMAGE, SIDE, OnnxFile, run_onnx

from bench.peers.peer_files import peer_file
from compile.networks.files.onnx.read_onnx import read_onnx
from compile.networks.registry import find_network
from compile.support.errors import MqnetError


def refused(path: Path, said: str) -> None:
    with pytest.raises(MqnetError, match=said) as error:
        read_onnx(path)
    assert str(error.value).startswith(f"network {path}")


def convolved(quantized: bool = True) -> tuple[OnnxFile, str]:
    file = OnnxFile(quantized=quantized)
    return file, file.rounded(file.conv(file.picture()))


def changed(path: Path, change: object) -> Path:
    """The file behind ``change``, a function of its model."""
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("scheme", ["fp32", "int8", "mixed"])
def test_files_of_mqnet(scheme: str) -> None:
    """They leave the size open. In float here: PyTorch adds and rounds in other places."""
    path = peer_file(f"onnx-{scheme}.onnx")
    file = read_onnx(path)
    assert (file.channels, file.size) == (3, None)
    assert file.scheme == ("" if scheme == "fp32" else scheme)
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    with torch.no_grad():
        found = file.module(torch.from_numpy(image).permute(0, 3, 1, 2) / 255)
    expected = run_onnx(path, image, **{"32*rows": 64, "32*columns": 96})
    close = 1e-5 if scheme == "fp32" else 0.06
    np.testing.assert_allclose(found.permute(0, 2, 3, 1), expected, atol=close)


def test_open_sizes_are_the_users(tmp_path: Path) -> None:
    file, output = convolved()
    file.shape = ("batch", 3, "rows", "columns")
    network = find_network(str(file.write(tmp_path / "net.onnx", output)), {})
    assert network.size is None and network.scheme == "int8"
    assert network.fitting_size(40, 56) == (40, 56)
    assert network.default_size == (768, 1280)


def test_picture_in_bytes(tmp_path: Path) -> None:
    """The input is what DequantizeLinear reads."""
    file, output = convolved()
    path = file.write(tmp_path / "net.onnx", output)
    expected = run_onnx(path, IMAGE)

    def cut(model: onnx.ModelProto) -> None:
        quantize, dequantize = model.graph.node[:2]
        assert quantize.op_type == "QuantizeLinear"
        dequantize.input[0] = "picture"
        model.graph.node.remove(quantize)
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8

    read = read_onnx(changed(path, cut))
    with torch.no_grad():
        found = read.module(torch.from_numpy(IMAGE).permute(0, 3, 1, 2) / 255)
    steps = np.rint((found.permute(0, 2, 3, 1).numpy() - expected) / file.scales[output])
    assert np.mean(steps != 0) < 0.01


def test_damaged_files(tmp_path: Path) -> None:
    file, output = convolved()
    path = file.write(tmp_path / "net.onnx", output)
    whole = path.read_bytes()
    for kept in (0, 40, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:kept])
        refused(path, "is cut off, damaged or no .onnx file")
    path.write_bytes(b"no network at all" * 20)
    refused(path, "is cut off, damaged or no .onnx file")


def _add(model: onnx.ModelProto, kind: str, domain: str = "") -> None:
    name = model.graph.output[0].name
    model.graph.node.append(helper.make_node(kind, [name], ["layer/mine"], domain=domain))
    model.graph.output[0].name = "layer/mine"
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))


def _batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def _half_open(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "rows"


def _doubles(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def _int16(model: onnx.ModelProto) -> None:
    for one in model.graph.initializer:
        if one.data_type == TensorProto.UINT8:
            one.data_type, one.raw_data = TensorProto.INT16, b"\0\0"


def _asymmetric(model: onnx.ModelProto) -> None:
    """Zero points of weights, which are floats then: the scheme is another."""
    for one in model.graph.initializer:
        if one.data_type == TensorProto.INT8 and list(one.dims) == [8]:
            one.raw_data = bytes([3] * 8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: _add(model, "Cos"), r"op Cos \(layer/mine\) is not known"),
        (
            lambda model: _add(model, "Gelu", "com.microsoft"),
            r"op com.microsoft.Gelu \(layer/mine\) is of a tool's own",
        ),
        (_batch, r"picture is float \[2, 3, 16, 16\]"),
        (_half_open, r"picture is float \[1, 3, rows, 16\]"),
        (_doubles, r"picture is double"),
        (_int16, "int16 numbers: quantize"),
    ],
)
def test_what_is_refused(change: object, said: str, tmp_path: Path) -> None:
    file, output = convolved()
    refused(changed(file.write(tmp_path / "net.onnx", output), change), said)


def test_weights_with_zero_points_are_floats(tmp_path: Path) -> None:
    file, output = convolved()
    path = changed(file.write(tmp_path / "net.onnx", output), _asymmetric)
    read, expected = read_onnx(path), run_onnx(path, IMAGE, optimized=False)
    assert read.scheme == "mixed"
    with torch.no_grad():
        found = read.module(torch.from_numpy(IMAGE).permute(0, 3, 1, 2) / 255)
    steps = np.rint((found.permute(0, 2, 3, 1).numpy() - expected) / file.scales[output])
    assert np.mean(steps != 0) < 0.01


def test_what_depends_on_a_size_is_refused(tmp_path: Path) -> None:
    path, file = tmp_path / "net.onnx", OnnxFile(quantized=False)
    sizes = file.constant(np.array([1, 3, 32, 32], np.int64))
    output = file.node("Resize", file.conv(file.picture(), width=3), "", "", sizes)
    refused(file.write(path, output), "input 2 of op Resize .* has to be a constant")
    file = OnnxFile(quantized=False)
    output = file.conv(file.picture(), strides=[2, 2], pads=None, auto_pad="SAME_UPPER")
    refused(file.write(path, output), "padded by SAME_UPPER: give pads in numbers")


def test_pictures_of_another_range_are_tensors(tmp_path: Path) -> None:
    file = OnnxFile()
    file.shape = (1, 3, SIDE, SIDE)
    parameters = file.constant(np.float32(1 / 127.5)), file.constant(np.uint8(128))
    real = file.node("DequantizeLinear", "picture", *parameters)
    file.scales[real] = 1 / 127.5
    path = file.write(tmp_path / "net.onnx", file.rounded(file.conv(real)))

    def bytes_in(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8

    read = read_onnx(changed(path, bytes_in))
    assert not read.takes_photographs and read.inputs[0].shape == file.shape


def test_pictures_in_floats_are_photographs_whatever_their_range(tmp_path: Path) -> None:
    """As of a file whose scales were chosen on dark photographs."""
    file = OnnxFile()
    output = file.rounded(file.conv(file.rounded("picture", 0.6 / 255, 0)))
    assert read_onnx(file.write(tmp_path / "net.onnx", output)).takes_photographs
