"""Send photographs or a clip through a built network: writes HDR pictures."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from compile.support.cli import run_command, say_error, set_up_logging, stderr
from compile.support.errors import MqnetError

if TYPE_CHECKING:
    from compile.artefact.reader import Artefact
    from compile.imaging.carry_exif import Carried
    from compile.imaging.write_hdr import HdrOptions
    from device.runtime.infer_photos import PhotoResult

_Way = Literal["photographs", "tiles", "tensors"]


@dataclass(frozen=True)
class Options:
    """Send photographs through a built network: writes HDR pictures, or files of tensors.

    Examples:
    python compile/infer.py build/host-mixed-ca-768x1280 photo.jpg -o photo_hdr.jpg
    python compile/infer.py build/host-mixed-ca-768x1280 *.jpg -o hdr/ --format exr
    python compile/infer.py build/host-mixed-ca-768x1280 clip.mp4 -o clip_hdr.mkv
    python compile/infer.py build/host-int8-my_net-1x16 in.npz -o out.npz
    """

    artefact: tyro.conf.Positional[Path]
    """Folder that compile/build.py has written."""

    photos: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="PHOTO [PHOTO ...]")
    ]
    """JPEG, PNG, HEIC, AVIF, WebP, TIFF or JPEG XL files of any size and colour space but HDR; .npz
    or .npy files for a network that takes tensors, with those by the names of its inputs, or for
    tensors that it makes of pixels, uint8 [1, H, W, C]; or one clip, or - for a pipe of frames."""

    output: Annotated[str, tyro.conf.arg(name="output", aliases=["-o", "--out"], metavar="PATH")]
    """File ending in .jpg (Ultra HDR: the photograph with a gain map), .avif (10-bit, PQ, BT.2020),
    .jxl (12-bit without loss, likewise), .exr (linear), .png (tone-mapped preview), .npz or .npy
    (what the network gives, as it is); or a folder, for any number of photographs: one that is
    there, or a name that ends in /; of a clip .mkv, .mp4 or .mov (HDR10), or - for frames into a
    pipe."""

    format: Literal["jpg", "avif", "jxl", "exr", "png", "npz"] | None = None
    """Of the files in a folder; avif unless given, or npz of a network that makes no pictures."""

    quality: int | None = None
    """Of AVIF, and of a JPEG whose base is not the photograph's own, 0 to 100; 95 unless given."""

    speed: int | None = None
    """Of AVIF and of a clip, from 0 (slowest, smallest file) to 10; unless given 6, and 10 of a
    clip."""

    transfer: Literal["pq", "hlg"] | None = None
    """Of AVIF and JPEG XL, pq unless given; a PNG with it is HDR in 16 bits and no preview."""

    gain_map: bool = False
    """Make an AVIF what a .jpg is, the photograph for every screen and a gain map for those with
    HDR, in place of PQ."""

    no_exif: bool = False
    """Leave the photographs' EXIF out (date, camera, place), which is else carried on; what they
    hold beside it (XMP, IPTC, the maker's note, a thumbnail) is only where a .jpg keeps the
    photograph's own file."""

    strip_location: bool = False
    """Leave out of it only where a photograph was taken."""

    resize: bool = False
    """Shrink a photograph that is larger than the network was built for; else it is an error,
    unless the network was built with --tiles and takes any size."""

    threads: int | None = None
    """Threads of the network, at most the number that was built for, which it is unless given; of
    several photographs as many are in the network at once."""

    codec: Literal["av1", "hevc"] | None = None
    """Of a clip; av1 unless given, which takes half the time to encode; more televisions know
    hevc."""

    crf: int | None = None
    """Of a clip, its encoder's quality: from 0 (best) to 63 of av1 (28 unless given) or 51 of hevc
    (20)."""

    steady: bool = False
    """Keep the light of a clip steady where its pictures are, until the next cut."""

    y4m: bool = False
    """Pipes carry YUV4MPEG2: SDR in, out 10 bits of PQ and BT.2020."""

    raw: Annotated[str | None, tyro.conf.arg(metavar="WIDTHxHEIGHT[@RATE]")] = None
    """Pipes carry frames without headers: rgb24 of this size in, yuv420p10le out."""

    json: bool = False
    """Print one line of JSON per photograph or clip to stdout."""


def main() -> None:
    """Entry point of `mqnet-infer` and of `python compile/infer.py`."""
    run_command(Options, _infer)


def _infer(options: Options) -> None:
    set_up_logging(verbose=False)
    from compile.artefact.reader import open_artefact
    from compile.artefact.stage_facts import has_stages
    from compile.support.memory import freed_memory_kept
    from compile.video.clip_kinds import is_clip
    from device.runtime.plan_outputs import plan_outputs
    from device.runtime.tensor_files import TENSOR_ENDINGS

    artefact = open_artefact(options.artefact)
    if is_clip(options.photos, options.output):
        _infer_clip(options, artefact)
        return
    _refuse(options, ("codec", "crf", "steady", "y4m", "raw"), "clips, and this is none")
    outputs = plan_outputs(
        options.photos,
        options.output,
        options.format,
        options.artefact,
        "avif" if artefact.manifest.makes_pictures else "npz",
    )
    ending = outputs[0][1].suffix.lower()
    hdr = _hdr_options(options, ending)
    if ending not in TENSOR_ENDINGS:
        artefact.check_makes_pictures()
    way: _Way = "photographs"
    if ending in TENSOR_ENDINGS:
        way = "tensors"
    elif has_stages(artefact.manifest) and not options.resize:
        way = "tiles"
    at_once = way == "photographs" and len(outputs) > 1
    failures = list[MqnetError]()
    with (
        freed_memory_kept() if at_once else nullcontext(),
        # Closed also where Ctrl-C comes between two results: what is being written is then ended.
        closing(_results(options, artefact, outputs, hdr, way)) as results,
    ):
        for result in results:
            if result.error is not None:
                failures.append(result.error)
                if len(outputs) > 1 and not options.json:
                    say_error(str(result.error))
            if options.json:
                print(json.dumps(result.as_json()), flush=True)
            elif result.error is None:
                line = f"{result.output}  {result.seconds * 1e3:.1f} ms"
                stderr.print(line, highlight=False, markup=False, soft_wrap=True)
    if failures:
        raise failures[0] if len(outputs) == 1 else _several(failures, len(outputs), options.json)


def _results(
    options: Options,
    artefact: Artefact,
    outputs: list[tuple[Path, Path]],
    hdr: HdrOptions,
    way: _Way,
) -> Generator[PhotoResult, None, None]:
    from compile.support.atomic import make_folder
    from device.runtime.infer_photos import infer_photos
    from device.runtime.infer_tensors import infer_tensors
    from device.runtime.infer_tiled import infer_tiled
    from device.runtime.networks import Networks

    networks = Networks(artefact, options.threads, len(outputs) if way == "photographs" else 1)
    if outputs[0][1] != Path(options.output):
        make_folder(Path(options.output))
    mode: Literal["pad", "resize"] = "resize" if options.resize else "pad"
    if way == "tensors":
        return infer_tensors(networks.sessions[0], outputs, mode, stderr)
    if way == "tiles":
        return infer_tiled(networks.sessions[0], outputs, hdr, _carried(options), stderr)
    return infer_photos(networks, outputs, mode, hdr, _carried(options), stderr)


def _infer_clip(options: Options, artefact: Artefact) -> None:
    _refuse(
        options,
        ("format", "quality", "transfer", "gain_map", "no_exif", "strip_location"),
        "photographs, and this is a clip",
    )
    if len(options.photos) != 1:
        raise MqnetError(f"{options.output} is one clip: name one to make it of")
    if options.json and options.output == "-":
        raise MqnetError("--json prints to stdout, which carries the frames: leave it out")
    from compile.support.quick_start import import_tvm_alone

    import_tvm_alone()
    from compile.video.encode_clip import MOST_CRF, EncoderOptions
    from compile.video.infer_clip import ClipRequest, infer_clip

    codec = options.codec or "av1"
    for name, value, most in (("crf", options.crf, MOST_CRF[codec]), ("speed", options.speed, 10)):
        if value is not None and not 0 <= value <= most:
            raise MqnetError(f"{name} {value} is not between 0 and {most}")
    speed = EncoderOptions().speed if options.speed is None else options.speed
    request = ClipRequest(
        options.photos[0],
        options.output,
        options.y4m,
        options.raw,
        "resize" if options.resize else "pad",
        options.steady,
        options.threads,
        EncoderOptions(codec, options.crf, speed),
    )
    summary = infer_clip(artefact, request, stderr)
    if options.json:
        print(json.dumps(summary), flush=True)


def _refuse(options: Options, names: tuple[str, ...], whose: str) -> None:
    for name in names:
        if getattr(options, name) not in (None, False):
            raise MqnetError(f"--{name.replace('_', '-')} is of {whose}: leave it out")


def _hdr_options(options: Options, ending: str) -> HdrOptions:
    from compile.imaging.write_hdr import HdrOptions

    for name, value, most, endings in (
        ("quality", options.quality, 100, (".avif", ".jpg", ".jpeg")),
        ("speed", options.speed, 10, (".avif",)),
    ):
        if value is None:
            continue
        if not 0 <= value <= most:
            raise MqnetError(f"{name} {value} is not between 0 and {most}")
        if ending not in endings:
            kinds = " and ".join({"AVIF" if one == ".avif" else "JPEG": 0 for one in endings})
            raise MqnetError(f"--{name} is of {kinds}, and {ending[1:]} is written: leave it out")
    if options.transfer is not None and ending not in (".avif", ".jxl", ".png"):
        raise MqnetError(
            f"--transfer is of AVIF, JPEG XL and PNG, and {ending[1:]} is written: leave it out"
        )
    if options.gain_map and ending != ".avif":
        raise MqnetError(f"--gain-map is of AVIF, and {ending[1:]} is written: leave it out")
    if options.gain_map and options.transfer is not None:
        raise MqnetError(f"--transfer {options.transfer} has no --gain-map: leave one of them out")
    defaults = HdrOptions()
    return HdrOptions(
        transfer=options.transfer,
        gain_map=options.gain_map,
        quality=defaults.quality if options.quality is None else options.quality,
        speed=defaults.speed if options.speed is None else options.speed,
    )


def _carried(options: Options) -> Carried:
    if options.no_exif:
        return "nothing"
    return "all but place" if options.strip_location else "all"


def _several(failures: list[MqnetError], total: int, as_json: bool) -> MqnetError:
    where = "in their lines of JSON" if as_json else "above"
    return MqnetError(f"{len(failures)} of {total} photographs failed: the reasons are {where}")


if __name__ == "__main__":
    main()
