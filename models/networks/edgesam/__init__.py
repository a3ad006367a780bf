"""EdgeSAM in plain torch (spec/edgesam.md); this is the import the specification names."""

from models.networks.edgesam.network import (
    NARROW,
    SIDE,
    EdgeSam,
    full_size_logits,
    narrow_edge_sam,
)
from models.networks.edgesam.repvit import RepVitWidths, merge_branches

__all__ = [
    "NARROW",
    "SIDE",
    "EdgeSam",
    "RepVitWidths",
    "full_size_logits",
    "merge_branches",
    "narrow_edge_sam",
]
