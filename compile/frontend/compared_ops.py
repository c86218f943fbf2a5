"""Operators whose converters of TVM were compared with PyTorch's results on random numbers.

No other of its 300 converters is trusted: of those that were tried, a dozen computed something else
(:mod:`compile.frontend.mended_ops`). tests/compile/frontend/test_every_converter.py compares.
"""

from __future__ import annotations

_NAMES = """
__and__.Tensor __or__.Tensor _assert_tensor_metadata.default _log_softmax.default
_native_batch_norm_legit.no_stats _native_batch_norm_legit_no_training.default
_softmax.default _to_copy.default abs.default acos.default acosh.default addmm.default
alias.default any.dim arange.start arange.start_step argmax.default argmin.default
asin.default asinh.default atan.default atan2.default atanh.default bitwise_and.Tensor
bitwise_not.default bitwise_or.Tensor bmm.default cat.default ceil.default chunk.default
clamp.Tensor clamp.default clamp_min.default clone.default concat.default
constant_pad_nd.default contiguous.default conv_transpose2d.input convolution.default
cos.default cosh.default cumprod.default cumsum.default detach.default detach_.default
div.Tensor div.Tensor_mode dropout.default eq.Scalar eq.Tensor erf.default exp.default
expand.default expand_as.default expm1.default flatten.using_ints flip.default floor.default
floor_divide.default fmod.Scalar full.default full_like.default gather.default ge.Scalar
ge.Tensor gelu.default getitem gt.Scalar gt.Tensor hardtanh.default
hardtanh_.default index_select.default le.Scalar le.Tensor
leaky_relu.default leaky_relu_.default lift_fresh_copy.default linalg_vector_norm.default
linear.default linspace.default log.default log10.default log1p.default log2.default
log_softmax.int logaddexp.default logical_not.default logical_xor.default lt.Scalar
lt.Tensor masked_fill.Scalar matmul.default max.default max.dim max.other
max_pool2d_with_indices.default maximum.default mean.default mean.dim median.dim min.other
minimum.default mm.default mul.Scalar mul.Tensor mul_.Tensor
native_layer_norm.default ne.Scalar ne.Tensor neg.default new_ones.default new_zeros.default
ones.default ones_like.default pad.default permute.default pow.Scalar pow.Tensor_Scalar
pow.Tensor_Tensor reciprocal.default relu.default relu6.default relu6_.default relu_.default
remainder.Scalar repeat.default reshape.default reshape_as.default roll.default
round.decimals round.default rsqrt.default scalar_tensor.default selu.default
sigmoid.default sign.default silu.default silu_.default sin.default sinh.default
slice.Tensor softmax.int softplus.default softshrink.default sort.default split.Tensor
split_with_sizes.default sqrt.default square.default squeeze.default squeeze.dim
squeeze.dims stack.default sum.default sum.dim_IntList tan.default tanh.default tile.default
to.dtype topk.default transpose.int tril.default triu.default trunc.default type_as.default
unbind.int unflatten.int unsqueeze.default upsample_bicubic2d.vec view.default where.self
zeros.default zeros_like.default
"""

#: TVM cannot build it alone: compared where it is lowered (tests/system/test_zoo.py, HDRUNet).
_WITH_KERNELS = {"pixel_shuffle.default"}

COMPARED_OPS = frozenset({*_NAMES.split(), *_WITH_KERNELS})
"""By name. Ours (:mod:`compile.frontend.converters`) are not among them."""
