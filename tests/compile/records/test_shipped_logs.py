"""tuning_logs/ still fits the compiler: the network's kernels are those that were tuned.

Records are kept by a hash of a kernel's TIR with its attributes, which leaves out the names of
blocks, buffers and variables, and their traces name intrinsics. So an attribute or an intrinsic
that is renamed, or a loop that is written in another way, loses records without a word. Where a
kernel is meant to change, tune again and write down here what the log then holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import tvm
from lowered_backbones import quantized_program
from tvm import tirx

from compile.backends.backend_for import backend_for
from compile.build_request import parse_size
from compile.graph.schedule_attrs import is_scheduled
from compile.passes.apply_tuning_records import apply_tuning_records
from compile.pipeline import PipelineOptions, lower_network
from compile.quantize.schemes import scheme_named
from compile.records import TUNING_LOGS
from compile.records.log_folder import records_name
from compile.records.session_file import SESSION, SessionFile
from compile.records.tuning_log import TuningLog
from compile.records.workload import workload_key
from compile.search.kernel_task import network_kernels
from targets.describe_target import tvm_target
from targets.detect_host import HostMachine
from targets.load_target import TARGET_FOLDER, list_targets, load_target, read_host_file
from targets.spec import TargetSpec


@dataclass(frozen=True)
class Shipped:
    """What a log has of the networks that its sessions have tuned.

    Attributes:
        kernels: that were tuned.
        records: of them, those with a record: for the others the default schedule is the fastest.
        changed: of them, those that were others when the log was made. They have default schedules
            until it is made anew.
        cores, l1d_bytes, l2_bytes: of the host that it was made on; a target's file has them.
        instruction_set: that was chosen there; None for the widest that it has.
    """

    kernels: int
    records: int
    changed: int = 0
    cores: int = 0
    l1d_bytes: int = 0
    l2_bytes: int = 0
    instruction_set: str | None = None


LOGS = {
    "cortex-a53": Shipped(66, 1),
    "cortex-a55": Shipped(66, 4),
    "cortex-a76": Shipped(66, 6),
    "cortex-x2": Shipped(70, 2),
    "rpi4": Shipped(66, 1),
    "host-x86-avx2": Shipped(
        62, 2, cores=2, l1d_bytes=32 << 10, l2_bytes=1 << 20, instruction_set="avx2"
    ),
    # Of two sizes, as the next one.
    "host-x86-avx512-vnni-zen4": Shipped(
        96, 31, cores=2, l1d_bytes=32 << 10, l2_bytes=1 << 20, instruction_set="avx512-vnni-zen4"
    ),
    "host-x86-avx512-vnni": Shipped(96, 35, cores=2, l1d_bytes=32 << 10, l2_bytes=1 << 20),
}


def test_every_log_is_held() -> None:
    assert {path.parent.name for path in TUNING_LOGS.glob(f"*/{SESSION}")} == set(LOGS)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGS)
def test_log_fits_every_kernel_that_it_was_made_for(name: str) -> None:
    log = TuningLog.read(TUNING_LOGS / name)
    session = log.session
    spec = tuned_target(name, session)
    tuned: dict[str, str] = {}
    applied: set[str] = set()
    for scheme, attention, size in sorted(
        {(one.scheme, one.attention, one.size) for one in session.sessions}
    ):
        assert scheme == "mixed"
        lowered = lowered_network(spec, attention, size)
        tuned |= {
            task.key: task.name
            for task in network_kernels(lowered, backend_for(spec, spec.threads).families).tasks
        }
        applied |= kernels_with_record(lowered, spec, name)
    strangers = sorted(kernel for key, kernel in tuned.items() if key not in session.kernels)
    assert len(strangers) == LOGS[name].changed, f"the log does not know {strangers}"
    assert len(tuned) == LOGS[name].kernels
    # Short of them where a trace no longer fits its kernel.
    assert applied == tuned.keys() & log.database.by_kernel.keys()
    assert len(applied) == LOGS[name].records


def tuned_target(name: str, session: SessionFile) -> TargetSpec:
    """As the session had it, on whatever machine this is."""
    if session.target in list_targets():
        return load_target(session.target)
    shipped = LOGS[name]
    machine = HostMachine(
        "x86_64",
        frozenset(session.device.features),
        cores=shipped.cores,
        l1d_bytes=shipped.l1d_bytes,
        l2_bytes=shipped.l2_bytes,
    )
    spec = read_host_file(TARGET_FOLDER / "host.toml", machine, shipped.instruction_set)
    assert records_name(spec) == name
    return spec


def lowered_network(spec: TargetSpec, attention: str, size: str) -> tvm.IRModule:
    """Its kernels without schedules: what a session tunes, whatever the calibration has found."""
    program = quantized_program(attention, *parse_size(size))
    scheme = scheme_named("mixed")
    options = PipelineOptions.for_scheme(spec, spec.threads, scheme, TUNING_LOGS / "none")
    return lower_network(program, options)


def kernels_with_record(lowered: tvm.IRModule, spec: TargetSpec, name: str) -> set[str]:
    """Keys of the kernels that get a schedule from the log ``name``, as in a build."""
    after = apply_tuning_records(TUNING_LOGS / name, tvm_target(spec))(lowered)
    return {
        workload_key(lowered[var])
        for var, function in after.functions_items()
        if isinstance(function, tirx.PrimFunc) and is_scheduled(function)
    }
