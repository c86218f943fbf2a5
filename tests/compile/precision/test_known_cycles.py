"""Kernel calls that candidates have in common are counted once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from fixtures_artefacts import ArtefactFactory

from compile.precision.known_cycles import KnownCycles, calls_of, may_skip


def behind(*kernels: int) -> list[tuple[int, int]]:
    return list(zip(kernels, (0, *kernels), strict=False))


def test_what_is_behind_another_kernel_is_counted() -> None:
    known, first = KnownCycles(), behind(1, 2, 3, 4, 5, 6)
    assert known.todo(first) == "cccccc"
    costs = known.fill(first, {number: 10.0 + number for number in range(6)})
    assert costs == (10, 11, 12, 13, 14, 15)
    assert known.todo(first) == "ssssss"
    # 3 is left out, 7 is new, and so is 5 behind it.
    second = behind(1, 2, 4, 7, 5, 6)
    assert known.todo(second) == "srccc" + "s"
    assert known.fill(second, {2: 20.0, 3: 30.0, 4: 40.0}) == (10, 11, 20, 30, 40, 15)
    assert known.todo(behind(9, 1, 2)) == "cc" + "s"
    # Twice in a frame it is counted once.
    third = behind(8, 8, 8, 8)
    assert known.todo(third) == "cc" + "ss"
    assert known.fill(third, {0: 5.0, 1: 6.0}) == (5, 6, 6, 6)


def test_a_kernel_is_known_by_what_it_computes(artefact: ArtefactFactory) -> None:
    build = artefact()
    calls = calls_of(build)
    assert [before for _, before in calls] == [0, *[kernel for kernel, _ in calls[:-1]]]
    names = [call.kernel for call in build.manifest.calls]
    pairs = {(name, kernel) for name, (kernel, _) in zip(names, calls, strict=True)}
    assert len(pairs) == len(set(names)) == len({kernel for kernel, _ in calls}) > 10


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_what_reads_places_is_not_run_on_anything(dtype: str) -> None:
    tensors = [SimpleNamespace(dtype="float32"), SimpleNamespace(dtype=dtype)]
    build = SimpleNamespace(manifest=SimpleNamespace(tensors=tensors))
    assert may_skip(build) == (dtype == "int8")  # type: ignore[arg-type]
