"""Frames of the standalone form's library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.runtime.standalone_network import StandaloneLibrary


def empty_outputs(library: StandaloneLibrary) -> list[NDArray[Any]]:
    """Arrays that no frame has written to."""
    outputs = [facts.empty() for facts in library.tensors("output")]
    for output in outputs:
        output.view(np.uint8).fill(0xA5)
    return outputs


def run_frame(
    library: StandaloneLibrary, inputs: Sequence[NDArray[Any]], threads: int = 1
) -> list[NDArray[Any]]:
    """The outputs of one frame."""
    status, handle = library.open(threads)
    assert status == 0, library.status_text(status)
    outputs = empty_outputs(library)
    status = library.run(handle, inputs, outputs)
    assert status == 0, library.last_error(handle)
    assert library.close(handle) == 0
    return outputs
