"""A candidate: a kernel with one choice of its design space. Its text is what records are known by.

The text stands in the trace itself, as an annotation of the kernel's outermost block: a line of the
log says what was tried, and a later session knows what it need not measure again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from types import ModuleType
from typing import Any

import tvm
from tvm import s_tir

from compile.kernels.common.core_model import CpuCore
from compile.kernels.design_spaces import SPACES, spaces_for
from compile.kernels.gpu.gpu_core import GpuCore
from compile.records.records import CHOICE_ATTR


def choice_text(choice: Any) -> str:
    """As "pixels=4 vectors=3"."""
    return " ".join(f"{name}={int(value)}" for name, value in asdict(choice).items())


def choice_numbers(text: str) -> dict[str, int]:
    """The fields of a choice by name, of what :func:`choice_text` has made."""
    return {name: int(value) for name, value in (pair.split("=") for pair in text.split())}


def choice_of(family: str, text: str, spaces: Mapping[str, ModuleType] = SPACES) -> Any:
    """The choice of :func:`choice_text`."""
    kind = spaces[family].Choice
    numbers = choice_numbers(text)
    types = {field.name: bool if field.type == "bool" else int for field in fields(kind)}
    return kind(**{name: types[name](value) for name, value in numbers.items()})


def all_choices(
    family: str, module: tvm.IRModule, core: CpuCore | GpuCore
) -> tuple[str, list[str]]:
    """The built-in choice and every one, as text."""
    schedule, space = s_tir.Schedule(module), spaces_for(core)[family]
    builtin = space.builtin_choice(schedule, core)
    texts = [choice_text(choice) for choice in space.choices(schedule, core)]
    # A picture too small to give every thread a task has a built-in choice all the same.
    return choice_text(builtin), list(dict.fromkeys([choice_text(builtin), *texts]))


def scheduled(
    family: str, module: tvm.IRModule, core: CpuCore | GpuCore, text: str
) -> s_tir.Schedule:
    """``module`` (of which nobody else may hold a part) scheduled by the choice of ``text``."""
    schedule = s_tir.Schedule(module, enable_check=False)
    spaces = spaces_for(core)
    spaces[family].schedule(schedule, core, choice_of(family, text, spaces))
    # Last: what TVM 0.27 does to a module whose outermost block has been replaced, it does in
    # place, and JSONDatabase replays all traces of a kernel on one module.
    schedule.annotate(schedule.get_sblock("root"), CHOICE_ATTR, text)
    return schedule
