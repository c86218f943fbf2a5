"""Backends: a target has the one of its device, and a new device needs no other pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import tvm
from tvm.script import ir as I
from tvm.script import relax as R

from compile.backends.backend_for import backend_for
from compile.backends.cpu import CpuBackend
from compile.backends.gpu import GpuBackend
from compile.kernels import families
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain import elementwise
from compile.kernels.family import KernelFamilies, KernelFamily
from compile.kernels.gpu import gpu_move
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.lower_float_activations import LowerFloatActivations
from targets.load_target import list_targets, load_target


@pytest.mark.parametrize("name", list_targets())
def test_a_target_has_the_backend_of_its_device(name: str) -> None:
    spec = load_target(name)
    backend = backend_for(spec, spec.threads)
    assert isinstance(backend, CpuBackend if spec.gpu is None else GpuBackend)
    assert backend.families is families.FAMILIES[backend.core.device]
    assert spec.gpu is None or backend.dot_product is None


@I.ir_module
class Upsample:
    @R.function
    def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 4, 6, 4), "float32"):
        with R.dataflow():
            out = R.image.resize2d(x, R.shape([4, 6]), layout="NHWC", method="nearest_neighbor")
            R.output(out)
        return out


@dataclass(frozen=True)
class NpuCore(CpuCore):
    device: ClassVar[str] = "npu"


class NpuBackend(CpuBackend):
    """What moves is elementwise here, and rows run one after the other."""

    def upsample(self, data_shape, factor, dtype):
        return gpu_move.create_upsample(data_shape, factor, dtype)


def in_order(sch: tvm.s_tir.Schedule, _core: NpuCore) -> None:
    sch.vectorize(sch.get_loops(sch.get_sblock("upsample"))[-1])


def test_a_new_device_is_a_backend_and_its_families(monkeypatch: pytest.MonkeyPatch) -> None:
    family = KernelFamily(elementwise.FAMILY.name, "elementwise", in_order)
    monkeypatch.setitem(families.FAMILIES, "npu", KernelFamilies(family))
    backend = NpuBackend(NpuCore(128, 32, 1))
    lowered = LowerFloatActivations(backend)(Upsample)
    scheduled = apply_default_schedule(backend.core)(lowered)["resize2d"].script()
    assert "vectorized" in scheduled and "parallel" not in scheduled
