"""Keeps a kernel call that is wrong: library, inputs, what is wanted, and a script that runs it."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np

from compile.artefact.reader import Artefact
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import MqnetError
from device.client.check_request import Machine
from device.client.layers import run_call
from device.client.layers.layer_report import Layer
from device.client.layers.measure_layers import LayerMeter
from device.runtime.artefact_device import network_layout


def keep_failing_call(
    machine: Machine, meter: LayerMeter, artefact: Artefact, layer: Layer, folder: Path
) -> Path:
    """Write the call that makes the tensor of ``layer`` into ``folder``; that folder.

    Raises:
        MqnetError: the frame does not come to this call any more, or nothing can be written.
    """
    tensor, wanted = meter.wanted(layer.tensor)
    place = tensor.call.there.place
    outcome = machine.facts(meter.fake_quantized_request((place,)), ())
    arguments = [] if outcome.error else outcome.value[0][meter.tensors.index(tensor)]
    if not arguments:
        raise MqnetError(f"call {place} is wrong, and its inputs cannot be had: {outcome.error}")
    make_folder(folder)
    # A part of two is the one whose library has the kernel.
    parts = network_layout(artefact)["parts"].values()
    library, device = _part_of(artefact, layer.kernel, [tuple(part) for part in parts])
    shutil.copyfile(artefact.library.with_name(library), folder / library)
    shutil.copyfile(run_call.__file__, folder / "run_call.py")
    facts = {
        "kernel": layer.kernel,
        "library": library,
        "device": device,
        "arguments": len(arguments),
        "result": len(arguments) - len(tensor.call.results) + tensor.result,
        "layers": layer.layers,
    }
    write_atomically(folder / "call.json", (json.dumps(facts, indent=2) + "\n").encode())
    arrays = io.BytesIO()
    named = {f"argument_{index}": one for index, one in enumerate(arguments)}
    np.savez_compressed(arrays, wanted=wanted, **named)
    write_atomically(folder / "call.npz", arrays.getvalue())
    return folder


def _part_of(artefact: Artefact, kernel: str, parts: list[tuple[str, str]]) -> tuple[str, str]:
    for library, device in parts:
        if kernel.encode() in artefact.library.with_name(library).read_bytes():
            return library, device
    raise RuntimeError(f"no library has the kernel {kernel}")
