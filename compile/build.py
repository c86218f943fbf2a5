"""Compile MQNet for a target: writes a shared library and its manifest."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SchemeName
from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Compile MQNet for a target: writes a shared library and manifest.json.

    Example: python compile/build.py --target android-arm64 --size 768x1280
    """

    target: str
    """Machine to build for; `help` lists them all."""

    scheme: SchemeName = "mixed"
    """Precision: the paper's int8 backbone with a float head, or one throughout."""

    attention: AttentionName = "ca"
    """Attention of the decoder: channel, both, spatial or none."""

    size: str = "768x1280"
    """Height x width of the picture in pixels, rounded up to multiples of 32."""

    threads: int | None = None
    """Threads per frame; the target's own number unless given."""

    on_processor: Literal["backbone", "head"] | None = None
    """Part that runs on the processor beside a GPU target; the whole network runs on the GPU unless
    given."""

    checkpoint: Path | None = None
    """Weights (.safetensors); the bundled ones of the attention unless given."""

    out: Path | None = None
    """Folder to write to; build/TARGET-SCHEME-ATTENTION-SIZE unless given."""

    dump_ir: Path | None = None
    """Folder for the module behind each phase, as TVMScript."""

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
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from compile.artefact.show_build import show_build
    from compile.build_network import BuildRequest, build_network, parse_size
    from compile.codegen.link.linkers import find_ndk
    from compile.networks.registry import network_named
    from compile.support.progress import Progress

    network = network_named("mqnet", attention=options.attention)
    request = BuildRequest(
        target=options.target,
        scheme=options.scheme,
        network=network,
        size=parse_size(options.size, network),
        threads=options.threads,
        checkpoint=options.checkpoint,
        out=options.out,
        dump_ir=options.dump_ir,
        ndk_compiler=find_ndk(os.environ),
        on_processor=options.on_processor,
    )
    artefact = build_network(request, Progress(stderr))
    show_build(artefact, stderr)
    if options.json:
        print(json.dumps(artefact.manifest.as_json(), indent=2))


def _show_targets(as_json: bool) -> None:
    from targets.show_targets import describe_targets, print_targets

    if as_json:
        print(json.dumps(describe_targets(), indent=2))
    else:
        from rich.console import Console

        print_targets(Console())


if __name__ == "__main__":
    main()
