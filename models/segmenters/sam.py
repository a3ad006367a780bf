"""SAM ViT-B, ViT-L and ViT-H: the original Segment Anything."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec


def _load(model_id: str) -> Segmenter:
    from models.networks.sam_vit import VIT_B, VIT_H, VIT_L, sam_vit
    from models.sam_family.files import present
    from models.sam_family.segmenter import SamSegmenter
    from models.sam_family.torch_runtime import TorchDecoder, TorchEncoder, best_device, loaded

    spec = next(spec for spec in SPECS if spec.id == model_id)
    sizes = {"sam-vit-b": VIT_B, "sam-vit-l": VIT_L, "sam-vit-h": VIT_H}[model_id]
    path, fingerprint = present(model_id)
    network = loaded(lambda: sam_vit(sizes), path, spec.title)
    device = best_device()
    encoder, decoder = TorchEncoder(network.image_encoder, device), TorchDecoder(network, device)
    return SamSegmenter(spec, encoder, decoder, fingerprint, sizes.side)


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
