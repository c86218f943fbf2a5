"""The memory plan of a build as a chart: which tensors lie where, over the calls of a frame."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.page.drawing import ALERT, LINES, OTHERS, OURS, PAPER, QUIET, new_chart
from compile.artefact.manifest import Manifest, PlannedTensor

_MB = 1e6
# Of the chart's height and width: a bar that is smaller has no room for its shape.
_NAMED_HEIGHT, _NAMED_WIDTH = 0.045, 0.14


def plan_chart(manifest: Manifest) -> Figure:
    """Draw a bar for each tensor that a call makes, as high as its bytes and as long as its life,
    in the storage that the plan has for it; and the call at which most is alive."""
    figure, panel = new_chart(4.2, 7)
    calls, bottom = len(manifest.calls), 0.0
    whole = planned_bytes(manifest) / _MB
    for storage in storages_of(manifest):
        panel.axhline(bottom, color=LINES, linewidth=0.5)
        for tensor in storage:
            first, last = tensor.life(calls)
            width, height = last + 1 - first, tensor.size / _MB
            panel.bar(first, height, width, bottom, align="edge", color=_color(tensor),
                      edgecolor=PAPER, linewidth=0.5)  # fmt: skip
            if height > _NAMED_HEIGHT * whole and width > _NAMED_WIDTH * calls:
                text = f"{'x'.join(map(str, tensor.shape))} {tensor.dtype}"
                panel.text(first + width / 2, bottom + height / 2, text, ha="center", va="center",
                           color=PAPER, fontsize=7)  # fmt: skip
        bottom += max(tensor.size for tensor in storage) / _MB
    at, alive = peak_of(manifest)
    panel.axvspan(at, at + 1, color=ALERT, alpha=0.35, linewidth=0)
    panel.set(xlim=(0, calls), ylim=(0, whole), xlabel="kernel call", ylabel="MB")
    marks = [Patch(color=color) for color in (OTHERS, OURS, QUIET)]
    marks.append(Patch(color=ALERT, alpha=0.35))
    peak = f"peak, call {at}: {alive / _MB:.3g} MB alive"
    names = ["integers", "floats", "result of the network", peak]
    figure.legend(marks, names, loc="outside upper left", ncols=4)
    return figure


def plan_facts(manifest: Manifest) -> str:
    """One sentence: what the plan takes, and what all tensors would take beside each other."""
    storages = storages_of(manifest)
    tensors = [tensor for storage in storages for tensor in storage]
    return (
        f"{len(tensors)} tensors of together {sum(one.size for one in tensors) / _MB:.3g} MB lie "
        f"in {len(storages)} places of together {planned_bytes(manifest) / _MB:.3g} MB."
    )


def peak_of(manifest: Manifest) -> tuple[int, int]:
    """The call at which most bytes are alive, and how many; inputs are the caller's."""
    alive = [0] * len(manifest.calls)
    for storage in storages_of(manifest):
        for tensor in storage:
            first, last = tensor.life(len(alive))
            for call in range(first, last + 1):
                alive[call] += tensor.size
    most = max(alive)
    return alive.index(most), most


def planned_bytes(manifest: Manifest) -> int:
    """What all storages take, and results of builds of earlier versions, which have none."""
    return sum(max(one.size for one in storage) for storage in storages_of(manifest))


def storages_of(manifest: Manifest) -> list[Sequence[PlannedTensor]]:
    """The tensors that calls make, by the memory that they share."""
    shared: dict[int, list[PlannedTensor]] = {}
    own = []
    for tensor in manifest.tensors:
        if tensor.call >= 0 and tensor.storage >= 0:
            shared.setdefault(tensor.storage, []).append(tensor)
        elif tensor.call >= 0:
            own.append([tensor])
    return [*(shared[number] for number in sorted(shared)), *own]


def _color(tensor: PlannedTensor) -> str:
    if tensor.is_kept:
        return QUIET
    return OURS if "float" in tensor.dtype else OTHERS
