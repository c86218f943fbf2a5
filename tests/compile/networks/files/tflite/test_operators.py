"""Every operator that is taken from .tflite files: ours equals LiteRT's to the bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from quantized_files import Compiled
from tflite_cases import CASES, IMAGE, SHAPE, write_case, write_operator
from tflite_files import TfliteFile, result_bytes, run_litert
from tflite_operator_cases import BILINEAR_CASES, OPERATOR_CASES

from compile.networks.files.tflite.read_tflite import read_tflite
from compile.networks.registry import find_network
from compile.support.errors import MqnetError

ALL_CASES = {**CASES, **OPERATOR_CASES}


def result(path: Path) -> NDArray[np.int64]:
    compiled = Compiled(find_network(str(path), {}), "int8")
    return result_bytes(path, compiled.run(IMAGE)[0])


@pytest.mark.parametrize("name", ALL_CASES)
def test_it_is_litert_to_the_bit(name: str, tmp_path: Path) -> None:
    path = write_operator(ALL_CASES[name], tmp_path / "net.tflite")
    found, expected = result(path), run_litert(path, IMAGE)
    assert np.ptp(expected.astype(int)) > 20 or expected.size < 10
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_reference_kernels_round_otherwise(tmp_path: Path) -> None:
    """In fixed point, twice: one number of a thousand is the next one."""
    differences = []
    for seed in range(20):
        path = write_case("same", tmp_path / "net.tflite", seed)
        fast, slow = (run_litert(path, IMAGE, reference).astype(int) for reference in (False, True))
        differences.append(np.abs(fast - slow))
    assert np.max(differences) == 1 and 0 < np.mean(differences) < 0.003


@pytest.mark.parametrize(("name", "apart"), [("by two", 0.08), ("corners", 0.1), ("odd", 0.02)])
def test_bilinear_ties_go_to_even_here_and_up_in_litert(
    name: str, apart: float, tmp_path: Path
) -> None:
    """And its weights have 11 bits: the results differ by 1 where the exact one is near a tie."""
    path = write_operator(BILINEAR_CASES[name], tmp_path / "net.tflite")
    found, expected = result(path), run_litert(path, IMAGE).astype(np.int64)
    data = torch.from_numpy(IMAGE.astype(np.float64) - 128).permute(0, 3, 1, 2)
    exact = torch.nn.functional.interpolate(
        data, found.shape[1:3], mode="bilinear", align_corners=name == "corners"
    )
    numbers = exact.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, numbers, atol=0.5 + 1e-9)
    if name == "by two":
        np.testing.assert_array_equal(expected, np.floor(numbers + 0.5))
    from_tie = np.abs(numbers - np.floor(numbers) - 0.5)
    differs = found != expected
    assert 0 < differs.mean() < apart and np.abs(found - expected).max() == 1
    assert from_tie[differs].max() < 256 / 2**10


FLOATS = {
    "HARD_SWISH": ("HardSwishOptions", {}),
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": 0.2}),
    "ELU": ("", {}),
    "GELU": ("GeluOptions", {"approximate": True}),
    "ABS": ("", {}),
    "EXP": ("ExpOptions", {}),
    "NEG": ("NegOptions", {}),
    "SQRT": ("", {}),
    "RELU6": ("", {}),
    "RELU_N1_TO_1": ("", {}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": 2.0}),
    "AVERAGE_POOL_2D": (
        "Pool2DOptions",
        {"padding": 0, "strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 3},
    ),
}


@pytest.mark.parametrize("kind", [*FLOATS, "PRELU", "DIV", "MAXIMUM"])
def test_in_float(kind: str, tmp_path: Path) -> None:
    file, (options, given) = TfliteFile(), FLOATS.get(kind, ("", {}))
    data, output = file.tensor(SHAPE, "float32"), file.tensor(SHAPE, "float32")
    inputs = [data]
    if kind not in FLOATS:
        numbers = np.array([0.3, 0.5, 2.0], np.float32)
        inputs.append(file.tensor((1, 1, 3), "float32", values=numbers))
        options = {"DIV": "DivOptions", "MAXIMUM": "MaximumMinimumOptions"}.get(kind, "")
    file.operator(kind, inputs, output, options, **given)
    path = file.write(tmp_path / "net.tflite", [data], [output])
    (found,) = Compiled(find_network(str(path), {}), "fp32").run(IMAGE)
    np.testing.assert_allclose(found, run_litert(path, IMAGE), atol=1e-6, rtol=1e-5)


def divided(file: TfliteFile) -> int:
    inputs = [0, file.tensor((), "int8", 0.1, 0, values=np.array(3, np.int8))]
    return file.operator("DIV", inputs, file.tensor(SHAPE, "int8", 1 / 255, -128), "DivOptions")


def averaged(file: TfliteFile) -> int:
    output = file.tensor(SHAPE, "int8", 1 / 200, -128)
    window = {"filterHeight": 3, "filterWidth": 3, "strideH": 1, "strideW": 1, "padding": 0}
    return file.operator("AVERAGE_POOL_2D", [0], output, "Pool2DOptions", **window)


def resized(file: TfliteFile) -> int:
    size = file.tensor((2,), "int32", values=np.array([20, 20], np.int32))
    output = file.tensor((1, 20, 20, 3), "int8", 1 / 255, -128)
    return file.operator("RESIZE_BILINEAR", [0, size], output, "ResizeBilinearOptions")


def backwards(file: TfliteFile) -> int:
    limits = [np.array(one, np.int32) for one in ([0, 15, 0, 0], [1, 0, 16, 3], [1, -1, 1, 1])]
    constants = [file.tensor((4,), "int32", values=one) for one in limits]
    output = file.tensor((1, 15, 16, 3), "int8", 1 / 255, -128)
    return file.operator("STRIDED_SLICE", [0, *constants], output, "StridedSliceOptions")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (divided, "divides bytes, which LiteRT does not either"),
        (averaged, "is averaged to another scale: quantize alike"),
        (resized, "with neither align_corners nor half_pixel_centers: choose one"),
        (backwards, "is a slice that goes backwards or adds axes: slice forwards"),
    ],
)
def test_what_is_refused(make: Callable[[TfliteFile], int], said: str, tmp_path: Path) -> None:
    file = TfliteFile()
    file.tensor(SHAPE, "int8", 1 / 255, -128)
    path = file.write(tmp_path / "net.tflite", [0], [make(file)])
    with pytest.raises(MqnetError, match=said):
        read_tflite(path)
