"""Compile a network for a target: writes a shared library and its manifest."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from compile.networks.given_parameters import given_parameters
from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import DEFAULT_SCHEME, SchemeName
from compile.support.cli import OUT, run_command, set_up_logging, stderr
from compile.support.errors import MqnetError

if TYPE_CHECKING:
    from compile.artefact.reader import Artefact
    from compile.support.build_cache import BuildCache
    from compile.support.progress import Progress

# Of the networks that have names, as Network.default_size says, which takes seconds to import.
_SIZE = "768x1280"


@dataclass(frozen=True)
class Options:
    """Compile a network for a target: writes a shared library and manifest.json.

    Example: python compile/build.py --target android-arm64 --size 768x1280
    """

    target: str = "host"
    """Machine to build for, by name or by the path of a target file of your own, such as
    ./mine.toml: this one unless given; `help` lists them all."""

    instruction_set: str | None = None
    """Of --target host: an instruction set of this machine's, such as avx2 where it has more
    (docs/targets.md lists all); the widest it has unless given."""

    scheme: SchemeName | None = None
    """Precision: mixed unless given, the paper's int8 backbone with a float head; or one
    throughout. A file that is quantized already has its own."""

    recipe: Path | None = None
    """TOML file of rules on top of a scheme: the precision of modules and operations, and ranges
    that are known."""

    network: str = "mqnet"
    """What to compile: a network by name, or FILE.py:FUNCTION of your own, which returns (module,
    example_inputs), as ./my_net.py:build, or a file of your own, as ./my_net.pt2; `help` lists the
    names."""

    attention: AttentionName | None = None
    """Attention of MQNet's decoder: channel (unless given), both, spatial or none."""

    head: str | None = None
    """Path of the module of your network that keeps float activations under a scheme with two
    precisions, as decoder.tail, or of several with commas between; the last convolutions unless
    given."""

    calibrate: Path | None = None
    """Folder of photographs on which the scales of your network's activations are chosen; the
    example input of your function unless given."""

    size: str | None = None
    """Height x width of the picture in pixels, rounded up to what the network takes: MQNet
    multiples of 32. 768x1280 unless given, or that of your own example input or file."""

    threads: int | None = None
    """The most threads that a frame may run on: compile/infer.py and bench/latency.py take any
    number up to it. The target's own number unless given."""

    on_processor: Literal["backbone", "head"] | None = None
    """Part that runs on the processor beside a GPU target; the whole network runs on the GPU unless
    given."""

    checkpoint: Path | None = None
    """Weights (.safetensors); MQNet's bundled ones of the attention, or those of your function's
    module, unless given."""

    out: Annotated[Path | None, OUT] = None
    """Folder to write to; build/TARGET-SCHEME-NETWORK-SIZE unless given, MQNet named by its
    attention."""

    logs: Path | None = None
    """Folder of the targets' tuning logs, as of compile/tune.py; tuning_logs/ of this repository
    unless given. An installed package has the user's own in ~/.local/share/mqnet-tvm/tuning_logs
    before those that it ships."""

    standalone: bool = False
    """Also write the standalone form: a C library and a program, without TVM and Python. For
    Android it is always written, unless --on-processor splits the network."""

    tiles: bool = False
    """Also write what computes photographs of any size, in tiles of --size
    (docs/photographs.md#large-photographs)."""

    no_cache: bool = False
    """Make everything anew: take nothing from the build cache and put nothing into it."""

    clear_cache: bool = False
    """Only delete the build cache: ~/.cache/mqnet-tvm/builds, or what MQNET_BUILD_CACHE names."""

    dump_ir: Path | None = None
    """Folder for the module behind each phase, as TVMScript."""

    graph: Path | None = None
    """JSON file for the build as a graph, which Google's Model Explorer opens
    (docs/checking.md)."""

    json: bool = False
    """Print the manifest to stdout."""

    verbose: Annotated[bool, tyro.conf.arg(aliases=["-v"])] = False
    """Say why a rewrite did not fire where it was expected."""


def main() -> None:
    """Entry point of `mqnet-build` and of `python compile/build.py`."""
    run_command(Options, _build)


def _build(options: Options) -> None:
    set_up_logging(options.verbose)
    if options.target == "help":
        _show_targets(options.json)
        return
    if options.network == "help":
        _show_networks(options.json)
        return
    from compile.artefact.manifest import LIBRARY, MANIFEST, VECTOR
    from compile.artefact.model_graph import graph_json
    from compile.artefact.show_build import show_build
    from compile.graph.parts import HEAD_LIBRARY
    from compile.support.atomic import write_atomically
    from compile.support.build_cache import NO_CACHE, user_cache
    from compile.support.outputs import (
        check_output_files,
        check_output_folder,
        check_written_last,
    )
    from compile.support.progress import Progress
    from targets.load_target import with_instruction_set

    if options.clear_cache:
        entries, size = user_cache(os.environ).clear()
        stderr.print(f"deleted {entries} entries, {size / 1e6:.0f} MB", highlight=False)
        return
    target = with_instruction_set(options.target, options.instruction_set)
    if options.logs is not None and not options.logs.is_dir():
        raise MqnetError(f"logs {options.logs} is no folder: give the one that compile/tune.py had")
    for name in ("recipe", "checkpoint"):
        if (given := getattr(options, name)) is not None and given.is_dir():
            raise MqnetError(f"{name} {given} is a folder: name the file in it")
    names = LIBRARY, HEAD_LIBRARY, VECTOR, MANIFEST
    if options.out is not None:
        check_output_folder(options.out, names, [options.checkpoint, options.logs, options.recipe])
    if options.dump_ir is not None:
        check_output_folder(options.dump_ir)
    if options.graph is not None:
        inputs = options.checkpoint, options.logs, options.recipe, options.calibrate
        check_output_files([options.graph], inputs, [".json"])
        check_written_last(options.graph, [(options.out or Path()) / name for name in names])
    cache = NO_CACHE if options.no_cache else user_cache(os.environ)
    progress = Progress(stderr)
    artefact = _kept(options, target, cache, progress) or _built(options, target, cache, progress)
    if options.graph is not None:
        check_written_last(options.graph, [artefact.library.with_name(name) for name in names])
        write_atomically(options.graph, graph_json(artefact.manifest).encode())
    show_build(artefact, stderr)
    if options.json:
        print(json.dumps(artefact.manifest.as_json(), indent=2))


def _kept(options: Options, target: str, cache: BuildCache, progress: Progress) -> Artefact | None:
    """The same build as before, without torch and TVM, which take seconds to import."""
    from compile.artefact.keep_artefact import artefact_key, request_facts, restore_artefact
    from compile.codegen.link.linkers import find_ndk

    # A file of the user's own has to be read first, as a recipe has, and may import others.
    is_own = "." in options.network
    if not cache.is_on or options.dump_ir is not None or is_own or options.recipe is not None:
        return None
    facts = request_facts(
        target=target,
        scheme=options.scheme or DEFAULT_SCHEME,
        network=options.network,
        parameters=_parameters(options),
        size=options.size or _SIZE,
        threads=options.threads,
        ndk_compiler=find_ndk(os.environ),
        on_processor=options.on_processor,
        standalone=_is_standalone(options, target),
        tiles=options.tiles,
    )
    key = artefact_key(facts, options.checkpoint, options.logs)
    return restore_artefact(cache, key, options.out, progress)


def _built(options: Options, target: str, cache: BuildCache, progress: Progress) -> Artefact:
    from compile.support.quick_start import import_tvm_alone, keep_what_is_imported

    # Before PyTorch, whose symbols TVM would read at its first error, of which importing it is one.
    import_tvm_alone()
    from compile.build_network import build_network
    from compile.build_request import BuildRequest, parse_size, scheme_of
    from compile.codegen.link.linkers import find_ndk
    from compile.networks.registry import find_network

    keep_what_is_imported()
    network = find_network(options.network, _parameters(options))
    request = BuildRequest(
        target=target,
        scheme=scheme_of(options.scheme, options.recipe, network),
        recipe=options.recipe,
        network=network,
        size=parse_size(options.size, network),
        threads=options.threads,
        checkpoint=options.checkpoint,
        out=options.out,
        dump_ir=options.dump_ir,
        ndk_compiler=find_ndk(os.environ),
        on_processor=options.on_processor,
        logs=options.logs,
        standalone=_is_standalone(options, target),
        tiles=options.tiles,
    )
    return build_network(request, progress, cache=cache)


def _is_standalone(options: Options, target: str) -> bool:
    """Whether it was asked for, or is for Android, where no TVM is that could run the other form;
    it is for one device."""
    from targets.load_target import load_target

    is_android = load_target(target).linker == "android-arm64"
    return options.standalone or (is_android and options.on_processor is None)


def _parameters(options: Options) -> dict[str, str]:
    """Those of the network that were given."""
    return given_parameters(options.network, options.attention, options.head, options.calibrate)


def _show_networks(as_json: bool) -> None:
    from compile.networks.show_networks import describe_networks, print_networks

    if as_json:
        print(json.dumps(describe_networks(), indent=2))
    else:
        from rich.console import Console

        print_networks(Console())


def _show_targets(as_json: bool) -> None:
    from targets.show_targets import describe_targets, print_targets

    if as_json:
        print(json.dumps(describe_targets(), indent=2))
    else:
        from rich.console import Console

        print_targets(Console())


if __name__ == "__main__":
    main()
