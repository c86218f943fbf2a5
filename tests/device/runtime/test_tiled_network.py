"""A picture tile by tile is the picture as a whole: the backbone bit for bit, the head but for the
last bits of its moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from fixtures_artefacts import ArtefactFactory
from numpy.typing import NDArray

from compile.artefact.manifest import LIBRARY
from compile.artefact.reader import Artefact
from compile.artefact.stage_facts import FACTS, has_stages
from compile.build_network import quantized_program
from compile.build_request import BuildRequest
from compile.build_stages import write_stages
from compile.codegen.link.link import LinkOptions
from compile.graph.parts import BACKBONE, MAIN
from compile.imaging.fit_size import fit_photo
from compile.pipeline import PipelineOptions, partition_network
from compile.support.build_cache import BuildCache
from compile.support.errors import ArtefactError
from device.runtime.run_artefact import Session
from device.runtime.tiled_network import TiledNetwork
from targets.load_target import load_target

#: Of tiles; of pictures, which are no whole number of tiles.
TILE, WHOLE = (192, 192), (224, 288)
#: A photograph that is no multiple of the network's stride: it is padded to WHOLE.
PHOTO = (201, 285)


def photograph() -> NDArray[np.uint8]:
    """Noise on smooth colours, so that means differ from tile to tile."""
    random = np.random.default_rng(0)
    rows, columns = np.meshgrid(*(np.linspace(0, 3, n) for n in PHOTO), indexing="ij")
    smooth = np.stack([np.sin(rows), np.cos(columns), np.sin(rows * columns)], -1)
    noisy = 128 + 90 * smooth + random.normal(0, 20, (*PHOTO, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def whole_build(artefact: ArtefactFactory) -> Session:
    return Session(artefact(size=WHOLE))


def padded(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return fit_photo(photo, *WHOLE)[0]


def run_tiles(network: TiledNetwork, photo: NDArray[np.uint8]) -> NDArray[Any]:
    """The output, which each tile has to give its own part of."""
    made: dict[tuple[int, int], NDArray[Any]] = {}
    tiles = []
    network.run(
        photo,
        lambda rows, columns, part: made.update({(rows.start, columns.start): part.copy()}),
        lambda: tiles.append(1),
    )
    assert len(tiles) == network.count_tiles(*photo.shape[:2])
    whole = np.zeros((*photo.shape[:2], next(iter(made.values())).shape[2]))
    counted = np.zeros(photo.shape[:2], int)
    for (top, left), part in made.items():
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        counted[top : top + part.shape[0], left : left + part.shape[1]] += 1
    assert (counted == 1).all()
    return whole


def test_a_photograph_of_another_size(artefact: ArtefactFactory) -> None:
    photo = photograph()
    expected, _ = whole_build(artefact).run(padded(photo))
    found = run_tiles(TiledNetwork(artefact(size=TILE, tiles=True)), photo)
    np.testing.assert_allclose(found, expected[: PHOTO[0], : PHOTO[1]], rtol=0, atol=1e-6)


def test_a_photograph_that_is_smaller_than_a_tile(artefact: ArtefactFactory) -> None:
    build = artefact(size=TILE, tiles=True)
    photo = photograph()[:100, :150]
    expected, _ = Session(build).run(fit_photo(photo, *TILE)[0])
    found = run_tiles(TiledNetwork(build), photo)
    np.testing.assert_allclose(found, expected[:100, :150], rtol=0, atol=1e-6)


def test_the_backbone_is_the_same_bit_for_bit(
    artefact: ArtefactFactory, build_cache: BuildCache, tmp_path: Path
) -> None:
    request = BuildRequest("host", size=TILE)
    spec = load_target("host")
    scheme = request.quantization
    options = PipelineOptions.for_scheme(spec, spec.threads, scheme, tmp_path / "no records")
    partitioned = partition_network(quantized_program(request, build_cache), options)
    backbone = partitioned[BACKBONE].with_attr("global_symbol", MAIN)
    write_stages(tvm.IRModule({MAIN: backbone}), options, LinkOptions(), tmp_path, build_cache)
    build = artefact(size=TILE, tiles=True)
    network = TiledNetwork(Artefact(tmp_path / LIBRARY, build.manifest))
    assert len(network.stages.stages) > len(network.stages.values) == 4
    photo = photograph()
    (expected,) = whole_build(artefact).network.run_part(BACKBONE, padded(photo)[None])
    np.testing.assert_array_equal(
        run_tiles(network, photo), expected[0, : PHOTO[0], : PHOTO[1]].astype(np.int64)
    )


def test_damaged_stages_are_refused(artefact: ArtefactFactory, tmp_path: Path) -> None:
    build = artefact(size=TILE, tiles=True)
    assert has_stages(build.manifest)
    text = (build.library.parent / FACTS).read_text()
    (tmp_path / FACTS).write_text(text.replace("halo", "hello"))
    with pytest.raises(ArtefactError, match="build it again"):
        TiledNetwork(Artefact(tmp_path / LIBRARY, build.manifest))
