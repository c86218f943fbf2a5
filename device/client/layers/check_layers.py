"""Measures the layers of a build: what ``compile/check.py --layers`` does once its options are
read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.client.address import DeviceAddress
from device.client.check_artefact import loaded_build
from device.client.layers.draw_histogram import draw_histogram
from device.client.layers.keep_failing_call import keep_failing_call
from device.client.layers.layer_report import LayerReport
from device.client.layers.load_programs import load_programs
from device.client.layers.measure_layers import LayerMeter
from device.runtime.reference_network import plan_reference


@dataclass(frozen=True)
class LayerRequest:
    """What is to be measured.

    Attributes:
        folder: of a build.
        device: that computes; None: this machine.
        threads: of a frame; None: as many as it was built for.
        seconds: that a frame may take at most.
        checkpoint, recipe: the files that it was built with, where it was built with some.
        histogram: name of a tensor or a module, and a file for the histograms of its values.
        failing: folder for a call that is wrong.
    """

    folder: Path
    device: DeviceAddress | None
    threads: int | None
    seconds: float
    checkpoint: Path | None
    recipe: Path | None
    histogram: tuple[str, Path] | None
    failing: Path


def check_layers(request: LayerRequest, progress: Progress) -> LayerReport:
    """Measure, draw the histogram and keep the first call that is wrong.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    build = request.folder, request.device, request.threads, request.seconds
    with loaded_build(*build) as (machine, artefact, vector):
        with progress.phase("the network in PyTorch"):
            programs = load_programs(artefact, vector.nodes, request.checkpoint, request.recipe)
        reference = plan_reference(artefact, vector)
        meter = LayerMeter(artefact, vector, reference, programs)
        with progress.phase(f"three frames on {machine.name}"):
            report = meter.measure(machine)
        if request.histogram is not None:
            name, file = request.histogram
            _draw(meter, report, name, file)
        if report.first_off is None:
            return report
        with progress.phase("the wrong call"):
            kept = keep_failing_call(machine, meter, artefact, report.first_off, request.failing)
        return replace(report, kept=str(kept))


def _draw(meter: LayerMeter, report: LayerReport, name: str, file: Path) -> None:
    found = next((one for one in report.layers if name in (one.tensor, *one.modules)), None)
    if found is None or not found.tensor or meter.frames is None:
        modules = [module for one in report.layers for module in one.modules]
        raise MqnetError(
            f"no tensor or module is called {name!r}: name one of {', '.join(modules)}"
        )
    draw_histogram(found, meter.values(found.tensor), file)
