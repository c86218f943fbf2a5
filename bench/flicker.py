"""How much a network makes clips flicker that do not: a static one with a camera's noise, a slow
pan, and a lamp that passes before a static one."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Make clips of photographs, send them through a build, and compare flicker before and behind.

    Example: python bench/flicker.py build/host-mixed-ca-768x1280
    """

    artefact: tyro.conf.Positional[Path]
    """Folder that compile/build.py has written."""

    photos: tuple[Path, ...] = ()
    """Photographs; the bundled ones for tests unless given. They are shrunk to the build's size."""

    frames: int = 24
    """Of each clip."""

    noise: float = 2.0
    """Of the camera: its standard deviation, in 8-bit codes."""

    json: bool = False
    """Print the rows as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/flicker.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    from rich.table import Table

    from compile.support.quick_start import import_tvm_alone

    import_tvm_alone()
    from bench.quality.flicker import CLIPS, FlickerRow, measure_flicker
    from compile.artefact.reader import open_artefact
    from compile.imaging.bundled import bundled_photos
    from compile.support.errors import MqnetError
    from compile.support.progress import Progress
    from compile.support.tables import print_table
    from device.runtime.run_artefact import Session

    if options.frames < 2 or options.noise <= 0:
        raise MqnetError(
            "a clip needs at least 2 frames, and noise more than 0: give larger numbers"
        )
    artefact = open_artefact(options.artefact)
    artefact.check_makes_pictures()
    photos = list(options.photos or bundled_photos("test"))
    rows: list[FlickerRow] = []
    with Progress(stderr).count("clips", len(photos) * len(CLIPS)) as step:
        for row in measure_flicker(Session(artefact), photos, options.frames, options.noise):
            rows.append(row)
            step.advance()
    if options.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
        return
    table = Table("photograph", "clip", "input", "output", "share", "--steady", "share")
    table.title = f"flicker, codes of PQ, {options.frames} frames, noise {options.noise:g}"
    for row in rows:
        shares = (row.output / row.input, row.steady / row.input)
        table.add_row(
            row.photo,
            row.clip,
            f"{row.input:.2f}",
            f"{row.output:.2f}",
            f"{shares[0]:.2f}",
            f"{row.steady:.2f}",
            f"{shares[1]:.2f}",
        )
    print_table(table)


if __name__ == "__main__":
    main()
