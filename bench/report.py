"""A report of a latency session, to be handed on."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import OUTPUT, run_command, set_up_logging

_FOLDER = Path("build/report")


@dataclass(frozen=True)
class Options:
    """Make a report of a session of bench/latency.py: one HTML page that prints well and needs
    nothing beside it, the rows as CSV, the charts as SVG.

    Example: python bench/report.py session.json -o report/ --kernels kernels.json
    """

    run: tyro.conf.Positional[Path]
    """File that bench/latency.py has written."""

    output: Annotated[Path | None, OUTPUT] = None
    """Folder to write to; a new one below build/report, named after the session's file, unless
    given."""

    baseline: Path | None = None
    """Earlier file of the same machine, to say what changed and whether it is more than noise."""

    kernels: Path | None = None
    """What bench/kernel_times.py --json has printed on the same machine: where the time of a frame
    goes, layer by layer, with the roofline."""

    layers: Path | None = None
    """What compile/check.py --layers --json has printed: where the accuracy goes."""

    artefact: Path | None = None
    """Folder of a build of ours: its memory plan, and graph.json for Google's Model Explorer, with
    what --kernels and --layers, of the same build, know of each call."""


def main() -> None:
    """Entry point of `python bench/report.py`."""
    run_command(Options, _report)


def _report(options: Options) -> None:
    set_up_logging(verbose=False)
    from bench.page.write_report import report_files, write_report
    from bench.profiling.kernels_file import read_kernels
    from bench.session.run_file import read_run
    from compile.artefact.reader import open_artefact
    from compile.support.outputs import check_output_folder, new_path
    from device.client.layers.layer_report import read_layers

    folder = options.output or new_path(_FOLDER, options.run.stem)
    inputs = [options.run, options.baseline, options.kernels, options.layers]
    inputs.append(options.artefact)
    check_output_folder(folder, report_files(), inputs)
    run = read_run(options.run)
    baseline = None if options.baseline is None else read_run(options.baseline)
    kernels = None if options.kernels is None else read_kernels(options.kernels)
    layers = None if options.layers is None else read_layers(options.layers)
    build = None if options.artefact is None else open_artefact(options.artefact).manifest
    print(write_report(run, baseline, folder, kernels, layers, build))


if __name__ == "__main__":
    main()
