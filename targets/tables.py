"""Tables of a target file as records, and the sentence for the user where one has a mistake.

The record's type is the schema: msgspec checks names, types and ranges. Its messages name JSON's
types and no value, so the sentence is made here, of the schema and the value.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from compile.support.errors import TargetError

Positive = Annotated[int, Meta(gt=0)]
#: Threads, or cores of a chip.
Count = Annotated[int, Meta(ge=1, le=1024)]
#: Bytes of a level 1 and of a level 2 cache.
L1Bytes = Annotated[int, Meta(ge=1 << 12, le=1 << 24)]
L2Bytes = Annotated[int, Meta(ge=1 << 14, le=1 << 30)]
#: Width of a vector register in bits.
VectorBits = Annotated[int, Meta(ge=64, le=2048, multiple_of=64)]
Registers = Annotated[int, Meta(ge=4, le=256)]
#: Multiply-accumulates per cycle.
Rate = Annotated[int, Meta(ge=1, le=1 << 16)]
PositiveNumber = Annotated[float, Meta(gt=0)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a target file: other keys than its attributes are mistakes."""


_Table = TypeVar("_Table", bound=Table)

#: A message of msgspec: what is wrong, and where, as `$.cores[0].count`; nowhere is the table.
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_WRONG_KEY = re.compile(r"Object (?P<problem>missing|contains).* field `(?P<key>.*)`")
_SHOWN_CHARACTERS = 60


def convert_table(table: Any, kind: type[_Table], where: str) -> _Table:
    """Convert a parsed TOML table to a record of type ``kind``.

    Args:
        table: as `tomllib` gives it.
        kind: the record.
        where: the file, and the table in it where that is not the whole file.

    Raises:
        TargetError: a key that is unknown or missing, or a value of the wrong type or out of
            range. The sentence names ``where``, the key, the value and what is allowed.
    """
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise TargetError(_sentence(table, kind, where, str(error))) from None


def _sentence(table: Any, kind: type, where: str, message: str) -> str:
    found = _MESSAGE.fullmatch(message)
    assert found is not None
    path = found["path"] or ""
    schema: Any = inspect.type_info(kind)
    value, outer = table, where
    for name, index in re.findall(r"(\w+)|\[(\d+)\]", path):
        value = value[name or int(index)]
        schema = _field(schema, name) if name else schema.item_type
    if wrong_key := _WRONG_KEY.match(found["what"]):
        outer = f"{where}, {path}" if path else where
        return f"{outer}: {_about_key(schema, wrong_key['problem'], wrong_key['key'])}"
    table_path, _, key = path.rpartition(".")
    outer = f"{where}, {table_path}" if table_path else where
    name = f"'{key}'" if key else "it"
    return f"{outer}: {name} must be {_allowed(schema)}, not {_shown(value)}"


def _field(schema: Any, name: str) -> Any:
    (field,) = (field for field in schema.fields if field.encode_name == name)
    return _without_none(field.type)


def _without_none(schema: Any) -> Any:
    if not isinstance(schema, inspect.UnionType):
        return schema
    (found,) = (one for one in schema.types if not isinstance(one, inspect.NoneType))
    return found


def _about_key(schema: inspect.StructType, problem: str, key: str) -> str:
    if problem == "missing":
        return f"missing key '{key}'"
    known = [field.encode_name for field in schema.fields]
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"
    return f"unknown key '{key}'; {hint}"


def _allowed(schema: Any) -> str:
    """What a value of ``schema`` may be, with its article."""
    if isinstance(schema, inspect.LiteralType):
        return f"one of {', '.join(map(str, schema.values))}"
    if isinstance(schema, inspect.StructType):
        required = [f"'{field.encode_name}'" for field in schema.fields if field.required]
        return f"a table with {', '.join(required)}"
    if isinstance(schema, inspect.IntType | inspect.FloatType):
        noun = "integer" if isinstance(schema, inspect.IntType) else "number"
        if schema.ge is not None and schema.le is not None:
            steps = f" that is a multiple of {schema.multiple_of}" if schema.multiple_of else ""
            article = "an" if noun == "integer" else "a"
            return f"{article} {noun} from {schema.ge} to {schema.le}{steps}"
        return f"a positive {noun}" if schema.gt == 0 else f"a number ({noun})"
    if isinstance(schema, inspect.VarTupleType):
        items = "tables" if isinstance(schema.item_type, inspect.StructType) else "strings"
        return f"a list of {'one or more ' if schema.min_length else ''}{items}"
    names: dict[type, str] = {inspect.StrType: "a string", inspect.BoolType: "true or false"}
    return names.get(type(schema), "a table")


def _shown(value: Any) -> str:
    """``value`` as TOML writes it, or near enough; cut short where it is long."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
