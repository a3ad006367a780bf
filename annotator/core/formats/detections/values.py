"""What files with boxes say, in the domain's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from annotator.core.troubles import Trouble
from models.api import Box

NO_IMAGE = "files or entries for images that are not in the folder"
AMBIGUOUS = "files or entries that fit several images"
NO_BOX = "entries without four usable numbers for a box, and without a mask"
BAD_SCORE = "scores that are not between 0 and 1; the model's own is taken"
UNLISTED = "classes that are used but not listed; they got a name"


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """One box of a detector.

    Attributes:
        box: image pixels, upright, or shares of the image where `relative`.
        label: the name of its class, "" without one.
        score: 0 to 1, None without one.
        relative: whether x is given as a share of the width and y as one of the height.
    """

    box: Box
    label: str
    score: float | None = None
    relative: bool = False

    def in_image(self, width: int, height: int) -> Box:
        """The part inside an image of this size, image pixels."""
        box = self.box
        if self.relative:
            box = Box(box.x0 * width, box.y0 * height, box.x1 * width, box.y1 * height)
        return box.clipped(width, height)


@dataclass(frozen=True, slots=True)
class Known:
    """What numbers in a file mean where the file itself does not say.

    Attributes:
        images: key or file name by image id.
        categories: name by category id.
    """

    images: Mapping[int | str, str] = field(default_factory=dict)
    categories: Mapping[int | str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes of many images.

    Attributes:
        boxes: by the key of the image.
        labels: all names, in the order of the file's list of classes.
        sizes: width and height of the upright image by key, where the file says so.
        troubles: what could not be used.
        digest: of everything that was read.
        known: what the numbers mean that the file uses.
    """

    boxes: Mapping[str, tuple[LabelledBox, ...]]
    labels: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()
    digest: str = ""
    known: Known = field(default_factory=Known)


class ImageNames:
    """Finds the image a file means.

    Args:
        keys: all images, relative paths.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._full: dict[str, str] = {}
        self._by_name: dict[str, list[str]] = {}
        self._by_path_stem: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for key in keys:
            path = PurePosixPath(key)
            self._full[key] = key
            self._by_name.setdefault(path.name, []).append(key)
            self._by_path_stem.setdefault(str(path.with_suffix("")), []).append(key)
            self._by_stem.setdefault(path.stem, []).append(key)

    def named(self, file_name: str) -> list[str]:
        """The images a file name can mean: this very path, else all with this base name."""
        path = PurePosixPath(file_name.replace("\\", "/"))
        known = self._full.get(str(path))
        return [known] if known is not None else self._by_name.get(path.name, [])

    def beside(self, file_name: str) -> list[str]:
        """The images a file with boxes can mean, whatever their extension."""
        path = PurePosixPath(file_name.replace("\\", "/")).with_suffix("")
        return self._by_path_stem.get(str(path)) or self._by_stem.get(path.name, [])


@dataclass(slots=True)
class Collector:
    """Gathers the boxes while a file is read."""

    images: ImageNames
    boxes: dict[str, list[LabelledBox]] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)

    def image(self, candidates: list[str], where: str) -> str | None:
        """The one image that is meant, or a trouble."""
        if len(candidates) == 1:
            return candidates[0]
        self.trouble(AMBIGUOUS if candidates else NO_IMAGE, where)
        return None

    def add(self, key: str, box: LabelledBox, where: str) -> None:
        """Keep a box; a score that cannot be one is dropped."""
        if box.score is not None and not 0 <= box.score <= 1:
            self.trouble(BAD_SCORE, where)
            box = replace(box, score=None)
        if box.label:
            self.labels.setdefault(box.label)
        self.boxes.setdefault(key, []).append(box)

    def trouble(self, what: str, where: str) -> None:
        """Something cannot be used."""
        self.troubles.append(Trouble(what, where))

    def done(self, digest: str) -> Detections:
        """All of it."""
        boxes = {key: tuple(found) for key, found in self.boxes.items()}
        return Detections(boxes, tuple(self.labels), self.sizes, tuple(self.troubles), digest)
