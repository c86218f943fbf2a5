"""The standalone form on an OpenCL device, beside TVM's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tvm
from command_line import check_sentence, in_fork
from fixtures_artefacts import ArtefactFactory
from photographs import PHOTOS, scaled
from standalone_library import empty_outputs

from compile.artefact.reader import Artefact
from compile.codegen.link.elf import read_needed
from device.runtime.run_artefact import Session
from device.runtime.standalone_network import StandaloneLibrary

HEAD_TOLERANCE = 1e-4
DEVICE = 10


@pytest.fixture(scope="module")
def built(opencl: tvm.runtime.Device, artefact: ArtefactFactory) -> Artefact:
    return artefact("host-opencl", standalone=True)


def run_program(
    built: Artefact, *arguments: object, **variables: str
) -> subprocess.CompletedProcess:
    command = [built.library.with_name("mqnet-run"), *arguments]
    env = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_equals_the_tvm_form(built: Artefact) -> None:
    """In handles that are used in turn: each has memory of its own."""
    library, session = StandaloneLibrary(built.library.parent, "mqnet"), Session(built)
    frames = [scaled(photo, *built.size)[None] for photo in PHOTOS[:2]]
    (_, first), (_, second) = library.open(), library.open()
    for frame, handle in zip(frames * 2, (first, second, second, first), strict=True):
        (output,) = outputs = empty_outputs(library)
        assert library.run(handle, [np.ascontiguousarray(frame)], outputs) == 0
        (expected,), _ = session.run_frame((frame,))
        np.testing.assert_allclose(output, expected, atol=HEAD_TOLERANCE)
        assert np.ptp(expected) > 0.1
    assert library.close(first) == library.close(second) == 0


def test_handles_leak_nothing(built: Artefact) -> None:
    library = StandaloneLibrary(built.library.parent, "mqnet")
    frame = np.zeros((1, *built.size, 3), np.uint8)
    memory = []
    for _ in range(30):
        status, handle = library.open()
        assert status == 0
        assert library.run(handle, [frame], empty_outputs(library)) == 0
        assert library.close(handle) == 0
        memory.append(psutil.Process().memory_info().rss)
    assert memory[-1] - memory[9] < 4 << 20


def test_program(built: Artefact, tmp_path: Path) -> None:
    checked = run_program(built, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    right = re.search(r"right: (\d+) of (\d+) calls bit for bit", checked.stdout)
    assert right and int(right[2]) == built.manifest.whole.ops and int(right[1]) > 80
    timed = run_program(built, "bench", "--seconds", "0.01", "--warm-up", "0", "--json")
    (row,) = json.loads(timed.stdout)["latency"]
    assert row["threads"] == 1 and row["frames"] >= 3 and row["p50_ms"] > 0
    height, width = built.size
    picture = tmp_path / "in.ppm"
    picture.write_bytes(
        b"P6 %d %d 255\n" % (width, height) + scaled(PHOTOS[0], *built.size).tobytes()
    )
    made = run_program(built, "infer", picture, tmp_path / "out.pfm")
    assert made.returncode == 0 and (tmp_path / "out.pfm").stat().st_size > height * width * 12
    assert "libOpenCL" not in "".join(read_needed(built.library.with_name("mqnet-run")))


def test_a_wrong_constant_of_a_kernel(built: Artefact, tmp_path: Path) -> None:
    """In the source that the program holds: the upper limit of a result as the lower one, too."""
    program = built.library.with_name("mqnet-run").read_bytes()
    start = program.index(b"__kernel void conv2d_requantize_kernel(")
    place = program.index(b").s2, ", start) + len(b").s")
    wrong = tmp_path / "wrong-run"
    wrong.write_bytes(program[:place] + b"3" + program[place + 1 :])
    wrong.chmod(0o755)
    checked = subprocess.run([wrong, "check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "WRONG: call" in checked.stdout and "kernel conv2d_requantize, " in checked.stdout


def test_no_opencl_library(built: Artefact) -> None:
    for command in ("check", "bench"):
        told = run_program(built, command, MQNET_OPENCL_LIBRARY="/none/libOpenCL.so")
        assert told.returncode == 2 and told.stdout == ""
        assert "names no OpenCL library: /none/libOpenCL.so" in told.stderr
        assert len(told.stderr.splitlines()) == 1
    script = (
        "from pathlib import Path\n"
        "from device.runtime.standalone_network import StandaloneLibrary\n"
        f"library = StandaloneLibrary(Path({str(built.library.parent)!r}), 'mqnet')\n"
        "print(library.open(), library.status_text(10))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"MQNET_OPENCL_LIBRARY": "/none/libOpenCL.so"},
    )
    assert f"({DEVICE}, 0) no OpenCL device" in told.stdout, told.stderr


@pytest.mark.slow
def test_weights_in_images(
    opencl: tvm.runtime.Device, built: Artefact, artefact: ArtefactFactory
) -> None:
    images = artefact("host-opencl", image_weights=True, standalone=True)
    source = images.library.with_name("libmqnet.so").read_bytes()
    assert source.count(b"__read_only image2d_t") > 40
    assert run_program(images, "check").returncode == 0


def test_there_is_none_for_two_devices(tmp_path: Path) -> None:
    options = "--target", "linux-mali", "--on-processor", "head", "--standalone"
    outcome = in_fork("compile/build", *options, "--out", tmp_path / "out")
    check_sentence(outcome, "is for one device")
    assert not (tmp_path / "out").exists()
