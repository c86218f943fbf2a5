"""A log's folder: one session at a time, one device, and named by the instruction set."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from compile.records import TUNING_LOGS
from compile.records.log_folder import (
    check_same_device,
    existing_log,
    fingerprint,
    locked_log,
    log_for_builds,
    open_log,
    records_name,
)
from compile.records.records import RECORDS
from compile.records.session_file import SESSION, SessionFile
from compile.support.errors import OutputError, TargetError
from device.server.machine import describe_machine
from targets.load_target import load_target

DEVICE = {"cpu": "X", "features": ["avx2", "fma"], "mhz": 3000, "governor": "performance"}
SESSION_FACTS = SessionFile(
    target="host-x86-avx2",
    device=fingerprint(DEVICE, "0.27"),
    kernels={},
    failed={},
    dropped={},
    sessions=[],
)


def test_folder_is_named_by_the_instruction_set() -> None:
    host = load_target("host")
    for machine, variant, folder in (
        ("EM_X86_64", "avx2", "host-x86-avx2"),
        ("EM_AARCH64", "neon", "host-arm64-neon"),
    ):
        processor = replace(host.processor, machine=machine)
        assert records_name(replace(host, processor=processor, variant=variant)) == folder
    assert records_name(load_target("cortex-a76")) == "cortex-a76"


def test_one_session_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "log"
    with locked_log(folder) as mended:
        assert mended == []
        with (
            pytest.raises(TargetError, match=f"another session writes to {folder}: wait"),
            locked_log(folder),
        ):
            pass
    with locked_log(folder):
        pass


def test_what_was_cut_off_is_said(tmp_path: Path) -> None:
    (tmp_path / RECORDS).write_text('[0,1]\n[0,"cut')
    with locked_log(tmp_path) as mended:
        (sentence,) = mended
    assert RECORDS in sentence and "7 bytes" in sentence
    assert (tmp_path / RECORDS).read_text() == "[0,1]\n"


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot make folder"),
        locked_log(tmp_path / "file" / "x"),
    ):
        pass


def test_a_new_log_and_the_same_again(tmp_path: Path) -> None:
    device, asked = fingerprint(DEVICE, "0.27"), []

    def reference() -> float:
        asked.append(True)
        return 1e-4

    arguments = tmp_path, "host-x86-avx2", "EM_X86_64 avx2 256", device, reference
    new = open_log(*arguments)
    assert new.session.reference_seconds == 1e-4 and not new.database.size
    assert not list(tmp_path.iterdir())
    new.write_session()
    assert existing_log(tmp_path) == tmp_path
    assert open_log(*arguments) == new and len(asked) == 1
    with pytest.raises(TargetError, match="is the log of target host-x86-avx2, not of cortex-a76"):
        open_log(tmp_path, "cortex-a76", *arguments[2:])


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=f"{tmp_path} holds no {SESSION}"):
        existing_log(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu": "Y"}, "cpu X then, Y now"),
        ({"features": ["avx2", "avx512f"]}, r"features -fma \+avx512f"),
        ({"mhz": 2000}, "mhz 3000 then, 2000 now"),
        ({"governor": "powersave"}, "governor performance then, powersave now"),
        ({"kernel": "6.1"}, "kernel None then, 6.1 now"),
    ],
)
def test_devices_are_not_mixed(tmp_path: Path, change: dict, words: str) -> None:
    now = fingerprint(DEVICE | change, "0.27")
    with pytest.raises(TargetError, match=f"{words}.*: move that folder away .*--logs"):
        check_same_device(tmp_path, SESSION_FACTS, "host-x86-avx2", now)


def test_versions_of_tvm_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="tvm 0.27 then, 0.28 now"):
        check_same_device(tmp_path, SESSION_FACTS, "host-x86-avx2", fingerprint(DEVICE, "0.28"))


def test_log_of_another_target(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="log of target host-x86-avx2, not of cortex-a76: move"):
        check_same_device(tmp_path, SESSION_FACTS, "cortex-a76", SESSION_FACTS.device)


def test_this_machine_has_a_fingerprint() -> None:
    facts = fingerprint(describe_machine(), "0.27")
    assert facts.cpu and facts.features and facts.kernel
    assert facts == fingerprint(describe_machine(), "0.27")


def test_builds_take_no_log_of_another_target(tmp_path: Path) -> None:
    """As after a copy into the wrong folder."""
    shutil.copytree(TUNING_LOGS / "cortex-x2", tmp_path / "cortex-a55")
    with pytest.raises(TargetError, match="log of target cortex-x2, not of cortex-a55: move"):
        log_for_builds("cortex-a55", tmp_path)
    assert log_for_builds("cortex-x2", tmp_path) == tmp_path / "cortex-x2", "there is none"


def test_builds_warn_of_another_version_of_tvm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cortex-a76"
    shutil.copytree(TUNING_LOGS / "cortex-a76", folder)
    caplog.set_level(logging.WARNING, "compile.records.log_folder")
    assert log_for_builds("cortex-a76", tmp_path) == folder and not caplog.records
    session = json.loads((folder / SESSION).read_text())
    session["device"]["tvm"] = "0.26.0"
    (folder / SESSION).write_text(json.dumps(session))
    assert log_for_builds("cortex-a76", tmp_path) == folder
    assert f"{folder} was measured with TVM 0.26.0" in caplog.text and "tune again" in caplog.text
