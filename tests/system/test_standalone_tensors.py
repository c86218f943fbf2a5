"""The standalone form of a network of tensors, by itself and in one program with MQNet's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import REPOSITORY, in_fork
from fixtures_artefacts import ArtefactFactory
from needed_in_ci import give_up
from standalone_library import run_frame

from compile.artefact.reader import Artefact, open_artefact
from compile.codegen.standalone.zig import DIALECT
from device.runtime.run_artefact import Session
from device.runtime.standalone_network import StandaloneLibrary

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """Two inputs and four outputs, one of which is an input, and one an integer of floats."""
    folder = tmp_path_factory.mktemp("two")
    source, out = folder / "two.py", folder / "out"
    source.write_text(_TWO)
    outcome = in_fork(
        *("compile/build", "--target", "host", "--scheme", "fp32", "--standalone"),
        *("--network", f"{source}:build", "--out", out),
    )
    assert outcome.code == 0, outcome
    return open_artefact(out)


def test_network_of_tensors(two: Artefact) -> None:
    assert two.manifest.standalone == "two"
    program = two.library.with_name("two-run")
    result = subprocess.run([program, "check"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    random = np.random.default_rng(0)
    inputs = tuple(
        random.standard_normal(tensor.shape).astype(tensor.dtype) for tensor in two.manifest.inputs
    )
    expected, _ = Session(two, 1).run_frame(inputs)
    got = run_frame(StandaloneLibrary(two.library.parent, "two"), inputs)
    assert [one.dtype for one in got] == [one.dtype for one in expected]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(got[2], inputs[1])
    infer = subprocess.run(
        [program, "infer", "a.ppm", "b.pfm"], capture_output=True, text=True, check=False
    )
    assert infer.returncode == 2 and "makes no picture in colour of one" in infer.stderr


def test_two_networks_in_one_program(
    two: Artefact, artefact: ArtefactFactory, tmp_path: Path
) -> None:
    """Their kernels have the same names in TVM, and so have what the runtimes of both define."""
    mqnet = artefact(standalone=True)
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        give_up("the program", "no C compiler is installed (apt-get install gcc)")
    folders = [built.library.parent for built in (mqnet, two)]
    command = [compiler, *DIALECT, *(f"-I{folder}" for folder in folders)]
    command += [str(REPOSITORY / "tests/support/native/two_networks.c"), "-o", tmp_path / "both"]
    command += [folders[0] / "libmqnet.a", folders[1] / "libtwo.a", "-lm", "-pthread"]
    subprocess.run(command, check=True, capture_output=True)
    outputs = subprocess.run([tmp_path / "both"], check=True, capture_output=True).stdout
    image = np.arange(np.prod(mqnet.manifest.inputs[0].shape)) * 7
    maps, vector = (np.arange(np.prod(tensor.shape)) for tensor in two.manifest.inputs)
    tensors = [(maps % 17 / 8 - 1).astype(np.float32), (vector / 4).astype(np.float32)]
    expected = []
    for built, frame in ((mqnet, [image.astype(np.uint8)]), (two, tensors)):
        shaped = (one.reshape(t.shape) for one, t in zip(frame, built.manifest.inputs, strict=True))
        expected += Session(built, 1).run_frame(tuple(shaped))[0]
    assert outputs == b"".join(tensor.tobytes() for tensor in expected)


_TWO = """
import torch
from torch import nn


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(4, 9, 3, padding=1)
        self.b = nn.Linear(7, 9)
        self.c = nn.Conv2d(9, 5, 1)

    def forward(self, x, t):
        y = torch.relu(self.a(x) + self.b(t)[:, :, None, None])
        return self.c(y), y.mean((2, 3)), t, y.flatten(1).argmax(1)


def build():
    torch.manual_seed(1)
    return Two().eval(), (torch.randn(1, 4, 13, 11), torch.randn(1, 7))
"""
