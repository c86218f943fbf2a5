"""The five steps of a build by themselves, and one network in one part and in two."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from torch import Tensor
from torch.export import ExportedProgram

from compile.build_network import build_network, describe_build, quantized_program
from compile.build_parts import emit_parts, link_parts, plan_parts
from compile.build_request import BuildRequest
from compile.codegen.link.link import LinkOptions
from compile.graph.parts import BACKBONE, HEAD, MAIN
from compile.networks.network import Network
from compile.pipeline import PipelineOptions
from compile.place_network import place_network
from compile.quantize.observers import FastHistogramObserver
from compile.quantize.schemes import scheme_named
from compile.support.errors import CheckpointError, GraphError
from compile.support.progress import Progress
from targets.load_target import load_target

SIZE = (40, 56)
NO_LOGS = Path("no logs")


def options(target: str, scheme: str = "mixed") -> PipelineOptions:
    return PipelineOptions.for_scheme(load_target(target), 1, scheme_named(scheme), NO_LOGS)


@pytest.fixture
def program(toy: Network) -> ExportedProgram:
    return quantized_program(BuildRequest("host", "mixed", toy, SIZE))


def test_steps_by_themselves_are_a_build(
    toy: Network, program: ExportedProgram, tmp_path: Path
) -> None:
    """The same library and the same manifest as from the command, and its modules on request."""
    request = BuildRequest("host", "mixed", toy, SIZE, 1, out=tmp_path / "whole")
    steps, spec = tmp_path / "steps", load_target("host")
    steps.mkdir()
    plan = plan_parts(program, place_network(options("host"), None, NO_LOGS))
    executables = emit_parts(plan)
    report = link_parts(executables, spec, LinkOptions(), steps)
    whole = build_network(request, Progress(Console(quiet=True)), program)
    (library,) = executables
    assert (steps / library).read_bytes() == whole.library.read_bytes()
    manifest = describe_build(request, program, spec, plan, report, whole.manifest.files)
    assert manifest == whole.manifest


def test_weights_that_make_no_numbers_on_the_way(
    toy: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of 1e-30, of which the network's own output tells nothing."""

    def spoil(observer: FastHistogramObserver, activation: Tensor) -> Tensor:
        return count(observer, activation / 0 * 0)

    count = FastHistogramObserver.forward
    monkeypatch.setattr(FastHistogramObserver, "forward", spoil)
    with pytest.raises(CheckpointError, match=r"toy-12\.safetensors makes values on the way"):
        quantized_program(BuildRequest("host", "mixed", toy, SIZE))


def test_one_part(program: ExportedProgram) -> None:
    (part,) = place_network(options("host"), None, NO_LOGS)
    plan = plan_parts(program, [part])
    assert [planned.part.name for planned in plan.parts] == [MAIN]
    (before,), (after,) = plan.interface.inputs, plan.interface.outputs
    assert before.shape == (1, *SIZE, 3) and after.dtype == "float32"
    (boundary,) = plan.interface.boundary
    assert boundary.shape == (1, *SIZE, 12) and boundary.dtype == "int8" and boundary.scale > 0
    assert plan.interface.head_arguments == (0,)


def test_two_parts(toy: Network, program: ExportedProgram) -> None:
    """Each for its device and with a library of its own; the head reads the backbone's result."""
    gpu = load_target("linux-mali")
    plan = plan_parts(program, place_network(options("linux-mali"), HEAD, NO_LOGS))
    assert [planned.part.name for planned in plan.parts] == [BACKBONE, HEAD]
    assert [planned.part.library for planned in plan.parts] == ["mqnet.so", "head.so"]
    specs = [planned.part.options.spec for planned in plan.parts]
    assert specs == [gpu, load_target(gpu.processor.name)]
    whole = plan_parts(program, place_network(options("linux-mali"), None, NO_LOGS))
    assert plan.interface == whole.interface, "it does not depend on where a part is computed"


def test_no_boundary_to_be_split_at(toy: Network) -> None:
    float_program = quantized_program(BuildRequest("host", "fp32", toy, SIZE))
    with pytest.raises(GraphError, match="no precision boundary"):
        plan_parts(float_program, place_network(options("linux-mali"), HEAD, NO_LOGS))


def test_modules_are_written_behind_each_phase(
    toy: Network, program: ExportedProgram, tmp_path: Path
) -> None:
    dump = tmp_path / "dump"
    request = BuildRequest("host", "mixed", toy, SIZE, 1, out=tmp_path / "out", dump_ir=dump)
    build_network(request, Progress(Console(quiet=True)), program)
    assert sorted(path.name for path in dump.iterdir()) == [
        *("0-import.py", "1-layout.py", "2-partition.py", "3-lower.py"),
        *("4-schedule.py", "5-plan.py"),
    ]
