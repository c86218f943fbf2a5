"""Which phones are attached, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compile.support.errors import TargetError
from device.adb.adb import Adb, Phone, remedy_of

_READY = "device"
_HOW_TO_ATTACH = "plug one in, and allow USB debugging in its developer options"

NO_PHONE = f"no phone is attached: {_HOW_TO_ATTACH}"
"""The sentence for a user."""


@dataclass(frozen=True)
class Attached:
    """A phone in the list of adb's.

    Attributes:
        serial: its name there.
        state: "device" of one that is ready, else "unauthorized", "offline", "no permissions",
            "recovery" and others.
        model: "" where it does not tell.
    """

    serial: str
    state: str
    model: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether commands can be run on it."""
        return self.state == _READY

    def __str__(self) -> str:
        """As a sentence lists it."""
        return f"{self.serial} ({self.model if self.is_ready and self.model else self.state})"


def attached_phones(adb: Adb) -> list[Attached]:
    """List the phones that ``adb`` knows.

    Raises:
        TargetError: adb does not answer.
    """
    result = adb.run(["devices", "-l"])
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        raise TargetError(f"adb does not work: {lines[-1] if lines else 'no message'}")
    _, heading, listed = result.stdout.partition("List of devices attached")
    if not heading:
        raise TargetError(
            f"{adb.program} lists no phones, but something else: put Android's adb before it into "
            "PATH"
        )
    return [_read_line(line) for line in listed.splitlines()[1:] if line.strip()]


def choose_phone(adb: Adb, serial: str | None) -> Phone:
    """Return the phone of that serial number, or the only one.

    Raises:
        TargetError: there is none, there are several, or it is not ready.
    """
    phones = attached_phones(adb)
    if serial is not None:
        chosen = [phone for phone in phones if phone.serial == serial]
        if not chosen:
            raise TargetError(f"phone {serial} is not attached: {_others(phones)}")
    elif len(phones) > 1:
        names = ", ".join(map(str, phones))
        raise TargetError(f"several phones are attached: name one with --serial of {names}")
    else:
        chosen = phones
    if not chosen:
        raise TargetError(NO_PHONE)
    (phone,) = chosen
    if not phone.is_ready:
        raise TargetError(f"phone {phone.serial} {_why_not_ready(phone.state)}")
    return Phone(phone.serial, adb)


def _others(phones: Sequence[Attached]) -> str:
    names = ", ".join(map(str, phones))
    return f"--serial may be one of {names}" if names else _HOW_TO_ATTACH


def _why_not_ready(state: str) -> str:
    if state in ("unauthorized", "authorizing", "offline", "connecting", "no permissions"):
        return remedy_of(f"still {state}" if state.endswith("ing") else state)
    return f"is in state {state}: start Android on it"


def _read_line(line: str) -> Attached:
    """A line of `adb devices -l`: serial, state, and key:value."""
    serial, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    state = "no permissions" if rest.startswith("no permissions") else rest.partition(" ")[0]
    model = next((word[6:] for word in rest.split() if word.startswith("model:")), "")
    return Attached(serial, state, model.replace("_", " "))
