"""A program on a phone, from its push to its removal."""

from __future__ import annotations

import hashlib
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compile.support.errors import TargetError
from device.adb.adb import Phone, PhoneLost, ShellResult

FOLDER = "/data/local/tmp/mqnet-tvm"
"""Where a phone keeps what is pushed: adb's shell may run files of /data/local/tmp only."""


@dataclass(frozen=True)
class PushedProgram:
    """A program on ``phone``.

    Attributes:
        phone: that it is on.
        path: there.
        pid_file: where its process says its number while it runs.
    """

    phone: Phone
    path: str
    pid_file: str

    def run(self, arguments: Sequence[str], seconds: float | None = None) -> ShellResult:
        """Run it; it may fail.

        Raises:
            PhoneLost: the phone went away, or took more than ``seconds``.
        """
        return self.phone.shell(self._command(arguments), seconds)

    def watch(self, arguments: Sequence[str], say: Callable[[str], None]) -> int:
        """Run it for as long as it takes, and tell ``say`` each line that it prints; return its
        exit code.

        Raises:
            PhoneLost: the phone went away.
        """
        return self.phone.watch(self._command(arguments), say)

    def _command(self, arguments: Sequence[str]) -> str:
        # Its process can be found when this one has to end early.
        started = f"echo $$ >{self.pid_file}; exec {shlex.join([self.path, *arguments])}"
        return f"sh -c {shlex.quote(started)}"

    @property
    def folder(self) -> str:
        """The folder on the phone that is its own."""
        return self.path.rpartition("/")[0]


@contextmanager
def pushed_program(phone: Phone, program: Path, keep: bool = False) -> Iterator[PushedProgram]:
    """Bring ``program`` to ``phone``, and remove it in the end unless it is to be kept.

    It has a folder of its own there, which is named by the file's content: one that is there whole
    is not pushed again.

    Raises:
        PhoneLost: the phone went away; what was pushed stays on it, and the sentence says where.
        TargetError: it cannot be pushed.
    """
    # Android 7 has no sha256sum. This finds a bad cable, and no attack.
    digest = hashlib.sha1(program.read_bytes(), usedforsecurity=False).hexdigest()
    path = f"{FOLDER}/{digest[:16]}/{program.name}"
    pushed = PushedProgram(phone, path, f"{path}.{secrets.token_hex(4)}.pid")
    try:
        _push(pushed, program, digest)
        yield pushed
        _clean_up(pushed, keep)
    except BaseException as error:
        try:
            _clean_up(pushed, keep)  # A phone that was lost may be back by now.
        except TargetError:
            if isinstance(error, PhoneLost):
                left = f"; the next run removes what is left in {pushed.folder} there"
                raise PhoneLost(f"{error}{left}") from None
        raise


def _push(pushed: PushedProgram, program: Path, digest: str) -> None:
    phone, path = pushed.phone, pushed.path
    if _digest(phone, path) == digest:
        return
    made = phone.shell(f"mkdir -p {pushed.folder}")
    if made.code:
        raise TargetError(f"{phone} does not take {FOLDER}: {made.err.strip()}")
    phone.push(program, f"{path}.part")
    if _digest(phone, f"{path}.part") != digest:
        raise TargetError(
            f"{phone} has not got {program.name} as it is here: try another cable or port, and run "
            "the command again"
        )
    phone.shell(f"chmod 755 {path}.part && mv {path}.part {path}")


def _digest(phone: Phone, path: str) -> str:
    return phone.shell(f"sha1sum {path} 2>/dev/null").out.partition(" ")[0]


def _clean_up(pushed: PushedProgram, keep: bool) -> None:
    """End the program where it still runs, and remove what is not to stay: another process of it
    keeps the file."""
    pid, path, folder = pushed.pid_file, pushed.path, pushed.folder
    # The number in a file that is left may be another process's by now.
    runs = f"grep -q {path} /proc/$pid/cmdline"
    remove = f"rm -f {path}.*.pid" if keep else f"rm -rf {folder}"
    pushed.phone.shell(
        f"(pid=$(cat {pid}) && {runs} && {{ kill $pid; for i in 1 2 3 4 5 6 7 8 9; do "
        f"kill -0 $pid || break; sleep 0.1; done; kill -9 $pid; }}; rm -f {pid} {path}.part; "
        f"for file in {path}.*.pid; do pid=$(cat $file) && {runs} && exit; done; "
        f"{remove}; rmdir {folder} {FOLDER}) 2>/dev/null"
    )
