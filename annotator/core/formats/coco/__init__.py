"""COCO instance files: `read_coco`, `write_coco` and the `Dataset` between them."""

from annotator.core.formats.coco.dataset import UNNAMED_ID, Dataset, Entry
from annotator.core.formats.coco.reading import read_coco
from annotator.core.formats.coco.writing import write_coco

__all__ = ["UNNAMED_ID", "Dataset", "Entry", "read_coco", "write_coco"]
