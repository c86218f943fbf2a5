"""Weights that are made wide once a call: the same numbers, and no conversion in the loops."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from kernel_draws import SAME_3X3
from numpy.typing import NDArray
from tvm import s_tir, tirx

from compile.backends.backend_for import cpu_core
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.wide_weight import WIDE_BLOCK
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.families import families_of
from targets.describe_target import tvm_target
from targets.load_target import load_target

HOST = load_target("host")
SCALE = ConvEpilogue(EpilogueKind.SCALE)
SAME = Window((3, 3), (1, 1), SAME_3X3)
#: Of an odd number of weights, of a float type, in groups, and of enough to take all threads.
KERNELS = {
    "pointwise": lambda widens: create_pointwise((1, 5, 7, 3), 5, "float32", "int8", SCALE, widens),
    "float16": lambda widens: create_pointwise(
        (1, 4, 8, 6), 16, "float16", "float16", SCALE, widens
    ),
    "many weights": lambda widens: create_pointwise(
        (1, 4, 8, 264), 256, "float32", "int8", SCALE, widens
    ),
    "window": lambda widens: create_spatial_conv(
        (1, 5, 7, 4), 6, SAME, "float32", "int8", SCALE, 6, 2, widens
    ),
    "depthwise": lambda widens: create_depthwise(
        (1, 5, 7, 6), SAME, "float32", "int8", SCALE, widens
    ),
}


def draw(kernel: tirx.PrimFunc) -> list[NDArray]:
    random = np.random.default_rng(0)
    types = [(param.ty.shape, str(param.ty.dtype.dtype)) for param in kernel.params]
    return [
        random.integers(-128, 128, [int(n) for n in shape]).astype(dtype) for shape, dtype in types
    ]


def computed(kernel: tirx.PrimFunc, inputs: list[NDArray]) -> tuple[NDArray, str]:
    """The result, and the blocks of the scheduled kernel."""
    core = cpu_core(HOST, 2)
    schedule = s_tir.Schedule(kernel.with_attr("global_symbol", "main"))
    families_of(core.device).of(kernel).schedule(schedule, core, None)
    library = tvm.compile(schedule.mod, target=tvm_target(HOST, 2))
    tensors = [tvm.runtime.tensor(array) for array in inputs]
    library["main"](*tensors)
    return tensors[-1].numpy(), schedule.mod.script()


@pytest.mark.parametrize("name", KERNELS)
def test_the_same_to_the_bit(name: str) -> None:
    wide, narrow = (KERNELS[name](widens) for widens in (True, False))
    inputs = draw(narrow)
    expected, without = computed(narrow, inputs)
    found, script = computed(wide, inputs)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 10
    assert f'"{WIDE_BLOCK}"' in script and f'"{WIDE_BLOCK}"' not in without


@pytest.mark.parametrize(
    ("shape", "types"),
    [
        ((1, 1, 31, 3), ("float32", "int8")),  # Few read it.
        ((1, 5, 7, 3), ("float32", "float32")),
        ((1, 5, 7, 3), ("int8", "int8")),  # Multiplied in integers.
    ],
)
def test_what_is_left_alone(shape: tuple[int, int, int, int], types: tuple[str, str]) -> None:
    kernel = create_pointwise(shape, 5, *types, SCALE, True)
    assert f'"{WIDE_BLOCK}"' not in kernel.script()
