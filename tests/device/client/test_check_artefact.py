"""A build is checked by its own test vector: single errors are found, and where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import x86_only
from fixtures_artefacts import SIZE, ArtefactFactory
from planted_errors import ThisProcess, chosen, planted, vector_instructions
from rich.console import Console

from compile.artefact.manifest import VECTOR
from compile.artefact.reader import Artefact
from compile.artefact.vector_file import read_vector
from compile.codegen.standalone.read_plan import FramePlan, read_plan
from compile.support.build_cache import BuildCache
from compile.support.progress import Progress
from device.client.check_artefact import CheckReport, check_on
from device.runtime.reference_network import plan_reference

# A constant that is as long stands nowhere else.
_LEAST_BYTES = 64

Check = Callable[[Artefact], CheckReport]


@pytest.fixture(scope="module")
def check(build_cache: BuildCache) -> Check:
    def run(built: Artefact) -> CheckReport:
        vector = read_vector(built.library.with_name(VECTOR))
        progress = Progress(Console(quiet=True))
        return check_on(ThisProcess(built), built, vector, build_cache, progress)

    return run


@pytest.fixture(params=["mixed", "fp32"])
def built(request: pytest.FixtureRequest, artefact: ArtefactFactory) -> Artefact:
    """Those that most other tests have built."""
    sizes = {"mixed": SIZE, "fp32": (32, 32)}
    return artefact(scheme=request.param, size=sizes[request.param])


def _drawn(**seeds: int) -> list[tuple[str, int]]:
    return [(scheme, seed) for scheme, count in seeds.items() for seed in range(count)]


def test_a_build_is_right(check: Check, built: Artefact) -> None:
    report = check(built)
    assert report.wrong is None
    assert report.exact + report.close == report.calls == len(built.manifest.calls)
    coverage = built.manifest.coverage
    assert coverage is not None and report.exact == coverage.integer_ops
    assert report.weights > 100 and 0 < report.largest < 0.2


@pytest.mark.parametrize(("built", "seed"), _drawn(mixed=10, fp32=2), indirect=["built"])
def test_a_wrong_weight(check: Check, built: Artefact, tmp_path: Path, seed: int) -> None:
    """One bit of one weight, in whatever kernel."""
    plan = _plan_of(built)
    readers = [
        (call.kernel, call.layers, tensor)
        for call in plan.calls
        for tensor in (plan.tensors[argument] for argument in call.arguments)
        if tensor.place == "weights" and tensor.bytes >= _LEAST_BYTES
    ]
    _, _, tensor = readers[chosen(seed, len(readers))]
    # Two calls may read the same bytes: gates of layers that do nothing are alike.
    kernel, layers, _ = next(one for one in readers if one[2].offset == tensor.offset)
    weight = plan.weights[tensor.offset : tensor.offset + tensor.bytes]
    library = built.library.read_bytes()
    assert library.count(weight) == 1
    place = library.index(weight) + chosen(seed + 100, tensor.bytes)
    wrong = check(planted(built, tmp_path / "wrong", {place: library[place] ^ 1 << seed % 8})).wrong
    assert wrong is not None
    assert (wrong.kernel, wrong.layers) == (kernel, layers) and layers
    count = int(np.prod(tensor.shape))
    assert "a constant, is wrong" in wrong.what and f": 1 of {count} values differ" in wrong.what
    assert kernel in str(wrong) and layers[0] in str(wrong)


@x86_only
@pytest.mark.parametrize(("built", "seed"), _drawn(mixed=4, fp32=2), indirect=["built"])
def test_a_wrong_instruction(check: Check, built: Artefact, tmp_path: Path, seed: int) -> None:
    """A multiply-add that subtracts, or takes bytes for words."""
    is_float = built.manifest.scheme == "fp32"
    names = ("vfmadd231ps",) if is_float else ("vpdpbusd", "vpmaddwd")
    found = vector_instructions(built.library, *names)
    one = found[chosen(seed, len(found))]
    wrong = check(planted(built, tmp_path / "wrong", {one.place: one.opcode})).wrong
    assert wrong is not None and wrong.kernel == one.kernel
    assert "its result is wrong: " in wrong.what and "values differ" in wrong.what


def _plan_of(built: Artefact) -> FramePlan:
    reference = plan_reference(built, read_vector(built.library.with_name(VECTOR)))
    (module,) = reference.modules.values()
    return read_plan(module)
