"""What a frame executes on an emulated arm64 board, and in how many cycles, beside LiteRT's."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from compile.support.cli import run_command, set_up_logging, stderr
from compile.support.errors import MqnetError


@dataclass(frozen=True)
class Options:
    """Count the instructions of one frame on an emulated arm64 board, one thread, and the cycles of
    the target's model: our build in both its forms and LiteRT's network of the same scheme (mixed),
    with the ratios, and ours kernel by kernel. The same on every machine and at any load; but these
    are no times: docs/measuring.md.

    Example: python bench/instructions.py --target cortex-a76 --target cortex-a55
    """

    target: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Arm64 machine that our build is made for, cortex-a76 unless given; may be repeated."""

    artefact: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Folder of a build of any network for an arm64 machine, to be counted as it is instead; may be
    repeated. LiteRT is beside it where it has a file of the same."""

    size: str = "256x256"
    """Height x width in pixels. LiteRT has files for 256x256 and 768x1280."""

    rows: int = 15
    """Rows of the table of kernels; the JSON has all."""

    json: bool = False
    """Print all counts as JSON to stdout instead of tables."""


def main() -> None:
    """Entry point of `python bench/instructions.py`."""
    run_command(Options, _count)


def _count(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from bench.counts.count_targets import NOTE, count_artefacts, count_targets
    from bench.counts.print_instructions import print_instructions
    from compile.support.progress import Progress

    if options.artefact:
        if options.target:
            raise MqnetError("--artefact names builds, which have targets: leave --target out")
        counted = count_artefacts(options.artefact, Progress(stderr))
    else:
        counted = count_targets(options.target or ("cortex-a76",), options.size, Progress(stderr))
    if options.json:
        size = {} if options.artefact else {"size": options.size}
        targets = [target.as_json() for target in counted]
        print(json.dumps({"note": NOTE, **size, "targets": targets}, indent=1))
    else:
        print_instructions(counted, options.rows)


if __name__ == "__main__":
    main()
