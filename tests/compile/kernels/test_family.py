"""A kernel family: what it must have, and that a new one is found by every user at once."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass

import pytest
import tvm
from command_line import REPOSITORY
from tvm import te

from compile.kernels import families
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.families import FAMILIES, families_of, kinds_by_family
from compile.kernels.family import KernelFamilies, KernelFamily
from compile.passes.apply_default_schedule import apply_default_schedule

EVERY = [(device, family) for device, some in FAMILIES.items() for family in some.values()]
by_family = pytest.mark.parametrize(
    ("device", "family"), EVERY, ids=lambda x: getattr(x, "name", x)
)


@by_family
def test_a_family_has_what_it_must(device: str, family: KernelFamily) -> None:
    assert family.name and family.kind
    space = (family.configuration, family.configurations, family.default_configuration)
    assert len({part is None for part in space}) == 1
    if family.is_tunable:
        assert family.schedule is not None and is_dataclass(family.configuration)
        assert {field.type for field in fields(family.configuration)} <= {"int", "bool"}
    if family.fusion is not None:
        assert {*family.fusion.producers, *family.fusion.consumers} <= FAMILIES[device].keys()


def test_what_has_no_family_is_elementwise_before_it_is_a_reduction() -> None:
    for some in FAMILIES.values():
        serving = [name for name, family in some.items() if family.serves]
        assert serving == ["elementwise", "reduction"]


def test_a_name_is_of_one_kind_on_every_device() -> None:
    assert {(family.name, family.kind) for _, family in EVERY} == set(kinds_by_family().items())


def test_every_family_that_is_declared_is_collected() -> None:
    """A name stands once in the sources, where its family is declared."""
    declared = set()
    for path in (REPOSITORY / "compile/kernels").rglob("*.py"):
        calls = r"(?:KernelFamily|convolution_family)\(\s*\"(\w+)\""
        declared |= set(re.findall(calls, path.read_text()))
    assert declared == kinds_by_family().keys()


def test_a_name_is_taken_once() -> None:
    twice = KernelFamily("twice", "elementwise", schedule=None)
    with pytest.raises(ValueError, match="several kernel families are called twice"):
        KernelFamilies(twice, twice)


def test_a_new_family_is_one_file_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    # The file: what it computes, how its loops are cut, and the family.
    data = te.placeholder((4, 8), "float32", name="data")
    halved = te.compute((4, 8), lambda y, x: data[y, x] * 0.5, name="halved")

    def schedule(sch: tvm.s_tir.Schedule, _core: CpuCore) -> None:
        sch.vectorize(sch.get_loops(sch.get_sblock("halved"))[-1])

    family = KernelFamily("halve", "elementwise", schedule)
    # The line.
    monkeypatch.setitem(families.FAMILIES["cpu"], family.name, family)
    kernel = create_kernel(family.name, [data], halved)
    assert families_of("cpu").of(kernel) is family
    after = apply_default_schedule(CpuCore(128, 32, 1))(tvm.IRModule({"kernel": kernel}))
    assert "vectorized" in after["kernel"].script()
    assert kinds_by_family()["halve"] == "elementwise"
