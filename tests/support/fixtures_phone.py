"""Android phones that a stand-in for `adb` plays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures_device import free_port
from needed_in_ci import give_up

_STAND_IN = Path(__file__).with_name("stand_in")
# Before a stand-in comes into PATH.
_ADB = shutil.which("adb")


@dataclass(frozen=True)
class StandInPhone:
    """A phone as `tests/support/stand_in/adb` plays it; its figures are EMULATED.

    Attributes:
        serial: of it.
        root: the folder with its paths.
        description: the file that the stand-in reads.
    """

    serial: str
    root: Path
    description: Path

    def describe(self, **facts: object) -> None:
        """Attach it, or change what it does.

        ``state``: of `adb devices`. ``hangs_at``, ``goes_away_at``: a text of the command at which
        it does, the latter not the ``first_times``. ``is_full``: it takes half of a file.
        ``has_bad_cable``: it gets another file. ``errors_come_late``: after all of what a command
        prints to its other output.
        """
        known = {"serial": self.serial, "root": str(self.root), "state": "device"}
        self.description.write_text(json.dumps(known | facts))

    def set_property(self, name: str, value: object) -> None:
        """Let `getprop` answer so."""
        path = self.root / "system/build.prop"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*lines, f"{name}={value}", ""]))

    def come_back(self) -> None:
        """Attach it again after it has gone away."""
        (self.root / "gone").unlink()

    def files(self) -> list[str]:
        """Names of what is below its /data/local/tmp."""
        place = self.root / "data/local/tmp"
        return sorted(str(path.relative_to(place)) for path in place.rglob("*"))

    def tunnels(self) -> list[str]:
        """Ports that are forwarded and reversed, as "tcp:9190"."""
        tunnels = self.root / "tunnels"
        return tunnels.read_text().split() if tunnels.exists() else []

    def calls(self, command: str) -> int:
        """How often adb was called with ``command`` for it."""
        calls = self.root / "calls"
        return calls.read_text().split().count(command) if calls.exists() else 0


PhoneFactory = Callable[..., StandInPhone]


@pytest.fixture
def attach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhoneFactory:
    """``attach(serial, **facts)``: attach a phone, which :meth:`StandInPhone.describe` has."""
    monkeypatch.setenv("PATH", f"{_STAND_IN}:{os.environ['PATH']}")
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    phones = tmp_path / "phones"
    phones.mkdir()
    monkeypatch.setenv("STAND_IN_PHONES", str(phones))

    def make(serial: str = "EMULATED1", **facts: object) -> StandInPhone:
        root = phones / serial
        shutil.copytree(_STAND_IN / "root", root)
        (root / "data/local/tmp").mkdir(parents=True)
        phone = StandInPhone(serial, root, phones / f"{serial}.json")
        phone.describe(**facts)
        return phone

    return make


@dataclass(frozen=True)
class RealAdb:
    """The real adb, and the phone that a stand-in plays on the other side of a connection."""

    phone: StandInPhone
    address: str

    def run(self, *arguments: str) -> str:
        """Run it; what it prints."""
        done = subprocess.run(["adb", *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def plug_in(self) -> None:
        """Connect the phone."""
        assert "connected to" in self.run("connect", self.address)

    def pull_out(self) -> None:
        """Cut the connection."""
        self.run("disconnect", self.address)

    def tunnels(self) -> str:
        """What is forwarded and reversed."""
        return self.run("forward", "--list") + self.run("-s", self.address, "reverse", "--list")


@pytest.fixture
def real_adb(
    attach: PhoneFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RealAdb]:
    """Debian's adb, with a server and a home of its own, and a phone behind `little_adbd.py`."""
    if _ADB is None:
        give_up("the real adb", "adb is not installed (apt-get install adb)")
    phone = attach()
    wrapper = tmp_path / "real" / "adb"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\nHOME={tmp_path} ANDROID_ADB_SERVER_PORT={free_port()} exec {_ADB} "$@"\n'
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    command = [sys.executable, _STAND_IN.with_name("little_adbd.py"), phone.serial]
    daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert daemon.stdout is not None and daemon.stderr is not None
    port = daemon.stdout.readline().strip()
    if not port and "no network of its own" in (said := daemon.stderr.read()):
        give_up("the real adb", said.splitlines()[-1])
    real = RealAdb(phone, f"127.0.0.1:{port}")
    real.plug_in()
    yield real
    real.run("kill-server")
    daemon.kill()
    daemon.communicate()
