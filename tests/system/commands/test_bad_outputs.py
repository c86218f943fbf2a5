"""Results that cannot be written: a full disk, a folder that is closed, an unknown ending."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from command_line import (
    QUICK,
    Command,
    Outcome,
    as_user,
    check_sentence,
    contents,
    fill,
)

from compile.artefact.manifest import LIBRARY, MANIFEST


@pytest.mark.parametrize("name", ["x.jpg", "x.hdr", "x.avif.gz"])
def test_unknown_ending(here: Command, host: Path, photo: Path, out: Path, name: str):
    check_sentence(here("compile/infer", host, photo, "-o", out / name), ".avif", ".exr", ".png")
    assert contents(out) == {}


def test_output_in_a_missing_folder(here: Command, host: Path, photo: Path, out: Path):
    check_sentence(
        here("compile/infer", host, photo, "-o", out / "no" / "x.avif"), "create the folder"
    )
    assert contents(out) == {}


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
        check_sentence(outcome, str(folder), "Permission denied")
    assert contents(read_only) == {}


@pytest.mark.parametrize("ending", [".avif", ".exr", ".png"])
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
    assert sorted(contents(folder)) == [MANIFEST, LIBRARY]
    # The phases and the table are for people.
    assert "quantize" in outcome.err and "MMAC" in outcome.err


@pytest.mark.slow
def test_full_disk_under_a_library(small_disk: Path):
    outcome = as_user("compile/build", *QUICK, "--no-cache", "--out", small_disk)
    check_sentence(outcome, str(small_disk), LIBRARY)
    assert contents(small_disk) == {}


@pytest.mark.slow
def test_full_disk_under_a_manifest(quick_build: tuple[Path, Outcome], small_disk: Path):
    library = (quick_build[0] / LIBRARY).stat().st_size
    remount = ["mount", "-o", "remount,size=16m", str(small_disk)]
    subprocess.run(remount, check=True)
    # The library fits to the page, so that nothing is left for what describes it.
    fill(small_disk, -(-library // 4096) * 4096)
    before = contents(small_disk)
    outcome = as_user("compile/build", *QUICK, "--no-cache", "--out", small_disk)
    check_sentence(outcome, str(small_disk), MANIFEST, "no space left")
    assert contents(small_disk) == before


@pytest.mark.slow
def test_full_disk_under_temporary_files(small_disk: Path, out: Path):
    # What is in the build cache needs no room there.
    options = *QUICK, "--no-cache", "--out", out
    outcome = as_user("compile/build", *options, env={"TMPDIR": str(small_disk)})
    check_sentence(outcome, str(small_disk))
    assert contents(small_disk) == contents(out) == {}
