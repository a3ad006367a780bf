"""Sampling several maps at computed places (Zhu et al., Deformable DETR, 2021).

Shapes: B images, S cells of all levels together, Q places that look, H heads of D channels,
L levels, P points a head looks at on each level.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Sizes = Sequence[tuple[int, int]]
Operator = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""Values, sizes of levels, where levels start, places, weights, images at once to (B, Q, H * D)."""

_LOG = logging.getLogger(__name__)


def sample_levels(values: Tensor, sizes: Sizes, places: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples: (B, Q, H * D).

    On a graphics processor a compiled operator does it when one is installed and agrees.

    Args:
        values: (B, S, H, D), level after level, each row by row.
        sizes: height and width of the L levels.
        places: (B, Q, H, L, P, 2), x and y from 0 to 1; zeros lie outside.
        weights: (B, Q, H, L, P).
    """
    operator = compiled_operator(values.device) if values.is_cuda else None
    if operator is None or torch.is_grad_enabled():
        return sample_plainly(values, sizes, places, weights)
    return _run(operator, values, sizes, places, weights)


def sample_plainly(values: Tensor, sizes: Sizes, places: Tensor, weights: Tensor) -> Tensor:
    """`sample_levels` by torch's own sampler, level after level; for the arguments see there."""
    batch, _, heads, depth = values.shape
    grids = 2 * places.transpose(1, 2).flatten(0, 1) - 1  # (B * H, Q, L, P, 2)
    shares = weights.transpose(1, 2).flatten(0, 1)  # (B * H, Q, L, P)
    total = values.new_zeros(batch * heads, depth, places.shape[1])
    parts = torch.split(values, [height * width for height, width in sizes], 1)
    for level, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        maps = part.permute(0, 2, 3, 1).reshape(batch * heads, depth, *size)
        found = functional.grid_sample(maps, grids[:, :, level], align_corners=False)
        total = total + (found * shares[:, None, :, level]).sum(-1)
    return total.reshape(batch, heads * depth, -1).transpose(1, 2)


@functools.cache
def compiled_operator(device: torch.device) -> Operator | None:
    """A compiled operator that is installed here and agrees with the plain way, else None."""
    for find in (_of_mmcv, _of_deformable_detr):
        operator = find()
        if operator is not None and agrees(operator, device):
            return operator
    return None


def agrees(operator: Operator, device: torch.device) -> bool:
    """Whether an operator gives what `sample_plainly` gives, within 1e-4; says so if not."""
    generator = torch.Generator().manual_seed(0)
    sizes = ((5, 7), (3, 4))
    cells = sum(height * width for height, width in sizes)
    values = torch.randn(2, cells, 4, 8, generator=generator).to(device)
    places = (1.4 * torch.rand(2, 9, 4, 2, 3, 2, generator=generator) - 0.2).to(device)
    weights = torch.rand(2, 9, 4, 2, 3, generator=generator).to(device)
    try:
        found = _run(operator, values, sizes, places, weights)
    except (RuntimeError, TypeError) as error:
        _LOG.warning("The compiled deformable attention is not used: %s", error)
        return False
    same = torch.allclose(found, sample_plainly(values, sizes, places, weights), atol=1e-4)
    if not same:
        _LOG.warning("The compiled deformable attention is not used: its results differ")
    return same


def _run(
    operator: Operator, values: Tensor, sizes: Sizes, places: Tensor, weights: Tensor
) -> Tensor:
    shapes = torch.tensor(sizes, device=values.device)
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
    inputs = (values.contiguous(), shapes, starts, places.contiguous(), weights.contiguous())
    return operator(*inputs, len(values))


def _of_mmcv() -> Operator | None:
    try:
        from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
    except ImportError:
        return None
    operator: Operator = MultiScaleDeformableAttnFunction.apply
    return operator


def _of_deformable_detr() -> Operator | None:
    try:
        from MultiScaleDeformableAttention import ms_deform_attn_forward
    except ImportError:
        return None
    operator: Operator = ms_deform_attn_forward
    return operator
