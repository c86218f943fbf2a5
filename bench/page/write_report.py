"""Writes a report: one page that needs nothing beside it, and its parts as CSV and PNG."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2
import pandas as pd

from bench.engines.registry import is_ours
from bench.page.accuracy_table import LayersFile, accuracy_table, error_shares
from bench.page.compare_runs import compare_runs
from bench.page.coverage_table import coverage_table, float_table
from bench.page.figures import FIGURES, png_of
from bench.page.kernel_table import kind_table, layer_table
from bench.page.roofline import roofline
from bench.page.table import table_of
from bench.profiling.kernels_file import KernelsFile
from bench.session.run_file import RunFile
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import MqnetError
from device.runtime.gpu_name import POCL_WARNING, SOFTWARE_WARNING

_TEMPLATE = Path(__file__).parent / "page.html.jinja"
_PAGE, _ROWS, _LAYERS, _ROOFLINE = "report.html", "latency.csv", "kernels.csv", "roofline.png"
_ACCURACY, _SHARES = "accuracy.csv", "error-shares.png"


def report_files() -> list[str]:
    """Names of all files that a report may have."""
    parts = [_PAGE, _ROWS, _LAYERS, _ROOFLINE, _ACCURACY, _SHARES]
    return [*parts, *(f"{name}.png" for name in FIGURES)]


def write_report(
    run: RunFile,
    baseline: RunFile | None,
    folder: Path,
    kernels: KernelsFile | None = None,
    layers: LayersFile | None = None,
) -> Path:
    """Write ``report.html``, ``latency.csv`` and a PNG per figure, of ``kernels`` also
    ``kernels.csv`` and the roofline, and of ``layers`` ``accuracy.csv`` and the shares of the
    error; returns the page's path.

    Raises:
        MqnetError: the baseline cannot be compared, the kernels are another machine's, or the
            folder cannot be written.
    """
    comparison = None if baseline is None else compare_runs(baseline, run)
    if kernels is not None:
        _check_machine(run, kernels)
    pictures, files = [], dict[str, bytes]()
    for name, (title, draw) in FIGURES.items():
        figure = draw(run)
        if figure is None:
            continue
        if label := _label(run):
            # Figures are passed on without their page.
            figure.suptitle(label, color="tab:red")
        files[f"{name}.png"] = png_of(figure)
        pictures.append((title, _in_page(files[f"{name}.png"])))
    files[_ROWS] = run.table().to_csv(index=False).encode()
    template = jinja2.Environment(autoescape=True).from_string(_TEMPLATE.read_text())
    page = template.render(
        headlines=headlines(run),
        flagged=sum(bool(row.flags) for row in run.rows),
        count=len(run.rows),
        comparison=None if comparison is None else _as_html(comparison),
        pictures=pictures,
        table=table_of(run.table()),
        coverage=coverage_table(run.rows),
        floats=float_table(run.rows),
        kernels=None if kernels is None else _kernels_section(kernels, files),
        accuracy=None if layers is None else _accuracy_section(layers, files),
        environment=run.environment,
        is_ours=is_ours,
    )
    # Drawing takes the time, and Ctrl-C then leaves no half of a report.
    make_folder(folder)
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_atomically(folder / _PAGE, page.encode())
    return folder / _PAGE


def _check_machine(run: RunFile, kernels: KernelsFile) -> None:
    timed, session = kernels.environment["cpu"], run.cpu
    if timed != session:
        raise MqnetError(
            f"the kernels were timed on {timed!r} and the session on {session!r}: time both on "
            "one machine"
        )


def _kernels_section(kernels: KernelsFile, files: dict[str, bytes]) -> dict[str, object]:
    """What the page says of the kernels, whose files are added to ``files``."""
    layers = layer_table(kernels)
    files[_LAYERS] = layers.to_csv(index=False).encode()
    files[_ROOFLINE] = png_of(roofline(kernels))
    return {
        "network": kernels.network,
        "milliseconds": f"{kernels.seconds * 1e3:.1f}",
        "commit": kernels.environment["commit"],
        "roofline": _in_page(files[_ROOFLINE]),
        "layers": layers,
        "kinds": kind_table(kernels),
    }


def _accuracy_section(layers: LayersFile, files: dict[str, bytes]) -> dict[str, object]:
    """What the page says of the accuracy, whose files are added to ``files``."""
    table = accuracy_table(layers)
    files[_ACCURACY] = table.to_csv(index=False).encode()
    files[_SHARES] = png_of(error_shares(layers))
    return {
        "scheme": layers.scheme,
        "machine": layers.machine,
        "shares": _in_page(files[_SHARES]),
        "table": table,
    }


def _in_page(png: bytes) -> str:
    """The picture as it is put into the page: base64."""
    return base64.b64encode(png).decode()


def headlines(run: RunFile) -> list[str]:
    """A sentence for each size and number of threads: who is ahead, by how much."""
    if label := _label(run):
        return [f"{label}: its times say nothing about any device"]
    lines = []
    for (size, threads), rows in run.measured().groupby(["size", "threads"], sort=False):
        where = f"{size}, {threads} thread{'s' if threads > 1 else ''}: "
        rows = rows[~rows["flags"].map(_ranks_nothing)]
        if rows.empty:
            lines.append(f"{where}processors that play a GPU, whose times rank nothing")
            continue
        ours = rows[(rows["engine"] == "tvm") & (rows["scheme"] == "mixed")]
        if ours.empty or ours["ratio_to_litert_mixed"].isna().any():
            fastest = rows.loc[rows["p50_ms"].idxmin()]
            lines.append(f"{where}{fastest['name']} is the fastest")
            continue
        lines += [where + _ahead(row) for _, row in ours.iterrows()]
    return lines


def _ranks_nothing(flags: tuple[str, ...]) -> bool:
    return any(warning in flag for flag in flags for warning in (POCL_WARNING, SOFTWARE_WARNING))


def _ahead(row: pd.Series) -> str:
    ratio, (low, high) = row["ratio_to_litert_mixed"], row["ratio_interval"]
    word = "faster than" if ratio >= 1 else "as fast as"
    return (
        f"{row['name']} is {ratio:.2f} times {word} LiteRT mixed ({low:.2f} to {high:.2f}): "
        f"{row['p50_ms']:.1f} ms"
    )


def _label(run: RunFile) -> str:
    """What must stand on all that is drawn and said of ``run``; "" where that is nothing."""
    return f"EMULATED by {run.emulator}" if run.emulator else ""


def _as_html(comparison: pd.DataFrame) -> jinja2.utils.markupsafe.Markup:
    formatters = {
        "old ratio": "{:.2f}".format,
        "new ratio": "{:.2f}".format,
        "change": "{:+.1%}".format,
    }
    table = comparison.to_html(index=False, border=0, formatters=formatters)
    return jinja2.utils.markupsafe.Markup(table)
