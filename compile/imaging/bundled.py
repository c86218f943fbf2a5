"""The photographs that come with the package, by what they are for.

``photos/sources.toml`` names each with its author, licence and roles. No photograph is both for
calibration and for tests: scales chosen on a picture look too good on that picture.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

PHOTOS = Path(__file__).parent / "photos"


def bundled_photos(role: str) -> list[Path]:
    """Paths of the bundled photographs with a role, in the order of ``sources.toml``.

    Args:
        role: ``calibration``, ``test`` or ``demo`` (the one photograph of ``make demo``, which is
            a test photograph too).

    Raises:
        ValueError: no photograph has this role.
    """
    entries = _entries()
    paths = [PHOTOS / entry["file"] for entry in entries if role in entry["roles"]]
    if not paths:
        known = ", ".join(sorted({name for entry in entries for name in entry["roles"]}))
        raise ValueError(f"no bundled photograph has the role {role!r}; roles are {known}")
    return paths


@cache
def _entries() -> list[dict]:
    return tomllib.loads((PHOTOS / "sources.toml").read_text(encoding="utf-8"))["photo"]
