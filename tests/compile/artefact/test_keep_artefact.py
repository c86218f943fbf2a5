"""Artefacts in the build cache: found by all that goes into them, restored as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import contents
from rich.console import Console

from compile.artefact.keep_artefact import (
    artefact_key,
    keep_artefact,
    request_facts,
    restore_artefact,
)
from compile.artefact.manifest import MANIFEST
from compile.artefact.reader import Artefact
from compile.support.build_cache import NO_CACHE, BuildCache
from compile.support.errors import CheckpointError
from compile.support.progress import Progress

FACTS = request_facts(
    target="host",
    scheme="mixed",
    network="mqnet",
    parameters={"attention": "ca"},
    size="64x96",
    threads=None,
    ndk_compiler=None,
    on_processor=None,
)
QUIET = Progress(Console(quiet=True))


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs/host").mkdir(parents=True)
    (tmp_path / "logs/host/session.json").write_text("{}")
    return tmp_path / "logs"


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("target", "rpi4"),
        ("scheme", "int8"),
        ("network", "unet"),
        ("parameters", {"attention": "sa"}),
        ("size", "96x64"),
        ("threads", 1),
        ("ndk_compiler", "clang"),
        ("on_processor", "head"),
        ("image_weights", True),
        ("content", "a checksum"),
        ("standalone", True),
        ("tiles", True),
    ],
)
def test_another_request_has_another_key(fact: str, value: object, logs: Path) -> None:
    assert fact in FACTS
    assert artefact_key(FACTS | {fact: value}, None, logs) != artefact_key(FACTS, None, logs)


def test_no_fact_is_left_out() -> None:
    json.dumps(FACTS)
    assert len(FACTS) == 13


def test_the_content_of_files_counts(logs: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    keys = [artefact_key(FACTS, None, logs)]
    for content in (b"a", b"b"):
        weights.write_bytes(content)
        keys.append(artefact_key(FACTS, weights, logs))
    (logs / "host/session.json").write_text("{} ")
    keys.append(artefact_key(FACTS, None, logs))
    assert len(set(keys)) == 4


def test_this_machine_counts(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = artefact_key(FACTS, None, logs)
    monkeypatch.setattr("targets.detect_host.os.sched_getaffinity", lambda _: range(77))
    assert artefact_key(FACTS, None, logs) != before


def test_a_checkpoint_that_is_not_there(logs: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing.safetensors"):
        artefact_key(FACTS, tmp_path / "nothing.safetensors", logs)


def test_it_is_restored_as_it_was(artefact: object, tmp_path: Path) -> None:
    built: Artefact = artefact(scheme="fp32")
    folder, cache = built.library.parent, BuildCache(tmp_path / "cache")
    keep_artefact(cache, "key", tmp_path / "default", folder, [*built.manifest.files, MANIFEST])
    assert restore_artefact(cache, "other", None, QUIET) is None
    for out, place in ((None, tmp_path / "default"), (tmp_path / "out", tmp_path / "out")):
        restored = restore_artefact(cache, "key", out, QUIET)
        assert restored.manifest == built.manifest
        assert restored.library == place / built.library.name
        assert contents(place) == contents(folder)


def test_nothing_is_restored_without_a_cache() -> None:
    assert restore_artefact(NO_CACHE, "key", None, QUIET) is None
