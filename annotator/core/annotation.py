"""`Annotation`: one object a person (or a model, or a file) marked in an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from annotator.core.mask import Mask
from models.api import Box, Prompt

NOTHING: Mapping[str, Any] = MappingProxyType({})
IS_THING = "isthing"
"""Of the other keys of a category: 0 for stuff."""


def _nothing() -> Mapping[str, Any]:
    # Dataclasses of Python 3.11 refuse unhashable defaults.
    return NOTHING


class Source(Enum):
    """Who made an annotation."""

    PERSON = "person"
    MODEL = "model"
    IMPORT = "import"


class Status(Enum):
    """What a person said about an image or an object."""

    TODO = "todo"
    DONE = "done"
    LOOK = "look"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an annotation comes from; survives into the COCO file.

    Attributes:
        source: person for shapes drawn by hand, model for shapes a segmenter made (also when a
            person clicked and accepted), import for shapes read from a file.
        model: the segmenter's id, empty without one.
        version: the segmenter's version.
        score: the segmenter's confidence, 0 to 1; that of the detector for a box with a score.
        prompt: the clicks and box that produced the shape.
        stability: how little the shape depends on the threshold of its logits, 0 to 1.
        follows: id of the object of an earlier image that was followed to this one.
        label: what the file called the box that was the prompt, what a model that names by itself
            called it, or the name of the object it resembles; else empty.
        resembles: id of the accepted object of another image that it was taken for again.
        edited: a person has changed the shape since; everything else says how it began.
    """

    source: Source = Source.PERSON
    model: str = ""
    version: str = ""
    score: float | None = None
    prompt: Prompt | None = None
    stability: float | None = None
    follows: int | None = None
    label: str = ""
    resembles: int | None = None
    edited: bool = False


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of one image. Equal by value; change is replacement (`dataclasses.replace`).

    Attributes:
        id: positive, unique in the project, stable between saves; also the COCO annotation id.
        shape: the exact pixels, or a plain box.
        category_id: the `Category.id`, or None while the object has no name.
        origin: who made it.
        is_crowd: one mask for a group that cannot be told apart (COCO `iscrowd`).
        hidden: not drawn, until shown again.
        locked: cannot be selected on the canvas, moved or deleted.
        polygons: rings x0, y0, x1, y1 … that rasterise to exactly `shape` (drawn by hand or kept
            from a file), () for a mask that a file gave as RLE and gets back as RLE, or None.
            Whoever replaces `shape` drops them.
        attributes: the user's own keys with text, number or truth values.
        extra: keys of an imported file this program does not know; written back as they came.
        proposed: a model made it and no person has accepted it: it counts for nothing (class
            usage, names to suggest, COCO file) until `annotator.core.proposals` accepts it.
        status: what a person who checked it said.
        comment: what that person had to say.
        track: the same for one thing in all images of a sequence, unique in the project; None: see
            `annotator.core.tracks.track_of`.
    """

    id: int
    shape: Mask | Box
    category_id: int | None = None
    origin: Origin = field(default_factory=Origin)
    is_crowd: bool = False
    hidden: bool = False
    locked: bool = False
    polygons: tuple[tuple[float, ...], ...] | None = None
    attributes: Mapping[str, str | float | bool] = field(default_factory=_nothing)
    extra: Mapping[str, Any] = field(default_factory=_nothing)
    proposed: bool = False
    status: Status = Status.TODO
    comment: str = ""
    track: int | None = None


Annotations = tuple[Annotation, ...]
"""All objects of one image, proposed ones among them, bottom layer first."""


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects.

    Attributes:
        id: positive, unique in the project, stable; also the COCO category id.
        name: what people read; unique in the project.
        color: "#rrggbb".
        supercategory: COCO `supercategory`, may be empty.
        extra: unknown keys of an imported category.
        synonyms: other names of the same thing, for search and for models that know text.
    """

    id: int
    name: str
    color: str
    supercategory: str = ""
    extra: Mapping[str, Any] = field(default_factory=_nothing)
    synonyms: tuple[str, ...] = ()

    @property
    def is_thing(self) -> bool:
        """Whether it can be counted, else it is stuff (sky): `isthing` of COCO's panoptic files."""
        return bool(self.extra.get(IS_THING, 1))


class ImageState(Enum):
    """How far the work on an image has come."""

    UNTOUCHED = "untouched"
    PROPOSALS = "proposals"
    ANNOTATED = "annotated"
    REVIEWED = "reviewed"
    LOOK = "look"
    REJECTED = "rejected"


STATE_OF = {
    Status.DONE: ImageState.REVIEWED,
    Status.LOOK: ImageState.LOOK,
    Status.REJECTED: ImageState.REJECTED,
}
"""What an image is while a person's word on it stands."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What the project knows about one image without opening it.

    Attributes:
        key: path relative to the project folder, forward slashes, with extension.
        id: COCO image id, positive and stable; 0 before the project has stored the image.
        width: pixels of the upright image, 0 while unknown.
        height: pixels of the upright image, 0 while unknown.
        orientation: EXIF orientation of the file, 1 to 8 (1: stored upright).
        count: number of annotations, without proposals.
        status: what a person said about the whole image.
        proposals: number of proposals waiting for a decision.
        extra: unknown keys of an imported file.
        comment: what a person had to say about the image.
    """

    key: str
    id: int = 0
    width: int = 0
    height: int = 0
    orientation: int = 1
    count: int = 0
    status: Status = Status.TODO
    proposals: int = 0
    extra: Mapping[str, Any] = field(default_factory=_nothing)
    comment: str = ""

    @property
    def reviewed(self) -> bool:
        """Whether a person said that this image is finished."""
        return self.status is Status.DONE

    @property
    def settled(self) -> bool:
        """Whether work on many images leaves this one alone: it is finished or rejected."""
        return self.status in (Status.DONE, Status.REJECTED)

    @property
    def state(self) -> ImageState:
        """The state the image list shows."""
        if self.status is not Status.TODO:
            return STATE_OF[self.status]
        if self.count:
            return ImageState.ANNOTATED
        return ImageState.PROPOSALS if self.proposals else ImageState.UNTOUCHED
