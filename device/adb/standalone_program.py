"""The program of a build's standalone form, and how it is run on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from compile.artefact.manifest import PROGRAM_ENDING
from compile.artefact.reader import Artefact
from compile.codegen.link.elf import read_machine
from compile.support.errors import ArtefactError, TargetError
from device.adb.adb import ShellResult
from device.adb.phone_facts import PhoneFacts
from device.adb.pushed_program import PushedProgram

_SAID, _WRONG = 2, 1

Report = TypeVar("Report")


def program_of(artefact: Artefact) -> Path:
    """Return the program of ``artefact``.

    Raises:
        ArtefactError: it was built without its standalone form.
    """
    folder, manifest = artefact.library.parent, artefact.manifest
    if not manifest.standalone:
        raise ArtefactError(
            f"{folder} was built without its standalone form: build it again with --standalone"
        )
    return folder / f"{manifest.standalone}{PROGRAM_ENDING}"


def check_runs(facts: PhoneFacts, program: Path) -> None:
    """Raise where the phone cannot run ``program``.

    Raises:
        TargetError: another processor, or an old Android.
    """
    facts.check_runs(read_machine(program))


def run_or_refuse(program: PushedProgram, arguments: Sequence[str], seconds: float) -> ShellResult:
    """Run the program; its exit code is 0, or 1 for a result that is wrong.

    Raises:
        TargetError: it says why it cannot, or crashes.
        PhoneLost: the phone went away, or took more than ``seconds``.
    """
    result = program.run(arguments, seconds)
    if result.code == _SAID:
        raise TargetError(f"{program.phone}: {result.err.strip()}")
    if result.code not in (0, _WRONG):
        name = program.path.rpartition("/")[2]
        raise TargetError(
            f"{name} {arguments[0]} ended with exit code {result.code} on {program.phone}: run "
            "`python device/phone.py check` with the same build"
        )
    return result


def read_report(program: PushedProgram, printed: str, kind: type[Report]) -> Report:
    """Read the JSON that the program has ``printed``.

    Raises:
        TargetError: it is something else.
    """
    try:
        return msgspec.json.decode(printed, type=kind)
    except msgspec.MsgspecError as error:
        raise TargetError(
            f"{program.phone} printed no report ({error}): was the build made by an earlier "
            "version? Build it again"
        ) from None
