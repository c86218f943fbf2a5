"""What of a frame is compared."""

from __future__ import annotations

import math
import zlib

import numpy as np

from compile.codegen.standalone.check_vector import (
    ExpectedOutput,
    align_digests,
    digest_of,
    exact_calls,
)
from compile.codegen.standalone.read_plan import FrameCall, FramePlan, FrameTensor


def frame(calls: list[tuple[str, tuple[int, ...], int]]) -> FramePlan:
    """Of tensors that all lie apart: 0 is the input, 1 a float, the others integers; 5 and 6 are
    the outputs."""
    tensors = (
        FrameTensor("input", 0, (7,), "float32"),
        FrameTensor("arena", 0, (7,), "float32"),
        FrameTensor("arena", 64, (7,), "int8"),
        FrameTensor("arena", 128, (7,), "int8"),
        FrameTensor("weights", 0, (7,), "float32"),
        FrameTensor("output", 0, (7,), "int8"),
        FrameTensor("output", 1, (7,), "int8"),
    )
    made = tuple(FrameCall(name, (), arguments, results) for name, arguments, results in calls)
    return FramePlan(tensors, made, b"", 192, tensors[:1], tensors[5:], ())


def test_integers_of_computed_floats_may_differ() -> None:
    plan = frame(
        [
            ("quantize", (0, 4, 2), 1),
            ("conv", (2, 4, 5), 1),
            ("sum", (2, 1), 1),
            ("quantize_again", (1, 3), 1),
            ("conv_again", (3, 6), 1),
        ]
    )
    assert exact_calls(plan) == ([True, True, True, False, False], {1})


def test_memory_that_is_written_again_is_as_good_as_new() -> None:
    plan = frame([("sum", (0, 1), 1), ("quantize", (1, 2), 1), ("first", (0, 2), 1)])
    plan = frame([*[(c.kernel, c.arguments, c.results) for c in plan.calls], ("conv", (2, 5), 1)])
    assert exact_calls(plan) == ([True, False, True, True], set())


def test_a_call_that_is_missing_on_one_side() -> None:
    reference = frame([("a", (0, 2), 1), ("reshape", (2, 3), 1), ("b", (3, 5), 1)])
    planned = frame([("a", (0, 2), 1), ("b", (2, 5), 1)])
    assert align_digests(reference, [7, 8, 9], planned) == [7, 9]
    assert align_digests(planned, [7, 9], reference) == [7, 0, 9]


def test_digest_of_integers_only() -> None:
    integers, floats = np.arange(-3, 4, dtype=np.int8), np.ones(3, np.float32)
    assert digest_of([floats]) == 0
    assert digest_of([integers, floats]) == 1 << 32 | zlib.crc32(integers.tobytes())
    both = digest_of([integers, integers])
    assert both == 1 << 32 | zlib.crc32(integers.tobytes() * 2)


def test_numbers_of_c() -> None:
    output = ExpectedOutput((0.1, math.inf, -math.inf, math.nan, 1e300), 1, math.inf)
    assert output.literals == ["0.1", "INFINITY", "-INFINITY", "NAN", "1e+300"]
    assert output.tolerance_literal == "INFINITY"
