"""Train the network that chooses a curve by a photograph's histogram."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bench.quality.histogram_curve import WEIGHTS
from compile.support.cli import OUT, run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Train the small network that tells a photograph's curve by its histogram, on pictures like
    those that MQNet is trained on, and write it: the row "histogram-curve" of bench/accuracy.py.

    Example: python bench/quality/fit_histogram_curve.py --scenes data/scenes
    """

    scenes: Path = Path("data/scenes")
    """Folder with scenes, from `python compile/scenes.py fetch`."""

    pictures: int = 16_000
    """Pictures to train on; one in sixteen as many of the validation scenes to judge by."""

    epochs: int = 40
    """How often each is looked at."""

    out: Annotated[Path, OUT] = WEIGHTS
    """File to write."""


def main() -> None:
    """Entry point of `python bench/quality/fit_histogram_curve.py`."""
    run_command(Options, _fit)


def _fit(options: Options) -> None:
    set_up_logging(verbose=False)
    import numpy as np
    from safetensors.numpy import save

    from bench.quality.train_histogram_curve import Pictures, decibels, train_histogram_curve
    from compile.support.atomic import write_atomically
    from compile.support.check_positive import check_positive
    from compile.support.outputs import check_output_files
    from compile.support.progress import Progress
    from compile.training.scenes.catalogue import TRAIN, VALIDATION
    from compile.training.scenes.load import load_places

    check_positive(pictures=options.pictures, epochs=options.epochs)
    check_output_files([options.out], [options.scenes])
    sets = {}
    for side, count in ((TRAIN, options.pictures), (VALIDATION, -(-options.pictures // 16))):
        places = list(load_places(options.scenes, side).values())
        with Progress(stderr).count(f"pictures of {side}", count) as step:
            sets[side] = Pictures.random(places, count, seed=len(side), advance=step.advance)
    with Progress(stderr).count("epochs", options.epochs) as step:
        net = train_histogram_curve(sets[TRAIN], options.epochs, step.advance)
    for side, pictures in sets.items():
        plain, told, best = decibels(net, pictures)
        print(
            f"{side}: {told:.2f} dB (the inverse of sRGB's curve {plain:.2f}, at best {best:.2f})"
        )
    half = {name: one.detach().numpy().astype(np.float16) for name, one in net.tensors().items()}
    write_atomically(options.out, save(half))


if __name__ == "__main__":
    main()
