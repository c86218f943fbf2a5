"""The whole network on an OpenCL device: the backbone as the processor computes it, bit for bit."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tvm
from command_line import as_user, check_sentence, edit_manifest, needs_lld
from fixtures_artefacts import SIZE, ArtefactFactory
from fixtures_device import Served
from numpy.typing import NDArray
from photographs import PHOTOS, scaled
from rich.console import Console

from bench.engines.engine import Job
from bench.session.device import open_device
from compile.artefact.reader import Artefact, open_artefact
from compile.build_network import build_network
from compile.build_request import BuildRequest
from compile.codegen.link.elf import read_machine
from compile.codegen.opencl.dot_product import EXTENSIONS, MACRO
from compile.support.errors import ArtefactError, MqnetError
from compile.support.frame import frame_of
from compile.support.outcome import WorkerError
from compile.support.progress import Progress
from device.runtime import tvm_network
from device.runtime.artefact_device import network_layout
from device.runtime.run_artefact import Session
from device.runtime.tvm_network import LoadedPart

HEAD_TOLERANCE = 1e-4


def noise(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def here(artefact: ArtefactFactory) -> Session:
    return Session(artefact())


@pytest.fixture(scope="module")
def on_gpu(opencl: tvm.runtime.Device, artefact: ArtefactFactory) -> Session:
    return Session(artefact("host-opencl"))


def test_the_manifest_chooses_the_device(here: Session, on_gpu: Session) -> None:
    parts = [network_layout(session.artefact)["parts"] for session in (here, on_gpu)]
    assert parts == [{"main": ("mqnet.so", "cpu")}, {"main": ("mqnet.so", "opencl")}]


def test_what_goes_around_a_block_is_added_in_a_kernel(on_gpu: Session) -> None:
    """And no tensor is upsampled or joined to be read by one convolution."""
    manifest = on_gpu.artefact.manifest
    names = [call.kernel.rstrip("0123456789") for call in manifest.calls]
    assert "add" not in names
    assert any(re.fullmatch(r"conv2d_requantize\d+_rows", name) for name in names)
    families = [kernel.family for kernel in manifest.kernels]
    assert families.count("word_concat_pointwise") >= 4
    assert manifest.whole.ops < 105


@pytest.mark.parametrize("seed", range(3))
def test_backbone_to_the_bit_and_head(here: Session, on_gpu: Session, seed: int) -> None:
    image = noise(seed)
    (expected,), (found,) = (s.network.run_part("backbone", image[None]) for s in (here, on_gpu))
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, expected)
    (expected,), (found,) = (s.network.run_part("head", found, image[None]) for s in (here, on_gpu))
    np.testing.assert_allclose(found, expected, atol=HEAD_TOLERANCE)
    np.testing.assert_allclose(on_gpu.run(image)[0], here.run(image)[0], atol=HEAD_TOLERANCE)


def test_weights_in_images(on_gpu: Session, artefact: ArtefactFactory) -> None:
    """Of most kernels that multiply int8, and every bit is the same."""
    built = artefact("host-opencl", image_weights=True)
    assert built.library.read_bytes().count(b"__read_only image2d_t") > 40
    images, image = Session(built), noise(7)
    for _ in range(2):
        np.testing.assert_array_equal(images.run(image)[0], on_gpu.run(image)[0])


@pytest.mark.parametrize("photo", PHOTOS[:2], ids=lambda path: path.stem)
def test_photographs(here: Session, on_gpu: Session, photo: Path) -> None:
    image = scaled(photo, *SIZE)
    np.testing.assert_allclose(on_gpu.run(image)[0], here.run(image)[0], atol=HEAD_TOLERANCE)


def test_the_time_of_a_frame_is_that_of_the_device(
    on_gpu: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the time that it takes to tell the device what to do: the clock is read again when it is
    done."""
    events = []
    wait = tvm_network.synchronize
    monkeypatch.setattr(
        tvm_network, "synchronize", lambda device: (wait(device), events.append("done"))
    )
    clock = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: (events.append("clock"), clock())[1])
    on_gpu.run(noise())
    assert events == ["clock", "done", "clock"]


def test_a_frame_after_another_is_the_same(on_gpu: Session) -> None:
    """Nothing of one frame is left in the memory of the next."""
    first = on_gpu.run(noise(1))[0]
    on_gpu.run(noise(2))
    np.testing.assert_array_equal(on_gpu.run(noise(1))[0], first)


@pytest.mark.slow
def test_another_scheme_and_attention(
    opencl: tvm.runtime.Device, artefact: ArtefactFactory
) -> None:
    """Float throughout, with the attention of the most kernels."""
    image = scaled(PHOTOS[0], *SIZE)
    here, there = (Session(artefact(name, "fp32", "csa")) for name in ("host", "host-opencl"))
    np.testing.assert_allclose(there.run(image)[0], here.run(image)[0], atol=HEAD_TOLERANCE)


def _program(name: str) -> str:
    """An offline tool; skips where it is not installed, but fails in CI."""
    for found in (name, f"{name}-15", f"{name}-14"):
        if shutil.which(found):
            return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to validate kernels: no {name}")
    pytest.skip(f"no {name} (apt-get install llvm-spirv-15 spirv-tools)")


@needs_lld
@pytest.mark.parametrize(
    ("scheme", "image_weights"), [("mixed", False), ("mixed", True), ("mixed-fp16", False)]
)
def test_every_kernel_of_a_mali_is_valid_spirv(
    artefact: ArtefactFactory, tmp_path: Path, scheme: str, image_weights: bool
) -> None:
    """A second compiler's opinion of OpenCL C 1.2 as it is written for Arm's driver."""
    clang, translator, validator = map(_program, ("clang", "llvm-spirv", "spirv-val"))
    built = artefact("linux-mali", scheme, image_weights=image_weights)
    library = built.library.read_bytes()
    start = library.index(b"// Function: ")
    # In front of a text stands its length.
    (length,) = struct.unpack("<Q", library[start - 8 : start])
    source = library[start : start + length].decode()
    # As for Arm's driver; clang, for SPIR-V, knows every extension.
    macro = f"{MACRO}cl_arm_integer_dot_product_accumulate_int8"
    (tmp_path / "kernels.cl").write_text(f"#define {macro} 1\n{source}")
    options = "-cl-std=CL1.2 -target spir64 -Xclang -finclude-default-header -x cl -O1"
    options += " -Xclang -disable-llvm-passes -Wno-unknown-pragmas -emit-llvm -c kernels.cl"
    for command in (
        [clang, *options.split(), "-o", "kernels.bc"],
        [translator, "kernels.bc", "-o", "kernels.spv"],
        [validator, "kernels.spv"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    kernels = source.count("\n__kernel void")
    assert ("half" in source) == (scheme == "mixed-fp16")
    assert ("image2d_t" in source) == image_weights
    assert kernels > 60 and (tmp_path / "kernels.spv").stat().st_size > 1000 * kernels


def test_over_rpc(gpu_board: Served, on_gpu: Session) -> None:
    """Several sessions, each a process that opens the driver anew."""
    job = Job("tvm", "mixed", SIZE, 1, on_gpu.artefact.library.parent)
    for seed in range(2):
        with open_device(gpu_board.address) as device:
            engine = device.start(job)
            np.testing.assert_array_equal(
                engine.outputs(frame_of(noise(seed)))[0][0], on_gpu.run(noise(seed))[0]
            )
            wall, _ = engine.time_frames(3)
            assert len(wall) == 3 and all(0 < seconds < 5 for seconds in wall)


def _renamed(artefact: Artefact, folder: Path, **opencl: object) -> Path:
    """A copy of the artefact whose target asks for more of its device."""
    shutil.copytree(artefact.library.parent, folder)
    edit_manifest(folder, lambda manifest: manifest["target"]["opencl"].update(opencl))
    return folder


@pytest.mark.parametrize(
    ("needs", "message"),
    [
        ({"work_group": 1 << 20}, "takes work groups of 4096 items, and it needs 1048576"),
        ({"integer_dot_product": True}, "has none of cl_arm_integer_dot_product_accumulate_int8, "),
    ],
    ids=["work group", "dot product"],
)
def test_a_device_that_has_too_little(
    gpu_board: Served, on_gpu: Session, tmp_path: Path, needs: dict, message: str
) -> None:
    folder = _renamed(on_gpu.artefact, tmp_path / "asks", **needs)
    with pytest.raises(ArtefactError, match=message):
        Session(open_artefact(folder))
    with open_device(gpu_board.address) as device:
        with pytest.raises(WorkerError, match=message):
            device.start(Job("tvm", "mixed", SIZE, 1, folder))
        # The session goes on.
        engine = device.start(Job("tvm", "mixed", SIZE, 1, on_gpu.artefact.library.parent))
        assert engine.outputs(frame_of(noise()))[0][0].shape == (*SIZE, 3)


def test_a_device_whose_memory_is_full(
    opencl: tvm.runtime.Device, on_gpu: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        too_much = lambda *_: [tvm.runtime.empty((1 << 45,), "int8", opencl)]  # noqa: E731
        patch.setattr(LoadedPart, "run", too_much)
        with pytest.raises(ArtefactError, match="cannot give a buffer of 35184372088832 bytes"):
            on_gpu.run(noise())
    assert on_gpu.run(noise())[0].shape == (*SIZE, 3)


def test_no_opencl_is_one_sentence(on_gpu: Session, tmp_path: Path) -> None:
    outcome = as_user(
        "compile/infer",
        *(on_gpu.artefact.library.parent, PHOTOS[0], "-o", tmp_path / "x.png", "--resize"),
        env={"MQNET_OPENCL_LIBRARY": "/no/such/libmali.so"},
    )
    check_sentence(outcome, "host-opencl", "it runs through OpenCL", "/no/such/libmali.so")


def test_no_plugin_is_one_sentence(on_gpu: Session, tmp_path: Path) -> None:
    outcome = as_user(
        "compile/infer",
        *(on_gpu.artefact.library.parent, PHOTOS[0], "-o", tmp_path / "x.png", "--resize"),
        env={"XDG_CACHE_HOME": str(tmp_path)},
    )
    check_sentence(outcome, "host-opencl", "build its plugin (python device/build_opencl.py)")


def test_infer_runs_on_the_device(on_gpu: Session, tmp_path: Path) -> None:
    outcome = as_user(
        "compile/infer",
        *(on_gpu.artefact.library.parent, PHOTOS[0], "-o", tmp_path / "x.png", "--resize"),
    )
    assert outcome.code == 0 and (tmp_path / "x.png").exists(), outcome.err


@pytest.mark.parametrize("scheme", ["fp16", "mixed-fp16"])
def test_no_fp16_is_said_before_the_build(tmp_path: Path, scheme: str) -> None:
    request = BuildRequest("host-opencl", scheme, size=SIZE, out=tmp_path / "new")
    with pytest.raises(MqnetError, match=f"{scheme} needs float16, which target host-opencl does"):
        build_network(request, Progress(Console(quiet=True)))
    assert not (tmp_path / "new").exists()


@needs_lld
@pytest.mark.parametrize(
    "target", ["linux-mali", pytest.param("android-mali", marks=pytest.mark.slow)]
)
def test_builds_for_a_board(artefact: ArtefactFactory, target: str) -> None:
    built = artefact(target)
    assert read_machine(built.library) == "EM_AARCH64"
    library = built.library.read_bytes()
    assert all(f"defined({MACRO}{name})".encode() in library for name in EXTENSIONS)
    assert all(kernel.schedule == "built-in" for kernel in built.manifest.kernels)
