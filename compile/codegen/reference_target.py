"""The target of references: kernels without schedules, compiled for the machine that checks."""

from __future__ import annotations

import tvm

from targets.describe_target import tvm_target
from targets.load_target import load_target

# LLVM compiles four times as fast where it does not optimize, and its code takes ten times as long:
# worth it for small frames.
_MOST_MACS_UNOPTIMIZED = 2e9


def reference_target(macs: int) -> tvm.target.Target:
    """Choose how this machine compiles what computes a single frame of ``macs``
    multiply-accumulates."""
    level = 0 if macs < _MOST_MACS_UNOPTIMIZED else 1
    return tvm.target.Target(dict(tvm_target(load_target("host")).export()) | {"opt-level": level})
