"""The standalone form on this machine: its library beside TVM's, and its program."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import REPOSITORY, in_fork, x86_only
from cut_programs import check_cut_program
from fixtures_artefacts import ArtefactFactory
from numpy.typing import NDArray
from PIL import Image, ImageOps
from planted_errors import vector_instructions
from standalone_library import empty_outputs, run_frame

from compile.artefact.manifest import LIBRARY, MANIFEST, VECTOR
from compile.artefact.reader import Artefact
from compile.codegen.link.elf import read_needed, read_symbols
from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.read_photo import read_photo
from device.runtime.run_artefact import Session
from device.runtime.standalone_network import StandaloneLibrary

CORES = len(os.sched_getaffinity(0))
THREADS = sorted({1, min(2, CORES)})
ARGUMENT, HANDLE, SIZE, THREADS_ERROR = 1, 2, 4, 5


@pytest.fixture(scope="module")
def built(artefact: ArtefactFactory) -> Artefact:
    return artefact(standalone=True)


def frame_of(artefact: Artefact) -> NDArray[np.uint8]:
    height, width = artefact.size
    photo = Image.fromarray(read_photo(bundled_photos("test")[0]))
    return np.asarray(ImageOps.fit(photo, (width, height)))[None]


def run_program(artefact: Artefact, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = artefact.library.with_name("mqnet-run")
    return subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("scheme", ["mixed", pytest.param("fp32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", [(64, 96), pytest.param((32, 32), marks=pytest.mark.slow)])
def test_equals_the_tvm_form_bit_for_bit(
    artefact: ArtefactFactory, scheme: str, size: tuple[int, int]
) -> None:
    built = artefact(scheme=scheme, size=size, standalone=True)
    frame, library = frame_of(built), StandaloneLibrary(built.library.parent, "mqnet")
    (expected,), _ = Session(built, 1).run_frame((frame,))
    assert np.ptp(expected) > 0.1
    for threads in THREADS:
        (got,) = run_frame(library, [frame], threads)
        np.testing.assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


def test_descriptions(built: Artefact) -> None:
    library = StandaloneLibrary(built.library.parent, "mqnet")
    assert library.version() == 1 << 16
    (image,), (h,) = library.tensors("input"), library.tensors("output")
    assert (image.name, image.dtype, image.layout) == (b"image", b"uint8", b"NHWC")
    assert list(image.shape)[: image.rank] == [1, 64, 96, 3] and image.bytes == 64 * 96 * 3
    assert image.scale == pytest.approx(1 / 255) and image.zero_point == 0
    assert (h.name, h.dtype, h.scale) == (b"h", b"float32", 0) and h.bytes == 4 * image.bytes


def test_wrong_use_is_told_and_the_next_call_works(built: Artefact) -> None:
    library, frame = StandaloneLibrary(built.library.parent, "mqnet"), frame_of(built)
    assert library.open(threads=built.manifest.threads + 1) == (THREADS_ERROR, 0)
    assert library.open(size=8) == (ARGUMENT, 0)
    status, handle = library.open(threads=0)
    assert status == 0
    outputs = empty_outputs(library)
    assert library.run(handle, [frame[:, :-1].copy()], outputs) == SIZE
    assert library.run(handle, [frame, frame], outputs) == SIZE
    assert library.run(handle + 1, [frame], outputs) == HANDLE
    assert library.run(handle, [frame], outputs) == 0
    assert library.last_error(handle) == ""
    assert library.close(handle) == 0
    assert library.run(handle, [frame], outputs) == HANDLE
    assert "closed" in library.status_text(HANDLE)


def test_library_shows_its_own_functions_only(built: Artefact) -> None:
    library = built.library.with_name("libmqnet.so")
    assert set(read_needed(library)) <= {"libc.so.6", "libm.so.6", "libpthread.so.0"}
    symbols = read_symbols(library)
    assert {name for name in symbols.defined if "mqnet" in name} == {
        *("mqnet_open", "mqnet_run", "mqnet_close", "mqnet_input", "mqnet_output"),
        *("mqnet_version", "mqnet_last_error", "mqnet_status_text", "mqnet_missing_feature"),
    }
    foreign = [name for name in symbols.defined | symbols.undefined if "TVM" in name.upper()]
    assert not foreign
    heap = {"malloc", "calloc", "realloc", "free", "printf", "fprintf", "setlocale"}
    assert not heap & symbols.undefined


def test_program_checks_itself(built: Artefact) -> None:
    result = run_program(built, "check")
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    integers = built.manifest.coverage
    assert integers is not None
    assert len(lines) == min(CORES, built.manifest.threads)
    assert all(f"right: {integers.integer_ops} of" in line for line in lines)
    told = json.loads(run_program(built, "check", "--json").stdout)
    assert told["right"] and told["wrong"] is None and told["calls"] == built.manifest.whole.ops
    assert [frame["threads"] for frame in told["frames"]] == list(range(1, len(lines) + 1))
    for frame in told["frames"]:
        (output,) = frame["outputs"]
        assert frame["right"] and frame["exact"] == integers.integer_ops
        assert output["name"] == "h" and output["difference"] <= output["allowed"]


def test_program_finds_a_wrong_weight(built: Artefact, tmp_path: Path) -> None:
    """A bit in some bytes of one convolution's weights, and the call that reads them is named."""
    library = bytearray(built.library.with_name("mqnet-run").read_bytes())
    weights = _largest_constant(built)
    at = library.find(weights)
    assert at > 0
    # Some of the weights are of channels that are always 0.
    for place in range(at, at + len(weights), 997):
        library[place] ^= 0x40
    program = tmp_path / "wrong-run"
    program.write_bytes(library)
    program.chmod(0o755)
    result = subprocess.run([str(program), "check"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "WRONG: call" in result.stdout and "net.backbone" in result.stdout
    command = [str(program), "check", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(result.stdout)
    assert result.returncode == 1 and not told["right"]
    assert told["wrong"]["kernel"] == built.manifest.calls[told["wrong"]["place"]].kernel
    assert told["wrong"]["layers"] == list(built.manifest.calls[told["wrong"]["place"]].layers)
    assert told["wrong"]["threads"] == 1 and not told["frames"][0]["right"]


def test_program_that_is_cut_short(built: Artefact, tmp_path: Path) -> None:
    check_cut_program(built.library.with_name("mqnet-run"), tmp_path)


@x86_only
def test_program_finds_a_wrong_instruction(built: Artefact, tmp_path: Path) -> None:
    """A multiply-add of bytes that takes them for words, in a convolution."""
    program = bytearray(built.library.with_name("mqnet-run").read_bytes())
    found = [
        (one, program.find(one.before + library[one.place : one.place + 1] + one.after))
        for library in (built.library.read_bytes(),)
        for one in vector_instructions(built.library, "vpdpbusd", "vpmaddwd")
        if program.count(one.before + library[one.place : one.place + 1] + one.after) == 1
    ]
    one, place = found[len(found) // 2]
    program[place + len(one.before)] = one.opcode
    wrong = tmp_path / "wrong-run"
    wrong.write_bytes(program)
    wrong.chmod(0o755)
    result = subprocess.run([str(wrong), "check"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "WRONG: call" in result.stdout and f"kernel {one.kernel}, " in result.stdout


def _largest_constant(built: Artefact) -> bytes:
    """A piece of the weights: the library has them in a row, the largest in the middle of it."""
    archive = built.library.with_name("libmqnet.a").read_bytes()
    size = built.manifest.whole.weight_bytes
    start = archive.find(b"weights.o/")
    assert start > 0
    return archive[start + size // 2 : start + size // 2 + 4096]


def test_program_measures(built: Artefact) -> None:
    result = run_program(built, "bench", "--seconds", "0.01", "--warm-up", "0", "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["network"] == "mqnet" and told["target"] == "host" and told["scheme"] == "mixed"
    assert [row["threads"] for row in told["latency"]] == THREADS
    for row in told["latency"]:
        assert row["frames"] >= 3
        assert 0 < row["min_ms"] <= row["p10_ms"] <= row["p50_ms"] <= row["p90_ms"]
    assert len(told["before"]["cores"]) == CORES
    assert told["start_ms"] > 0
    least = built.manifest.whole.weight_bytes
    assert least < told["resident_bytes"] < least + built.manifest.whole.activation_bytes + 2e6
    text = run_program(built, "bench", "--seconds", "0", "--warm-up", "0", "--threads", "1")
    assert text.returncode == 0 and "p50" in text.stdout and "first frame after" in text.stdout


def test_program_makes_a_picture(built: Artefact, tmp_path: Path) -> None:
    frame, picture = frame_of(built), tmp_path / "in.ppm"
    height, width = built.size
    picture.write_bytes(b"P6\n# a comment\n%d#one\n %d\n255\n" % (width, height) + frame.tobytes())
    result = run_program(built, "infer", str(picture), str(tmp_path / "out.pfm"))
    assert result.returncode == 0, result.stderr
    header, size, order, data = (tmp_path / "out.pfm").read_bytes().split(b"\n", 3)
    assert (header, size, order) == (b"PF", b"%d %d" % (width, height), b"-1.0")
    light = np.frombuffer(data, "<f4").reshape(height, width, 3)[::-1]
    (output,), _ = Session(built, 1).run_frame((frame,))
    np.testing.assert_allclose(light, decode_hdr(output[0]), rtol=1e-5, atol=1e-7)


def test_program_says_what_it_is(built: Artefact) -> None:
    told = json.loads(run_program(built, "info", "--json").stdout)
    assert told["inputs"] == [
        {"name": "image", "dtype": "uint8", "layout": "NHWC", "shape": [1, 64, 96, 3]}
    ]
    assert told["calls"] == built.manifest.whole.ops
    assert set(built.manifest.target.requires) <= set(told["features"])
    assert "image, uint8 [1, 64, 96, 3], NHWC" in run_program(built, "info").stdout
    for word in ("help", "--help", "-h"):
        assert "bench" in run_program(built, word).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the command is bench, check, infer, info or help"),
        (["run"], "run is no command: the command is"),
        (["bench", "--threads", "0"], "--threads 0: each number has to be from 1 to"),
        (["bench", "--threads", "1,"], "ends in a comma"),
        (["bench", "--threads", "4096"], "the most that this was built for"),
        (["bench", "--seconds", "x"], "--seconds x is not a number"),
        (["bench", "--seconds"], "option --seconds needs a value"),
        (["bench", "--fast"], "there is no option --fast"),
        (["check", "x"], "check takes no x"),
        (["check", "--cores", "4-"], "--cores 4- is neither all"),
        (["check", "--cores", ""], "--cores  is neither all"),
        (["check", "--cores", "99"], "cores have numbers from 0 to 63"),
        (["check", "--cores", "63"], "may not use all of those cores"),
        (["infer", "a.ppm"], "infer needs a photograph and a file to write"),
        (["infer", "/none/a.ppm", "b.pfm"], "/none/a.ppm cannot be opened"),
        (["infer", f"{REPOSITORY}/README.md", "b.pfm"], "is no PPM file"),
    ],
)
def test_program_refuses_in_a_sentence(
    built: Artefact, arguments: list[str], sentence: str
) -> None:
    result = run_program(built, *arguments)
    assert result.returncode == 2 and result.stdout == ""
    assert sentence in result.stderr and len(result.stderr.splitlines()) == 1


def test_program_refuses_other_pictures(built: Artefact, tmp_path: Path) -> None:
    picture = tmp_path / "in.ppm"
    for content, sentence in (
        (b"P6 31 33 255\n" + bytes(31 * 33 * 3), "is 33x31, and this was built for 64x96"),
        (b"P6 96 64 65535\n", "8 bits a channel"),
        (b"P6 96 64 255\n" + bytes(96 * 64 * 3 - 1), "ends too early"),
        (b"P6 96 # no end", "8 bits a channel"),
        (b"P6 96#no end", "8 bits a channel"),
        (b"P6 99999999999999999999 64 255\n", "is 64x9999999999, and this was built"),
    ):
        picture.write_bytes(content)
        result = run_program(built, "infer", str(picture), str(tmp_path / "out.pfm"))
        assert result.returncode == 2 and sentence in result.stderr
        assert not (tmp_path / "out.pfm").exists()


def test_picture_that_cannot_be_written(built: Artefact, tmp_path: Path) -> None:
    """Half a picture does not stay; a device that was named as the output does."""
    picture, full = tmp_path / "in.ppm", tmp_path / "full"
    picture.write_bytes(b"P6 96 64 255\n" + bytes(96 * 64 * 3))
    full.symlink_to("/dev/full")
    result = run_program(built, "infer", str(picture), str(full))
    assert result.returncode == 2 and "full cannot be written" in result.stderr
    assert full.is_symlink()
    program = built.library.with_name("mqnet-run")
    limited = f'ulimit -f 10; exec "{program}" infer in.ppm out.pfm'
    result = subprocess.run(["sh", "-c", limited], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr == "out.pfm cannot be written\n"
    assert not (tmp_path / "out.pfm").exists()


def test_the_same_build_again_is_whole(artefact: ArtefactFactory, tmp_path: Path) -> None:
    """From the cache: the program can still be run; without the form, its files go."""
    built = artefact(standalone=True)
    names = {"mqnet.h", "libmqnet.a", "libmqnet.so", "mqnet-run"}
    assert names <= built.manifest.files.keys() and built.manifest.standalone == "mqnet"
    request = "--target", "host", "--size", "64x96", "--out", tmp_path / "again"
    for options, found in ((["--standalone"], names), ([], set())):
        outcome = in_fork("compile/build", *request, *options)
        assert outcome.code == 0, outcome
        files = {path.name for path in (tmp_path / "again").iterdir()}
        assert files == {LIBRARY, VECTOR, MANIFEST, *found}
        if found:
            assert os.access(tmp_path / "again" / "mqnet-run", os.X_OK)
