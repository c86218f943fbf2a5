"""Choose the parameters of the classical operators on the training scenes, as the tone curve is."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

from compile.support.cli import run_command, set_up_logging, stderr

_SIZE, _EACH, _SEED = 256, 2, 3
_GRIDS = {
    "stretch": {"gamma": (0.5, 0.7, 1.0, 1.4, 2.0), "peak": (1.0, 1.4, 2.0, 4.0, 8.0, 16.0)},
    "enhance_brightness": {"boost": (1.0, 1.5, 2.0, 3.0, 5.0, 8.0), "bright": (200, 230, 250)},
}


@dataclass(frozen=True)
class Options:
    """Try the parameters of the classical operators on views of the training scenes and print those
    of the least squared error in mu-law light, which is what the tone curve is fitted to as well:
    the defaults in bench/quality/tone_mappers.py."""

    scenes: Path = Path("data/scenes")
    """Folder with scenes, from `python compile/scenes.py fetch`."""


def main() -> None:
    """Entry point of `python bench/quality/fit_tone_mappers.py`."""
    run_command(Options, _fit)


def _fit(options: Options) -> None:
    set_up_logging(verbose=False)
    import numpy as np

    from bench.quality import tone_mappers
    from compile.imaging.decode_hdr import mu_law
    from compile.support.progress import Progress
    from compile.training.pairs import fixed_pairs
    from compile.training.scenes.catalogue import TRAIN
    from compile.training.scenes.load import load_places

    places = list(load_places(options.scenes, TRAIN).values())
    pairs = fixed_pairs(places, _SIZE, _EACH, _SEED)
    best = {}
    for name, grid in _GRIDS.items():
        operator = getattr(tone_mappers, name)
        scores = {}
        candidates = list(itertools.product(*grid.values()))
        with Progress(stderr).count(name, len(candidates)) as step:
            for values in candidates:
                chosen = dict(zip(grid, values, strict=True))
                errors = [
                    np.square(mu_law(operator(photo, **chosen)) - mu_law(light)).mean()
                    for photo, light in pairs
                ]
                scores[values] = float(np.mean(errors))
                step.advance()
        values = min(scores, key=scores.__getitem__)
        best[name] = dict(zip(grid, values, strict=True)) | {"squared_error": scores[values]}
    print(json.dumps(best, indent=1))


if __name__ == "__main__":
    main()
