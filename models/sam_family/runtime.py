"""Which runtime a network in SAM's layout gets on this computer."""

from __future__ import annotations

import functools
import shutil
import sys
from pathlib import Path

from models.api import SegmenterSpec
from models.runtimes import preferred
from models.sam_family.files import present
from models.sam_family.graphs import GraphDecoder, GraphEncoder, Runtime, exported
from models.sam_family.segmenter import SamSegmenter
from models.transforms import SIDE

# ViT-L and ViT-H are run by torch alone: as graphs they would take another 1.2 and 2.5 GB of disk
# and minutes to be made. (`annotator models export` writes them for those who want them.)
EXPORTED = ("sam-vit-b", "mobilesam")
GRID = SIDE // 16


def open_sam(spec: SegmenterSpec) -> SamSegmenter:
    """SAM or MobileSAM: torch on a graphics processor, else onnxruntime where that is possible.

    Raises:
        ModelError: the weights are missing or do not fit.
    """
    path, fingerprint = present(spec.id)

    @functools.cache
    def in_torch() -> Runtime:
        from models.sam_family.torch_runtime import TorchRuntime

        return TorchRuntime.of(spec.id, spec.title, path)

    if spec.id not in EXPORTED or accelerated():
        runtime = in_torch()
        return SamSegmenter(spec, runtime.encoder, runtime.decoder, f"{fingerprint}-torch")
    graphs = exported(spec.id, spec.title, path, fingerprint)
    decoder = GraphDecoder(graphs, GRID, in_torch)
    return SamSegmenter(spec, GraphEncoder(graphs, in_torch), decoder, graphs.fingerprint)


def accelerated() -> bool:
    """Whether torch may use a graphics processor; torch is not imported where there is none."""
    if preferred() != "auto":
        return False
    likely = (
        sys.platform == "darwin"
        or Path("/dev/nvidia0").exists()
        or shutil.which("nvidia-smi") is not None
    )
    if not likely:
        return False
    from models.sam_family.torch_runtime import best_device

    return best_device().type != "cpu"
