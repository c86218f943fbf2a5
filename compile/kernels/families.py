"""The kernel families of every device: a new family is its file and one line here."""

from __future__ import annotations

from compile.kernels.cpu.int8 import (
    int8_concat_pointwise,
    int8_conv,
    int8_depthwise,
    int8_grouped_conv,
    int8_pointwise,
    matrix_pointwise,
    winograd_schedule,
)
from compile.kernels.cpu.inverted_residual import inverted_residual
from compile.kernels.cpu.norm import instance_norm, planar_norm, row_statistics
from compile.kernels.cpu.plain import (
    average_pool,
    depthwise,
    elementwise,
    max_pool,
    mean,
    move,
    pointwise,
    reduction,
    spatial_conv,
)
from compile.kernels.cpu.planar import (
    planar_conv,
    planar_conv_pointwise,
    planar_parts_conv,
    planar_pointwise,
    planar_winograd_conv,
)
from compile.kernels.family import KernelFamilies
from compile.kernels.gpu import (
    dp4a_concat_pointwise,
    dp4a_conv,
    dp4a_depthwise,
    gpu_convolution,
    gpu_elementwise,
    gpu_mean,
    gpu_norm,
    gpu_reduction,
)

#: By device, as core models name theirs.
FAMILIES: dict[str, KernelFamilies] = {
    "cpu": KernelFamilies(
        int8_pointwise.FAMILY,
        int8_concat_pointwise.FAMILY,
        matrix_pointwise.FAMILY,
        int8_conv.FAMILY,
        winograd_schedule.FAMILY,
        int8_depthwise.FAMILY,
        int8_grouped_conv.FAMILY,
        inverted_residual.FAMILY,
        planar_conv.FAMILY,
        planar_parts_conv.FAMILY,
        planar_winograd_conv.FAMILY,
        planar_conv_pointwise.FAMILY,
        planar_pointwise.FAMILY,
        pointwise.FAMILY,
        spatial_conv.FAMILY,
        depthwise.FAMILY,
        elementwise.FAMILY,
        average_pool.FAMILY,
        max_pool.FAMILY,
        mean.FAMILY,
        move.FAMILY,
        row_statistics.FAMILY,
        instance_norm.STATISTICS,
        instance_norm.NORMALIZE,
        planar_norm.ROWS,
        planar_norm.STATISTICS,
        planar_norm.NORMALIZE,
        reduction.FAMILY,
    ),
    "gpu": KernelFamilies(
        dp4a_conv.FAMILY,
        dp4a_concat_pointwise.FAMILY,
        dp4a_depthwise.FAMILY,
        gpu_convolution.POINTWISE,
        gpu_convolution.SPATIAL_CONV,
        gpu_convolution.DEPTHWISE,
        gpu_convolution.AVERAGE_POOL,
        gpu_elementwise.FAMILY,
        gpu_mean.FAMILY,
        gpu_norm.ROWS,
        gpu_norm.STATISTICS,
        gpu_norm.NORMALIZE,
        gpu_reduction.FAMILY,
    ),
}


def families_of(device: str) -> KernelFamilies:
    """Return the families of the ``device`` that a core model names."""
    return FAMILIES[device]


def kinds_by_family() -> dict[str, str]:
    """Return what reports call each family of any device."""
    return {name: one.kind for families in FAMILIES.values() for name, one in families.items()}
