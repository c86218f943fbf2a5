"""The compiler's phases in order: from an exported program to a module of scheduled kernels.

=========  ==================================================  ====================================
phase      what it does                                        file
=========  ==================================================  ====================================
import     ``torch.export`` program to Relax, with its         frontend/import_program.py
           quantize and dequantize ops
layout     NCHW to NHWC                                        passes/convert_layout.py
           filters in the order of a pixel shuffle             passes/order_shuffled_channels.py
partition  int8 backbone | head with float activations | ...   passes/partition_precision.py
           the heads' feature maps in float16, where wanted   passes/narrow_head.py
lower      int8 quantized ops to integer kernels               passes/lower_quantized_ops.py
           inverted residual blocks, one row block at a time   passes/fuse_inverted_residuals.py
           channel scales, in the kernel that reads them       passes/fold_channel_scales.py
           float feature maps of few channels as rows of       passes/choose_planar_rows.py
           planes
           float convolutions, with int8 weights kept          passes/lower_float_convolutions.py
           InstanceNorm to statistics and a multiply-add       passes/lower_instance_norm.py
           chains of float16 operations in float32             passes/widen_half_chains.py
           float pooling, upsampling, concat                   passes/lower_float_activations.py
           other float ops, fused                              passes/legalize_float_ops.py
           float convolutions and what reads them, by rows     passes/fuse_row_kernels.py
schedule   tuning records where they fit                       passes/apply_tuning_records.py
           the default configuration elsewhere                 passes/apply_default_schedule.py
plan       order of kernels and memory                         passes/plan_memory.py
emit       machine code or OpenCL C, and the virtual           :func:`emit`
           machine's bytecode
=========  ==================================================  ====================================

Up to "partition" a program is the same for every device. Behind it each part of the network may be
compiled for a device of its own (:mod:`compile.place_network`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import tvm
from torch.export import ExportedProgram
from tvm import relax

from compile.backends.backend_for import backend_for
from compile.codegen.kernel_objects import EmittedCode, KernelCompiler, compiling, emit_objects
from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.frontend.import_program import import_program
from compile.graph.parts import MAIN
from compile.passes.apply_default_schedule import KernelObserver, apply_default_schedule
from compile.passes.apply_tuning_records import apply_tuning_records
from compile.passes.choose_planar_rows import ChoosePlanarRows
from compile.passes.convert_layout import ConvertLayout
from compile.passes.drop_idle_limits import DropIdleLimits
from compile.passes.fold_channel_scales import FoldChannelScales
from compile.passes.fuse_inverted_residuals import FuseInvertedResiduals
from compile.passes.fuse_row_kernels import FuseRowKernels
from compile.passes.legalize_float_ops import LegalizeFloatOps
from compile.passes.lower_float_activations import LowerFloatActivations
from compile.passes.lower_float_convolutions import LowerFloatConvolutions
from compile.passes.lower_instance_norm import LowerInstanceNorm
from compile.passes.lower_quantized_ops import LowerQuantizedOps
from compile.passes.narrow_head import NarrowHead
from compile.passes.order_shuffled_channels import OrderShuffledChannels
from compile.passes.partition_precision import PartitionPrecision
from compile.passes.plan_memory import lower_to_vm, plan_memory
from compile.passes.widen_half_chains import WidenHalfChains
from compile.quantize.schemes import Scheme
from compile.support.atomic import make_folder, write_atomically
from compile.support.build_cache import BuildCache
from targets.describe_target import tvm_target
from targets.spec import TargetSpec


@dataclass(frozen=True)
class PipelineOptions:
    """How a program is compiled.

    Attributes:
        spec: the machine.
        threads: threads that a frame may use.
        partition: into backbone and head, by precision; False for a network without int8
            activations.
        one_head: all behind the first backbone is one head, whatever of it is in integers.
        records: folder with the target's tuning records (it may be missing).
        narrow_head: hold the feature maps inside of the head in float16.
        image_weights: default schedules of a GPU read int8 weights from images where they can.
    """

    spec: TargetSpec
    threads: int
    partition: bool
    records: Path
    narrow_head: bool = False
    image_weights: bool = False
    one_head: bool = False

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
        return cls(spec, threads, scheme.calibrates, records, scheme.narrow_head, image_weights)


#: Phases behind the import that are the same for every device: "layout" and "partition".
_FOR_ALL_DEVICES = 2

#: Called around each phase with its name; for progress.
PhaseReporter = Callable[[str], AbstractContextManager[object]]

#: Called with the phase's number and name and the module behind it; for --dump-ir.
ModuleObserver = Callable[[int, str, tvm.IRModule], None]


def dump_modules(folder: Path | None) -> ModuleObserver:
    """Return what writes the module behind each phase into ``folder``; nothing where that is
    None."""

    def dump(number: int, name: str, mod: tvm.IRModule) -> None:
        if folder is not None:
            make_folder(folder)
            write_atomically(folder / f"{number}-{name}.py", mod.script().encode())

    return dump


def plan_network(
    program: ExportedProgram,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tvm.IRModule:
    """Run all phases up to the memory plan for one device: kernels with their final loops, called
    in order.

    Raises:
        GraphError: the program holds something that the compiler cannot take.
    """
    partitioned = partition_network(program, options, report, observe)
    return plan_part(partitioned, MAIN, options, report, observe)


def partition_network(
    program: ExportedProgram,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tvm.IRModule:
    """Run the import and the phases up to "partition", which are the same for every device: a
    module of ``main``, and of the backbones and heads that it calls where ``options`` say so.

    Raises:
        GraphError: the program holds something that the compiler cannot take.
    """
    with report("import"):
        mod = import_program(program)
    observe(0, "import", mod)
    for number, (name, passes) in enumerate(phases(options)[:_FOR_ALL_DEVICES], start=1):
        with report(name):
            mod = tvm.transform.Sequential(passes)(mod)
        observe(number, name, mod)
    return mod


def plan_part(
    partitioned: tvm.IRModule,
    part: str,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
    compiler: KernelCompiler | None = None,
) -> tvm.IRModule:
    """Run the phases behind "partition" for ``part`` of a module from :func:`partition_network`:
    for one of its functions alone, or for all of them where that is ``main``. ``compiler`` begins
    with each kernel as soon as that is scheduled."""
    mod = partitioned
    if part != MAIN:
        mod = tvm.IRModule({part: partitioned[part].with_attr("global_symbol", part)})
    later = phases(options, *([] if compiler is None else [compiler.begin]))[_FOR_ALL_DEVICES:]
    for number, (name, passes) in enumerate(later, start=_FOR_ALL_DEVICES + 1):
        with report(name if part == MAIN else f"{part}, {name}"):
            mod = tvm.transform.Sequential(passes)(mod)
        observe(number, name if part == MAIN else f"{name}-{part}", mod)
    return mod


def lower_network(
    program: ExportedProgram,
    options: PipelineOptions,
    report: PhaseReporter = lambda name: nullcontext(),
) -> tvm.IRModule:
    """Run the phases before "schedule": kernels without schedules, which is what a tuner takes.

    Raises:
        GraphError: the program holds something that the compiler cannot take.
    """
    mod = partition_network(program, options, report)
    later = phases(options)[_FOR_ALL_DEVICES:]
    for name, passes in takewhile(lambda phase: phase[0] != "schedule", later):
        with report(name):
            mod = tvm.transform.Sequential(passes)(mod)
    return mod


def phases(
    options: PipelineOptions, observe: KernelObserver = lambda name, function: None
) -> list[tuple[str, list[tvm.transform.Pass]]]:
    """Return the passes behind the import, by phase, for the backend of the target; ``observe`` is
    called for each kernel as soon as it is scheduled."""
    target = tvm_target(options.spec, options.threads)
    backend = backend_for(options.spec, options.threads, options.image_weights)
    dot = backend.dot_product
    return [
        ("layout", [ConvertLayout(), OrderShuffledChannels()]),
        ("partition", _partition(options)),
        (
            "lower",
            [
                LowerQuantizedOps(backend),
                FuseInvertedResiduals(dot, backend.core),
                FoldChannelScales(dot),
                ChoosePlanarRows(dot),
                LowerFloatConvolutions(backend),
                LowerInstanceNorm(backend),
                WidenHalfChains(),
                LowerFloatActivations(backend),
                LegalizeFloatOps(),
                FuseRowKernels(backend.families, backend.core.recompute_bytes),
            ],
        ),
        (
            "schedule",
            [
                apply_tuning_records(options.records, target),
                *([] if options.spec.gpu is not None else [DropIdleLimits()]),
                apply_default_schedule(backend.core, observe),
            ],
        ),
        ("plan", [plan_memory()]),
    ]


def _partition(options: PipelineOptions) -> list[tvm.transform.Pass]:
    if not options.partition:
        return []
    return [PartitionPrecision(options.one_head), *([NarrowHead()] if options.narrow_head else [])]


def emit(planned: tvm.IRModule, options: PipelineOptions) -> relax.VMExecutable:
    """Machine code for the planned module's kernels and bytecode for its functions."""
    target = tvm_target(options.spec)
    with kernel_sources(options.spec) as pipeline:
        return relax.build(planned, target, relax_pipeline=lower_to_vm(), tir_pipeline=pipeline)


def kernel_compiler(
    options: PipelineOptions, cache: BuildCache
) -> AbstractContextManager[KernelCompiler | None]:
    """Return what compiles a processor's kernels, those in ``cache`` not again; nothing for a
    GPU."""
    if options.spec.gpu is not None:
        return nullcontext()
    # A number of threads is in the loops by then, and in nothing that is kept by its target.
    return compiling(tvm_target(options.spec), cache)


def emit_code(
    planned: tvm.IRModule,
    options: PipelineOptions,
    cache: BuildCache,
    compiler: KernelCompiler | None = None,
) -> EmittedCode:
    """Generate the same for a library: a processor's kernels one by one, those in ``cache`` not
    again, nor those that ``compiler``, from :func:`kernel_compiler`, has begun with."""
    if options.spec.gpu is not None:
        return EmittedCode(emit(planned, options))
    return emit_objects(planned, tvm_target(options.spec), cache, compiler)
