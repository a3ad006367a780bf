"""A CLIP small enough for tests, with weights that are the same every time."""

from __future__ import annotations

import json
from pathlib import Path

import open_clip  # noqa: TID253
import torch  # noqa: TID253

ARCHITECTURE = "annotator-test-clip"
SIDE, LENGTH = 32, 16

_CONFIG = {
    "embed_dim": LENGTH,
    "quick_gelu": True,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}


def register(folder: Path) -> None:
    """Make open_clip know it."""
    if ARCHITECTURE not in open_clip.list_models():
        (folder / f"{ARCHITECTURE}.json").write_text(json.dumps(_CONFIG))
        open_clip.add_model_config(folder / f"{ARCHITECTURE}.json")


def network(seed: int = 0) -> torch.nn.Module:
    """The network as open_clip builds it."""
    torch.manual_seed(seed)
    return open_clip.create_model(ARCHITECTURE, pretrained=None).eval()
