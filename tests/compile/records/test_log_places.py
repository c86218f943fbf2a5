"""Where logs are found and written: in a checkout, and of an installed package."""

from __future__ import annotations

from pathlib import Path

import pytest

from compile.records import TUNING_LOGS
from compile.records.log_places import find_log, find_logs, own_logs, writable_log
from compile.records.session_file import SESSION

NAME = "cortex-a76"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of what a package ships, one log, and the user's own, which does not exist."""
    shipped, own = tmp_path / "site-packages/tuning_logs", tmp_path / "data/mqnet-tvm/tuning_logs"
    (shipped / NAME).mkdir(parents=True)
    (shipped / NAME / SESSION).write_text("shipped")
    monkeypatch.setattr("compile.records.log_places.TUNING_LOGS", shipped)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return shipped, own


def test_a_checkout_has_one_place() -> None:
    assert own_logs() == TUNING_LOGS
    assert find_log(NAME, None) == writable_log(NAME, None) == TUNING_LOGS / NAME
    assert TUNING_LOGS / NAME in find_logs(None)


def test_a_named_folder_is_the_only_one(installed: tuple[Path, Path], tmp_path: Path) -> None:
    assert find_log(NAME, tmp_path) == writable_log(NAME, tmp_path) == tmp_path / NAME
    assert find_logs(tmp_path) == []


def test_a_session_leaves_the_package_as_it_is(installed: tuple[Path, Path]) -> None:
    shipped, own = installed
    assert find_log(NAME, None) == shipped / NAME and not own.exists()
    assert writable_log(NAME, None) == own / NAME
    assert (own / NAME / SESSION).read_text() == "shipped"
    (own / NAME / SESSION).write_text("mine")
    assert writable_log(NAME, None) == find_log(NAME, None) == own / NAME
    assert find_logs(None) == [own / NAME]
    assert (own / NAME / SESSION).read_text() == "mine"
    assert (shipped / NAME / SESSION).read_text() == "shipped"
    assert sorted(path.name for path in own.iterdir()) == [NAME]


def test_a_log_that_is_new(installed: tuple[Path, Path]) -> None:
    _, own = installed
    assert writable_log("my-board", None) == own / "my-board"
    assert not (own / "my-board").exists()


def test_home_without_a_data_folder(
    installed: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert own_logs() == tmp_path / "home/.local/share/mqnet-tvm/tuning_logs"
