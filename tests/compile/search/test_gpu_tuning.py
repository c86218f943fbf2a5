"""Design spaces for a GPU, and a tuning session on PoCL, whose times rank nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

import numpy as np
import pytest
import tvm
from fixtures_artefacts import SIZE, ProgramFactory
from fixtures_device import Served
from kernel_draws import SAME_3X3
from rich.console import Console
from tvm import s_tir, tirx

from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.graph.schedule_attrs import RECORD, schedule_origin
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.elementwise import create_add
from compile.kernels.cpu.plain.mean import create_mean
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.families import families_of
from compile.kernels.gpu.dp4a_concat_pointwise import create_dp4a_concat_pointwise
from compile.kernels.gpu.dp4a_conv import create_dp4a_conv
from compile.kernels.gpu.dp4a_depthwise import create_dp4a_depthwise
from compile.kernels.gpu.gpu_core import GpuCore
from compile.networks.registry import network_named
from compile.pipeline import PipelineOptions, plan_network
from compile.records.records import read_database
from compile.records.session_file import SESSION
from compile.search.gpu_facts import gpu_facts
from compile.search.kernel_task import kernel_task
from compile.search.tune_network import tune_network
from compile.search.tune_request import TuneRequest
from compile.support.errors import TargetError
from device.runtime.gpu_name import POCL_WARNING
from targets.describe_target import tvm_target
from targets.load_target import load_target

SPEC = load_target("host-opencl")
UNIT = GpuCore(64, 64)
BIAS, REQUANTIZE = ConvEpilogue(EpilogueKind.BIAS), ConvEpilogue(EpilogueKind.REQUANTIZE)
SAME = Window((3, 3), (1, 1), SAME_3X3)
FAMILIES = families_of(UNIT.device)
KERNELS = {
    "word_conv": lambda: create_dp4a_conv((1, 6, 12, 16), 24, SAME, REQUANTIZE),
    "word_concat": lambda: create_dp4a_concat_pointwise((1, 3, 6, 8), 16, 2, 24, REQUANTIZE),
    "depthwise": lambda: create_depthwise((1, 6, 12, 24), SAME, "int8", "int8", REQUANTIZE),
    "word_depthwise": lambda: create_dp4a_depthwise((1, 6, 12, 24), SAME, REQUANTIZE),
    "pointwise": lambda: create_pointwise((1, 6, 12, 12), 6, "float32", "float32", BIAS),
    "spatial_conv": lambda: create_spatial_conv((1, 6, 8, 3), 8, SAME, "float32", "float32", BIAS),
    "add": lambda: create_add((1, 6, 12, 24), (1, 6, 12, 24)),
}


def scheduled(name: str, configuration: object = None) -> s_tir.Schedule:
    # Made anew: a schedule may change what modules share.
    kernel = KERNELS[name]()
    schedule = s_tir.Schedule(tvm.IRModule({"main": kernel.with_attr("global_symbol", "main")}))
    FAMILIES.of(kernel).schedule(schedule, UNIT, configuration)
    return schedule


def work_group(schedule: s_tir.Schedule) -> int:
    """Work items of the group, over all axes."""
    sizes = {}
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        for loop in map(schedule.get, schedule.get_loops(block)):
            if loop.thread_binding is not None:
                sizes[str(loop.thread_binding.thread_tag)] = int(loop.extent)
    return int(np.prod([size for tag, size in sizes.items() if tag.startswith("threadIdx")]))


@pytest.mark.parametrize("name", KERNELS)
def test_every_configuration_fits_the_device_and_computes_the_same(
    name: str, opencl: tvm.runtime.Device
) -> None:
    kernel = KERNELS[name]()
    family, unscheduled = FAMILIES.of(kernel), s_tir.Schedule(kernel)
    found = family.configurations(unscheduled, UNIT)
    assert len(set(found)) == len(found) > 3
    assert family.default_configuration(unscheduled, UNIT) in found
    assert any(
        getattr(configuration, "image", False) for configuration in found
    ) == name.startswith("word_")
    picked = Random(name).sample(found, 6)
    assert all(
        1 < work_group(scheduled(name, configuration)) <= UNIT.work_group
        for configuration in picked
    )
    inputs = len(kernel.params) - 1
    arguments = kernel_task(name, name, kernel, inputs, constants=quantization(kernel)).arguments
    expected = run(scheduled(name), arguments.draw(), opencl)
    # Not all of it cut off at the same limit.
    assert expected.std() > 1
    in_image = [configuration for configuration in found if getattr(configuration, "image", False)][
        :1
    ]
    for configuration in [*picked[:2], *in_image]:
        result = run(scheduled(name, configuration), arguments.draw(), opencl)
        if expected.dtype == np.int8:
            np.testing.assert_array_equal(result, expected)
        else:
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)


def quantization(kernel: tirx.PrimFunc) -> dict[int, np.ndarray]:
    """Operands that numbers drawn at random do not suit, by position."""
    constants = {}
    for place, param in enumerate(kernel.params):
        shape = [int(extent) for extent in param.ty.shape]
        if param.name == "quant":
            constants[place] = np.array([3, -5, -128, 127, 2][: shape[0]], "int32")
        elif param.name == "multiplier":
            # Of sums of few products, of those of many.
            constants[place] = np.full(shape, 0.3 if shape[0] == 2 else 2e-3, "float32")
        elif param.name == "bias" and str(param.ty.dtype.dtype) == "int32":
            constants[place] = np.arange(shape[0], dtype="int32") * 100
    return constants


def run(schedule: s_tir.Schedule, arrays: list, device: tvm.runtime.Device) -> np.ndarray:
    with kernel_sources(SPEC) as pipeline:
        library = tvm.compile(schedule.mod, target=tvm_target(SPEC), tir_pipeline=pipeline)
    tensors = [tvm.runtime.tensor(array, device) for array in arrays]
    library["main"](*tensors)
    return tensors[-1].numpy()


def test_a_processor_has_other_configurations() -> None:
    kernel: tirx.PrimFunc = KERNELS["pointwise"]()
    of_processor = families_of("cpu").of(kernel)
    assert of_processor.configuration is not FAMILIES.of(kernel).configuration
    assert not FAMILIES.of(create_mean((1, 5, 7, 6))).is_tunable


@pytest.mark.usefixtures("noise_is_no_drift")
def test_a_session_over_rpc_and_its_records(
    opencl_plugin: Path,
    serve: Callable[..., AbstractContextManager[Served]],
    quantized_program: ProgramFactory,
    tmp_path: Path,
) -> None:
    said = Console(file=io.StringIO(), width=200)
    program = quantized_program("fp32")
    with serve("tuned-gpu") as served:
        request = TuneRequest(
            *("host-opencl", "fp32", network_named("mqnet"), SIZE, 1, 4, tmp_path),
            *served.options[1::2],
        )
        found = tune_network(request, said, program)
    assert POCL_WARNING in " ".join(said.file.getvalue().split())
    assert found["trials"] == 4 and found["notes"] == []
    measured = [kernel for kernel in found["kernels"] if kernel["measured"]]
    assert len(measured) == 4 and all(0 < kernel["best_seconds"] < 5 for kernel in measured)
    folder = tmp_path / "host-opencl"
    assert json.loads((folder / SESSION).read_text())["device"]["cpu"].startswith("PoCL")
    assert len(read_database(folder).by_kernel) == 4
    planned = plan_network(program, PipelineOptions(SPEC, 1, partition=False, records=folder))
    kernels = [f for _, f in planned.functions_items() if isinstance(f, tirx.PrimFunc)]
    assert sum(schedule_origin(kernel) == RECORD for kernel in kernels) == 4


def test_a_gpus_facts_name_the_gpu() -> None:
    mali = {"name": "Mali-G610", "driver": "3.0", "platform": "OpenCL 3.0 v1.g6p0"}
    assert gpu_facts({"cpu": "A76"}, mali)["cpu"] == "Mali-G610 by driver 3.0"
    with pytest.raises(TargetError, match="no OpenCL: install the driver"):
        gpu_facts({"cpu": "A76"}, {"error": "install the driver"})
