"""The folded mask decoder: the same function as SAM's decoder with less than half the work."""

from models.networks.folded.decoder import Cells, ImageSide, MaskSide, Trunk, fold
from models.networks.folded.export import export_folded, export_module, export_plain

__all__ = [
    "Cells",
    "ImageSide",
    "MaskSide",
    "Trunk",
    "export_folded",
    "export_module",
    "export_plain",
    "fold",
]
