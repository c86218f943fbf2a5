"""The compiler's phases in order: from an exported program to a module of scheduled kernels.

======  =======================================================  ==================================
phase   what it does                                             file
======  =======================================================  ==================================
import  ``torch.export`` program to Relax, (de)quantize kept     frontend/import_program.py
layout  NCHW to NHWC                                             passes/convert_layout.py
cut     int8 backbone | float-activation head                    passes/partition_precision.py
        the head's pictures in float16, where wanted             passes/narrow_head.py
lower   int8 quantized ops to integer kernels
passes/lower_quantized_ops.py
        inverted residual blocks, strip by strip                 passes/fuse_inverted_residuals.py
        attention's multiply, in the kernel that reads it        passes/fold_gates.py
        float pictures of few channels as rows of planes         passes/choose_planar_rows.py
        float convolutions, int8 weights kept                    passes/lower_float_convolutions.py
        InstanceNorm to statistics and a multiply-add            passes/lower_instance_norm.py
        float pooling, upsampling, concat                        passes/lower_float_pictures.py
        other float ops, fused                                   passes/legalize_float_ops.py
        float convolutions and their neighbours, row by row      passes/fuse_row_kernels.py
loops   tuning records where they fit                            passes/apply_tuning_records.py
        the default configuration elsewhere                      passes/apply_default_schedule.py
plan    order of kernels and memory                              passes/plan_memory.py
emit    machine code, or OpenCL C, and the virtual machine's bytecode          :func:`emit`
======  =======================================================  ==================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import tvm
from torch.export import ExportedProgram
from tvm import relax

from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.frontend.import_program import import_program
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import dot_product_named
from compile.kernels.families import families_of
from compile.kernels.gpu.dp4a import WordDot
from compile.kernels.gpu.gpu_core import GpuCore
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.apply_tuning_records import apply_tuning_records
from compile.passes.choose_planar_rows import ChoosePlanarRows
from compile.passes.convert_layout import ConvertLayout
from compile.passes.fold_channel_scales import FoldChannelScales
from compile.passes.fuse_inverted_residuals import FuseInvertedResiduals
from compile.passes.fuse_row_kernels import FuseRowKernels
from compile.passes.legalize_float_ops import LegalizeFloatOps
from compile.passes.lower_float_activations import LowerFloatActivations
from compile.passes.lower_float_convolutions import LowerFloatConvolutions
from compile.passes.lower_instance_norm import LowerInstanceNorm
from compile.passes.lower_quantized_ops import LowerQuantizedOps
from compile.passes.narrow_head import NarrowHead
from compile.passes.partition_precision import PartitionPrecision
from compile.passes.plan_memory import lower_to_vm, plan_memory
from compile.quantize.schemes import Precision, Scheme
from targets.load_target import TargetSpec, tvm_target


@dataclass(frozen=True)
class PipelineOptions:
    """How a program is compiled.

    Attributes:
        spec: the machine.
        threads: threads that a frame may use.
        split: cut into backbone and head; False for a network without int8 activations.
        narrow_head: hold the pictures inside of the head in float16.
        image_weights: built-in schedules of a GPU read int8 weights from images where they can.
        records: folder with the target's tuning records (it may be missing).
    """

    spec: TargetSpec
    threads: int
    split: bool
    records: Path
    narrow_head: bool = False
    image_weights: bool = False

    @classmethod
    def for_scheme(
        cls,
        spec: TargetSpec,
        threads: int,
        scheme: Scheme,
        records: Path,
        image_weights: bool = False,
    ) -> PipelineOptions:
        """What the network of a quantization scheme needs."""
        is_split = scheme.backbone is Precision.INT8
        return cls(spec, threads, is_split, records, scheme.narrow_head, image_weights)


#: Progress before backbone and head are two functions.
_CUT = 2

#: Called around each phase with its name; for progress.
PhaseReporter = Callable[[str], AbstractContextManager[None]]

#: Called with the phase's number and name and the module behind it; for --dump-ir.
ModuleObserver = Callable[[int, str, tvm.IRModule], None]


def plan_network(
    program: ExportedProgram,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tvm.IRModule:
    """All phases up to the memory plan: kernels with their final loops, called in order.

    Raises:
        GraphError: the program holds something that the compiler cannot take.
    """
    return _run_phases(program, phases(options), report, observe)


def cut_network(
    program: ExportedProgram,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tvm.IRModule:
    """The phases up to "cut": a module of backbone, head and main, the same for every target.

    Raises:
        GraphError: the program holds something that the compiler cannot take.
    """
    return _run_phases(program, phases(options)[:_CUT], report, observe)


def plan_part(
    cut: tvm.IRModule,
    part: str,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tvm.IRModule:
    """The phases behind the cut for the function ``part`` alone."""
    mod = tvm.IRModule({part: cut[part].with_attr("global_symbol", part)})
    for number, (name, passes) in enumerate(phases(options)[_CUT:], start=_CUT + 1):
        with report(f"{part}, {name}"):
            mod = tvm.transform.Sequential(passes)(mod)
        observe(number, f"{name}-{part}", mod)
    return mod


def lower_network(
    program: ExportedProgram,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
) -> tvm.IRModule:
    """The phases before "loops": kernels that have no schedules yet, which is what a tuner takes.

    Raises:
        GraphError: the program holds something that the compiler cannot take.
    """
    before = takewhile(lambda phase: phase[0] != "loops", phases(options))
    return _run_phases(program, before, report)


def _run_phases(
    program: ExportedProgram,
    first: Iterable[tuple[str, list[tvm.transform.Pass]]],
    report: PhaseReporter,
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tvm.IRModule:
    """The import and what follows it."""
    with report("import"):
        mod = import_program(program)
    observe(0, "import", mod)
    for number, (name, passes) in enumerate(first, start=1):
        with report(name):
            mod = tvm.transform.Sequential(passes)(mod)
        observe(number, name, mod)
    return mod


def phases(options: PipelineOptions) -> list[tuple[str, list[tvm.transform.Pass]]]:
    """The passes behind the import, by phase."""
    target = tvm_target(options.spec, options.threads)
    dot = dot_product_of(options.spec)
    core = core_model(options.spec, options.threads, options.image_weights)
    on_gpu = options.spec.gpu is not None
    return [
        ("layout", [ConvertLayout()]),
        ("cut", _cut(options)),
        (
            "lower",
            [
                LowerQuantizedOps(dot),
                FuseInvertedResiduals(dot, core),
                FoldChannelScales(dot),
                ChoosePlanarRows(dot),
                LowerFloatConvolutions(dot),
                LowerInstanceNorm(on_gpu),
                LowerFloatActivations(on_gpu),
                LegalizeFloatOps(),
                FuseRowKernels(families_of(core.device)),
            ],
        ),
        (
            "loops",
            [
                apply_tuning_records(options.records, target),
                apply_default_schedule(core),
            ],
        ),
        ("plan", [plan_memory()]),
    ]


def _cut(options: PipelineOptions) -> list[tvm.transform.Pass]:
    if not options.split:
        return []
    return [PartitionPrecision(), *([NarrowHead()] if options.narrow_head else [])]


def emit(planned: tvm.IRModule, options: PipelineOptions) -> relax.VMExecutable:
    """Machine code for the planned module's kernels and bytecode for its functions."""
    target = tvm_target(options.spec, options.threads)
    with kernel_sources(options.spec, planned):
        return relax.build(planned, target, relax_pipeline=lower_to_vm())


def dot_product_of(spec: TargetSpec) -> DotProduct | WordDot | None:
    """What multiplies int8 by int8 there."""
    if spec.gpu is not None:
        return WordDot()
    return dot_product_named(spec.dot_product, spec.vector_bits)


def core_model(spec: TargetSpec, threads: int, image_weights: bool = False) -> CpuCore | GpuCore:
    """The part of ``spec`` that built-in schedules look at."""
    if (gpu := spec.gpu) is not None:
        return GpuCore(gpu.work_group, gpu.registers, gpu.vector_bytes, image_weights)
    return cpu_core(spec, threads)


def cpu_core(spec: TargetSpec, threads: int) -> CpuCore:
    """The same of a processor.

    AVX-512 and NEON have 32 vector registers, the other x86 instruction sets 16.
    """
    is_wide_file = spec.vector_bits == 512 or spec.machine == "EM_AARCH64"
    registers = 32 if is_wide_file else 16
    return CpuCore(spec.vector_bits, registers, threads, spec.l1d_bytes, spec.l2_bytes)
