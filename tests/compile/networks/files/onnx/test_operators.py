"""Every operator that is taken from .onnx files: ours is what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_files import FLOAT_CASES, IMAGE, INTEGER_CASES, OnnxFile, run_onnx
from quantized_files import Compiled

from compile.networks.files.onnx.operators import OPERATORS
from compile.networks.registry import find_network


@pytest.mark.parametrize("name", INTEGER_CASES)
@pytest.mark.parametrize("signed", [False, True], ids=["uint8", "int8"])
def test_its_integers_are_those_of_onnx_runtime(name: str, signed: bool, tmp_path: Path) -> None:
    """On a processor whose instructions do not saturate at 16 bits: here VNNI's, or none."""
    file = OnnxFile(signed=signed)
    output = file.rounded(INTEGER_CASES[name](file))
    path = file.write(tmp_path / "net.onnx", output)
    compiled = Compiled(find_network(str(path), {}), "int8")
    found, expected = compiled.run(IMAGE)[0], run_onnx(path, IMAGE)
    assert np.ptp(expected) > 10 * file.scales[output]
    steps = np.rint((found - expected) / file.scales[output])
    assert not steps.any(), (np.mean(steps != 0), np.abs(steps).max())


@pytest.mark.parametrize("name", FLOAT_CASES)
def test_its_floats_are_those_of_onnx_runtime(name: str, tmp_path: Path) -> None:
    file = OnnxFile(quantized=False)
    path = file.write(tmp_path / "net.onnx", FLOAT_CASES[name](file))
    compiled = Compiled(find_network(str(path), {}), "fp32")
    found, expected = compiled.run(IMAGE)[0], run_onnx(path, IMAGE)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_every_operator_has_a_case() -> None:
    kinds = set()
    for cases in (INTEGER_CASES, FLOAT_CASES):
        for make in cases.values():
            file = OnnxFile()
            file.rounded(make(file))
            kinds |= {node.op_type for node in file.nodes}
    of_tensors = {"Gemm", "MatMul", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"}
    of_tensors |= {"Softmax", "ArgMax", "Cast"}
    assert set(OPERATORS) - kinds - of_tensors == {"Constant", "Log", "Upsample"}


def classifier(file: OnnxFile) -> tuple[str, str]:
    """A dense layer behind a mean, of which the place of the largest is wanted, too."""
    pooled = file.rounded(file.node("GlobalAveragePool", file.rounded(file.conv(file.picture()))))
    flat = file.rounded(file.node("Flatten", pooled), file.scales.get(pooled), 128)
    dense = file.rounded(file.dense(flat, 5))
    return dense, file.node("ArgMax", file.node("Softmax", dense), axis=1, keepdims=0)


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_a_classifier(quantized: bool, turned: bool, tmp_path: Path) -> None:
    file = OnnxFile(quantized=quantized, turned=turned)
    values, best = classifier(file)
    path = file.write(tmp_path / "net.onnx", values, best, integers=[best], axes=2)
    model = onnx.load(path)
    del model.graph.output[1].type.tensor_type.shape.dim[1:]
    onnx.save(model, path)
    network = find_network(str(path), {})
    assert network.takes_photographs and not network.makes_pictures
    found, place = Compiled(network, "int8" if quantized else "fp32").run(IMAGE)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.ascontiguousarray(IMAGE.transpose(0, 3, 1, 2) / np.float32(255))
    expected, wanted = session.run(None, {"picture": x})
    apart = file.scales[values] / 4 if quantized else 1e-5
    np.testing.assert_allclose(found, expected, atol=apart)
    np.testing.assert_array_equal(place, wanted)


def test_order_of_axes(tmp_path: Path) -> None:
    """Vectors in, through every operator that moves them."""
    file = OnnxFile(quantized=False)
    file.shape = (1, 6, 4)
    turned = file.node("Transpose", "picture", perm=[0, 2, 1])
    rows = file.node("Reshape", turned, file.constant(np.array([4, 6], np.int64)))
    dense = file.node("MatMul", rows, file.constant(file.rng.normal(size=(6, 3)).astype("f4")))
    wide = file.node("Unsqueeze", dense, file.constant(np.array([0, 2], np.int64)))
    narrow = file.node("Squeeze", wide, file.constant(np.array([2], np.int64)))
    output = file.node("Cast", file.node("Cast", narrow, to=6), to=1)
    path = file.write(tmp_path / "net.onnx", output, axes=3)
    network = find_network(str(path), {})
    assert not network.takes_photographs
    x = 9 * file.rng.normal(size=(1, 6, 4)).astype(np.float32)
    (found,) = Compiled(network, "fp32").run_tensors(x)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(found, session.run(None, {"picture": x})[0])
