"""What Mesa's compiler makes at every start, the GPU's OpenCL library: made once and kept.

Under emulation that takes longer than to compile a dozen kernels. Mesa keeps it in its cache of
shaders, beside every kernel that it compiles; but of a kernel that it finds there it lists no code.
So each compilation gets a copy of a cache that holds nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compile.support.cached_folder import Recipe, make_once

_FOLDER = "libraries"
_STAMP = "mqnet-library.json"

# No kernel of ours is alike: Mesa's cache knows kernels by their names, too.
_NAME = "starts_the_compiler"
_SOURCE = f"__kernel void {_NAME}(__global int* a) {{ a[get_global_id(0)] = 0; }}\n"


def library_cache(
    root: Path, gpu_id: int, compile_files: Callable[[Path, list[Path]], object]
) -> Path:
    """The folder of a cache for ``gpu_id``, not to be written to; safe against a second process.

    Args:
        root: The compiler's folder, below which it is kept.
        gpu_id: What the GPU's register says it is.
        compile_files: Compiles files of OpenCL C with the cache in a folder, which comes first.

    Raises:
        TargetError: No room; and whatever ``compile_files`` raises.
    """

    def fill(new: Path, work: Path) -> None:
        source = work / f"{_NAME}.cl"
        source.write_text(_SOURCE)
        compile_files(new, [source])

    folder = root / _FOLDER / f"{gpu_id:#x}"
    make_once(folder, Recipe("library of OpenCL", _STAMP, f"{gpu_id:#x}"), fill)
    return folder
