"""What a machine says about itself, and how an emulated one gives itself away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from device.server import machine
from device.server.machine import cpu_name, describe_machine, emulated_by, fastest_cores

ARM = """\
processor	: 0
Features	: fp asimd asimddp
CPU implementer	: 0x41
CPU part	: 0xd05

processor	: 1
Features	: fp asimd asimddp sve
CPU implementer	: 0x41
CPU part	: 0xd0b
"""
X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some CPU\n"


@pytest.mark.parametrize(
    ("command", "cpuinfo", "arch", "emulator"),
    [
        ("qemu-aarch64", X86, "aarch64", "qemu-user"),
        ("qemu-aarch64-st", ARM, "aarch64", "qemu-user"),
        ("python3.11", X86, "aarch64", "qemu-user"),
        ("python3.11", X86, "x86_64", ""),
        ("python3.11", ARM, "aarch64", ""),
        ("", "", "aarch64", ""),
    ],
)
def test_an_emulator_gives_itself_away(command: str, cpuinfo: str, arch: str, emulator: str):
    assert emulated_by(command, cpuinfo, arch) == emulator


@pytest.mark.parametrize(
    ("cpuinfo", "board", "name"),
    [
        (X86, "", "Some CPU"),
        (ARM + "Model\t\t: Raspberry Pi 5\n", "other", "Raspberry Pi 5"),
        (ARM, "Radxa ROCK 5B\0", "Radxa ROCK 5B"),
        (ARM, "", "aarch64, implementer 0x41, parts 0xd05, 0xd0b"),
        ("", "", "aarch64"),
    ],
)
def test_two_boards_do_not_have_one_name(cpuinfo: str, board: str, name: str):
    assert cpu_name(cpuinfo, board, "aarch64") == name


def test_the_big_cores_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for core, capacity in enumerate((400, 400, 1024, 800)):
        (tmp_path / f"cpu{core}").mkdir()
        (tmp_path / f"cpu{core}" / "cpu_capacity").write_text(f"{capacity}\n")
    monkeypatch.setattr(machine, "_CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert fastest_cores(3) == [2, 3, 0]
    with pytest.raises(ValueError, match="threads 5 is more than the 4 cores"):
        fastest_cores(5)


def test_this_machine():
    told = describe_machine()
    assert told["machine"] == os.uname().machine and told["cpu"] and told["features"]
    assert told["cores"] == len(os.sched_getaffinity(0))
    assert 0 <= told["busy_cores"] <= os.cpu_count()
