"""Backbone on the GPU, head on the processor: what each computes, and what is copied between."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm
from command_line import check_sentence, in_fork
from fixtures_artefacts import SIZE, ArtefactFactory, ProgramFactory
from fixtures_device import Served
from photographs import PHOTOS, scaled
from rich.console import Console

from bench.engines.engine import Job
from bench.profiling.join_calls import join_calls, kernels_of
from bench.profiling.kernel_call import KernelCall
from bench.session.device import open_device
from compile.artefact.manifest import SplitFacts
from compile.build_network import build_network
from compile.build_request import BuildRequest
from compile.graph.parts import COPY
from compile.support.errors import MqnetError, TargetError
from compile.support.frame import frame_of
from compile.support.progress import Progress
from device.client.connection import Connection
from device.client.networks import load_artefact
from device.runtime.run_artefact import Session
from device.server.kernel_calls import time_calls


@pytest.fixture(scope="module")
def split(
    opencl: tvm.runtime.Device,
    quantized_program: ProgramFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Session:
    folder = tmp_path_factory.mktemp("split") / "network"
    request = BuildRequest("host-opencl", size=SIZE, out=folder, on_processor="head")
    return Session(build_network(request, Progress(Console(quiet=True)), quantized_program()))


def test_it_computes_what_one_device_does(split: Session, artefact: ArtefactFactory) -> None:
    here, image = Session(artefact()), scaled(PHOTOS[0], *SIZE)
    (expected,), (found,) = (s.network.run_part("backbone", image[None]) for s in (here, split))
    np.testing.assert_array_equal(found, expected)
    # Both parts' integers are the same, and so is the head's code.
    np.testing.assert_array_equal(split.run(image)[0], here.run(image)[0])


def test_each_part_has_its_library_and_kernels(split: Session) -> None:
    manifest, library = split.artefact.manifest, split.artefact.library
    assert set(manifest.files) == {"mqnet.so", "head.so", "vector.bin"}
    assert manifest.split == SplitFacts("head", (0, "input"))
    assert [part.name for part in manifest.parts] == ["backbone", "head", "main"]
    backbone, head, whole = manifest.parts
    assert whole.ops == backbone.ops + head.ops
    opencl_source = b"__kernel void"
    assert opencl_source in library.read_bytes()
    assert opencl_source not in library.with_name("head.so").read_bytes()


def check_profile(calls: list[KernelCall]) -> None:
    names = [call.name for call in calls]
    assert names.count(COPY) == 1 and 0 < names.index(COPY) < len(names) - 1
    copy = calls[names.index(COPY)]
    height, width = SIZE
    assert copy.output == f"{height}x{width}x16 int8"
    assert copy.moved_bytes == 2 * height * width * 16 and copy.seconds > 0
    assert [call.layers for call in calls][-1], "the calls behind it keep their layers"


def test_the_profile_shows_the_copy(split: Session) -> None:
    split.network.set_inputs(frame_of(scaled(PHOTOS[0], *SIZE)))
    timed = time_calls(split.network, kernels_of(split.artefact), frames=2, warm_up=1)
    check_profile(join_calls(split.artefact, timed))


def test_a_head_that_is_damaged(split: Session, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in split.artefact.library.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "head.so").unlink()
    outcome = in_fork("compile/infer", folder, PHOTOS[0], "-o", tmp_path / "x.png")
    check_sentence(outcome, "head.so is missing: build it again")


@pytest.mark.parametrize(
    ("target", "scheme", "message"),
    [
        ("host", "mixed", "target host has one device: to split the network over two, name a GPU"),
        ("host-opencl", "fp32", "no int8 backbone to be split from the head"),
    ],
)
def test_what_cannot_be_split(tmp_path: Path, target: str, scheme: str, message: str) -> None:
    request = BuildRequest(target, scheme, size=SIZE, out=tmp_path / "new", on_processor="head")
    with pytest.raises(MqnetError, match=message):
        build_network(request, Progress(Console(quiet=True)))
    assert not list(tmp_path.iterdir())


def test_over_rpc(split: Session, gpu_board: Served, artefact: ArtefactFactory) -> None:
    """On one device after the other, with the copy between them made there: the result is the same,
    a frame has a time, and each call one of its own. The whole network has none on its name."""
    image, folder = scaled(PHOTOS[0], *SIZE), split.artefact.library.parent
    with open_device(gpu_board.address) as device:
        engine = device.start(Job("tvm", "mixed", SIZE, 1, folder))
        found = engine.outputs(frame_of(image))[0][0]
        wall, cpu = engine.time_frames(3)
        version, timed = device.time_calls(
            split.artefact, frame_of(image), kernels_of(split.artefact), frames=2, warm_up=1
        )
        (session,) = gpu_board.sessions()
        assert os.listdir(session.cwd()) == []  # What was uploaded is removed.
    np.testing.assert_array_equal(found, split.run(image)[0])
    assert len(wall) == len(cpu) == 3 and min(wall) > 0
    assert "PoCL" in engine.version and version == engine.version
    check_profile(join_calls(split.artefact, timed))


def test_not_over_another_server(split: Session) -> None:
    class NoFunctions:
        def get_function(self, name: str) -> Callable:
            if name.startswith("mqnet."):
                raise AttributeError(name)
            return lambda *_: None

    connection = Connection(NoFunctions(), 1)
    with pytest.raises(TargetError, match=r"not served by device/serve\.py"):
        load_artefact(connection, split.artefact)
