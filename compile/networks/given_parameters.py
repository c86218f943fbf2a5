"""The parameters of a network that a command line names, before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path


def given_parameters(
    network: str, attention: str | None, head: str | None, calibrate: Path | None
) -> dict[str, str]:
    """Those of ``network`` that were given, by name; MQNet's attention is channel unless given."""
    attention = attention or ("ca" if network == "mqnet" else None)
    given = {"attention": attention, "head": head, "calibrate": calibrate}
    return {name: str(value) for name, value in given.items() if value is not None}
