"""The list of phones, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from compile.support.tables import print_table
from device.adb.adb import Adb, Phone, PhoneLost
from device.adb.phone_facts import read_facts
from device.adb.phones import Attached, attached_phones


def describe_phones(adb: Adb) -> list[dict[str, Any]]:
    """Return what each attached phone is; of one that is not ready its serial and state only.

    Raises:
        TargetError: adb does not answer.
    """
    return [_describe(attached, adb) for attached in attached_phones(adb)]


def print_phones(phones: Sequence[dict[str, Any]]) -> None:
    """Print what :func:`describe_phones` has returned as a table."""
    table = Table()
    for column in ("serial", "state", "processor", "Android", "API level", "ABIs", "cores"):
        table.add_column(column, overflow="fold")
    for phone in phones:
        facts = phone.get("facts", {})
        device = facts.get("device", {})
        names = ("Android", "API level", "ABIs")
        figures = [str(device.get(name, "")) for name in names]
        table.add_row(
            phone["serial"],
            phone["state"],
            facts.get("cpu", ""),
            *figures,
            str(facts.get("cores", "")),
        )
    print_table(table)


def _describe(attached: Attached, adb: Adb) -> dict[str, Any]:
    found: dict[str, Any] = {"serial": attached.serial, "state": attached.state}
    if attached.is_ready:
        try:
            found["facts"] = read_facts(Phone(attached.serial, adb)).environment()
        except PhoneLost as lost:
            found["state"] = str(lost)
    return found
