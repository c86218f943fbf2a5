"""The course of a training: a CSV with a row every so many steps, and a plot of it."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from compile.support.atomic import atomic_path, write_atomically
from compile.support.errors import DataError


@dataclass(frozen=True)
class Row:
    """What a training has come to.

    Attributes:
        step, crops: made so far.
        minutes: of wall-clock time since this run of the program began.
        rate: Adam's learning rate.
        total to identity: the terms of the loss, mean over the steps since the row before.
        psnr_db: mean mu-law PSNR of the averaged network on the validation pairs.
        clipped_psnr_db: mu-law PSNR over all their clipped pixels together.
        curve_psnr_db, curve_clipped_psnr_db: the same of the best global tone curve.
        plain_psnr_db, plain_clipped_psnr_db: of the averaged network on validation pairs in sRGB's
            curve and 8 bits and nothing else.
        srgb_psnr_db, srgb_clipped_psnr_db: the same of inverting sRGB's curve.
    """

    step: int
    crops: int
    minutes: float
    rate: float
    total: float
    l1: float
    square: float
    log_square: float
    cosine: float
    slope: float
    ratio: float
    half_clipped: float
    identity: float
    psnr_db: float
    clipped_psnr_db: float
    curve_psnr_db: float
    curve_clipped_psnr_db: float
    plain_psnr_db: float
    plain_clipped_psnr_db: float
    srgb_psnr_db: float
    srgb_clipped_psnr_db: float


class TrainingLog:
    """The rows of ``log.csv`` in a folder; every new row rewrites it and ``log.png``."""

    def __init__(self, folder: Path, step: int) -> None:
        """Go on after ``step``: rows beyond it were made by a run whose checkpoint is lost.

        Raises:
            DataError: the CSV is there and damaged.
        """
        self._csv, self._png = folder / "log.csv", folder / "log.png"
        self.rows = [row for row in _read(self._csv) if row.step <= step]

    def add(self, row: Row) -> None:
        """Append ``row`` and write both files."""
        self.rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        write_atomically(self._csv, text.getvalue().encode())
        self._plot()

    def _plot(self) -> None:
        # matplotlib takes a second to import: only where something is plotted.
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 6), layout="constrained")
        top, bottom = figure.subplots(2, sharex=True)
        crops = [row.crops / 1e3 for row in self.rows]
        top.semilogy(crops, [row.total for row in self.rows], color="black")
        top.set_ylabel("training loss")
        for name, bar, label, color in (
            ("psnr_db", "curve_psnr_db", "all pixels", "tab:blue"),
            ("clipped_psnr_db", "curve_clipped_psnr_db", "clipped pixels", "tab:red"),
            ("plain_psnr_db", "srgb_psnr_db", "plain cameras", "tab:green"),
        ):
            bottom.plot(crops, [getattr(row, name) for row in self.rows], color=color, label=label)
            bottom.plot(
                crops,
                [getattr(row, bar) for row in self.rows],
                color=color,
                linestyle="dotted",
                label=f"{label}, best curve" if bar.startswith("curve") else "sRGB inverted",
            )
        bottom.set(xlabel="thousand crops", ylabel="validation PSNR, mu-law (dB)")
        bottom.legend(loc="lower right")
        with atomic_path(self._png) as beside:
            figure.savefig(beside)


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    kinds: dict[str, type[Any]] = {
        field.name: int if field.type == "int" else float for field in fields(Row)
    }
    try:
        with path.open(newline="") as file:
            return [
                Row(**{name: kinds[name](value) for name, value in row.items()})
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}): delete it to go on without it") from None
