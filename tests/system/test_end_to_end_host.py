"""Photographs through the whole compiler on this machine, against PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import tvm
from fixtures_artefacts import SIZE, ArtefactFactory, ProgramFactory
from numpy.typing import NDArray
from photographs import PHOTOS, scaled
from tvm import relax
from tvm.relax.expr_functor import PyExprVisitor, visitor

from compile.imaging.decode_hdr import H_MAX
from compile.imaging.metrics import psnr
from compile.networks.run_module import run_module
from compile.pipeline import PipelineOptions, plan_network
from device.runtime.run_artefact import Session
from targets.load_target import load_target

REPOSITORY = Path(__file__).parents[2]


def gradient(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth ramps, another direction in each channel."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.rint(255 * np.stack([x, y, (x + y) / 2], -1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("scheme", "attention", "atol", "least_psnr"),
    [
        # 48 dB on the worst, a rocket at night: what separates them is PyTorch summing in float,
        # which InstanceNorm enlarges at so small a size; at real sizes it is 57 dB and more.
        ("mixed", "ca", 0.1, 45),
        ("fp32", "ca", 1e-5, 120),
        ("w8a32", "ca", 1e-5, 120),
        # A step of float16 below 1 is 2^-11: rounding at other places shows in the last bits.
        ("fp16", "ca", 3e-3, 72),
        ("w8a16", "ca", 1e-2, 62),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("mixed", "csa", 0.1, 45),
                ("mixed", "sa", 0.1, 45),
                ("mixed", "none", 0.1, 45),
                ("fp32", "csa", 1e-5, 120),
                ("w8a32", "csa", 1e-5, 120),
                # Its tensors before InstanceNorm have 8 bits, so that a rounding apart is a whole
                # level there: 37 dB on the worst.
                ("int8", "ca", 0.15, 35),
            )
        ),
    ],
)
def test_every_scheme_and_attention_agrees_with_pytorch(
    artefact: ArtefactFactory,
    quantized_program: ProgramFactory,
    scheme: str,
    attention: str,
    atol: float,
    least_psnr: float,
):
    built = artefact(scheme=scheme, attention=attention)
    assert (built.manifest.scheme, built.manifest.attention) == (scheme, attention)
    session = Session(built)
    module = quantized_program(scheme, attention).module()
    for path in PHOTOS:
        frame = scaled(path, *SIZE)
        got, expected = session.run(frame)[0], run_module(module, frame)
        assert psnr(got, expected) >= least_psnr, path.name
        np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=path.name)


def levels(output: NDArray[np.float32]) -> int:
    """Distinct levels in [0, 1] at 16 bits: finer than any screen, coarser than float noise."""
    y = (output - 0.5) / (H_MAX - 0.5)
    return len(np.unique(np.rint(y[(y >= 0) & (y <= 1)] * 65535)))


def test_the_head_carries_more_than_eight_bits(artefact: ArtefactFactory):
    assert levels(Session(artefact()).run(gradient(*SIZE))[0]) >= 1000


@pytest.mark.slow
def test_an_int8_head_carries_eight_bits(artefact: ArtefactFactory):
    """What the count above is there to tell apart."""
    assert levels(Session(artefact(scheme="int8")).run(gradient(*SIZE))[0]) <= 256


@visitor
class _Constants(PyExprVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.arrays: list[NDArray] = []

    def visit_call_(self, call: relax.Call) -> None:
        values = [arg.value for arg in call.args if isinstance(arg, tvm.ir.GenericConst)]
        # Data types and alignments are constants too.
        self.arrays += [value.numpy() for value in values if isinstance(value, tvm.runtime.Tensor)]
        super().visit_call_(call)


def constants(mod: tvm.IRModule, function: str) -> list[NDArray]:
    found = _Constants()
    found.visit_expr(mod[function])
    return found.arrays


def is_vector(array: NDArray) -> bool:
    return array.size == max(array.shape, default=1)


def test_mixed_keeps_int8_weights_only(quantized_program: ProgramFactory, tmp_path: Path):
    program = quantized_program()
    spec = load_target("linux-arm64")
    planned = plan_network(program, PipelineOptions(spec, 1, partition=True, records=tmp_path))
    weights = [tensor for tensor in program.state_dict.values() if tensor.ndim == 4]
    assert all(tensor.dtype == torch.int8 for tensor in weights)
    by_part = {name: constants(planned, name) for name in ("backbone", "head")}
    sizes = [sum(array.nbytes for array in arrays) for arrays in by_part.values()]
    assert sum(array.nbytes for array in constants(planned, "main")) == sum(sizes)
    channels = [tensor.shape[0] for tensor in weights]
    stored = 0
    for name, arrays in by_part.items():
        floats = [array for array in arrays if array.dtype.kind == "f"]
        # Scales and biases have one value per channel; a weight has more than one axis.
        assert all(is_vector(array) for array in floats), name
        assert max((array.size for array in floats), default=0) <= max(channels), name
        assert sum(array.size for array in floats) <= 2 * sum(channels), name
        tensors = [array for array in arrays if not is_vector(array)]
        # Those of the head's 3x3 are transformed, and then of 16 bits (Winograd).
        transformed = {"int16"} if name == "head" else set()
        assert {str(array.dtype) for array in tensors} == {"int8"} | transformed, name
        stored += sum(array.size for array in tensors)
    # All weights are there, and once; packing may pad channels, but not by half.
    needed = sum(tensor.numel() for tensor in weights)
    assert needed <= stored < 1.5 * needed
    head = sum(array.size for array in by_part["head"] if not is_vector(array))
    assert head >= 6 * 6 * 16 * 12 + 12 * 6 + 6 * 3


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this process may use one core")
def test_threads_do_not_change_the_result(artefact: ArtefactFactory):
    built = artefact()
    frame = scaled(PHOTOS[0], *SIZE)
    outputs = []
    for threads in (1, 2):
        outputs.append(Session(built, threads).run(frame)[0])
        assert tvm.get_global_func("runtime.NumThreads")() == threads
    np.testing.assert_array_equal(*outputs)
    again = Session(built, 2).run(frame)[0]
    np.testing.assert_array_equal(outputs[1], again)


@pytest.mark.slow
def test_building_again_gives_the_same_library(artefact: ArtefactFactory, tmp_path: Path):
    """In another process, where sets and dictionaries of strings have another order."""
    first = artefact()
    command = [sys.executable, "compile/build.py", "--target", "host"]
    command += ["--size", f"{SIZE[0]}x{SIZE[1]}", "--out", str(tmp_path / "again")]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    again = (tmp_path / "again" / first.library.name).read_bytes()
    assert again == first.library.read_bytes()
