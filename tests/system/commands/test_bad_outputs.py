"""Results that cannot be written: a full disk, a folder that is closed, an unknown ending."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import (
    QUICK,
    REPOSITORY,
    Command,
    Outcome,
    as_user,
    check_sentence,
    contents,
    fill,
    in_fork,
)
from PIL import Image
from tuned_network import TUNED

from compile.artefact.manifest import LIBRARY, MANIFEST, VECTOR
from compile.imaging.bundled import bundled_photos

#: A build that takes seconds although nothing of it is in the cache, and has no warning to say.
ANEW = "--target", "host", *TUNED, "--no-cache", "--calibrate", bundled_photos("test")[0].parent


@pytest.mark.parametrize("name", ["x.gif", "x.hdr", "x.avif.gz"])
def test_unknown_ending(here: Command, host: Path, photo: Path, out: Path, name: str):
    check_sentence(here("compile/infer", host, photo, "-o", out / name), ".avif", ".exr", ".png")
    assert contents(out) == {}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("x.jpg", "--gain-map"), "--gain-map is of AVIF, and jpg is written: leave it out"),
        (("x.avif", "--gain-map", "--transfer", "hlg"), "--transfer hlg has no --gain-map"),
        (
            ("x.jpg", "--transfer", "pq"),
            "--transfer is of AVIF, JPEG XL and PNG, and jpg is written",
        ),
        (("x.png", "--speed", "3"), "--speed is of AVIF, and png is written"),
    ],
)
def test_options_of_another_kind_of_file(
    here: Command, host: Path, photo: Path, out: Path, options: tuple[str, ...], sentence: str
):
    name, *others = options
    check_sentence(here("compile/infer", host, photo, "-o", out / name, *others), sentence)
    assert contents(out) == {}


def test_output_in_a_missing_folder(here: Command, host: Path, photo: Path, out: Path):
    check_sentence(
        here("compile/infer", host, photo, "-o", out / "no" / "x.avif"), "create the folder"
    )
    assert contents(out) == {}


def test_a_graph_is_not_the_manifest(here: Command, out: Path):
    graph = out / "build" / MANIFEST
    graph.parent.mkdir()
    outcome = here("compile/build", *TUNED, "-o", graph.parent, "--graph", graph)
    check_sentence(outcome, f"{MANIFEST} is what the command writes there itself")


def test_working_directory_that_is_gone(
    here: Command, host: Path, photo: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    (out / "gone").mkdir()
    monkeypatch.chdir(out / "gone")
    (out / "gone").rmdir()
    outcome = here("compile/infer", host, photo, "-o", "x.avif")
    check_sentence(outcome, "working directory has been removed")


def test_output_below_a_file(here: Command, host: Path, photo: Path, out: Path):
    (out / "file").write_text("mine")
    before = contents(out)
    check_sentence(
        here("compile/infer", host, photo, photo.with_name("b.jpg"), "-o", out / "file" / "x")
    )
    check_sentence(here("compile/build", *QUICK, "--out", out / "file" / "x"), "file")
    assert contents(out) == before


def no_override() -> tuple[str, ...]:
    """A prefix that takes from root what ignores a folder's permissions."""
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", "--bounding-set=-dac_override")
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("root may write everywhere, and setpriv cannot change that here")
    return prefix


def test_read_only_folder(host: Path, photo: Path, read_only: Path):
    outcome = as_user("compile/infer", host, photo, "-o", read_only / "x.exr", prefix=no_override())
    check_sentence(outcome, str(read_only / "x.exr"), "permission denied")
    for folder in (read_only, read_only / "new"):
        outcome = as_user("compile/build", *QUICK, "--out", folder, prefix=no_override())
        check_sentence(outcome, str(folder), "permission denied")
    assert contents(read_only) == {}


@pytest.mark.parametrize("ending", [".jpg", ".avif", ".exr", ".png"])
def test_full_disk_under_a_picture(
    here: Command, host: Path, photo: Path, small_disk: Path, ending: str
):
    older = small_disk / f"x{ending}"
    older.write_bytes(b"older")
    # Room for the file's first page and no more: the disk is full in the middle of the write.
    fill(small_disk, 4096)
    before = contents(small_disk)
    check_sentence(here("compile/infer", host, photo, "-o", older), str(older), "no space left")
    assert contents(small_disk) == before


def test_file_limit_under_a_picture(host: Path, photo: Path, out: Path):
    """As a full disk, where no disk can be mounted."""
    (out / "x.exr").write_bytes(b"older")
    outcome = as_user("compile/infer", host, photo, "-o", out / "x.exr", file_limit=4096)
    check_sentence(outcome, str(out / "x.exr"), "file too large")
    assert contents(out) == {"x.exr": b"older"}


@pytest.mark.slow
def test_json_is_the_manifest(quick_build: tuple[Path, Outcome]):
    folder, outcome = quick_build
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == json.loads((folder / MANIFEST).read_text())
    assert sorted(contents(folder)) == [MANIFEST, LIBRARY, VECTOR]
    # The phases (one where another test has built the same) and the table are for people.
    assert re.search(r"\d\.\d s$", outcome.err, re.MULTILINE) and "MMAC" in outcome.err


@pytest.mark.slow
def test_full_disk_under_a_library(small_disk: Path):
    fill(small_disk, 4096)
    before = contents(small_disk)
    outcome = in_fork("compile/build", *ANEW, "--out", small_disk)
    check_sentence(outcome, str(small_disk), LIBRARY)
    assert contents(small_disk) == before


@pytest.mark.slow
def test_full_disk_under_a_manifest(out: Path, small_disk: Path):
    assert in_fork("compile/build", *ANEW, "--out", out).code == 0
    files = [(out / name).stat().st_size for name in (LIBRARY, VECTOR)]
    remount = ["mount", "-o", "remount,size=16m", str(small_disk)]
    subprocess.run(remount, check=True)
    # The files fit to the page, so that nothing is left for what describes them.
    fill(small_disk, sum(-(-size // 4096) * 4096 for size in files))
    before = contents(small_disk)
    outcome = in_fork("compile/build", *ANEW, "--out", small_disk)
    check_sentence(outcome, str(small_disk), MANIFEST, "no space left")
    assert contents(small_disk) == before


@pytest.mark.slow
def test_full_disk_under_temporary_files(small_disk: Path, out: Path):
    fill(small_disk, 4096)
    before = contents(small_disk)
    # What is in the build cache needs no room there.
    outcome = in_fork("compile/build", *ANEW, "--out", out, env={"TMPDIR": str(small_disk)})
    check_sentence(outcome, str(small_disk))
    assert contents(small_disk) == before and contents(out) == {}


@pytest.mark.parametrize("way", ["itself", "link", "hard link", "folder"])
def test_a_photograph_is_never_written_over(here: Command, host: Path, out: Path, way: str):
    photo = out / "photo.png"
    Image.new("RGB", (64, 64), (90, 120, 200)).save(photo)
    before = photo.read_bytes()
    output = out / "other.png"
    if way == "link":
        output.symlink_to(photo)
    elif way == "hard link":
        output.hardlink_to(photo)
    options = (photo.parent, "--format", "png") if way == "folder" else (output,)
    if way == "itself":
        options = (photo,)
    check_sentence(here("compile/infer", host, photo, "-o", *options), "one of the inputs")
    assert photo.read_bytes() == before


def test_no_input_of_another_command_is_written_over(here: Command, out: Path):
    for name in ("manifest.json", "ca.safetensors", "report.html", "x.exr"):
        (out / name).write_bytes(b"mine")
    before = contents(out)
    (png := out.parent / "link.png").symlink_to(out / "x.exr")
    commands = (
        ("compile/build", "--target", "host", "--checkpoint", out / "manifest.json", "--out", out),
        ("compile/train", "--start", out / "ca.safetensors", "--out", out),
        ("compile/scenes", "preview", "--scenes", out, "-o", png),
        ("compile/scenes", "hold-out", "--scenes", out, "--out", out),
        ("bench/report", out / "report.html", "-o", out),
        ("device/make_board", out, "--sources", out / "manifest.json"),
        ("device/make_mali_compiler", out, "--sources", out / "manifest.json"),
    )
    for command, *options in commands:
        check_sentence(here(command, *options), "one of the inputs")
    assert contents(out) == before


def test_an_empty_name(here: Command, host: Path, out: Path):
    """As of a variable of the shell that is not set: not the working directory."""
    check_sentence(here("compile/infer", host, "", "-o", out), "argument 2 is empty")
    check_sentence(here("compile/build", *QUICK, "--out", ""), "is empty")
    check_sentence(here("compile/build", *QUICK, "--out="), "--out is empty")


def test_stdout_is_no_output(here: Command):
    for command in (
        ("compile/build", *QUICK, "--out", "-"),
        ("compile/demo", "--out", "-"),
        ("bench/latency", "--out", "-"),
        ("device/build_opencl", "--output", "-"),
    ):
        check_sentence(here(*command), "results are not written to stdout")


def test_a_name_that_is_too_long(here: Command, host: Path, photo: Path, out: Path):
    check_sentence(here("compile/infer", host, photo, "-o", out / f"{'x' * 253}.png"), "shorter")
    check_sentence(here("compile/infer", host / ("x" * 300), photo, "-o", out / "x.png"), "shorter")


@pytest.mark.parametrize(
    ("stdout", "codes"), [("| head -1", "141 0"), ("> /dev/full", "2"), (">&-", "2")]
)
def test_lost_output_stops_no_photograph(host: Path, out: Path, stdout: str, codes: str):
    folder = out / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64)).save(folder / f"{number}.png")
    command = f'"{sys.executable}" compile/infer.py {host} {folder}/*.png -o {out}/hdr/ --json'
    script = f'{command} {stdout}; echo "${{PIPESTATUS[@]}}"'
    done = subprocess.run(
        ["bash", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == codes, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(contents(out / "hdr")) == [f"{number}.avif" for number in range(4)]
