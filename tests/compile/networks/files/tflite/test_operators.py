"""Every operator that is taken from .tflite files: ours equals LiteRT's to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quantized_files import Compiled
from tflite_cases import CASES, IMAGE, write_case
from tflite_files import result_bytes, run_litert

from compile.networks.registry import find_network


@pytest.mark.parametrize("name", CASES)
def test_it_is_litert_to_the_bit(name: str, tmp_path: Path) -> None:
    path = write_case(name, tmp_path / "net.tflite")
    compiled = Compiled(find_network(str(path), {}), "int8")
    found = result_bytes(path, compiled.run(IMAGE)[0])
    expected = run_litert(path, IMAGE)
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
