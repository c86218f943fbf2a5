"""The description of a build: what is written, and that the version before wrote the same."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from compile.artefact.manifest import LIBRARY, Manifest, SplitFacts
from compile.artefact.reader import read_manifest
from compile.artefact.writer import describe_files, write_manifest
from compile.graph.parts import HEAD_LIBRARY
from compile.support.checksum import sha256_of
from targets.describe_target import describe_target
from targets.load_target import list_targets, load_target

# Written before the manifest was typed; most of their kernels and calls are left out.
OLD = Path(__file__).parent / "manifests"


@pytest.mark.parametrize("name", ["fp32", "split"])
def test_the_version_before_wrote_the_same(name: str) -> None:
    text = (OLD / f"{name}.json").read_text()
    manifest = read_manifest(OLD / f"{name}.json")
    assert json.dumps(manifest.as_json(), indent=2) + "\n" == text


def test_what_the_attributes_are() -> None:
    whole = read_manifest(OLD / "fp32.json")
    assert (whole.scheme, whole.split, whole.on_gpu) == ("fp32", None, False)
    assert whole.boundary == () and whole.whole.ops == 103
    split = read_manifest(OLD / "split.json")
    assert split.split == SplitFacts("head", (0, "input")) and split.on_gpu
    assert split.target.opencl.work_group == 256
    assert [part.name for part in split.parts] == ["backbone", "head", "main"]
    assert split.whole.ops == 98 and split.kernels[0].part == "backbone"
    assert split.boundary[0].zero_point == -128


@pytest.mark.parametrize("name", list_targets())
def test_every_target_can_be_described(name: str) -> None:
    manifest = read_manifest(OLD / "fp32.json")
    target = msgspec.to_builtins(describe_target(load_target(name)))
    described = msgspec.convert(manifest.as_json() | {"target": target}, Manifest)
    assert json.dumps(described.as_json()["target"]) == json.dumps(target)


@pytest.mark.parametrize("name", ["fp32", "split"])
def test_it_is_written_as_it_is_read(tmp_path: Path, name: str) -> None:
    old = read_manifest(OLD / f"{name}.json")
    libraries = (LIBRARY,) if old.split is None else (LIBRARY, HEAD_LIBRARY)
    for library in libraries:
        (tmp_path / library).write_bytes(library.encode())
    written = msgspec.structs.replace(old, files=describe_files(tmp_path, libraries))
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path / "manifest.json") == written != old
    assert written.files[LIBRARY].sha256 == sha256_of(tmp_path / LIBRARY)
