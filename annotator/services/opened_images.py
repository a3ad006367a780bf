"""Annotations and history of the images in use: read when asked, forgotten when long unused."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from annotator.core.annotation import Annotations
from annotator.core.history import Change
from annotator.services.history_journal import Step

MAX_IMAGES = 256
MAX_ANNOTATIONS = 20_000
MAX_CHANGES = 512


@dataclass(slots=True, eq=False)
class OpenedImage:
    """What is in memory about one image.

    Attributes:
        annotations: the current state.
        done: steps that can be undone, oldest first.
        undone: steps that can be redone, the next one last.
    """

    annotations: Annotations
    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)


class OpenedImages:
    """Images by id, the least recently used forgotten first, those with unsaved work never.

    Args:
        load: reads an image from the journal.
        load_change: reads what a step changed from the journal.
    """

    def __init__(
        self, load: Callable[[int], OpenedImage], load_change: Callable[[int], Change]
    ) -> None:
        self._load = load
        self._load_change = load_change
        self._images: OrderedDict[int, OpenedImage] = OrderedDict()
        self._unsaved: Counter[int] = Counter()
        self._changes: OrderedDict[int, Change] = OrderedDict()
        self._unsaved_changes: dict[int, Change] = {}

    def get(self, image: int) -> OpenedImage:
        """The image, read if necessary."""
        opened = self._images.get(image)
        if opened is None:
            opened = self._images[image] = self._load(image)
            self._forget()
        self._images.move_to_end(image)
        return opened

    def change(self, step: int) -> Change:
        """What a step changed, read if necessary."""
        change = self._unsaved_changes.get(step) or self._changes.get(step)
        return change if change is not None else self._load_change(step)

    def hold(self, image: int, step: int, change: Change | None = None) -> None:
        """Keep the image (and a new step) in memory until `release`."""
        self._unsaved[image] += 1
        if change is not None:
            self._unsaved_changes[step] = change

    def release(self, image: int, step: int) -> None:
        """The journal has it."""
        self._unsaved[image] -= 1
        if self._unsaved[image] <= 0:
            del self._unsaved[image]
            self._forget()
        change = self._unsaved_changes.pop(step, None)
        if change is not None:
            self._changes[step] = change
            if len(self._changes) > MAX_CHANGES:
                self._changes.popitem(last=False)

    def _forget(self) -> None:
        total = sum(len(opened.annotations) for opened in self._images.values())
        newest = next(reversed(self._images), None)
        for image in list(self._images):
            if len(self._images) <= MAX_IMAGES and total <= MAX_ANNOTATIONS:
                return
            if image != newest and image not in self._unsaved:
                total -= len(self._images.pop(image).annotations)
