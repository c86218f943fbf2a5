"""A candidate: a kernel with one configuration. Its text is what records are known by.

The text stands in the trace itself, as an annotation of the kernel's outermost block: a line of the
log says what was tried, and a later session knows what it need not measure again.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import tvm
from tvm import s_tir

from compile.kernels.common.core_model import CoreModel
from compile.kernels.families import families_of
from compile.kernels.family import KernelFamily
from compile.records.records import CHOICE_ATTR


def configuration_text(configuration: Any) -> str:
    """As "pixels=4 vectors=3"."""
    return " ".join(f"{name}={int(value)}" for name, value in asdict(configuration).items())


def configuration_numbers(text: str) -> dict[str, int]:
    """The fields of a configuration by name, of what :func:`configuration_text` has made."""
    return {name: int(value) for name, value in (pair.split("=") for pair in text.split())}


def configuration_of(family: KernelFamily, text: str) -> Any:
    """The configuration of :func:`configuration_text`."""
    kind = family.configuration
    assert kind is not None, f"{family.name} has no configurations"
    types = {field.name: bool if field.type == "bool" else int for field in fields(kind)}
    numbers = configuration_numbers(text)
    return kind(**{name: types[name](value) for name, value in numbers.items()})


def all_configurations(family: str, module: tvm.IRModule, core: CoreModel) -> tuple[str, list[str]]:
    """The default configuration and every one, as text."""
    schedule, its = s_tir.Schedule(module), families_of(core.device)[family]
    assert its.configurations is not None and its.default_configuration is not None
    default = configuration_text(its.default_configuration(schedule, core))
    texts = [configuration_text(one) for one in its.configurations(schedule, core)]
    # A feature map too small to give every thread a task has a default configuration all the same.
    return default, list(dict.fromkeys([default, *texts]))


def scheduled(family: str, module: tvm.IRModule, core: CoreModel, text: str) -> s_tir.Schedule:
    """``module`` (of which nobody else may hold a part) scheduled by the configuration of
    ``text``."""
    schedule = s_tir.Schedule(module, enable_check=False)
    its = families_of(core.device)[family]
    assert its.schedule is not None
    its.schedule(schedule, core, configuration_of(its, text))
    # Last: what TVM 0.27 does to a module whose outermost block has been replaced, it does in
    # place, and JSONDatabase replays all traces of a kernel on one module.
    schedule.annotate(schedule.get_sblock("root"), CHOICE_ATTR, text)
    return schedule
