"""Open-Vocabulary SAM: one slow encoder for masks and names."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec
from models.ovsam.files import LAST_LEVEL, PYRAMID

SLOW = "tens of seconds for each image without a graphics card, then about a second a click"


def _load(model_id: str) -> Segmenter:
    from models.ovsam.files import VARIANTS, present
    from models.ovsam.loading import load_ovsam
    from models.ovsam.runtime import TorchOvsam
    from models.ovsam.segmenter import OvsamSegmenter
    from models.sam_family.torch_runtime import best_device

    spec = next(spec for spec in SPECS if spec.id == model_id)
    files, fingerprint = present(model_id)
    runtime = TorchOvsam(load_ovsam(files), best_device(), VARIANTS[model_id].pooled)
    return OvsamSegmenter(spec, runtime, fingerprint)


def _missing(model_id: str) -> str | None:
    from models.ovsam.files import missing

    return missing(model_id)


def _spec(model_id: str, title: str, summary: str) -> SegmenterSpec:
    return SegmenterSpec(
        id=model_id,
        title=title,
        version="1",
        summary=summary,
        licence="S-Lab License 1.0 (non-commercial)",
        load=lambda: _load(model_id),
        available=lambda: _missing(model_id),
        storage="float16",
        stored_arrays=("image", *PYRAMID, LAST_LEVEL),
        input_size=1024,
        # It predicts no quality: scores are stabilities.
        least_score=0.0,
    )


SPECS = (
    _spec(
        "ovsam",
        "Open-Vocabulary SAM (slow)",
        f"Masks and names from one look at the image; {SLOW}.",
    ),
    _spec(
        "ovsam-eval-lvis",
        "Open-Vocabulary SAM for LVIS (slow)",
        f"The authors' own evaluation on LVIS; {SLOW}.",
    ),
    _spec(
        "ovsam-eval-coco",
        "Open-Vocabulary SAM for COCO (slow)",
        f"The authors' own evaluation on COCO; {SLOW}.",
    ),
)
