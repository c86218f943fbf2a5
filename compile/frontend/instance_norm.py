"""The converter of PyTorch's InstanceNorm: TVM's own takes the running variance for the epsilon,
and 1e-5 where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import fx
from tvm import relax


def instance_norm(node: fx.Node, importer: Any) -> relax.Var:
    """``instance_norm(x, weight, bias, running_mean, running_var, use_input_stats, momentum, eps,
    cudnn_enabled)`` by the statistics of x: NCHW."""
    data, weight, bias, *_, epsilon, _ = importer.retrieve_args(node)
    channels, dtype = int(data.ty.shape[1]), str(data.ty.dtype)
    gamma = relax.const(np.ones(channels, dtype)) if weight is None else weight
    beta = relax.const(np.zeros(channels, dtype)) if bias is None else bias
    return importer.block_builder.emit(
        relax.op.nn.instance_norm(
            data, gamma, beta, channel_axis=1, axes=[2, 3], epsilon=float(epsilon)
        )
    )


#: What :func:`compile.frontend.import_program.import_program` hands to TVM's importer.
INSTANCE_NORM = {"instance_norm.default": instance_norm}
