"""Our kernels under Mesa's compiler for Mali: they fit its registers, and multiply by words."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from fixtures_artefacts import ProgramFactory

from bench.counts.gpu_launches import GpuLaunch, gpu_launches
from bench.counts.gpu_target import check_has_compiler
from compile.artefact.describe_parts import describe_kernels
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize.schemes import scheme_named
from compile.support.errors import TargetError
from device.emulated.mali.compile_kernels import compile_kernels
from targets.describe_target import tvm_target
from targets.load_target import load_target

SPEC = load_target("linux-mali")


@pytest.mark.parametrize("name", ["host", "android-mali", "host-opencl"])
def test_a_target_that_names_no_gpu(name: str) -> None:
    with pytest.raises(TargetError, match=f"target {name} names no 'mesa_gpu'.* linux-mali"):
        check_has_compiler(load_target(name))


@pytest.mark.slow
def test_kernels_of_every_family(
    mali_compiler: Path, quantized_program: ProgramFactory, tmp_path: Path
) -> None:
    """Of each the largest. Dot products are as many as the multiplications are in words, so that
    loops are counted right."""
    options = PipelineOptions.for_scheme(SPEC, 1, scheme_named("mixed"), tmp_path)
    planned = plan_network(quantized_program(), options)
    launches = gpu_launches(planned, emit(planned, options), tvm_target(SPEC))
    summaries = {kernel.name: kernel for kernel in describe_kernels(planned)}
    families: defaultdict[str, list[GpuLaunch]] = defaultdict(list)
    for launch in launches:
        families[summaries[launch.function].family].append(launch)
    assert {"word_conv", "word_depthwise", "word_concat_pointwise", "pointwise"} <= families.keys()
    chosen = [
        max(of_family, key=lambda launch: summaries[launch.function].macs)
        for of_family in families.values()
    ]
    sources = {launch.name: launch.source for launch in chosen}
    compiled = compile_kernels(mali_compiler, SPEC.gpu.mesa_gpu, sources)
    assert "Mali-G610" in compiled.device
    for launch in chosen:
        summary, shader = summaries[launch.function], compiled.shaders[launch.name]
        counts = shader.counts(launch.iterations(len(shader.loops)))
        assert 0 < counts.accesses < counts.instructions
        if summary.family in ("word_conv", "word_depthwise", "word_concat_pointwise"):
            # Of some hundreds of instructions; a smaller tile loads more than that.
            assert shader.spills + shader.fills < 0.04 * counts.instructions, launch.name
        if summary.family == "word_conv":
            assert 4 * counts.dot_products * launch.work_items == summary.macs


KERNEL = """\
__kernel void k(__global int* restrict a_ptr, __global char* restrict b_ptr) {{
  int i = get_group_id(0) * 64 + get_local_id(0);
  a_ptr[i] = b_ptr[i] * {};
}}
"""


@pytest.mark.slow
def test_what_it_does_not_compile(mali_compiler: Path) -> None:
    gpu = SPEC.gpu.mesa_gpu
    done: list[str] = []
    sources = {"good": KERNEL.format(3), "bad": KERNEL.format("missing")}
    with pytest.raises(TargetError, match="does not compile bad: error: .*'missing'"):
        compile_kernels(mali_compiler, gpu, sources, done.append)
    assert done in ([], ["good"])
    with pytest.raises(TargetError, match="has no GPU 0x1234"):
        compile_kernels(mali_compiler, 0x1234, {"good": KERNEL.format(3)})


@pytest.mark.slow
def test_a_kernel_is_compiled_anew_each_time(mali_compiler: Path) -> None:
    """Mesa lists no code of a kernel that its cache holds."""
    sources = {"k": KERNEL.format(3)}
    first, again = (compile_kernels(mali_compiler, SPEC.gpu.mesa_gpu, sources) for _ in range(2))
    assert first == again and first.shaders["k"].blocks[0].accesses == 2
