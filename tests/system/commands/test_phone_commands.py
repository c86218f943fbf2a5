"""`device/phone.py` with phones that a stand-in for adb plays: all figures are EMULATED."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tvm
from command_line import REPOSITORY, Command, check_sentence, needs_lld, x86_only
from fixtures_artefacts import ArtefactFactory
from fixtures_phone import PhoneFactory, RealAdb, StandInPhone
from needed_in_ci import give_up
from tvm import rpc

from bench.page.write_report import write_report
from bench.session.run_file import read_run
from device.emulated.arm64.command import QEMU

SHORT = ("--seconds", "0.01", "--threads", "1")


@pytest.fixture
def standalone(artefact: ArtefactFactory) -> Path:
    """The folder of a build of this machine, which a phone of its architecture can run."""
    return artefact(standalone=True).library.parent


@pytest.fixture
def phone(attach: PhoneFactory) -> StandInPhone:
    """One of x86-64: a program is run as it is, which is quicker."""
    attached = attach()
    attached.set_property("ro.product.cpu.abilist", "x86_64")
    return attached


@x86_only
def test_bench_makes_a_file_for_a_report(
    here: Command, phone: StandInPhone, standalone: Path, tmp_path: Path
):
    file = tmp_path / "run.json"
    other = Path(shutil.copytree(standalone, tmp_path / "other"))
    options = "--cores", "0", *SHORT, "-o", file
    outcome = here("device/phone", "bench", standalone, other, *options)
    assert outcome.code == 0, outcome.err
    assert "EMULATED" in outcome.out and str(file) in outcome.out
    run = read_run(file)
    assert [row.build for row in run.rows] == [f"{standalone.name}, cores 0", "other, cores 0"]
    row = run.rows[0]
    named = (row.engine, row.scheme, row.size, row.threads)
    assert named == ("tvm-standalone", "mixed", "64x96", 1)
    assert row.coverage is not None and row.peak_rss_mb and row.start_ms and row.file_mb
    assert row.flags[0] == "EMULATED by QEMU: says nothing about any device's speed"
    assert run.emulator == "QEMU" and run.environment["cores_used"] == "0"
    sample = run.samples[0]
    assert len(sample.seconds) == 3 and sum(map(len, sample.seconds)) == row.frames
    page = write_report(run, None, tmp_path / "report")
    assert "EMULATED" in page.read_text()
    assert phone.files() == [] and phone.calls("push") == 1


@x86_only
def test_what_is_kept_is_not_pushed_again(
    here: Command, phone: StandInPhone, standalone: Path, tmp_path: Path
):
    for _ in range(2):
        outcome = here("device/phone", "check", standalone, *SHORT[2:], "--keep")
        assert outcome.code == 0, outcome.err
        assert outcome.out.startswith("EMULATED") and "1 threads: right: " in outcome.out
        assert [Path(file).name for file in phone.files()][2:] == ["mqnet-run"]
    assert phone.calls("push") == 1
    # Damaged meanwhile: it is pushed again, and removed without --keep.
    (program,) = (phone.root / "data/local/tmp").glob("*/*/mqnet-run")
    program.write_bytes(b"")
    outcome = here("device/phone", "check", standalone, *SHORT[2:], "--json")
    assert outcome.code == 0 and json.loads(outcome.out)["right"]
    assert phone.calls("push") == 2 and phone.files() == []


@x86_only
def test_check_finds_a_wrong_weight(
    here: Command, phone: StandInPhone, standalone: Path, tmp_path: Path
):
    from compile.artefact.manifest import MANIFEST
    from compile.support.checksum import sha256_of

    wrong = Path(shutil.copytree(standalone, tmp_path / "wrong"))
    program = bytearray((wrong / "mqnet-run").read_bytes())
    archive = (wrong / "libmqnet.a").read_bytes()
    at = program.find(archive[archive.find(b"weights.o/") + 300_000 :][:4096])
    assert at > 0
    # Some of the weights are of channels that are the same in the check's picture.
    for place in range(at, at + 4096, 64):
        program[place] ^= 0x40
    (wrong / "mqnet-run").write_bytes(program)
    manifest = json.loads((wrong / MANIFEST).read_text())
    manifest["files"]["mqnet-run"]["sha256"] = sha256_of(wrong / "mqnet-run")
    (wrong / MANIFEST).write_text(json.dumps(manifest))
    outcome = here("device/phone", "check", wrong, *SHORT[2:])
    assert outcome.code == 1 and "WRONG: call" in outcome.out
    outcome = here("device/phone", "check", wrong, *SHORT[2:], "--json")
    told = json.loads(outcome.out)
    assert outcome.code == 1 and not told["right"] and told["machine"].startswith("EMULATED")
    assert told["wrong"]["kernel"] and told["wrong"]["layers"]
    assert phone.files() == []


@pytest.mark.slow
@needs_lld
def test_the_page_about_phones_under_qemu(
    here: Command,
    attach: PhoneFactory,
    artefact: ArtefactFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Its commands from check to report, as they stand, on an arm64 phone, but for a short time."""
    if shutil.which(QEMU) is None:
        give_up("the arm64 code", f"{QEMU} is not installed (apt-get install qemu-user)")
    phone = attach()
    page = (REPOSITORY / "docs/devices/phone.md").read_text()
    lines = re.findall(r"^python (device/phone|bench/report)\.py (.*)$", page, re.MULTILINE)
    (folder,) = set(re.findall(r"build/android-arm64-[\w-]+", page))
    monkeypatch.chdir(tmp_path)
    Path(folder).parent.mkdir()
    Path(folder).symlink_to(artefact("android-arm64", standalone=True).library.parent)
    short = {"check": SHORT[2:], "bench": (*SHORT, "--cores", "all", "--cool", "199")}
    ran = []
    for command, text in lines:
        arguments = shlex.split(text)
        if arguments[0] == "serve":
            continue
        outcome = here(command, *arguments, *short.get(arguments[0], ()))
        assert outcome.code == 0, outcome.err
        assert "EMULATED" in outcome.out or command == "bench/report"
        ran.append(arguments[0])
    assert ran == ["list", "check", "bench", "run.json"] and phone.files() == []
    assert "EMULATED" in Path("report/report.html").read_text()


def test_list(here: Command, attach: PhoneFactory):
    attach("A")
    attach("B", state="unauthorized")
    outcome = here("device/phone", "list", "--json")
    ready, other = json.loads(outcome.out)
    assert ready["facts"]["cpu"].startswith("EMULATED") and ready["facts"]["cores"] == 6
    assert other == {"serial": "B", "state": "unauthorized"}
    outcome = here("device/phone", "list")
    assert outcome.code == 0 and "EMULATED" in outcome.out and "unauthorized" in outcome.out


def test_list_of_none(here: Command, attach: PhoneFactory):
    attach("A").description.unlink()
    check_sentence(here("device/phone", "list"), "no phone is attached", "USB debugging")
    assert json.loads(here("device/phone", "list", "--json").out) == []


@x86_only
@pytest.mark.parametrize(
    ("facts", "parts"),
    [
        ({"state": "unauthorized"}, ("phone EMULATED1", "unlock it and allow USB debugging")),
        ({"state": "offline"}, ("phone EMULATED1 is offline", "plug it in again")),
        ({"is_full": True}, ("phone EMULATED1 has no space for the", "delete something")),
        ({"has_bad_cable": True}, ("phone EMULATED1", "another cable")),
        ({"goes_away_at": "sha1sum"}, ("EMULATED1 was lost in the middle", "plug it in again")),
    ],
)
def test_phone_with_a_fault(
    here: Command,
    phone: StandInPhone,
    standalone: Path,
    out: Path,
    facts: dict[str, object],
    parts: tuple[str, ...],
):
    phone.describe(**facts)
    outcome = here("device/phone", "bench", standalone, *SHORT, "-o", out / "run.json")
    check_sentence(outcome, *parts)
    assert phone.files() == [] and not list(out.iterdir())


@x86_only
def test_phone_that_goes_away_in_the_middle(
    here: Command, phone: StandInPhone, standalone: Path, out: Path
):
    """What it had is removed by the next run, when it is back."""
    phone.describe(goes_away_at="mqnet-run bench")
    outcome = here("device/phone", "bench", standalone, *SHORT, "-o", out / "run.json")
    check_sentence(outcome, "phone EMULATED1 was lost in the middle", "the next run removes what")
    assert "mqnet-run" in str(phone.files()) and not list(out.iterdir())
    phone.come_back()
    phone.describe()
    assert here("device/phone", "check", standalone, *SHORT[2:]).code == 0
    assert phone.files() == []


@x86_only
def test_what_was_measured_is_kept(here: Command, phone: StandInPhone, standalone: Path, out: Path):
    phone.describe(goes_away_at="mqnet-run bench", first_times=2)
    outcome = here("device/phone", "bench", standalone, *SHORT, "-o", out / "run.json")
    assert outcome.code == 2 and "lost in the middle" in outcome.err
    (row,) = read_run(out / "run.json").rows
    assert "cut short" in row.flags and row.frames >= 6


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("ro.product.cpu.abilist", "armeabi-v7a,armeabi", ("programs for armeabi-v7a, armeabi",)),
        ("ro.build.version.sdk", 21, ("API level 21", "from Android 7 (API level 24) on")),
    ],
)
def test_phone_that_cannot_run_it(
    here: Command,
    attach: PhoneFactory,
    standalone: Path,
    name: str,
    value: object,
    parts: tuple[str, ...],
):
    phone = attach()
    phone.set_property("ro.product.cpu.abilist", "x86_64")
    phone.set_property(name, value)
    check_sentence(here("device/phone", "check", standalone), "phone EMULATED1", *parts)
    assert phone.files() == [] and phone.calls("push") == 0


@x86_only
def test_program_refuses(here: Command, phone: StandInPhone, standalone: Path):
    outcome = here("device/phone", "check", standalone, "--cores", "63")
    check_sentence(outcome, "phone EMULATED1: --cores 63: this program may not use all of those")
    assert phone.files() == []


@pytest.mark.parametrize("seconds", ["0", "nan", "inf"])
def test_seconds_that_no_run_takes(here: Command, phone: StandInPhone, out: Path, seconds: str):
    outcome = here("device/phone", "bench", out, "--seconds", seconds)
    check_sentence(outcome, f"seconds {seconds} is not a positive number")
    assert phone.files() == []


def test_no_adb(here: Command, standalone: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    outcome = here("device/phone", "check", standalone)
    check_sentence(outcome, "adb is not installed", "Debian's package adb")


def test_build_without_its_standalone_form(here: Command, attach: PhoneFactory, host: Path):
    check_sentence(here("device/phone", "bench", host), str(host), "--standalone")
    check_sentence(here("device/phone", "bench"), "which build to time is missing")


def start(phone: StandInPhone, *arguments: object) -> subprocess.Popen[str]:
    """`device/phone.py` in a process group of its own, whose program on the phone has begun."""
    command = [sys.executable, REPOSITORY / "device/phone.py", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not any(file.endswith(".pid") for file in phone.files()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    return process


def running(phone: StandInPhone) -> list[str]:
    """Commands of the processes on the phone, whose paths are in its folder."""
    commands = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    return [command for command in commands if str(phone.root) in command]


def check_interrupted(phone: StandInPhone, process: subprocess.Popen[str]) -> None:
    """Ctrl-C on a terminal, which reaches adb, too: the program there is ended and removed."""
    assert running(phone)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.splitlines()[-1] == "interrupted"
    assert phone.files() == [] and phone.tunnels() == []
    assert not running(phone)


@x86_only
def test_interrupted(phone: StandInPhone, standalone: Path, out: Path):
    process = start(phone, "bench", standalone, "--seconds", "60", "-o", out / "run.json")
    check_interrupted(phone, process)
    assert not list(out.iterdir())


@x86_only
def test_phone_that_is_served(phone: StandInPhone, tracker: tuple[str, int]):
    host, port = tracker
    process = start(phone, "serve", "--tracker", f"{host}:{port}", "--key", "my-phone")
    assert f"tcp:{port}" in phone.tunnels() and len(phone.tunnels()) == 2
    remote = rpc.connect_tracker(host, port).request("my-phone", session_timeout=60)
    numbers = np.arange(6, dtype="float32")
    there = tvm.runtime.empty(numbers.shape, "float32", remote.cpu(0)).copyfrom(numbers)
    np.testing.assert_array_equal(there.numpy(), numbers)
    del there, remote
    check_interrupted(phone, process)


@x86_only
def test_phone_that_is_served_and_goes_away(
    here: Command, phone: StandInPhone, tracker: tuple[str, int]
):
    options = "--tracker", f"{tracker[0]}:{tracker[1]}", "--key"
    phone.describe(goes_away_at="mqnet-rpc-server --tracker")
    outcome = here("device/phone", "serve", *options, "my-phone")
    assert "phone EMULATED1 was lost in the middle" in outcome.err and outcome.code == 2
    phone.come_back()
    phone.describe()
    outcome = here("device/phone", "serve", *options, "my phone")
    assert outcome.code == 2 and "error: phone EMULATED1: key" in outcome.err
    assert phone.files() == [] and phone.tunnels() == []


@x86_only
def test_real_adb(here: Command, real_adb: RealAdb, standalone: Path, tracker: tuple[str, int]):
    """All that is asked of adb, by Debian's own, and a cable that is pulled while it serves."""
    phone, (host, port) = real_adb.phone, tracker
    phone.set_property("ro.product.cpu.abilist", "x86_64")
    serve = "serve", "--tracker", f"{host}:{port}", "--key", "my-phone"
    process = start(phone, *serve)
    remote = rpc.connect_tracker(host, port).request("my-phone", session_timeout=60)
    numbers = np.arange(1 << 20, dtype="float32")
    there = tvm.runtime.empty(numbers.shape, "float32", remote.cpu(0)).copyfrom(numbers)
    np.testing.assert_array_equal(there.numpy(), numbers)
    assert f"host tcp:{port}\n" in real_adb.tunnels() and real_adb.tunnels().count("tcp:") == 3
    del there, remote
    check_interrupted(phone, process)
    assert not real_adb.tunnels().split()
    process = start(phone, *serve)
    real_adb.pull_out()
    assert process.wait(60) == 2 and phone.files()
    deadline = time.monotonic() + 60
    while running(phone):  # The server there hears that nobody listens.
        assert time.monotonic() < deadline
        time.sleep(0.05)
    real_adb.plug_in()
    outcome = here("device/phone", "check", standalone, *SHORT[2:], "--json")
    assert outcome.code == 0 and json.loads(outcome.out)["right"]
    outcome = here("device/phone", *serve[:-1], "my phone")
    assert outcome.code == 2 and "key my phone has to be one word" in outcome.err, outcome
    assert phone.files() == [] and not real_adb.tunnels().split()
