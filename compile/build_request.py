"""What to build, as a value that every command makes of its options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from compile.artefact.keep_artefact import request_facts
from compile.networks.network import Network
from compile.networks.registry import network_named
from compile.quantize.recipe import read_recipe
from compile.quantize.schemes import DEFAULT_SCHEME, Scheme, scheme_named
from compile.support.checksum import sha256_of
from compile.support.errors import MqnetError
from targets.load_target import target_name

# A tensor of 16 channels has to stay within 32-bit indices.
_MAX_PIXELS = 1 << 26


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        target, scheme: by name.
        network: with its parameters.
        size: (height, width) of the picture in pixels.
        threads: most that a frame may run on, or None for the target's own number.
        checkpoint: weights, or None for the bundled ones.
        out: folder to write to, or None for one below build/ that is named after the request.
        dump_ir: folder for the module behind each phase, or None.
        ndk_compiler: the Android NDK's clang, or None.
        on_processor: "backbone" or "head": the part that runs on the processor beside the target's
            GPU; None for the whole network on one device.
        image_weights: a GPU's default schedules read int8 weights from images, to be measured
            beside those that read them from buffers.
        logs: folder of the tuning logs, one of which may be the target's; None for the user's own
            and those that are shipped.
        recipe: file of rules on top of the scheme that it names, or None.
        standalone: write the standalone form, too.
        tiles: write what computes pictures of any size in tiles of ``size``, too.
    """

    target: str
    scheme: str = "mixed"
    network: Network = field(default_factory=lambda: network_named("mqnet"))
    size: tuple[int, int] = (768, 1280)
    threads: int | None = None
    checkpoint: Path | None = None
    out: Path | None = None
    dump_ir: Path | None = None
    ndk_compiler: Path | None = None
    on_processor: str | None = None
    image_weights: bool = False
    logs: Path | None = None
    recipe: Path | None = None
    standalone: bool = False
    tiles: bool = False

    @property
    def quantization(self) -> Scheme:
        """The scheme, with the rules of the recipe.

        Raises:
            MqnetError: there is no scheme of that name, or the recipe is wrong or of another.
        """
        scheme = scheme_named(self.scheme)
        if self.recipe is None:
            return scheme
        ruled = read_recipe(self.recipe)
        if ruled.name != scheme.name:
            raise MqnetError(
                f"recipe {self.recipe} is of scheme {ruled.name}: leave --scheme {scheme.name} out"
            )
        return ruled

    @property
    def weights(self) -> Path | None:
        """The file of weights: the checkpoint, or the network's own; None where its module comes
        with weights.

        Raises:
            CheckpointError: there are none.
        """
        fine_tuned = self.quantization.fine_tuned
        return self.checkpoint or self.network.weights(fine_tuned)

    @property
    def default_folder(self) -> Path:
        """Where the artefact is written to unless ``out`` names another folder."""
        height, width = self.size
        scheme = self.scheme if self.recipe is None else self.recipe.stem
        name = f"{target_name(self.target)}-{scheme}-{self.network.label}-{height}x{width}"
        if self.on_processor is not None:
            name += f"-{self.on_processor}-on-processor"
        if self.tiles:
            name += "-tiles"
        return Path("build") / name

    def facts(self) -> dict[str, object]:
        """All of it that decides what is built, but for the contents of files, as plain data."""
        return request_facts(
            target=self.target,
            scheme=self.scheme,
            recipe=None if self.recipe is None else sha256_of(self.recipe),
            network=self.network.name,
            parameters=self.network.parameters,
            size="{}x{}".format(*self.size),
            threads=self.threads,
            ndk_compiler=self.ndk_compiler,
            on_processor=self.on_processor,
            image_weights=self.image_weights,
            content=self.network.content,
            standalone=self.standalone,
            tiles=self.tiles,
        )


def scheme_of(scheme: str | None, recipe: Path | None, network: Network) -> str:
    """The name of the scheme that is asked for: by name, by a recipe, or by the network's file.

    Raises:
        MqnetError: the recipe is wrong, or the network is quantized already.
    """
    if recipe is None:
        return scheme or network.scheme or DEFAULT_SCHEME
    if network.scheme:
        raise MqnetError(f"network {network.title} is quantized already: leave --recipe out")
    return scheme or read_recipe(recipe).name


def parse_size(text: str | None, network: Network | None = None) -> tuple[int, int]:
    """(height, width) from "HEIGHTxWIDTH", rounded up to what ``network`` (MQNet unless given)
    takes; what it has by default from None.

    Raises:
        MqnetError: not two whole numbers, or one that is too small or too large.
    """
    network = network or network_named("mqnet")
    if text is None:
        return network.default_size
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise MqnetError(f"size {text!r} is not HEIGHTxWIDTH in pixels, such as 768x1280")
    height, width = int(match[1]), int(match[2])
    if height * width > _MAX_PIXELS:
        raise MqnetError(
            f"size {text} has more than {_MAX_PIXELS:,} pixels, the most that is built"
        )
    return network.fitting_size(height, width)
