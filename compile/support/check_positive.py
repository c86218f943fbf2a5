"""Numbers that a user gives and that have to be 1 or more."""

from __future__ import annotations

from compile.support.errors import MqnetError


def check_positive(**numbers: int) -> None:
    """Check whole numbers by the names that the user knows them by.

    Raises:
        MqnetError: one is below 1.
    """
    for name, number in numbers.items():
        if number < 1:
            raise MqnetError(f"{name} {number} is not a positive number")
