"""What a worker of a Dask cluster runs. It imports this module first, and so TVM without PyTorch,
which takes it a third of the time."""

from __future__ import annotations

from importlib.metadata import version

from compile.support.quick_start import import_tvm_alone

import_tvm_alone()

from compile.codegen.link.link import ExportLinker, LinkOptions  # noqa: E402
from compile.kernels.common.core_model import CoreModel  # noqa: E402
from compile.search.build_candidates import build_library  # noqa: E402
from compile.support.scratch_folder import scratch_folder  # noqa: E402
from targets.spec import TargetSpec  # noqa: E402


def version_there() -> str:
    """Say which version of TVM a worker has, where it can build."""
    return version("apache-tvm")


def build_there(
    spec: TargetSpec,
    link: LinkOptions,
    core: CoreModel,
    family: str,
    module: str,
    configuration: str,
) -> bytes:
    """Build a candidate, as :func:`compile.search.build_candidates.build_library` does; the
    library's bytes."""
    with scratch_folder("mqnet-build-") as folder:
        path = folder / "candidate.so"
        build_library(family, module, core, configuration, path, spec, ExportLinker(spec, link))
        return path.read_bytes()
