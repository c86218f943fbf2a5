"""Recipes: a scheme, and rules in a TOML file that say of some operations what it does not."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec

from compile.quantize.schemes import (
    Calibration,
    CalibrationMethod,
    KnownRange,
    Precision,
    Rule,
    Scheme,
    SchemeName,
    scheme_named,
)
from compile.support.errors import MqnetError

_PRECISIONS = {
    "float": Precision.FLOAT,
    "weight-only": Precision.WEIGHT_ONLY_INT8,
    "int8": Precision.INT8,
}


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    precision: Literal["float", "weight-only", "int8"]
    modules: str = ""
    operations: tuple[str, ...] = ()


class _Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    module: str
    scale: float
    zero_point: int


class _Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: CalibrationMethod = Calibration.method
    percentile: float = Calibration.percentile
    equalize: bool = False
    correct_bias: bool = False


class _Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scheme: SchemeName = "mixed"
    rule: tuple[_Rule, ...] = ()
    range: tuple[_Range, ...] = ()
    calibration: _Calibration | None = None


def read_recipe(path: Path) -> Scheme:
    """The scheme that the recipe at ``path`` makes of the one that it names.

    Raises:
        MqnetError: it cannot be read, or a key or a value is wrong; the text says which.
    """
    try:
        recipe = msgspec.convert(tomllib.loads(path.read_text()), _Recipe)
    except OSError as error:
        raise MqnetError(f"recipe {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise MqnetError(f"recipe {path} is wrong: {error}") from None
    for known in recipe.range:
        if not 0 < known.scale < math.inf or not -128 <= known.zero_point <= 127:
            raise MqnetError(
                f"recipe {path} gives {known.module!r} scale {known.scale} and zero point "
                f"{known.zero_point}: a scale is a number above 0, a zero point from -128 to 127"
            )
    rules = tuple(
        Rule(each.modules, each.operations, _PRECISIONS[each.precision]) for each in recipe.rule
    )
    ranges = tuple(KnownRange(each.module, each.scale, each.zero_point) for each in recipe.range)
    scheme = replace(scheme_named(recipe.scheme), rules=rules, ranges=ranges)
    if recipe.calibration is not None:
        scheme = replace(scheme, calibration=_calibration(path, recipe.calibration))
    if recipe.calibration is not None and not scheme.calibrates:
        raise MqnetError(
            f"recipe {path} says how to calibrate, and nothing in it is int8: leave [calibration] "
            "out, or name another scheme"
        )
    if ranges and Precision.INT8 not in scheme.precisions:
        raise MqnetError(
            f"recipe {path} gives ranges, and nothing in it is int8: leave them out, or name "
            "another scheme"
        )
    return scheme


def _calibration(path: Path, given: _Calibration) -> Calibration:
    if not 50 < given.percentile <= 100:
        raise MqnetError(
            f"recipe {path} has percentile {given.percentile}: give a number above 50, at most 100"
        )
    return Calibration(**msgspec.structs.asdict(given))


def matches(rule: Rule, path: str, operation: str) -> bool:
    """Whether ``rule`` is of an operation by PyTorch's name of it, in the module at ``path``."""
    names, wanted = path.split("."), rule.modules.split(".")
    if rule.modules and (len(names) < len(wanted) or not all(map(fnmatchcase, names, wanted))):
        return False
    return not rule.operations or operation in rule.operations
