"""Ends what a failure leaves open in one of TVM's builders."""

from __future__ import annotations

from contextlib import suppress

from tvm import relax


def close_builder(builder: relax.BlockBuilder) -> None:
    """End the block of ``builder`` that a failure has left open: of a builder that is dropped with
    one TVM writes a warning to stderr, before the sentence that a user is to read."""
    with suppress(Exception):  # There is none.
        builder._end_block()
