"""Names of a network and its parts, for who compiles it and who runs it."""

from __future__ import annotations

from collections.abc import Iterable

#: The whole network, and what it is partitioned into by precision: its first integer region, and
#: the float operations behind it. Further ones have a number behind the name.
MAIN, BACKBONE, HEAD = "main", "backbone", "head"

#: Where the network is on two devices: the head's library; the backbone's is where that of the
#: whole network would be.
HEAD_LIBRARY = "head.so"

#: What a copy from one device to the other is called among the kernels of a frame.
COPY = "copy"

#: Of the arguments of the head: the feature map; the others are numbers of the backbone's results.
INPUT = "input"


def region_name(part: str, region: int) -> str:
    """Name the backbone or the head, which ``part`` says, of a ``region`` counted from 0."""
    return part if region == 0 else f"{part}_{region}"


def stage_name(number: int) -> str:
    """Name the function of a stage (:mod:`compile.passes.split_stages`), counted from 0."""
    return f"stage_{number}"


def parts_among(functions: Iterable[str]) -> list[str]:
    """List the parts of a network in the order in which they are computed, of all the names of its
    module's ``functions``; the whole network is not one of them."""
    names, parts = set(functions), list[str]()
    for region in range(len(names)):
        of_region = (region_name(part, region) for part in (BACKBONE, HEAD))
        parts += [name for name in of_region if name in names]
    return parts
