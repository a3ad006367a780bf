"""Where objects are read from a feature pyramid: boxes, levels, regions.

Boxes (n, 4) are x0, y0, x1, y1 in pixels of the network's square frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FINEST = 56
"""Boxes of less than twice this side are read from P2, of less than four times from P3, ..."""
LEVELS = 4
POOLED = 7
"""Side in cells of what is read of an object: 7 in the public demo, 12 in COCO's configuration."""
LOGIT_STRIDE = 4
"""Pixels of the frame for each logit."""


def mask_boxes(logits: Tensor) -> Tensor:
    """Tight boxes (n, 4) of masks (n, h, w) where logits are above 0, edges included.

    An empty mask has the box (0, 0, 0, 0).
    """
    inside = logits > 0
    sides = []
    for axis in (1, 2):  # columns that hold something say x, rows say y
        used = inside.any(axis)
        places = torch.arange(used.shape[1], device=logits.device)
        first = torch.where(used, places, used.shape[1]).amin(1)
        last = torch.where(used, places, -1).amax(1)
        sides.append((first, last + 1))
    (x0, x1), (y0, y1) = sides
    boxes = torch.stack([x0, y0, x1, y1], 1) * LOGIT_STRIDE
    return torch.where(inside.any(2).any(1)[:, None], boxes, 0).float()


def box_levels(boxes: Tensor) -> Tensor:
    """Which level (n), 0 for P2 to 3 for P5, suits each box."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return torch.log2(area.clamp(min=0).sqrt() / FINEST + 1e-6).floor().clamp(0, LEVELS - 1).long()


def read_regions(features: Tensor, boxes: Tensor, stride: int, side: int) -> Tensor:
    """What lies under boxes in features (1, C, h, w) of one stride: (n, C, side, side).

    Means of bilinear samples (RoIAlign); boxes without area give zeros.
    """
    from torchvision.ops import roi_align

    batch = boxes.new_zeros(len(boxes), 1)
    found: Tensor = roi_align(
        features,
        torch.cat([batch, boxes], 1),
        side,
        spatial_scale=1 / stride,
        sampling_ratio=0,  # as many samples as a cell has pixels
        aligned=True,
    )
    return found


def read_pyramid(pyramid: Sequence[Tensor], boxes: Tensor, side: int = POOLED) -> Tensor:
    """What lies under boxes at the level that suits each: (n, C, side, side).

    Args:
        pyramid: P2 to P5, each (1, C, h, w), in any precision.
        boxes: (n, 4).
        side: of the result, cells.
    """
    found = boxes.new_zeros(len(boxes), pyramid[0].shape[1], side, side)
    chosen = box_levels(boxes)
    for level in set(chosen.tolist()):
        at = chosen == level
        stride = 4 * 2**level
        near, moved = _surroundings(pyramid[level], boxes[at], stride)
        found[at] = read_regions(near.float(), moved, stride, side)
    return found


def _surroundings(features: Tensor, boxes: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """The part of a map (1, C, h, w) that boxes are read from, and the boxes in it.

    Reading one object then costs no conversion of a map that is kept in 16 bits.
    """
    limits = torch.tensor(features.shape[:1:-1], device=boxes.device)
    low = (boxes[:, :2].amin(0) / stride - 2).floor()
    high = (boxes[:, 2:].amax(0) / stride + 2).ceil()
    low = torch.minimum(low.clamp(min=0), limits - 1)
    high = torch.maximum(torch.minimum(high, limits), low + 1)
    (x0, y0), (x1, y1) = low.long().tolist(), high.long().tolist()
    return features[..., y0:y1, x0:x1], boxes - stride * low.repeat(2)
