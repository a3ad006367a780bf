"""SAM ViT-B, ViT-L and ViT-H: the original Segment Anything."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec


def _load(model_id: str) -> Segmenter:
    from models.sam_family.runtime import open_sam

    return open_sam(next(spec for spec in SPECS if spec.id == model_id))


def _missing(model_id: str) -> str | None:
    from models.sam_family.files import missing

    return missing(model_id)


def _spec(model_id: str, title: str, summary: str) -> SegmenterSpec:
    return SegmenterSpec(
        id=model_id,
        title=title,
        version="1",
        summary=summary,
        licence="Apache-2.0",
        load=lambda: _load(model_id),
        available=lambda: _missing(model_id),
        storage="float16",
        stored_arrays=("image",),
        input_size=1024,
        sides=(1280, 1536, 2048),
    )


SPECS = (
    _spec(
        "sam-vit-b",
        "SAM ViT-B",
        "The smallest original SAM; some seconds for each image without a graphics card.",
    ),
    _spec(
        "sam-vit-l",
        "SAM ViT-L",
        "Nearly as exact as ViT-H at half its size; a graphics card is advised.",
    ),
    _spec(
        "sam-vit-h",
        "SAM ViT-H",
        "The most exact masks of the family; very slow without a graphics card.",
    ),
)
