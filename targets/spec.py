"""What is known of a machine to build for: the schema of a target file, and the `TargetSpec`.

First thing in the way of the data: every later phase asks the `TargetSpec`, none asks a name. A
type whose name ends in "File" is one kind of file, whose keys are the attributes; the others are
tables in it, or what `targets.load_target` makes of it.

Sizes are in bytes, widths in bits, rates in multiply-accumulates (MAC) per cycle of one core. Where
a figure comes from (a core's optimization guide, a datasheet, a measurement) stands as a comment
beside it in the file.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from targets.tables import (
    Count,
    L1Bytes,
    L2Bytes,
    Positive,
    Rate,
    Registers,
    Table,
    VectorBits,
)
from targets.timing_model import TimingModel, TimingTable

#: The widest instruction that multiplies int8 and accumulates in int32; "none" for a core whose
#: instructions the compiler does not know.
DotProductName = Literal["none", "pmaddwd", "vnni", "smlal", "sdot", "smmla"]
#: How a shared library is made: by this machine's compiler, or for another system.
LinkerName = Literal["host", "linux-arm64", "android-arm64"]
#: The machine of an ELF file, as the ELF specification calls it.
MachineName = Literal["EM_X86_64", "EM_AARCH64"]


class CoreCluster(Table, frozen=True):
    """Equal cores of a chip.

    Attributes:
        name: LLVM's name of the core where it has one, as `cortex-a76`.
        count: How many there are.
    """

    name: str
    count: Count


Cores = Annotated[tuple[CoreCluster, ...], Meta(min_length=1)]


class Core(Table, frozen=True, kw_only=True):
    """The core that code is compiled and scheduled for.

    Attributes:
        triple: LLVM target triple: architecture, system and, of Android, the API level.
        cpu: LLVM's name of the core (`llc -mcpu=help` lists them).
        features: LLVM features beyond the core's own, as `+dotprod`.
        vector_bits: Width of a vector register, in bits.
        vector_registers: Vector registers that an instruction can name: 32 of AArch64 and of
            AVX-512, 16 of the other x86 instruction sets. A schedule's accumulators have to fit.
        dot_product: The widest int8 multiply-accumulate instruction that `cpu` with `features`
            has; the int8 kernels are made of it.
        l1d_bytes: Level 1 data cache of a core, in bytes; the chip's datasheet or the core's
            technical reference manual has it.
        l2_bytes: Level 2 cache in bytes, per core, or shared as a comment in the file says.
        machine: ELF machine of the library.
        recompute_bytes: A float feature map that takes more memory than this, in bytes, is computed
            twice instead of being kept until it is read again (the head's first, before its
            InstanceNorm). That saves memory, and time where a core multiplies faster than it
            reaches its memory; None where nothing is computed twice.
    """

    triple: str
    cpu: str
    features: tuple[str, ...]
    vector_bits: VectorBits
    vector_registers: Registers
    dot_product: DotProductName
    l1d_bytes: L1Bytes
    l2_bytes: L2Bytes
    machine: MachineName
    recompute_bytes: Positive | None = None


class Processor(Core, frozen=True, kw_only=True):
    """A processor: it runs the kernels, or starts those of the GPU beside it.

    Attributes:
        name: The target whose file describes it, as `rk3588`.
        linker: How a shared library for its system is made.
        requires: CPU features that the code uses, as /proc/cpuinfo spells them; they are known of
            the host alone, where they decide whether a library runs elsewhere.
    """

    name: str
    linker: LinkerName
    requires: tuple[str, ...] = ()


class OpenClSpec(Table, frozen=True, kw_only=True):
    """A GPU that OpenCL reaches, as its driver describes it: table `opencl` of a GPU's file.

    Attributes:
        work_group: The most work items of a work group (CL_DEVICE_MAX_WORK_GROUP_SIZE, or fewer).
        registers: Registers of 32 bits that a work item's tile may take, by the vendor's guide.
        vector_bytes: Width of one load or store, in bytes.
        integer_dot_product: The device has to have an instruction that multiplies four int8 by
            four (cl_khr_integer_dot_product or Arm's own); where this is false, it is used all the
            same if there is one.
        fp16: The device computes with 16-bit floats (cl_khr_fp16).
        mesa_gpu: What the GPU's register says it is (its product number, as Linux's driver reads
            it), by which Mesa's compiler knows it; None where the file names no single GPU.
    """

    work_group: Positive
    registers: Positive
    vector_bytes: Positive
    integer_dot_product: bool
    fp16: bool
    mesa_gpu: Positive | None = None


class TargetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One machine to build for: a processor and, where a GPU runs the kernels, that GPU.

    Attributes:
        name: What `--target` takes.
        title: Name for people.
        summary: One line for the table of targets.
        processor: What runs the kernels, or starts those of `gpu`.
        gpu: What runs the kernels; None where the processor does.
        beside: Of a GPU: what :func:`targets.load_target.load_target` takes for the processor.
        cores: The clusters of what runs the kernels; the first is the one that `threads` are meant
            for and that the peaks are of.
        threads: Threads of the processor that are used unless the user names another number.
        peak_int8_macs: int8 multiply-accumulates per cycle and core.
        peak_fp32_macs: float32 multiply-accumulates per cycle and core.
        variant: Of the host: the instruction set found, as `avx2`; empty for the others.
        timing: How long the core takes for what it executes, for a tuning session without the
            hardware (`compile/tune.py --emulate`); None where the file does not say.
    """

    name: str
    title: str
    summary: str
    processor: Processor
    gpu: OpenClSpec | None = None
    beside: str = ""
    cores: tuple[CoreCluster, ...]
    threads: int
    peak_int8_macs: int
    peak_fp32_macs: int
    variant: str = ""
    timing: TimingModel | None = None

    @property
    def machine(self) -> str:
        """ELF machine of the library, as `EM_AARCH64`."""
        return self.processor.machine

    @property
    def linker(self) -> str:
        """How the library is made; of this depends which system runs it."""
        return self.processor.linker

    @property
    def requires(self) -> tuple[str, ...]:
        """CPU features without which the library does not run, as /proc/cpuinfo spells them."""
        return self.processor.requires


class ProcessorFile(Core, frozen=True, kw_only=True):
    """File of a target whose processor runs the kernels.

    Attributes:
        title: Name for people.
        summary: One line for the table of targets.
        cores: The chip's clusters of equal cores; first the one that `threads`, the peaks and the
            caches are meant for.
        threads: Threads used unless the user names another number: a parallel loop is split evenly,
            so no slower core should have a share.
        peak_int8_macs: int8 multiply-accumulates per cycle and core, by the core's guide.
        peak_fp32_macs: float32 multiply-accumulates per cycle and core, by the core's guide.
        linker: How a shared library is made.
        timing: How long the core takes for what it executes; `compile/tune.py --emulate` alone asks
            for it, and needs it.
    """

    title: str
    summary: str
    cores: Cores
    threads: Count
    peak_int8_macs: Rate
    peak_fp32_macs: Rate
    linker: LinkerName
    timing: TimingTable | None = None


class GpuFile(Table, frozen=True, kw_only=True):
    """File of a target whose GPU runs the kernels.

    Attributes:
        title: Name for people.
        summary: One line for the table of targets.
        processor: The target of the processor beside the GPU, which starts the kernels; of a
            user's own file the path, from the folder of this one.
        cores: The GPU's shader cores.
        peak_int8_macs: int8 multiply-accumulates per cycle and shader core, by the datasheet.
        peak_fp32_macs: float32 multiply-accumulates per cycle and shader core, by the datasheet.
        opencl: What the driver says of the GPU.
    """

    title: str
    summary: str
    processor: str
    cores: Cores
    peak_int8_macs: Rate
    peak_fp32_macs: Rate
    opencl: OpenClSpec


class HostVariant(Core, frozen=True, kw_only=True):
    """One instruction set of `host.toml`.

    Attributes:
        name: Of the instruction set, as `avx2`; the host's tuning records are named by it.
        arch: Architecture as `uname -m` has it.
        requires: CPU features that the machine has to have, as /proc/cpuinfo spells them.
        cpu_family: Vendor and family of /proc/cpuinfo, as `AuthenticAMD 25`, where the same
            features mean another speed; None for all.
        peak_int8_macs: int8 multiply-accumulates per cycle and core, by a core's guide.
        peak_fp32_macs: float32 multiply-accumulates per cycle and core, by a core's guide.
    """

    name: str
    arch: str
    requires: tuple[str, ...]
    cpu_family: str | None = None
    peak_int8_macs: Rate
    peak_fp32_macs: Rate


class HostFile(Table, frozen=True, kw_only=True):
    """`host.toml`: what this machine may be.

    Attributes:
        title: Name for people where the machine tells none.
        summary: One line for the table of targets.
        linker: How a shared library is made.
        variant: Instruction sets, the widest first: the first that the machine has is taken.
    """

    title: str
    summary: str
    linker: LinkerName
    variant: Annotated[tuple[HostVariant, ...], Meta(min_length=1)]
