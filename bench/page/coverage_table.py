"""How much of our builds is computed in integers, as tables to be read."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.session.run_file import Row


def coverage_table(rows: Iterable[Row]) -> pd.DataFrame:
    """A line for each build among ``rows``, all as text: the share of multiply-accumulates of int8
    by int8, kernel calls in integers of all, and the bytes of weights and activations."""
    lines = {}
    for row in rows:
        coverage = row.coverage
        if coverage is None:
            continue
        macs = coverage.int8_macs + coverage.float_macs
        ops = coverage.integer_ops + coverage.float_ops
        lines[row.name, row.size] = {
            "build": row.name,
            "size": row.size,
            "MMAC": f"{macs / 1e6:.1f}",
            "of them int8": f"{100 * coverage.int8_macs / macs:.1f} %" if macs else "",
            "kernel calls in integers": f"{coverage.integer_ops} of {ops}",
            "weights MB": "" if row.weight_mb is None else f"{row.weight_mb:.2f}",
            "activations MB": ""
            if row.planned_activation_mb is None
            else f"{row.planned_activation_mb:.2f}",
        }
    return pd.DataFrame(list(lines.values()))


def float_table(rows: Iterable[Row]) -> pd.DataFrame:
    """A line for each operation that a scheme wants in int8 and that is computed in float, with the
    reason, of all builds among ``rows``."""
    lines = {
        (row.name, operation): {
            "build": row.name,
            "module": operation.module,
            "operation": operation.operation,
            "reason": operation.reason,
        }
        for row in rows
        if row.coverage is not None
        for operation in row.coverage.float_operations
    }
    return pd.DataFrame(list(lines.values()))
