"""Names of a network and its two parts, for who compiles it and who runs it."""

from __future__ import annotations

#: The whole network, and what it is partitioned into by precision.
MAIN, BACKBONE, HEAD = "main", "backbone", "head"

#: Where the network is on two devices: the head's library; the backbone's is where that of the
#: whole network would be.
HEAD_LIBRARY = "head.so"

#: What a copy from one device to the other is called among the kernels of a frame.
COPY = "copy"

#: Of the arguments of the head: the feature map; the others are numbers of the backbone's results.
INPUT = "input"
