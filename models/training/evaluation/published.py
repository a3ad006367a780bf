"""Numbers others have published, for comparison. None of them was measured here.

Source: the EdgeSAM talk and README as noted in the specification; all of COCO val2017 (every size
of object), ground-truth prompts at the networks' own resolution. AP: with the boxes of a ViTDet-H
detector (box AP 0.587).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.training.evaluation.report import STEPS

DATA = "COCO val2017"


@dataclass(frozen=True, slots=True)
class Published:
    """One model: mean IoU in the order of `STEPS` (empty if unknown) and AP by its name."""

    model: str
    ious: tuple[float, ...]
    precision: Mapping[str, float] = field(default_factory=dict)

    def headline(self) -> dict[str, float]:
        """Mean IoU by the names of `STEPS`; empty if unknown."""
        return dict(zip(STEPS, self.ious, strict=True)) if self.ious else {}


def _sizes(ap: float, small: float, medium: float, large: float) -> Mapping[str, float]:
    return {"AP": ap, "AP small": small, "AP medium": medium, "AP large": large}


PUBLISHED = (
    Published("SAM", (0.773, 0.777, 0.781, 0.536, 0.674, 0.717), {"AP": 0.461}),
    Published("MobileSAM", (0.744, 0.748, 0.751, 0.509, 0.630, 0.668), {"AP": 0.394}),
    Published(
        "EdgeSAM",
        (0.767, 0.781, 0.790, 0.480, 0.618, 0.687),
        _sizes(0.422, 0.296, 0.476, 0.539),
    ),
    Published("EdgeSAM-3x", (), _sizes(0.427, 0.300, 0.486, 0.545)),
    Published("EfficientSAM-Ti", (0.752, 0.760, 0.766, 0.498, 0.605, 0.657)),
)
