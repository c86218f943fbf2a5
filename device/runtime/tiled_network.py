"""A picture of any size through a build, tile by tile: stage after stage on the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.artefact.reader import Artefact
from compile.artefact.stage_facts import LIBRARY, StageFacts, Stages, read_stages
from compile.imaging.fit_size import padded_size
from device.runtime.tile_grid import Tile, tiles
from device.runtime.tvm_network import LoadedPart
from device.runtime.tvm_runtime import PROCESSOR, free_memory, to_array
from device.runtime.whole_values import total_for

#: Takes rows and columns of a picture and the network's output there, float32 [H, W, C].
Sink = Callable[[slice, slice, NDArray[np.float32]], None]


class TiledNetwork:
    """The stages of a build.

    Attributes:
        stages: their description.

    Raises:
        ArtefactError: a file of the build is damaged, or its library does not load.
    """

    def __init__(self, artefact: Artefact) -> None:
        folder = artefact.library.parent
        self.stages = read_stages(folder)
        self._library = LoadedPart(folder / LIBRARY, PROCESSOR)

    def padded_size(self, height: int, width: int) -> tuple[int, int]:
        """What a photograph is padded to: a whole number of strides, and a tile at the least."""
        padded = padded_size(height, width, self.stages.alignment)
        rows, columns = map(max, padded, self.stages.size)
        return rows, columns

    def count_tiles(self, height: int, width: int) -> int:
        """How many tiles are run for a photograph of this size, of all stages together."""
        padded = self.padded_size(height, width)
        return sum(len(self._tiles(stage, padded)) for stage in self.stages.stages)

    def run(
        self, photo: NDArray[np.uint8], sink: Sink, advance: Callable[[], None] = lambda: None
    ) -> None:
        """Compute the network's output for ``photo``, uint8 [H, W, C], as for one that is padded by
        reflection below and at its right as :func:`compile.imaging.fit_size.fit_photo` pads it.

        Args:
            sink: takes each pixel of the photograph once.
            advance: called behind each tile.
        """
        _Run(self.stages, self._library, photo, self.padded_size(*photo.shape[:2])).run(
            sink, advance
        )

    def _tiles(self, stage: StageFacts, padded: tuple[int, int]) -> list[Tile]:
        return tiles(padded, self.stages.size, stage.halo)


class _Run:
    """What is known of one picture.

    Attributes:
        kept: tensors of the whole of it, without their batch, while a later stage reads them.
        values: what stages take beside them.
    """

    def __init__(
        self,
        stages: Stages,
        library: LoadedPart,
        photo: NDArray[np.uint8],
        padded: tuple[int, int],
    ) -> None:
        self._facts, self._library, self._photo, self._padded = stages, library, photo, padded
        self.kept: dict[str, NDArray[Any]] = {}
        self.values: dict[str, list[Any]] = {}

    def run(self, sink: Sink, advance: Callable[[], None]) -> None:
        for number, stage in enumerate(self._facts.stages):
            later = self._facts.stages[number + 1 :]
            read = {name for one in later for name in one.inputs}
            totals = {
                name: total_for(value)
                for name, value in self._facts.values.items()
                if value.source in stage.results
            }
            for name in read.intersection(stage.results):
                self.kept[name] = self._empty(name)
            for tile in tiles(self._padded, self._facts.size, stage.halo):
                for name, whole in self._results(stage, tile).items():
                    own = self._own(name, tile, whole)
                    if name in self.kept:
                        self.kept[name][self._place(name, tile)] = own
                    if name == self._facts.output:
                        self._give(sink, tile, own)
                    for value, total in totals.items():
                        if self._facts.values[value].source == name:
                            total.add(own)
                advance()
            for value, total in totals.items():
                self.values[value] = [self._library.tensor(one) for one in total.values()]
            self.kept = {name: one for name, one in self.kept.items() if name in read}
            free_memory()

    def _results(self, stage: StageFacts, tile: Tile) -> dict[str, NDArray[Any]]:
        arguments = [self._library.tensor(self._input(name, tile)[None]) for name in stage.inputs]
        arguments += [one for name in stage.values for one in self.values[name]]
        results = self._library.run(stage.function, *arguments)
        return {name: to_array(one)[0] for name, one in zip(stage.results, results, strict=True)}

    def _input(self, name: str, tile: Tile) -> NDArray[Any]:
        """What ``tile`` reads of the tensor ``name``."""
        rows, columns = self._facts.size
        if name == self._facts.picture:
            return _padded_part(self._photo, tile.rows.start, rows, tile.columns.start, columns)
        stride = self._facts.tensors[name].stride
        top, left = tile.rows.start // stride, tile.columns.start // stride
        return self.kept[name][top : top + rows // stride, left : left + columns // stride]

    def _empty(self, name: str) -> NDArray[Any]:
        facts = self._facts.tensors[name]
        rows, columns = (extent // facts.stride for extent in self._padded)
        return np.empty((rows, columns, facts.channels), facts.dtype)

    def _own(self, name: str, tile: Tile, whole: NDArray[Any]) -> NDArray[Any]:
        """What ``tile`` owns of its result ``whole``."""
        stride = self._facts.tensors[name].stride
        rows, columns = (
            slice((span.first - span.start) // stride, (span.end - span.start) // stride)
            for span in (tile.rows, tile.columns)
        )
        return whole[rows, columns]

    def _place(self, name: str, tile: Tile) -> tuple[slice, slice]:
        """Where that is in the tensor of the whole picture."""
        stride = self._facts.tensors[name].stride
        spans = (tile.rows, tile.columns)
        rows, columns = (slice(one.first // stride, one.end // stride) for one in spans)
        return rows, columns

    def _give(self, sink: Sink, tile: Tile, own: NDArray[Any]) -> None:
        """Hand on what of the output lies in the photograph."""
        height, width = self._photo.shape[:2]
        bottom, right = min(tile.rows.end, height), min(tile.columns.end, width)
        top, left = tile.rows.first, tile.columns.first
        if top < bottom and left < right:
            part = own[: bottom - top, : right - left]
            sink(slice(top, bottom), slice(left, right), part)


def _padded_part(
    photo: NDArray[np.uint8], top: int, rows: int, left: int, columns: int
) -> NDArray[np.uint8]:
    """Rows and columns of ``photo``, which goes on by reflection below and at its right."""
    height, width = photo.shape[:2]
    if top + rows <= height and left + columns <= width:
        return photo[top : top + rows, left : left + columns]
    down = _reflected(np.arange(top, top + rows), height)
    across = _reflected(np.arange(left, left + columns), width)
    return photo[down[:, None], across]


def _reflected(places: NDArray[np.intp], extent: int) -> NDArray[np.intp]:
    """Where ``places`` of ``extent`` pixels and beyond are: as NumPy's mode "reflect"."""
    period = 2 * (extent - 1)
    places = places % period
    return np.minimum(places, period - places)
