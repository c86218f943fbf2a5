"""Search the precision of each module of a network: the cheapest recipe that keeps its accuracy."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from compile.networks.given_parameters import given_parameters
from compile.networks.mqnet.attention_names import AttentionName
from compile.support.cli import OUT, run_command, set_up_logging, stderr
from compile.support.errors import MqnetError


@dataclass(frozen=True)
class Options:
    """Choose for each module of a network among int8, int8 weights with float activations, and
    float, so that a frame costs least while its outputs stay near those of float32. Begins with
    everything in int8 and raises what brings most dB for its time, then lowers what is not needed.
    Every candidate is built and measured.

    Writes the recipe, which compile/build.py --recipe takes; beside it the front of dB over time
    (.csv, .png) and a log of candidates (.jsonl): Ctrl-C ends the search at any moment, and the
    same command goes on where it stopped.

    Example: python compile/search_precision.py --network unet --budget 0.2dB --target cortex-a76
    --emulate -o recipe.toml
    """

    target: str | None = None
    """Machine to search for, by name or by the path of a target file of your own; `python
    compile/build.py --target help` lists them all."""

    emulate: bool = False
    """Count cycles on an emulated core of an arm64 target, which are the same at any load, instead
    of timing frames on this machine. They are those of a model, not times of a device."""

    network: str = "mqnet"
    """Network, by name, FILE.py:FUNCTION or a file in float, as of compile/build.py."""

    attention: AttentionName | None = None
    """Attention of MQNet's decoder: channel (unless given), both, spatial or none."""

    head: str | None = None
    """Path of the module of your network that keeps float activations under mixed, as of
    compile/build.py."""

    calibrate: Path | None = None
    """Folder of photographs on which scales are chosen, as of compile/build.py."""

    photos: Path | None = None
    """Folder of photographs on which dB are measured: others than those that scales are chosen on.
    Those that come with the project for tests unless given."""

    size: str | None = None
    """Height x width of the picture in pixels, as of compile/build.py. A small one is quicker, and
    ranks precisions nearly alike."""

    checkpoint: Path | None = None
    """Weights (.safetensors); the network's own unless given."""

    budget: str = "0.2dB"
    """The most dB that the recipe may lose against the best of the schemes int8, mixed and w8a32,
    which are always measured; the cheapest candidate within it is written. dB are the mean over the
    photographs, to float32's outputs: PSNR in mu-law light of pictures, signal to noise of
    tensors."""

    against: Literal["best", "int8", "mixed", "w8a32"] = "best"
    """The scheme that the budget is counted from, where not from the best."""

    trials: int = 60
    """The most candidates that are built."""

    int8_weights: bool = False
    """Keep int8 weights everywhere: choose activations alone. Float weights are four times as
    large, and on processors no slower."""

    logs: Path | None = None
    """Folder of the targets' tuning logs, as of compile/build.py."""

    out: Annotated[Path, OUT] = Path("recipe.toml")
    """The recipe to write (.toml)."""

    json: bool = False
    """Print all candidates as JSON to stdout."""


def main() -> None:
    """Entry point of `mqnet-search-precision` and of `python compile/search_precision.py`."""
    run_command(Options, _search)


def _search(options: Options) -> None:
    set_up_logging(verbose=False)
    if options.target is None:
        raise MqnetError("--target is missing: name a machine, such as --target host")
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from compile.support.quick_start import import_tvm_alone

    # Before PyTorch, whose symbols TVM would read at its first error, of which importing it is one.
    import_tvm_alone()
    from compile.build_request import BuildRequest, parse_size
    from compile.codegen.link.linkers import find_ndk
    from compile.networks.registry import find_network
    from compile.precision.search_precision import print_result, search_precision
    from compile.precision.search_request import SearchRequest, parse_budget
    from device.emulated.arm64.make_root import default_root

    parameters = given_parameters(
        options.network, options.attention, options.head, options.calibrate
    )
    budget = parse_budget(options.budget)
    network = find_network(options.network, parameters)
    request = SearchRequest(
        build=BuildRequest(
            target=options.target,
            scheme="int8",
            network=network,
            size=parse_size(options.size, network),
            threads=1,
            checkpoint=options.checkpoint,
            ndk_compiler=find_ndk(os.environ),
            logs=options.logs,
        ),
        budget=budget,
        against=options.against,
        trials=options.trials,
        with_float_weights=not options.int8_weights,
        emulated_root=default_root(os.environ) if options.emulate else None,
        photos=options.photos,
        out=options.out,
    )
    result = search_precision(request, stderr)
    print_result(result, request, stderr)
    if options.json:
        print(json.dumps(result.as_json(), indent=1))


if __name__ == "__main__":
    main()
