"""A file of JSON as a typed record: read and checked, or refused in one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from compile.support.errors import MqnetError

Record = TypeVar("Record")

_PLACE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)


def record_json(record: msgspec.Struct, file_format: int) -> str:
    """Return the text of a file that holds ``record``, as ``file_format`` says."""
    # Not by msgspec, which would write a PSNR that is infinite as null.
    return json.dumps({"format": file_format, **msgspec.to_builtins(record)}, indent=1)


def read_record(
    path: Path,
    kind: type[Record],
    file_format: int,
    remedy: str,
    error: type[MqnetError] = MqnetError,
    each: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Record:
    """Return the record of type ``kind`` in the file at ``path``.

    Args:
        path: of the file.
        kind: what it holds.
        file_format: the number that its "format" has to be.
        remedy: what the user can do about a file that is not so, as "measure again".
        error: what is raised.
        each: what every object of the file is replaced by, where it is not held as it is meant.

    Raises:
        MqnetError: it is missing, truncated, of another format, or holds something else.
    """
    try:
        content = json.loads(path.read_bytes(), object_hook=each)
    except OSError as trouble:
        raise error(f"{path} cannot be read ({trouble.strerror}): {remedy}") from None
    except (ValueError, RecursionError):
        raise error(f"{path} is truncated or not JSON: {remedy}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is not int:
        raise error(f"{path} is damaged (it says no format): {remedy}")
    if found != file_format:
        age = "an older" if found < file_format else "a newer"
        raise error(
            f"{path} is of format {found}, from {age} version of this project, and this one reads "
            f"format {file_format}: {remedy}"
        )
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as trouble:
        place = _PLACE.fullmatch(str(trouble))
        what = place["what"] if place else str(trouble)
        where = f" at {place['where']}" if place else ""
        text = f"{path} is damaged{where} ({what[0].lower()}{what[1:]}): {remedy}"
        raise error(text) from None
