"""Times one function of a library, here or on a device."""

from __future__ import annotations

from collections.abc import Sequence

import tvm

from compile.search.build_candidates import FUNCTION
from compile.search.runner import is_disturbed, settled

# One repetition takes at least so long: the clock and the call cost some tens of nanoseconds.
_REPETITION_SECONDS = 1e-3
_REPETITIONS = 6
_MOST_CALLS = 2000


def time_library(
    module: tvm.runtime.Module,
    tensors: Sequence[tvm.runtime.Tensor],
    device: tvm.runtime.Device,
    cooldown: float = 0.0,
) -> tuple[float, ...]:
    """Seconds of one call, several times over, after one call that is not timed; the device rests
    ``cooldown`` seconds before each time."""

    def time_calls(number: int, repeat: int) -> list[float]:
        evaluate = module.time_evaluator(
            FUNCTION,
            device,
            number=number,
            repeat=repeat,
            cooldown_interval_ms=round(cooldown * 1e3),
        )
        return list(evaluate(*tensors).results)

    (once,) = time_calls(1, 1)
    number = min(_MOST_CALLS, max(1, round(_REPETITION_SECONDS / max(once, 1e-9))))
    seconds = time_calls(number, _REPETITIONS)
    if is_disturbed(seconds):
        seconds += time_calls(number, 2 * _REPETITIONS)
    return settled(seconds)
