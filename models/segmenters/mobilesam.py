"""MobileSAM: SAM's decoder on a small encoder, free for commercial work."""

from __future__ import annotations

from models.api import Segmenter, SegmenterSpec

ID = "mobilesam"


def _load() -> Segmenter:
    from models.sam_family.runtime import open_sam

    return open_sam(SPEC)


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
    stored_arrays=("image",),
    input_size=1024,
)
