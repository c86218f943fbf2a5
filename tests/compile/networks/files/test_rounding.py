"""LiteRT's rounding: ours as it is written in NumPy, LiteRT itself, and what agrees with both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tflite_files import TfliteFile

from compile.networks.files.graph_builder import Quantized
from compile.networks.files.rounding import (
    line_through,
    product_scales,
    sum_scales,
    xnnpack_rescale,
    xnnpack_sum,
)

BYTES = np.arange(-128, 128)


def drawn(seed: int, count: int) -> list[Quantized]:
    rng = np.random.default_rng(seed)
    return [
        Quantized(float(np.float32(rng.uniform(0.004, 0.2))), int(rng.integers(-128, 128)))
        for _ in range(count)
    ]


def computed(
    file: TfliteFile, path: Path, inputs: list[int], output: int, *values: np.ndarray
) -> np.ndarray:
    interpreter = Interpreter(str(file.write(path, inputs, [output])))
    interpreter.allocate_tensors()
    for index, value in zip(inputs, values, strict=True):
        interpreter.set_tensor(index, value.astype(np.int8))
    interpreter.invoke()
    return interpreter.get_tensor(output)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["ADD", "SUB"])
def test_sum_of_all_pairs_is_litert(kind: str, seed: int, tmp_path: Path) -> None:
    parameters = drawn(seed, 3)
    file, shape = TfliteFile(), (1, 256, 256, 1)
    a, b, y = (file.tensor(shape, "int8", one.scale, one.zero_point) for one in parameters)
    options = {"ADD": "AddOptions", "SUB": "SubOptions"}[kind]
    file.operator(kind, [a, b], y, options, fusedActivationFunction=0)
    left, right = np.meshgrid(BYTES, BYTES, indexing="ij")
    values = left.reshape(shape), right.reshape(shape)
    found = computed(file, tmp_path / "net.tflite", [a, b], y, *values)
    if kind == "SUB":
        parameters[1] = Quantized(-parameters[1].scale, parameters[1].zero_point)
    np.testing.assert_array_equal(
        found.reshape(256, 256), xnnpack_sum(left, right, tuple(parameters))
    )


@pytest.mark.parametrize("seed", range(4))
def test_change_of_scale_is_litert(seed: int, tmp_path: Path) -> None:
    data, output = drawn(seed, 2)
    file, shape = TfliteFile(), (1, 1, 1, 256)
    x, y = (file.tensor(shape, "int8", one.scale, one.zero_point) for one in (data, output))
    file.operator("QUANTIZE", [x], y)
    found = computed(file, tmp_path / "net.tflite", [x], y, BYTES.reshape(shape))
    np.testing.assert_array_equal(found.ravel(), xnnpack_rescale(data, output))


def test_scales_of_a_sum_agree_on_nearly_all_pairs() -> None:
    """Of 65,536, and those that do not are next to each other."""
    missed = [sum_scales(tuple(drawn(seed, 3)))[2] for seed in range(12)]
    assert max(missed) <= 2 and missed.count(0) >= 8


def test_scales_of_a_product_give_its_multiplier_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.0005, 0.05, 1000).astype(np.float32)
    data, output = (float(np.float32(one)) for one in (0.0123, 0.0456))
    unit, scales = product_scales(data, weights, output)
    ours = (np.float64(unit) * scales.astype(np.float64) / np.float64(output)).astype(np.float32)
    np.testing.assert_array_equal(ours, np.float32(data) * weights / np.float32(output))
    np.testing.assert_allclose(unit * scales.astype(float), data * weights.astype(float), 2e-7)
    assert 0.5 < unit / data < 2 and np.float32(unit) == unit


def test_line_goes_through_ties() -> None:
    """Half of a step is rounded up there, and to even here."""
    data, output = Quantized(0.5, 0), Quantized(1.0, 0)
    table = xnnpack_rescale(data, output)
    assert list(table[128:134]) == [0, 1, 1, 2, 2, 3]
    factor, shift, missed = line_through(table, data, output, 1.0, 0.0)
    assert factor == 1.0 and shift > 0 and missed == 0
