"""COCO instance files: `read_coco`, `write_coco` and the `Dataset` between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annotator.core.formats.coco.dataset import UNNAMED_ID, Dataset, Entry

if TYPE_CHECKING:
    from annotator.core.formats.coco.reading import read_coco
    from annotator.core.formats.coco.writing import write_coco

__all__ = ["UNNAMED_ID", "Dataset", "Entry", "read_coco", "write_coco"]


def __getattr__(name: str) -> Any:
    # Both need numpy and pycocotools, which a folder without a COCO file should not wait for.
    if name == "read_coco":
        from annotator.core.formats.coco.reading import read_coco

        return read_coco
    if name == "write_coco":
        from annotator.core.formats.coco.writing import write_coco

        return write_coco
    raise AttributeError(name)
