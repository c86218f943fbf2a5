"""Configurations: each can be scheduled and computes what the default one does, and the trace of
its schedule says it all, to another process too."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tvm
from command_line import REPOSITORY
from head_kernels import conv_pointwise_kernel
from inverted_residuals import PLAIN
from kernel_draws import SAME_3X3
from numpy.typing import NDArray
from tvm import s_tir, tirx
from tvm.s_tir.meta_schedule.database import JSONDatabase, TuningRecord
from tvm_ffi import structural_equal, structural_hash

from compile.backends.backend_for import cpu_core
from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_products import dot_product_named, pair_product_of
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.int8.winograd_conv import create_winograd_conv
from compile.kernels.cpu.inverted_residual.inverted_residual import create_inverted_residual
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.elementwise import create_add, create_multiply
from compile.kernels.cpu.plain.mean import create_mean
from compile.kernels.cpu.plain.move import create_upsample
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.cpu.planar.planar_conv import create_planar_conv
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise
from compile.kernels.cpu.planar.planar_winograd_conv import create_planar_winograd_conv
from compile.kernels.families import families_of
from compile.kernels.family import KernelFamily
from targets.describe_target import tvm_target
from targets.load_target import load_target

HOST = load_target("host")
UNIT = cpu_core(HOST, 2)
DOT = dot_product_named(HOST.processor.dot_product, HOST.processor.vector_bits)
PAIRS = None if DOT is None else pair_product_of(DOT, HOST.processor.vector_bits)
BIAS, SCALE = (ConvEpilogue(kind) for kind in (EpilogueKind.BIAS, EpilogueKind.SCALE))
REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
SAME, HALF = (Window((3, 3), (stride, stride), SAME_3X3) for stride in (1, 2))
KERNELS = {
    "pointwise": create_pointwise((1, 9, 10, 5), 24, "float32", "float32", BIAS),
    "spatial_conv": create_spatial_conv((1, 9, 12, 3), 6, HALF, "float32", "float32", BIAS),
    "spatial_conv, cut vector": create_spatial_conv(
        (1, 9, 12, 3), 12, SAME, "float32", "float32", BIAS, 16
    ),
    "depthwise": create_depthwise((1, 9, 12, 24), SAME, "float32", "float32", BIAS),
    "planar_pointwise": create_planar_pointwise((1, 9, 5, 24), 6, "float32", BIAS, False),
    "planar_pointwise, interleaved": create_planar_pointwise((1, 3, 5, 24), 3, "int8", SCALE, True),
    "add": create_add((1, 9, 11, 32), (1, 9, 11, 32)),
    "multiply, few channels": create_multiply((1, 8, 12, 3), (1, 8, 12, 1)),
}
if DOT is not None:
    KERNELS |= {
        "packed_pointwise": create_int8_pointwise((1, 9, 12, 20), 48, DOT, REQUANTIZE),
        "packed_pointwise, cut vector": create_int8_pointwise((1, 9, 11, 6), 12, DOT, REQUANTIZE),
        "packed_concat_pointwise": create_int8_concat_pointwise(
            (1, 4, 6, 6), 20, 2, 48, DOT, REQUANTIZE
        ),
        "packed_concat_pointwise, gated": create_int8_concat_pointwise(
            (1, 4, 6, 8), 20, 2, 48, DOT, REQUANTIZE, has_channel_scale=True
        ),
        "packed_conv": create_int8_conv((1, 8, 12, 16), 12, SAME, DOT, SCALE),
        "packed_conv, stride 2": create_int8_conv((1, 18, 24, 3), 16, HALF, DOT, REQUANTIZE),
        "planar_conv": create_planar_conv((1, 8, 32, 16), 12, SAME, DOT, SCALE),
        "planar_conv_pointwise": conv_pointwise_kernel(DOT, 8, 32),
        "packed_depthwise": create_int8_depthwise((1, 9, 12, 48), SAME, DOT, REQUANTIZE),
        "packed_depthwise, stride 2": create_int8_depthwise((1, 18, 24, 16), HALF, DOT, REQUANTIZE),
        "inverted_residual": create_inverted_residual(
            replace(PLAIN, row_block=6, adds_data=True), DOT
        ),
        "inverted_residual, smaller picture": create_inverted_residual(
            replace(
                PLAIN,
                low_channels=12,
                factor=2,
                expanded=96,
                row_block=6,
                channel_block=48,
                has_channel_scale=True,
            ),
            DOT,
        ),
    }
if PAIRS is not None:
    KERNELS |= {
        "planar_winograd_conv": create_planar_winograd_conv((1, 8, 16, 16), 16, SAME, PAIRS, SCALE),
        "winograd_conv": create_winograd_conv((1, 16, 20, 32), 32, SAME, PAIRS, REQUANTIZE),
        "winograd_conv, dilated": create_winograd_conv(
            (1, 16, 24, 34), 64, Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), PAIRS, SCALE
        ),
    }
#: The kernel as the only function of a module, named main.
normalize = tvm.get_global_func("tvm.s_tir.meta_schedule.normalize_mod")
by_kernel = pytest.mark.parametrize("name", KERNELS)


def family_of(kernel: tirx.PrimFunc) -> KernelFamily:
    return families_of(UNIT.device).of(kernel)


def unscheduled(kernel: tirx.PrimFunc) -> s_tir.Schedule:
    """Of a copy: a schedule may change the body that functions share."""
    return s_tir.Schedule(tvm.ir.load_json(tvm.ir.save_json(normalize(kernel))))


def scheduled(kernel: tirx.PrimFunc, configuration: object, core: CpuCore = UNIT) -> s_tir.Schedule:
    schedule = unscheduled(kernel)
    family_of(kernel).schedule(schedule, core, configuration)
    return schedule


def configurations(kernel: tirx.PrimFunc, core: CpuCore = UNIT) -> list:
    return family_of(kernel).configurations(unscheduled(kernel), core)


def arguments(kernel: tirx.PrimFunc) -> list[NDArray]:
    """Numbers that saturate nothing: results that differ are then seen to differ."""
    random = np.random.default_rng(0)
    arrays = []
    for param in kernel.params:
        shape, dtype = [int(extent) for extent in param.ty.shape], str(param.ty.dtype.dtype)
        if "int" in dtype:
            array = random.integers(0 if dtype == "uint8" else -100, 100, shape).astype(dtype)
        else:
            array = random.uniform(0.001, 0.01, shape).astype(dtype)
        if param.name == "quant":
            array = np.resize(np.array([3, -5, -128, 127, 7], np.int32), shape)
        arrays.append(array)
    return arrays


def run(schedule: s_tir.Schedule, inputs: list[NDArray]) -> NDArray:
    library = tvm.compile(schedule.mod, target=tvm_target(HOST, 1), tir_pipeline=CPU_PIPELINE)
    tensors = [tvm.runtime.tensor(array) for array in inputs]
    library["main"](*tensors)
    return tensors[-1].numpy()


@by_kernel
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_default_configuration_is_one_of_them(name: str, threads: int) -> None:
    core = replace(UNIT, threads=threads)
    kernel = KERNELS[name]
    found = configurations(kernel, core)
    default = family_of(kernel).default_configuration(unscheduled(kernel), core)
    assert found.count(default) == 1
    assert len(found) == len(set(found))
    untuned = scheduled(kernel, None, core).mod
    assert structural_equal(untuned, scheduled(kernel, default, core).mod)


@by_kernel
def test_every_configuration_can_be_scheduled_and_makes_other_loops(name: str) -> None:
    kernel = KERNELS[name]
    modules = [scheduled(kernel, one).mod for one in configurations(kernel)]
    hashes = {structural_hash(module) for module in modules}
    # Some loops of one iteration can stand in any order.
    assert len(modules) // 3 < len(hashes) <= len(modules)


@by_kernel
def test_configurations_compute_the_same(name: str) -> None:
    kernel, inputs = KERNELS[name], arguments(KERNELS[name])
    expected = run(scheduled(kernel, None), inputs)
    assert len(np.unique(expected)) > 2
    every = configurations(kernel)
    for configuration in Random(1).sample(every, min(10, len(every))):
        found = run(scheduled(kernel, configuration), inputs)
        if found.dtype == np.int8:
            np.testing.assert_array_equal(found, expected, err_msg=str(configuration))
        else:
            np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=str(configuration))


_APPLY = """
import sys, tvm
from pathlib import Path
import compile.kernels.common.quantize_op
from compile.passes.apply_tuning_records import apply_tuning_records
folder = Path(sys.argv[1])
module = tvm.ir.load_json((folder / "before.json").read_text())
after = apply_tuning_records(folder, tvm.target.Target("llvm"))(module)
(folder / "after.json").write_text(tvm.ir.save_json(after))
"""


def test_traces_are_replayed_by_another_process(tmp_path: Path) -> None:
    """Which knows no intrinsic when it starts."""
    files = (tmp_path / f"database_{kind}.json" for kind in ("workload", "tuning_record"))
    database = JSONDatabase(*map(str, files))
    functions, expected = {}, {}
    for number, kernel in enumerate(KERNELS.values()):
        functions[f"kernel{number}"] = kernel
        workload = database.commit_workload(normalize(kernel))
        schedule = scheduled(kernel, Random(number).choice(configurations(kernel)))
        expected[f"kernel{number}"] = schedule.mod["main"].body
        record = TuningRecord(schedule.trace, workload, [1e-6], tvm.target.Target("llvm"))
        database.commit_tuning_record(record)
    (tmp_path / "before.json").write_text(tvm.ir.save_json(tvm.IRModule(functions)))
    subprocess.run([sys.executable, "-c", _APPLY, str(tmp_path)], cwd=REPOSITORY, check=True)
    after = tvm.ir.load_json((tmp_path / "after.json").read_text())
    for name, body in expected.items():
        assert str(after[name].attrs["mqnet.schedule"]) == "record"
        tvm.ir.assert_structural_equal(after[name].body, body, map_free_vars=True)


def test_families_with_one_way_only_are_not_tunable() -> None:
    assert not family_of(create_mean((1, 5, 7, 6))).is_tunable
    assert not family_of(create_upsample((1, 2, 3, 4), 2, "int8")).is_tunable
