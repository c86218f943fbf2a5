"""Runs `adb` for one phone, and makes one sentence of what goes wrong."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compile.support.errors import TargetError
from compile.support.run_tool import run_captured

ANSWER_SECONDS = 20.0
"""How long a phone may take for what it does at once."""

_EXIT = "mqnet-exit"
_SLOWEST_BYTES_PER_SECOND = 500e3
# What adb says -> what to do about it; the first that fits. From `adb/client` of its sources.
_REMEDIES = (
    ("unauthorized", "does not trust this computer: unlock it and allow USB debugging there"),
    ("still authorizing", "does not trust this computer: unlock it and allow USB debugging there"),
    ("offline", "is offline: plug it in again, or restart adb with `adb kill-server`"),
    ("still connecting", "is not ready: wait a moment and run the command again"),
    (
        "no permissions",
        "may not be opened by this account: install Debian's package "
        "android-sdk-platform-tools-common, which has the rules for USB, and plug it in again",
    ),
    ("more than one", "is not the only one: name it with --serial"),
    ("not found", "is not attached: plug it in, and look at what `adb devices` shows"),
    ("no devices", "is not attached: plug it in, and look at what `adb devices` shows"),
)


class PhoneLost(TargetError):
    """A phone that went away or stays silent."""


@dataclass(frozen=True)
class ShellResult:
    """What a command on a phone has come to.

    Attributes:
        code: exit code.
        out, err: what it printed to stdout and to stderr.
    """

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Adb:
    """The tool, as it is called.

    Attributes:
        program: its path.
        answer_seconds: how long a phone may take for what it does at once.
    """

    program: str
    answer_seconds: float = ANSWER_SECONDS

    @classmethod
    def find(cls) -> Adb:
        """Find it in PATH.

        Raises:
            TargetError: it is not installed.
        """
        program = shutil.which("adb")
        if program is None:
            raise TargetError(
                "adb is not installed: install Debian's package adb, or put the platform-tools of "
                "Android's SDK into PATH"
            )
        return cls(program)

    def run(
        self, arguments: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it; it may fail.

        Raises:
            PhoneLost: it took more than ``seconds``, :attr:`answer_seconds` unless given.
        """
        seconds = seconds or self.answer_seconds
        try:
            return run_captured([self.program, *arguments], timeout=seconds)
        except subprocess.TimeoutExpired:
            raise PhoneLost(
                f"`adb {shlex.join(arguments)[:60]}` did not end within {seconds:.0f} s: plug the "
                "phone in again, and restart adb with `adb kill-server`"
            ) from None

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        """Start it, with what it prints to both of its outputs on one pipe."""
        return subprocess.Popen(
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def version(self) -> str:
        """Its version, as "29.0.6-debian"; "" where it does not tell."""
        lines = self.run(["version"]).stdout.splitlines()
        return next((line.split()[1] for line in lines if line.startswith("Version ")), "")


@dataclass(frozen=True)
class Phone:
    """A phone that adb reaches.

    Attributes:
        serial: as `adb devices` lists it.
        adb: that reaches it.
    """

    serial: str
    adb: Adb = field(repr=False)

    def __str__(self) -> str:
        """As sentences name it."""
        return f"phone {self.serial}"

    def shell(self, command: str, seconds: float | None = None) -> ShellResult:
        """Run ``command`` by the phone's shell; it may fail.

        Raises:
            PhoneLost: the phone went away, or took more than ``seconds``,
                :attr:`Adb.answer_seconds` unless given.
        """
        result = self._run(["shell", "-n", _marked(command)], seconds)
        out, marker, code = result.stdout.replace("\r\n", "\n").rpartition(f"\n{_EXIT} ")
        if not marker:
            raise self._lost(result.stderr or result.stdout)
        return ShellResult(int(code), out, result.stderr)

    def watch(self, command: str, say: Callable[[str], None]) -> int:
        """Run ``command`` by the phone's shell for as long as it takes, and tell ``say`` each line
        that it prints; return its exit code.

        Raises:
            PhoneLost: the phone went away.
        """
        # adb brings the two outputs by streams of their own, and the last error after the mark.
        joined = f"{{ {command}; }} 2>&1"
        process = self.adb.start(["-s", self.serial, "shell", "-n", _marked(joined)])
        assert process.stdout is not None
        last = ""
        try:
            with process.stdout:
                for line in process.stdout:
                    last = line.strip()
                    if last.startswith(f"{_EXIT} "):
                        return int(last.split()[1])
                    if last:
                        say(last)
        finally:
            process.kill()
            process.wait()
        raise self._lost(last if "error: " in last else "")

    def push(self, path: Path, to: str) -> None:
        """Copy the file ``path`` there.

        Raises:
            PhoneLost: the phone went away, or takes too long.
            TargetError: the phone has no space, or does not let it be written.
        """
        size = path.stat().st_size
        seconds = self.adb.answer_seconds + size / _SLOWEST_BYTES_PER_SECOND
        result = self._run(["push", str(path), to], seconds)
        if result.returncode == 0:
            return
        said = result.stderr + result.stdout
        if "No space left on device" in said:
            raise TargetError(
                f"{self} has no space for the {size / 1e6:.1f} MB of {path.name}: delete something "
                "there"
            )
        if ": remote " in said:  # The phone itself has answered.
            reason = said.rpartition(": remote ")[2].splitlines()[0]
            raise TargetError(f"{self} does not take {to}: {reason.strip()}")
        raise self._lost(said)

    def call(self, *arguments: str) -> str:
        """Run another command of adb's for this phone, and return what it printed.

        Raises:
            PhoneLost: it failed.
        """
        result = self._run(arguments, None)
        if result.returncode:
            raise self._lost(result.stderr or result.stdout)
        return result.stdout

    def _run(
        self, arguments: Sequence[str], seconds: float | None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return self.adb.run(["-s", self.serial, *arguments], seconds)
        except PhoneLost:
            seconds = seconds or self.adb.answer_seconds
            raise PhoneLost(
                f"{self} did not answer within {seconds:.0f} s: plug it in again, and restart adb "
                "with `adb kill-server`"
            ) from None

    def _lost(self, said: str) -> PhoneLost:
        return PhoneLost(f"{self} {remedy_of(said)}")


def _marked(command: str) -> str:
    """``command`` and a line with its exit code: adb's own is 0 of a phone that goes away."""
    return f'{command}\nprintf "\\n{_EXIT} %d" $?'


def remedy_of(said: str) -> str:
    """Return the rest of the sentence about a phone of which adb has ``said`` why it failed."""
    for words, remedy in _REMEDIES:
        if words in said:
            return remedy
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = f" ({lines[-1][:200]})" if lines else ""
    return f"was lost in the middle{reason}: plug it in again, and run the command again"
