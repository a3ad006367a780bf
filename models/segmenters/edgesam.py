"""EdgeSAM: exact masks from one click on any laptop, once its weights are there."""

from __future__ import annotations

from models.api import ModelError, Segmenter, SegmenterSpec

SUMMARY = "Exact masks from one click or box; 0.3 s for each image, then instant answers."


def _load(model_id: str) -> Segmenter:
    from models.catalog import needs
    from models.edgesam import graphs
    from models.edgesam.segmenter import EdgeSamSegmenter
    from models.weights import local_path, verified_path

    spec = next(spec for spec in SPECS if spec.id == model_id)
    for group in needs(model_id):
        if all(local_path(weight) for weight in group):
            files = [verified_path(weight) for weight in group]
            made = graphs.from_checkpoint if len(files) == 1 else graphs.from_official
            return EdgeSamSegmenter(spec, made(*files))
    raise ModelError(_missing(model_id) or f"The files of {spec.title} are missing.")


def _missing(model_id: str) -> str | None:
    from models.catalog import needs
    from models.weights import local_path

    groups = needs(model_id)
    if any(all(local_path(weight) for weight in group) for group in groups):
        return None
    (weight, *_), *_ = groups
    return (
        f"The file “{weight.file_name}” ({weight.licence.name}) is missing. Get it in Settings, "
        f"Model, or with: annotator models get {weight.id}"
    )


def _spec(model_id: str, title: str, summary: str) -> SegmenterSpec:
    return SegmenterSpec(
        id=model_id,
        title=title,
        version="1",
        summary=summary,
        licence="S-Lab License 1.0 (non-commercial)",
        load=lambda: _load(model_id),
        available=lambda: _missing(model_id),
        # int8 would halve it, but only a check with trained weights can allow that.
        storage="float16",
        # The decoder's image side is three times as large and made again in milliseconds.
        stored_arrays=("image",),
        input_size=1024,
    )


SPECS = (
    _spec("edgesam-3x", "EdgeSAM 3x", f"{SUMMARY} Trained three times longer: the best choice."),
    _spec("edgesam", "EdgeSAM", SUMMARY),
)
