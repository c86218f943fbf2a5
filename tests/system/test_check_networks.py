"""Builds of other networks and for other devices are checked by their test vectors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tvm
from command_line import in_fork
from planted_errors import ThisProcess, chosen, planted
from rich.console import Console

from compile.artefact.manifest import VECTOR
from compile.artefact.reader import Artefact
from compile.artefact.vector_file import read_vector
from compile.build_network import build_network
from compile.build_request import BuildRequest
from compile.networks.registry import find_network
from compile.support.build_cache import BuildCache
from compile.support.progress import Progress
from device.client.check_artefact import CheckReport, check_on
from device.client.layers.load_programs import load_programs
from device.client.layers.measure_layers import LayerMeter
from device.runtime.reference_network import plan_reference

QUIET = Progress(Console(quiet=True))

NETWORKS = '''
import torch
from torch import nn


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 1))
        self.top = nn.Conv2d(8, 3, 1)

    def forward(self, image):
        return torch.sigmoid(self.top(self.body(image)))


class Two(nn.Module):
    """Two inputs and four outputs: an input itself, and an integer among them."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(12, 7), nn.Linear(5, 7)

    def forward(self, x, y):
        z = torch.tanh(self.left(x) + self.right(y))
        return z, z.argmax(-1), x, torch.softmax(z, -1)


def picture():
    torch.manual_seed(0)
    return Picture().eval(), (torch.rand(1, 3, 24, 32),)


def two():
    torch.manual_seed(0)
    return Two().eval(), (torch.randn(1, 3, 12), torch.randn(1, 3, 5))
'''


@pytest.fixture
def built(tmp_path: Path, build_cache: BuildCache):
    """``built(function, target, scheme, on_processor)``"""
    source = tmp_path / "networks.py"
    source.write_text(NETWORKS)

    def make(function: str, target: str, scheme: str, on_processor: str | None = None) -> Artefact:
        network = find_network(f"{source}:{function}", {})
        folder = tmp_path / f"{function}-{target}-{scheme}-{on_processor}"
        size = (24, 32) if function == "picture" else (1, 36)
        request = BuildRequest(target, scheme, network, size, out=folder, on_processor=on_processor)
        return build_network(request, QUIET, cache=build_cache)

    return make


def check(artefact: Artefact, cache: BuildCache) -> CheckReport:
    vector = read_vector(artefact.library.with_name(VECTOR))
    return check_on(ThisProcess(artefact), artefact, vector, cache, QUIET)


def wrong_calls(artefact: Artefact) -> list[int]:
    """By PyTorch's values."""
    vector = read_vector(artefact.library.with_name(VECTOR))
    programs = load_programs(artefact, vector.nodes, None, None)
    meter = LayerMeter(artefact, vector, plan_reference(artefact, vector), programs)
    assert len(meter.tensors) > 1
    return meter.wrong_calls(ThisProcess(artefact))


@pytest.mark.parametrize("scheme", ["fp32", "int8"])
def test_tensors(built, build_cache: BuildCache, scheme: str) -> None:
    artefact = built("two", "host", scheme)
    report = check(artefact, build_cache)
    assert report.wrong is None and report.exact + report.close == report.calls
    assert not wrong_calls(artefact)


@pytest.mark.parametrize(
    "on_processor", [None, "head", pytest.param("backbone", marks=pytest.mark.slow)]
)
def test_a_gpu(
    opencl: tvm.runtime.Device, built, build_cache: BuildCache, on_processor: str | None
) -> None:
    artefact = built("picture", "host-opencl", "mixed", on_processor)
    report = check(artefact, build_cache)
    assert report.wrong is None and report.exact and report.close
    assert report.exact + report.close == report.calls
    assert not wrong_calls(artefact)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_wrong_constant_of_a_gpu_kernel(
    opencl: tvm.runtime.Device, built, tmp_path: Path, seed: int
) -> None:
    """A number that something is multiplied by, in the source that the library holds; but not a
    work item's number, which is nothing but 0 where there is one."""
    artefact = built("picture", "host-opencl", "mixed")
    library = artefact.library.read_bytes()
    names = {call.kernel for call in artefact.manifest.calls}
    found = []
    for kernel in re.finditer(rb"__kernel void (\w+?)_kernel(?:_\d+)?\(.*?\n}", library, re.DOTALL):
        numbers = re.finditer(rb"dot4\(|(?<!(?:local|group)_\d\) )\* ([2-8])\)", kernel[0])
        found += [
            (kernel[1].decode(), kernel.start() + number.start(1))
            for number in numbers
            if number[1]
        ]
    name, place = found[chosen(seed, len(found))]
    # In each copy of its expression: the fourth byte of a word of three channels matters to nobody.
    around = re.escape(library[place - 60 : place + 8])
    places = [copy.start() + 60 for copy in re.finditer(around, library)]
    wrong = planted(artefact, tmp_path / "wrong", dict.fromkeys(places, library[place] - 1))
    # Some of them are of an address: the driver crashes.
    told = in_fork("compile/check", wrong.library.parent, "--json")
    assert told.code == 1 and "Traceback" not in told.err
    found = json.loads(told.out)["wrong"]
    assert name in names and found["kernel"] == name and found["layers"]
    assert re.match("its result is wrong: |it did not come to its end: ", found["what"])
