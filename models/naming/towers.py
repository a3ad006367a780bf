"""Which CLIP models can name objects: a short list, nothing heavy to import."""

from __future__ import annotations

from dataclasses import dataclass

from models import catalog
from models.api import ModelError
from models.weights import Weight, local_path


@dataclass(frozen=True, slots=True)
class Tower:
    """A pair of towers: images and texts to vectors that can be compared.

    Attributes:
        id: stable key used in settings, caches and vector spaces.
        title: what people read.
        architecture: the name open_clip knows it by. All of OpenAI's need QuickGELU: without it
            open_clip builds a network that answers slightly wrongly and only warns. LAION's
            ConvNeXt was trained without it.
        weight: `Weight.id` of its file.
        length: of a vector.
        side: of the square it sees, pixels.
        cost: how long an object takes, against the fastest.
        summary: one sentence: what it is good for.
    """

    id: str
    title: str
    architecture: str
    weight: str
    length: int
    side: int
    cost: float
    summary: str

    @property
    def file(self) -> Weight:
        """Its weights: licence, size, address."""
        return catalog.WEIGHTS[self.weight]

    @property
    def licence(self) -> str:
        """Name of the licence of its weights."""
        return self.file.licence.name

    def available(self) -> str | None:
        """None when it can run now, else a sentence saying what is missing."""
        if local_path(self.file) is not None:
            return None
        return f"{self.file.title} is not on this computer."


@dataclass(frozen=True, slots=True)
class NoTower:
    """No text model at all, as people choose it; see `Tower` for the attributes."""

    id: str = ""
    title: str = "Only the names given in this project"
    summary: str = "Similar objects suggest their names. Nothing to download, and fast."
    licence: str = "Apache-2.0"

    def available(self) -> str | None:
        """Nothing is ever missing."""
        return None


NO_TOWER = NoTower()

# Costs: multiply-adds of the image towers (4.4, 6.1, 17.6, 122 and 70 thousand million) as
# published, the last one from those of ConvNeXt-L at 224 pixels (34.4).
TOWERS = (
    Tower(
        "clip-vit-b-32",
        "CLIP ViT-B/32",
        "ViT-B-32-quickgelu",
        "clip-vit-b-32",
        512,
        224,
        1.0,
        "The fastest on a processor. About 340 MB.",
    ),
    Tower(
        "clip-rn50",
        "CLIP ResNet-50",
        "RN50-quickgelu",
        "clip-rn50",
        1024,
        224,
        1.4,
        "The smallest: about 240 MB; takes 1.4 times as long as ViT-B/32.",
    ),
    Tower(
        "clip-vit-b-16",
        "CLIP ViT-B/16",
        "ViT-B-16-quickgelu",
        "clip-vit-b-16",
        512,
        224,
        4.0,
        "Better names for four times the time. About 340 MB.",
    ),
    Tower(
        "clip-rn50x16",
        "CLIP ResNet-50x16",
        "RN50x16-quickgelu",
        "clip-rn50x16",
        768,
        384,
        28.0,
        "What Open-Vocabulary SAM is built on: 28 times the time of ViT-B/32. About 630 MB.",
    ),
    Tower(
        "clip-convnext-large-d-320",
        "CLIP ConvNeXt-L",
        "convnext_large_d_320",
        "clip-convnext-large-d-320",
        768,
        320,
        16.0,
        "What OMG-Seg is built on: 16 times the time of ViT-B/32. About 1.4 GB.",
    ),
)


def find_tower(tower_id: str) -> Tower:
    """The towers with this id.

    Raises:
        ModelError: no such model.
    """
    for tower in TOWERS:
        if tower.id == tower_id:
            return tower
    known = ", ".join(tower.id for tower in TOWERS)
    raise ModelError(f"There is no model for names “{tower_id}”. Known: {known}.")
