"""Every tone mapper and every scheme over the held-out pairs: one row of metrics each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.quality_metrics import METRICS, Metric
from bench.quality.tone_mappers import TONE_MAPPERS
from compile.build_network import build_network, quantized_program
from compile.build_request import BuildRequest
from compile.imaging.decode_hdr import mu_law
from compile.imaging.decode_picture import smooth_picture
from compile.imaging.metrics import psnr
from compile.networks.network import Network
from compile.networks.registry import network_named
from compile.networks.run_module import run_module
from compile.support.build_cache import user_cache
from compile.support.progress import Progress
from compile.training.held_out import SIZE
from compile.training.pairs import Pair
from compile.training.validate import CLIPPED
from device.runtime.run_artefact import Session

Photo = NDArray[np.uint8]
Light = NDArray[np.float32]


@dataclass(frozen=True)
class Result:
    """One engine over all pairs.

    Attributes:
        engine: "tone-mapper", "pytorch" or "tvm".
        scheme: quantization scheme, or the tone mapper's name.
        attention: of the network; "" for a tone mapper.
        weight_bytes: constants of the compiled module; None for the others.
        lights: what it made of each photograph.
        scores: metric by name, one value per pair.
        clipped_psnr_db: mu-law PSNR over the clipped pixels of all pairs together.
    """

    engine: str
    scheme: str
    attention: str
    weight_bytes: int | None
    lights: list[Light]
    scores: dict[str, list[float]]
    clipped_psnr_db: float

    def row(self) -> dict[str, Any]:
        """The means, as one row of the CSV."""
        return {
            "engine": self.engine,
            "scheme": self.scheme,
            "attention": self.attention,
            **{name: float(np.mean(values)) for name, values in self.scores.items()},
            "clipped_mu_psnr_db": self.clipped_psnr_db,
            "weight_bytes": self.weight_bytes,
        }


def against_float32(result: Result, results: Sequence[Result]) -> list[float] | None:
    """PSNR in dB of ``result``, in mu-law light, against the ``fp32`` of its engine and attention
    among ``results``, one value per pair; None where there is no other such network."""
    key = result.engine, result.attention, "fp32"
    reference = [r for r in results if (r.engine, r.attention, r.scheme) == key]
    if not reference or result.scheme == "fp32":
        return None
    lights = zip(result.lights, reference[0].lights, strict=True)
    return [psnr(mu_law(light), mu_law(exact)) for light, exact in lights]


def evaluate_tone_mappers(
    pairs: Sequence[Pair], metrics: Mapping[str, Metric] = METRICS
) -> Iterator[Result]:
    """Each of :data:`bench.quality.tone_mappers.TONE_MAPPERS`."""
    for name, operator in TONE_MAPPERS.items():
        yield _evaluate("tone-mapper", name, "", None, pairs, operator, metrics)


def evaluate_network(
    request: BuildRequest,
    pairs: Sequence[Pair],
    phases: Progress,
    metrics: Mapping[str, Metric] = METRICS,
) -> Iterator[Result]:
    """The network of ``request`` (its size is that of the pairs), in PyTorch and compiled."""
    cache = user_cache(os.environ)
    with phases.phase("quantize"):
        program = quantized_program(request, cache)
    # PT2E's converted graph is a simulation in float: what its own reference kernels compute.
    module = program.module()
    with phases.phase("PyTorch"):
        result = _evaluate(
            "pytorch",
            request.scheme,
            request.network.label,
            None,
            pairs,
            lambda photo: _light(request.network, run_module(module, photo), photo),
            metrics,
        )
    yield result
    artefact = build_network(request, phases, program, cache)
    session = Session(artefact)
    with phases.phase("compiled"):
        result = _evaluate(
            "tvm",
            request.scheme,
            request.network.label,
            artefact.manifest.whole.weight_bytes,
            pairs,
            lambda photo: _light(request.network, session.run(photo)[0], photo),
            metrics,
        )
    yield result


def request_for(scheme: str, attention: str, checkpoint: Path | None, out: Path) -> BuildRequest:
    """The build for this machine whose accuracy is measured."""
    network = network_named("mqnet", attention=attention)
    return BuildRequest("host", scheme, network, (SIZE, SIZE), checkpoint=checkpoint, out=out)


def _light(network: Network, output: NDArray[np.float32], photo: Photo) -> Light:
    """What a user gets of the network's ``output`` for ``photo``."""
    smooth_picture(network.decoding, output, photo)
    return network.decode(output)


def _evaluate(
    engine: str,
    scheme: str,
    attention: str,
    weight_bytes: int | None,
    pairs: Sequence[Pair],
    operator: Callable[[Photo], Light],
    metrics: Mapping[str, Metric],
) -> Result:
    lights = [operator(photo) for photo, _ in pairs]
    scores = {
        name: [
            metric.measure(light, truth) for light, (_, truth) in zip(lights, pairs, strict=True)
        ]
        for name, metric in metrics.items()
    }
    errors = [
        np.square(mu_law(light) - mu_law(truth))[photo.max(-1) >= CLIPPED]
        for light, (photo, truth) in zip(lights, pairs, strict=True)
    ]
    clipped = float(-10 * np.log10(np.concatenate(errors).mean()))
    return Result(engine, scheme, attention, weight_bytes, lights, scores, clipped)
