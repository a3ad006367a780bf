"""EfficientSAM-Ti and EfficientSAM-S."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec


def _load(model_id: str) -> Segmenter:
    from models.networks.efficientsam import VIT_S, VIT_T, EfficientSam
    from models.sam_family.efficient import EfficientSegmenter
    from models.sam_family.files import present
    from models.sam_family.torch_efficient import TorchEfficient, read_weights
    from models.sam_family.torch_runtime import best_device, filled

    spec = next(spec for spec in SPECS if spec.id == model_id)
    sizes = {"efficientsam-ti": VIT_T, "efficientsam-s": VIT_S}[model_id]
    path, fingerprint = present(model_id)
    network = filled(lambda: EfficientSam(sizes), read_weights(path), path, spec.title)
    runtime = TorchEfficient(network, best_device())
    return EfficientSegmenter(spec, runtime, fingerprint, sizes.side)


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
        input_size=1024,
        sides=(1280, 1536, 2048),
    )


SPECS = (
    _spec(
        "efficientsam-ti",
        "EfficientSAM-Ti",
        "Good masks from a small plain transformer, free for commercial work.",
    ),
    _spec(
        "efficientsam-s",
        "EfficientSAM-S",
        "More exact than EfficientSAM-Ti, and about twice as slow.",
    ),
)
