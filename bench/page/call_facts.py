"""What was measured of each kernel call of a build: for the attributes of its graph."""

from __future__ import annotations

from math import isinf

from bench.profiling.kernels_file import KernelsFile
from compile.artefact.manifest import LIBRARY, Manifest
from compile.support.errors import MqnetError
from device.client.layers.layer_report import LayerReport


def call_facts(
    manifest: Manifest, kernels: KernelsFile | None, layers: LayerReport | None
) -> dict[int, dict[str, str]]:
    """Time and error by the number of a call, as text.

    Raises:
        MqnetError: they were measured of another build.
    """
    facts: dict[int, dict[str, str]] = {number: {} for number in range(len(manifest.calls))}
    if kernels is not None:
        _add_times(facts, manifest, kernels)
    if layers is not None:
        _add_errors(facts, manifest, layers)
    return facts


def _add_times(facts: dict[int, dict[str, str]], manifest: Manifest, kernels: KernelsFile) -> None:
    if kernels.network.sha256 != manifest.files[LIBRARY].sha256:
        raise MqnetError(
            "the kernels were timed of another build than --artefact names: time that one with "
            "bench/kernel_times.py"
        )
    for number, call in enumerate(kernels.calls):
        facts[number]["ms"] = f"{call.seconds * 1e3:.4f}"
        facts[number]["share of time"] = f"{call.seconds / kernels.seconds:.2%}"


def _add_errors(facts: dict[int, dict[str, str]], manifest: Manifest, layers: LayerReport) -> None:
    for layer in layers.layers:
        if layer.place < 0:
            continue
        if layer.place not in facts or manifest.calls[layer.place].kernel != layer.kernel:
            raise MqnetError(
                "the layers were measured of another build than --artefact names: measure that one "
                "with compile/check.py --layers --json"
            )
        errors = layer.compiled or layer.lowered
        if errors is None:
            continue
        pair = errors.own.sqnr, errors.accumulated.sqnr
        texts = ["nothing differs" if isinf(one) else f"{one:.1f} dB" for one in pair]
        facts[layer.place]["SQNR, own"], facts[layer.place]["SQNR, accumulated"] = texts
        if layer.share is not None:
            facts[layer.place]["share of error"] = f"{layer.share:z.2%}"
        if layer.saturated is not None:
            facts[layer.place]["saturated"] = f"{layer.saturated:.2%}"
