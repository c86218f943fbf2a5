"""Backbone on the GPU, head on the processor: what each computes, and what is copied between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from command_line import as_user, check_sentence
from fixtures_artefacts import SIZE, ArtefactFactory, ProgramFactory
from photographs import PHOTOS, scaled
from rich.console import Console

from bench.baselines.engine import Job
from bench.device.engines import TvmArtefactThere
from bench.timing.asked_process import WorkerError
from bench.timing.kernel_calls import time_kernel_calls
from compile.build_artefact import BuildRequest, build_artefact
from compile.errors import MqnetError
from compile.parts import COPY
from compile.phases import Phases
from compile.run_artefact import Session


@pytest.fixture(scope="module")
def split(
    opencl: tvm.runtime.Device,
    quantized_program: ProgramFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Session:
    folder = tmp_path_factory.mktemp("split") / "network"
    request = BuildRequest("host-opencl", size=SIZE, out=folder, on_processor="head")
    return Session(build_artefact(request, Phases(Console(quiet=True)), quantized_program()))


def test_it_computes_what_one_device_does(split: Session, artefact: ArtefactFactory) -> None:
    here, image = Session(artefact()), scaled(PHOTOS[0], *SIZE)
    (expected,), (found,) = (s.run_part("backbone", image[None]) for s in (here, split))
    np.testing.assert_array_equal(found, expected)
    # Both parts' integers are the same, and so is the head's code.
    np.testing.assert_array_equal(split.run(image)[0], here.run(image)[0])


def test_each_part_has_its_library_and_kernels(split: Session) -> None:
    manifest, library = split.artefact.manifest, split.artefact.library
    assert set(manifest["files"]) == {"mqnet.so", "head.so"}
    assert manifest["split"] == {"on_processor": "head", "head_arguments": [0, "input"]}
    assert [part["name"] for part in manifest["parts"]] == ["backbone", "head", "main"]
    assert manifest["parts"][2]["ops"] == manifest["parts"][0]["ops"] + manifest["parts"][1]["ops"]
    opencl_source = b"__kernel void"
    assert opencl_source in library.read_bytes()
    assert opencl_source not in library.with_name("head.so").read_bytes()


def test_the_profile_shows_the_copy(split: Session) -> None:
    calls = time_kernel_calls(split, scaled(PHOTOS[0], *SIZE), frames=2, warm_up=1)
    names = [call.name for call in calls]
    assert names.count(COPY) == 1 and 0 < names.index(COPY) < len(names) - 1
    copy = calls[names.index(COPY)]
    height, width = SIZE
    assert copy.output == f"{height}x{width}x16 int8"
    assert copy.moved_bytes == 2 * height * width * 16 and copy.seconds > 0
    assert [call.layers for call in calls][-1], "the calls behind it keep their layers"


def test_a_head_that_is_damaged(split: Session, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in split.artefact.library.parent.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "head.so").unlink()
    outcome = as_user("compile/infer", folder, PHOTOS[0], "-o", tmp_path / "x.png")
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
        build_artefact(request, Phases(Console(quiet=True)))
    assert not list(tmp_path.iterdir())


def test_not_over_rpc(split: Session) -> None:
    class NoSession:
        def get_function(self, name: str) -> None:
            raise AttributeError(name)

    job = Job("tvm", "mixed", SIZE, 1, split.artefact.library.parent)
    with pytest.raises(WorkerError, match="is split over two devices"):
        TvmArtefactThere(NoSession(), job, None)
