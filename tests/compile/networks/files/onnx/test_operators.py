"""Every operator that is taken from .onnx files: ours is what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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
    assert set(OPERATORS) - kinds == {"Constant", "Log", "Upsample"}
