"""FastSAM-s and FastSAM-x: all objects of an image at once; prompts pick one."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec


def _load(model_id: str) -> Segmenter:
    from models.sam_family.fast import FastSamSegmenter
    from models.sam_family.fast_files import open_runtime
    from models.sam_family.files import present

    spec = next(spec for spec in SPECS if spec.id == model_id)
    path, fingerprint = present(model_id)
    return FastSamSegmenter(spec, open_runtime(path, spec.title), fingerprint)


def _missing(model_id: str) -> str | None:
    from models.sam_family.files import missing

    return missing(model_id)


def _spec(model_id: str, title: str, summary: str) -> SegmenterSpec:
    return SegmenterSpec(
        id=model_id,
        title=title,
        version="1",
        summary=summary,
        licence="AGPL-3.0 (weights)",
        load=lambda: _load(model_id),
        available=lambda: _missing(model_id),
        storage="float16",
        input_size=1024,
        # The network filters what it finds by itself.
        least_score=0.0,
        least_stability=0.0,
    )


SPECS = (
    _spec(
        "fastsam-s",
        "FastSAM-s",
        "All objects of an image at once; a click or box picks one. Coarser edges than SAM.",
    ),
    _spec("fastsam-x", "FastSAM-x", "As FastSAM-s, larger and more exact."),
)
