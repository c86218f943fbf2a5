"""Write linear light without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray

from compile.support.atomic import atomic_path


def write_exr(path: Path, light: NDArray[np.floating]) -> None:
    """Write linear RGB light [H,W,3] as OpenEXR of its own dtype, float16 or float32.

    Raises:
        OutputError: it cannot be written.
    """
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    # OpenEXR's binding reads the memory of a view as if it were a whole array.
    light = np.ascontiguousarray(light)
    with atomic_path(path) as beside, OpenEXR.File(header, {"RGB": light}) as file:
        file.write(str(beside))
