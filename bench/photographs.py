"""How many photographs a second go through a build, from file to file, beside how many frames its
network alone would make."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Send photographs through a build as compile/infer.py does, and its network alone in turns.

    Example: python bench/photographs.py build/host-mixed-ca-768x1280 --format avif --speed 10
    """

    artefact: tyro.conf.Positional[Path]
    """Folder that compile/build.py has written."""

    photos: tuple[Path, ...] = ()
    """Photographs; the bundled ones for tests unless given. They are shrunk to the build's size."""

    format: Literal["jpg", "avif", "exr", "png"] = "jpg"
    """Of the files that are written."""

    speed: int = 6
    """Of AVIF, from 0 (slowest, smallest file) to 10."""

    quality: int = 95
    """Of AVIF, and of a JPEG whose base is not the photograph's own."""

    threads: tuple[int, ...] = ()
    """Threads of the network, a row for each; those that it was built for unless given."""

    count: int = 96
    """Photographs in a turn; those that are named are taken again and again."""

    turns: int = 3
    """Turns of each; the median counts."""

    json: bool = False
    """Print the rows as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/photographs.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    from bench.profiling.measure_photographs import measure_photographs
    from compile.artefact.reader import open_artefact
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.write_hdr import HdrOptions
    from compile.support.errors import MqnetError
    from compile.support.memory import freed_memory_kept

    if options.count < 1 or options.turns < 1:
        raise MqnetError("count and turns have to be at least 1")
    artefact = open_artefact(options.artefact)
    artefact.check_makes_pictures()
    photos = options.photos or tuple(bundled_photos("test"))
    hdr = HdrOptions(quality=options.quality, speed=options.speed)
    with freed_memory_kept():  # As in compile/infer.py.
        rows = [
            measure_photographs(
                artefact, threads, photos, options.format, hdr, options.count, options.turns
            )
            for threads in options.threads or (None,)
        ]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        print(
            f"{row.format}, {row.threads} threads: {row.photographs_per_second:.1f} photographs a "
            f"second, {row.share:.0%} of the network's {row.frames_per_second:.1f}; CPU for each "
            f"{row.photograph_cpu_ms:.0f} ms, of which the network {row.frame_cpu_ms:.0f} ms"
        )
    stderr.print(f"{options.count} photographs in each of {options.turns} turns")


if __name__ == "__main__":
    main()
