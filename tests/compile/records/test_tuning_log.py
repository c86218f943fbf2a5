"""A tuning log: what the shipped ones hold, and that one is written as it is read, or refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tvm
from rich.console import Console

from compile.records.compact_log import compact_log
from compile.records.log_status import compare_logs, log_status, log_statuses, print_statuses
from compile.records.records import RECORDS, WORKLOADS
from compile.records.session_file import SESSION, TunedKernel, read_session, write_session
from compile.records.tuning_log import TuningLog, read_logs
from compile.support.errors import MqnetError, TargetError

SHIPPED = Path(__file__).parents[3] / "tuning_logs"
NAMES = sorted(path.parent.name for path in SHIPPED.glob(f"*/{SESSION}"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the smallest shipped log."""
    copy = tmp_path / "cortex-x2"
    shutil.copytree(SHIPPED / "cortex-x2", copy)
    return copy


def test_the_shipped_logs_are_there() -> None:
    assert {"cortex-a55", "cortex-a76", "cortex-x2"} < set(NAMES)
    assert [log.folder.name for log in read_logs(SHIPPED)] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_session_is_written_as_it_was(name: str, tmp_path: Path) -> None:
    """Only the order of a kernel's keys may change."""
    session = read_session(SHIPPED / name)
    write_session(tmp_path, session)
    before, after = (json.loads((at / SESSION).read_text()) for at in (SHIPPED / name, tmp_path))
    assert after == before and list(after) == list(before)
    assert read_session(tmp_path) == session


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_log_is_written_as_it_was(name: str, tmp_path: Path) -> None:
    log = TuningLog.read(SHIPPED / name)
    assert log.database.size and log.session.target == name
    TuningLog(tmp_path, log.session, log.database).write()
    again = TuningLog.read(tmp_path)
    assert again.session == log.session and again.database.size == log.database.size
    for file in RECORDS, WORKLOADS:
        assert len((tmp_path / file).read_bytes()) <= len((SHIPPED / name / file).read_bytes())


def test_what_is_known_of_a_kernel(folder: Path) -> None:
    log = TuningLog.read(folder)
    settled = log.session.settled
    (key, known), *_ = settled.items()
    assert (
        log.measured(key) == known == {log.session.kernels[key].builtin: pytest.approx(2.4e-4, 1)}
    )
    tuned = next(key for key in log.session.kernels if key not in settled)
    assert len(log.measured(tuned)) > 1
    assert log.measured("unknown") == {}


def test_what_must_not_be_tried_again(folder: Path) -> None:
    session = read_session(folder)
    session.dropped = {"a": ["y"]}
    session.drop({"a": ["z", "x", "y"], "b": ["w"]})
    assert session.dropped == {"a": ["x", "y", "z"], "b": ["w"]}


def test_keys_that_a_kernel_may_lack(folder: Path) -> None:
    session = read_session(folder)
    session.kernels = {
        "1": TunedKernel("add", "elementwise", "lanes=4"),
        "2": TunedKernel("add", "elementwise", "lanes=4", confirmed="lanes=8"),
        "3": TunedKernel("add", "elementwise", "lanes=4", seconds=1e-6),
    }
    write_session(folder, session)
    kernels = json.loads((folder / SESSION).read_text())["kernels"]
    same = {"name": "add", "family": "elementwise", "builtin": "lanes=4"}
    assert kernels == {
        "1": same,
        "2": same | {"confirmed": "lanes=8"},
        "3": same | {"seconds": 1e-6},
    }
    assert session.settled == {"3": {"lanes=4": 1e-6}}
    assert read_session(folder) == session


def test_names_that_come_from_tvm(folder: Path) -> None:
    """Its strings are a class of their own."""
    name, session = tvm.runtime.convert("add"), read_session(folder)
    assert type(name) is not str
    session.kernels = {"1": TunedKernel(name, "elementwise", "lanes=4")}
    write_session(folder, session)
    assert read_session(folder).kernels["1"].name == "add"


def test_no_log(tmp_path: Path) -> None:
    assert read_session(tmp_path) is None and read_logs(tmp_path) == []
    with pytest.raises(TargetError, match=f"{tmp_path} holds no {SESSION}: name what"):
        TuningLog.read(tmp_path)


def _remove(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda session: session.pop(key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(
            (_remove(key), f"damaged .*missing required field `{key}`")
            for key in ("target", "device", "kernels", "failed", "dropped", "sessions")
        ),
        (_remove("format"), "damaged .it says no format"),
        (lambda s: s["device"].pop("tvm"), "damaged at device .*`tvm`"),
        (lambda s: s.update(kernels=[]), "damaged at kernels .expected `object`, got `array`"),
        (lambda s: s["sessions"][0].update(trials="many"), r"damaged at sessions\[0\]\.trials "),
        (
            lambda s: s["kernels"].update(k={"name": "add"}),
            r"damaged at kernels.*`family`",
        ),
        (lambda s: s.update(format=9), "is of format 9, from a newer version of this project"),
        (lambda s: s.update(format=0), "is of format 0, from an older version of this project"),
    ],
)
def test_a_session_file_with_a_wrong_key(
    folder: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    session = json.loads((folder / SESSION).read_text())
    change(session)
    (folder / SESSION).write_text(json.dumps(session))
    match = rf"{SESSION} .*{words}.*: restore or delete {folder}"
    for read in (read_session, TuningLog.read, lambda at: log_statuses(at.parent)):
        with pytest.raises(TargetError, match=match):
            read(folder)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1}', '{"format": 9}', "no json"])
def test_no_session_file_at_all(tmp_path: Path, text: str) -> None:
    (tmp_path / SESSION).write_text(text)
    with pytest.raises(TargetError, match=rf"{SESSION} is .*: restore or delete {tmp_path}"):
        read_session(tmp_path)


def test_a_session_file_that_ends_too_soon(folder: Path) -> None:
    whole = (folder / SESSION).read_bytes()
    for length in range(0, len(whole) - 2, 997):
        (folder / SESSION).write_bytes(whole[:length])
        with pytest.raises(TargetError, match=rf"{SESSION} is truncated or not JSON"):
            read_session(folder)


def test_a_session_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / SESSION).mkdir()
    with pytest.raises(TargetError, match=rf"{SESSION} cannot be read \(.*\): restore or delete"):
        read_session(tmp_path)


def test_status_as_json(folder: Path) -> None:
    status = msgspec.to_builtins(log_status(TuningLog.read(folder)))
    session = json.loads((folder / SESSION).read_text())
    assert list(status) == ["log", "target", "device", "records", "kernels", "sessions"]
    assert json.loads(json.dumps(status["device"])) == session["device"]
    assert status["sessions"] == session["sessions"]
    assert all(
        list(kernel)
        == [
            *("key", "name", "family", "builtin", "builtin_seconds"),
            *("best", "best_seconds", "measured", "failed"),
        ]
        for kernel in status["kernels"]
    )
    assert len(status["kernels"]) == len(session["kernels"])


def test_status_of_a_log_in_the_folder_of_another(folder: Path) -> None:
    said = Console(file=io.StringIO(), width=300)
    (status,) = log_statuses(folder.rename(folder.with_name("cortex-a55")).parent)
    print_statuses([status], said)
    assert (status.log, status.target) == ("cortex-a55", "cortex-x2")
    assert "it is the log of target cortex-x2" in said.file.getvalue()


def test_a_log_of_another_tvm_is_not_compacted(folder: Path) -> None:
    """Which of its records still fit is for the version that wrote them to say."""
    session = read_session(folder)
    session.device = msgspec.structs.replace(session.device, tvm="0.26.0")
    write_session(folder, session)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TargetError, match=r"measured with TVM 0\.26\.0 and this is 0\.27.*compact"):
        compact_log(folder, 1)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
    assert after == before


def test_two_logs(folder: Path) -> None:
    comparison = compare_logs(folder, SHIPPED / "cortex-x2")
    assert comparison.same_device
    assert all(row.old_seconds == row.new_seconds for row in comparison.kernels)
    assert not compare_logs(folder, SHIPPED / "cortex-a76").same_device
    with pytest.raises(TargetError, match="no kernel in common"):
        session = read_session(folder)
        session.kernels = {}
        write_session(folder, session)
        compare_logs(folder, SHIPPED / "cortex-x2")


def test_compacting_twice_changes_nothing(folder: Path) -> None:
    first = compact_log(folder, 2)
    files = {name: (folder / name).read_bytes() for name in (SESSION, RECORDS, WORKLOADS)}
    assert (again := compact_log(folder, 2)).before == again.after == first.after > 0
    assert {name: (folder / name).read_bytes() for name in files} == files
    with pytest.raises(MqnetError, match="compact 0 would keep nothing"):
        compact_log(folder, 0)
