"""The kernel families of a GPU's network, each with what schedules it.

As :mod:`compile.kernels.design_spaces` and the table of
:mod:`compile.passes.apply_builtin_schedule` have it for cores.
"""

from __future__ import annotations

from types import ModuleType

from compile.kernels.cpu.plain import mean
from compile.kernels.gpu import gpu_convolution, gpu_elementwise, gpu_mean, gpu_norm

#: By family, those whose loops can be cut in more than one way.
GPU_SPACES: dict[str, ModuleType] = {
    **dict.fromkeys(gpu_convolution.FAMILIES, gpu_convolution),
    gpu_elementwise.FAMILY: gpu_elementwise,
}

#: By family, the schedules of all.
GPU_SCHEDULES = {family: space.schedule for family, space in GPU_SPACES.items()} | {
    mean.FAMILY: gpu_mean.schedule,
    gpu_norm.ROWS: gpu_norm.schedule_rows,
    gpu_norm.STATISTICS: gpu_norm.schedule_statistics,
    gpu_norm.NORMALIZE: gpu_elementwise.schedule,
}
