"""A file of JSON as a typed record: read and checked, or refused in one sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from compile.support.errors import MqnetError

Record = TypeVar("Record", bound=msgspec.Struct)

_PLACE = re.compile(r"(?P<what>.*) - at `\$\.?(?P<where>.*)`", re.DOTALL)


def record_json(record: msgspec.Struct, file_format: int) -> str:
    """Return the text of a file that holds ``record``, as ``file_format`` says."""
    # Not by msgspec, which would write a PSNR that is infinite as null.
    return json.dumps({"format": file_format, **msgspec.to_builtins(record)}, indent=1)


def read_record(path: Path, kind: type[Record], file_format: int, remedy: str) -> Record:
    """Return the record of type ``kind`` in the file at ``path``.

    Args:
        path: of the file.
        kind: what it holds.
        file_format: the number that its "format" has to be.
        remedy: what the user can do about a file that is not so, as "measure again".

    Raises:
        MqnetError: it is missing, truncated, of another format, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise MqnetError(f"{path} cannot be read ({error.strerror}): {remedy}") from None
    except ValueError:
        raise MqnetError(f"{path} is truncated or not JSON: {remedy}") from None
    found = content.pop("format", None) if isinstance(content, dict) else None
    if found != file_format:
        raise MqnetError(f"{path} has format {found}, not {file_format}: {remedy}")
    return _convert(path, content, kind, remedy)


def _convert(path: Path, content: dict[str, Any], kind: type[Record], remedy: str) -> Record:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        place = _PLACE.fullmatch(str(error))
        what = place["what"] if place else str(error)
        where = f" at {place['where']}" if place else ""
        raise MqnetError(
            f"{path} is damaged{where} ({what[0].lower()}{what[1:]}): {remedy}"
        ) from None
