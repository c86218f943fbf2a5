"""Which phone is meant, what it tells of itself, and sentences about those that are not ready."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures_phone import PhoneFactory

from compile.support.errors import TargetError
from device.adb.adb import Adb, Phone, PhoneLost, remedy_of
from device.adb.bench_report import MachineState, ThermalZone
from device.adb.phone_facts import LEAST_API, read_facts
from device.adb.phones import Attached, _read_line, attached_phones, choose_phone
from targets.load_target import load_target


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "R58N12        device usb:1-1 product:x1s model:SM_G981B device:x1s transport_id:3",
            Attached("R58N12", "device", "SM G981B"),
        ),
        ("emulator-5554          offline transport_id:1", Attached("emulator-5554", "offline")),
        (
            "0123           no permissions (user in plugdev group; are your udev rules wrong?); "
            "see [http://developer.android.com/tools/device.html] usb:1-2 transport_id:2",
            Attached("0123", "no permissions"),
        ),
        ("192.168.1.5:5555\tunauthorized transport_id:9", Attached("192.168.1.5:5555", "unau")),
    ],
)
def test_list_of_adb(line: str, expected: Attached):
    found = _read_line(line.replace("\t", " "))
    assert (found.serial, found.model) == (expected.serial, expected.model)
    assert found.state.startswith(expected.state)


@pytest.mark.parametrize(
    ("states", "serial", "sentence"),
    [
        ({}, None, "no phone is attached: plug one in"),
        ({}, "A", "phone A is not attached: plug one in"),
        ({"A": "device", "B": "offline"}, None, r"--serial of A \(EMULATED phone\), B \(offline\)"),
        ({"A": "device"}, "B", r"phone B is not attached: --serial may be one of A \(EMULATED"),
        ({"A": "unauthorized"}, None, "phone A does not trust this computer: unlock it"),
        ({"A": "offline"}, None, "phone A is offline: plug it in again"),
        ({"A": "connecting"}, None, "phone A is not ready: wait a moment"),
        ({"A": "no permissions (missing udev rules?); see [x]"}, "A", "phone A may not be opened"),
        ({"A": "recovery"}, None, "phone A is in state recovery: start Android on it"),
    ],
)
def test_phone_that_cannot_be_taken(
    attach: PhoneFactory, states: dict[str, str], serial: str | None, sentence: str
):
    for name, state in states.items():
        attach(name, state=state)
    with pytest.raises(TargetError, match=sentence):
        choose_phone(Adb.find(), serial)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#!/bin/sh\necho Another tool of this name\n", "lists no phones, but something else"),
        ("#!/bin/sh\nexit 1\n", "adb does not work: no message"),
        ("\0", "adb cannot be run: Exec format error"),
    ],
)
def test_what_is_no_adb(tmp_path: Path, text: str, sentence: str):
    program = tmp_path / "adb"
    program.write_text(text)
    program.chmod(0o755)
    with pytest.raises(TargetError, match=re.escape(sentence)):
        attached_phones(Adb(str(program)))


def test_what_a_phone_is(attach: PhoneFactory):
    attach("A")
    attach("B")
    facts = read_facts(choose_phone(Adb.find(), "B"))
    told = facts.environment()
    assert told["cpu"] == "EMULATED by QEMU: EMULATED phone, qemu-user"
    assert told["cores"] == 6 and told["core_parts"] == "4 of 0x41:0xd05, 2 of 0x41:0xd0b"
    assert told["governor"] == "schedutil, performance"
    assert told["frequencies"]["4,5"] == "507-2730 MHz"
    assert told["battery"] == {"percent": 87, "celsius": 31.2, "powered_by": "USB"}
    assert told["sensors"] == {"CPU": 43.0, "skin": 33.1}
    assert told["screen"] == "Awake" and told["thermal_status"] == "none"
    assert told["airplane_mode"] is True and told["battery_saver"] is False
    assert told["device"]["API level"] == 33 and told["busy_cores"] is None
    assert "B" not in str(told).split() and facts.flags() == []
    facts.check_runs("EM_AARCH64")


def test_phone_that_tells_little(attach: PhoneFactory):
    """As one of another maker, with a kernel that shows nothing, too hot, and asleep."""
    phone = attach()
    (phone.root / "system/build.prop").write_text("ro.product.cpu.abilist=arm64-v8a\n")
    dumpsys = phone.root / "system/bin/dumpsys"
    dumpsys.write_text("#!/bin/sh\necho 'Thermal Status: 3'; echo ' mWakefulness=Dozing'\n")
    (phone.root / "proc/stat").write_text("cpu  1 1 1 1 1 1 1 1\n")
    (phone.root / "proc/meminfo").unlink()
    facts = read_facts(choose_phone(Adb.find(), None))
    told = facts.environment()
    assert told["cpu"] == "unknown phone" and told["memory_mb"] is None
    assert told["battery"] is None
    assert facts.flags() == ["the phone throttles for heat: severe", "screen off"]
    with pytest.raises(TargetError, match="API level 0"):
        facts.check_runs("EM_AARCH64")


def test_least_android_is_what_targets_are_built_for():
    levels = {
        int(re.sub(r".*android", "", load_target(name).processor.triple))
        for name in ("android-arm64", "exynos-990", "snapdragon-888")
    }
    assert levels == {LEAST_API}


def test_silence_has_an_end(attach: PhoneFactory):
    phone = attach(hangs_at="getprop")
    chosen = choose_phone(Adb.find(), None)
    impatient = Phone(chosen.serial, replace(chosen.adb, answer_seconds=0.5))
    with pytest.raises(PhoneLost, match="phone EMULATED1 did not answer within 0 s: plug"):
        read_facts(impatient)
    assert phone.files() == []


def test_watched_to_its_last_error(attach: PhoneFactory):
    """Which the real adb may bring after the exit code: they come by two streams."""
    attach(errors_come_late=True)
    said = list[str]()
    phone = choose_phone(Adb.find(), None)
    assert phone.watch("sh -c 'echo one; echo error: two >&2; exit 3'", said.append) == 3
    assert said == ["one", "error: two"]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("adb: error: failed to get feature set: device offline", "is offline"),
        ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS", "does not trust"),
        ("error: closed", "was lost in the middle (error: closed): plug it in again"),
        ("", "was lost in the middle: plug it in again"),
    ],
)
def test_what_adb_says_becomes_half_a_sentence(said: str, remedy: str):
    assert remedy_of(said).startswith(remedy)


def test_hottest_zone_is_of_a_core():
    zones = ThermalZone("cpu-1-0", 41.0), ThermalZone("battery", 90.0), ThermalZone("CPU-4", 43.0)
    assert MachineState((), zones).celsius == 43
    assert MachineState((), zones[1:2]).celsius == 90
    assert MachineState((), ()).celsius is None
