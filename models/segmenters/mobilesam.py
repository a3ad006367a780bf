"""MobileSAM: SAM's decoder on a small encoder, free for commercial work."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec

ID = "mobilesam"


def _load() -> Segmenter:
    from models.networks.edgesam import merge_branches
    from models.networks.mobilesam import TINY_5M, mobile_sam
    from models.sam_family.files import present
    from models.sam_family.segmenter import SamSegmenter
    from models.sam_family.torch_runtime import TorchDecoder, TorchEncoder, best_device, loaded

    path, fingerprint = present(ID)
    sizes = TINY_5M
    network = loaded(lambda: mobile_sam(sizes), path, SPEC.title)
    device = best_device()
    encoder = TorchEncoder(merge_branches(network.image_encoder), device)
    return SamSegmenter(SPEC, encoder, TorchDecoder(network, device), fingerprint, sizes.side)


def _missing() -> str | None:
    from models.sam_family.files import missing

    return missing(ID)


SPEC = SegmenterSpec(
    id=ID,
    title="MobileSAM",
    version="1",
    summary="Good masks from one click or box, and free for commercial work; slower than EdgeSAM.",
    licence="Apache-2.0",
    load=_load,
    available=_missing,
    storage="float16",
    input_size=1024,
)
