"""Artefacts that are damaged or another machine's."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import (
    QUICK,
    Command,
    as_user,
    check_sentence,
    contents,
    edit_manifest,
    needs_lld,
    x86_only,
)
from fixtures_artefacts import ArtefactFactory
from numpy._core import _multiarray_umath

from compile.artefact.manifest import LIBRARY, MANIFEST


def test_changed_library(copy: Path, photo: Path, out: Path):
    library = bytearray((copy / LIBRARY).read_bytes())
    library[len(library) // 2] ^= 1
    (copy / LIBRARY).write_bytes(library)
    outcome = as_user("compile/infer", copy, photo, "-o", out / "x.avif")
    check_sentence(outcome, str(copy / LIBRARY), "sha256", "build it again")
    assert contents(out) == {}


def _no_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _no_library(folder: Path) -> None:
    (folder / LIBRARY).unlink()


def _truncated_manifest(folder: Path) -> None:
    whole = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(whole[: len(whole) // 2])


def _binary_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe\x00")


def _list_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text("[1, 2]")


def _bare_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text('{"format": 1}')


def _no_target(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.pop("target"))


def _no_input(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.pop("inputs"))


def _no_parts(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(parts=[]))


def _no_files(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(files={}))


def _newer_format(folder: Path) -> None:
    edit_manifest(folder, lambda manifest: manifest.update(format=99))


@pytest.mark.parametrize(
    "damage",
    [
        _no_manifest,
        _no_library,
        _truncated_manifest,
        _binary_manifest,
        _list_manifest,
        _bare_manifest,
        _no_target,
        _no_input,
        _no_parts,
        _no_files,
        _newer_format,
    ],
)
def test_damaged_artefact(
    here: Command, copy: Path, photo: Path, out: Path, damage: Callable[[Path], None]
):
    damage(copy)
    check_sentence(here("compile/infer", copy, photo, "-o", out / "x.avif"), str(copy), "build")
    assert contents(out) == {}


@x86_only
@needs_lld
def test_artefact_of_another_machine(artefact: ArtefactFactory, photo: Path, out: Path):
    built = artefact("linux-arm64")
    outcome = as_user("compile/infer", built.library.parent, photo, "-o", out / "x.avif")
    check_sentence(outcome, "linux-arm64", "EM_AARCH64", "x86_64", "--target host")
    assert contents(out) == {}


def test_artefact_for_a_cpu_with_more_features(here: Command, copy: Path, photo: Path, out: Path):
    edit_manifest(copy, lambda manifest: manifest["target"]["requires"].append("amx_future"))
    outcome = here("compile/infer", copy, photo, "-o", out / "x.avif")
    check_sentence(outcome, "amx_future", "lacks", "--target host")
    assert contents(out) == {}


@pytest.mark.parametrize(
    "content",
    [b"no library", Path(_multiarray_umath.__file__).read_bytes()],
    ids=["text", "another library"],
)
def test_library_that_does_not_load(
    here: Command, copy: Path, photo: Path, out: Path, content: bytes
):
    """The manifest fits the file, but TVM has no use for it."""
    (copy / LIBRARY).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(copy, lambda manifest: manifest["files"][LIBRARY].update(sha256=digest))
    check_sentence(here("compile/infer", copy, photo, "-o", out / "x.avif"), str(copy / LIBRARY))
    assert contents(out) == {}


@pytest.mark.parametrize("threads", ["0", "-1"])
def test_bad_number_of_threads(here: Command, host: Path, photo: Path, out: Path, threads: str):
    outcome = here("compile/infer", host, photo, "-o", out / "x.avif", "--threads", threads)
    check_sentence(outcome, threads, "threads")
    check_sentence(
        here("compile/build", *QUICK, "--threads", threads, "--out", out / "new"), "threads"
    )
    assert contents(out) == {}


def test_more_threads_than_cores(here: Command, host: Path, photo: Path, out: Path):
    outcome = here("compile/infer", host, photo, "-o", out / "x.avif", "--threads", "4096")
    check_sentence(outcome, "4096", str(len(os.sched_getaffinity(0))), "cores")
    assert contents(out) == {}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this process may use one core")
def test_more_threads_than_built_for(here: Command, copy: Path, photo: Path, out: Path):
    edit_manifest(copy, lambda manifest: manifest.update(threads=1))
    outcome = here("compile/infer", copy, photo, "-o", out / "x.avif", "--threads", "2")
    check_sentence(outcome, "threads 2", "the 1 that", str(copy), "--threads 2")
    latency = ("--artefact", copy, "--threads", "1", "--threads", "2", "--out", out / "run.json")
    check_sentence(here("bench/latency", *latency), "threads 2", "the 1 that", str(copy))
    assert contents(out) == {}
