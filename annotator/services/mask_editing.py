"""`MaskEditing`: what is done to the pixels of objects, and who owns pixels that objects share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Annotation, Annotations
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.services.mask_work import MaskWork

if TYPE_CHECKING:
    from annotator.core.editing.regions import Connectivity
    from annotator.services.editing import Editing

Overlap = Literal["allowed", "takes", "leaves"]
"""Objects may share pixels; or a new object takes them from the others, or leaves them to them."""

OVERLAPS: tuple[Overlap, ...] = ("allowed", "takes", "leaves")
NOTE = "overlap"
_COMBINED = {
    "union": "Join",
    "subtract": "Subtract",
    "intersect": "Intersect",
    "exclude": "Exclude",
}


class MaskEditing(QObject):
    """Changes masks of the current image; every call is one undo step.

    Args:
        editing: the objects and which of them are selected.
    """

    overlap_changed = Signal(str)
    """The `Overlap` of the project."""

    def __init__(self, editing: Editing) -> None:
        super().__init__(editing)
        self._editing = editing
        self._work = MaskWork(self)
        self._work.failed.connect(editing.reported)

    def finish(self) -> None:
        """Wait for work on large masks that is under way."""
        self._work.finish()

    # --- Who owns a pixel ---

    @property
    def overlap(self) -> Overlap:
        """Whether objects of this project may share pixels."""
        document = self._editing.document
        noted = document.note(NOTE) if document is not None else None
        return next((known for known in OVERLAPS if known == noted), "allowed")

    def set_overlap(self, overlap: Overlap) -> None:
        """From now on; what overlaps already stays until it is changed."""
        document = self._editing.document
        if document is not None and overlap != self.overlap:
            document.set_note(NOTE, overlap)
            self.overlap_changed.emit(overlap)

    def settled(self, before: Annotations, after: Annotations) -> Annotations:
        """An edit of an image with what the project says about shared pixels.

        Where a new object leaves pixels to others it becomes the lowest layer, so that the order
        of layers always says who has a pixel.

        Args:
            before: the objects before the edit.
            after: the objects the edit makes.
        """
        overlap = self.overlap
        if overlap == "allowed":
            return after
        from annotator.core.editing.layers import separated

        known = {a.id: a for a in before if not a.proposed}
        new = {a.id for a in after if a.id not in known and not a.proposed}
        fresh = new | {a.id for a in after if a.id in known and known[a.id].shape != a.shape}
        if overlap == "leaves":
            after = (*(a for a in after if a.id in new), *(a for a in after if a.id not in new))
        result = separated(after, fresh)
        gone = len(after) - len(result)
        if gone:
            noun = "1 object has" if gone == 1 else f"{gone} objects have"
            self._editing.noticed.emit(
                f"{noun} no pixel left, because objects may not overlap. Undo brings them back."
            )
        return result

    # --- One object ---

    def editable(self) -> Annotation | None:
        """The one object whose pixels are changed; None when nothing is selected.

        Raises:
            UserError: several are selected, or it is locked.
        """
        chosen = self._editing.selected
        if len(chosen) > 1:
            raise UserError(
                "Several objects are selected.",
                "Select the one to change, or none (Esc) to begin a new one.",
            )
        if chosen and chosen[0].locked:
            raise UserError("This object is locked.", "Unlock it first (Ctrl+L).")
        return chosen[0] if chosen else None

    def mask_of(self, annotation: Annotation) -> Mask:
        """The pixels of any object of the current image; a plain rectangle has those inside it."""
        from annotator.core.editing.layers import as_mask

        return as_mask(annotation.shape, *self._size())

    def _size(self) -> tuple[int, int]:
        image = self._editing.image
        return (image.width, image.height) if image is not None else (1, 1)

    def put(self, annotation_id: int, mask: Mask, verb: str) -> None:
        """Give an object these pixels. With none it is deleted, which is said and can be undone.

        Args:
            annotation_id: an object of the current image.
            mask: its new pixels.
            verb: for the undo text, for example "Paint on".
        """
        from annotator.core import raster

        annotation = next((a for a in self._editing.annotations if a.id == annotation_id), None)
        if annotation is None or annotation.shape == mask:
            return
        name = self._editing.name_of(annotation.category_id)
        text = f"{verb} {name}"
        if raster.area(mask):
            self._editing.replace_shape(annotation_id, mask, text)
        else:
            self._editing.change_some((annotation_id,), text, lambda _: None)
            self._editing.noticed.emit(f"Nothing is left of {name}: it is deleted. Undo (Ctrl+Z).")

    def enclose(
        self,
        target: Annotation | None,
        path: Sequence[tuple[float, float]],
        *,
        remove: bool,
        begin: Callable[[Mask], None],
    ) -> None:
        """Add what a closed path encloses to an object, or take it away from it.

        Args:
            target: an object of the current image, read after `finish`; None for a new one.
            path: the outline, image pixels.
            remove: take away.
            begin: called with the pixels of a new object.
        """
        from annotator.core import raster
        from annotator.core.editing import drawing

        size = self._size()
        before = raster.empty(*size) if target is None else self.mask_of(target)

        def work() -> Mask:
            crop = drawing.polygon(path, *size)
            if crop is None:
                return before
            piece = raster.from_crop(crop, *size)
            return raster.difference(before, piece) if remove else raster.union((before, piece))

        def done(mask: Mask) -> None:
            if target is not None:
                self.put(target.id, mask, "Erase from" if remove else "Add to")
            elif mask != before:
                begin(mask)

        xs, ys = zip(*path, strict=True)
        self._work.run((max(xs) - min(xs)) * (max(ys) - min(ys)), work, done)

    def cut(
        self,
        annotation_ids: Sequence[int],
        path: Sequence[tuple[float, float]],
        missed: Callable[[], None],
    ) -> None:
        """Divide objects along a path, each in two; the smaller part is a new object above.

        Args:
            annotation_ids: objects of the current image.
            path: the line, image pixels.
            missed: called when it divides none of them.
        """
        from annotator.core.editing.outlines import cut

        self.finish()
        chosen = [a for a in self._editing.annotations if a.id in annotation_ids and not a.locked]
        masks = {a.id: self.mask_of(a) for a in chosen}

        def work() -> dict[int, tuple[Mask, ...]]:
            halves = {number: cut(mask, path) for number, mask in masks.items()}
            return {number: pair for number, pair in halves.items() if pair is not None}

        def done(made: dict[int, tuple[Mask, ...]]) -> None:
            if made:
                self._take_apart(made, f"Cut {self._called(made)}")
            else:
                missed()

        self._work.run(_size(masks.values()), work, done)

    # --- The selection ---

    def alter(self, verb: str, work: Callable[[Mask], Mask]) -> None:
        """Change the masks of the selected objects; one that would be gone stays as it is.

        Args:
            verb: for the undo text, for example "Smooth".
            work: the mask to its new one.

        Raises:
            UserError: no mask is selected.
        """
        chosen = [a for a in self._open() if isinstance(a.shape, Mask)]
        if not chosen:
            raise UserError("No mask is selected.", "Select an object that is no plain rectangle.")
        masks = {a.id: a.shape for a in chosen if isinstance(a.shape, Mask)}
        self._work.run(
            _size(masks.values()),
            lambda: {number: work(mask) for number, mask in masks.items()},
            lambda made: self.replace(verb, made),
        )

    def replace(self, verb: str, after: Mapping[int, Mask]) -> None:
        """Give objects other masks in one step; one that would be gone stays as it is.

        Args:
            verb: for the undo text.
            after: the new masks by the ids of objects of the current image.
        """
        from annotator.core import raster

        chosen = [a for a in self._editing.annotations if a.id in after and not a.locked]
        emptied = [a.id for a in chosen if not raster.area(after[a.id])]
        if emptied:
            self._editing.noticed.emit(f"Nothing would be left of {self._called(emptied)}.")
        changed = {
            a.id: after[a.id] for a in chosen if a.id not in emptied and after[a.id] != a.shape
        }
        if changed:
            self._editing.change_some(
                changed,
                f"{verb} {self._called(changed)}",
                lambda a: replace(a, shape=changed[a.id], polygons=None),
            )
        elif not emptied:
            self._editing.noticed.emit(f"{verb} {self._called(after)}: nothing to change.")

    def fill_holes(self) -> None:
        """Fill every hole of the selected objects."""
        from annotator.core.editing.regions import without_holes

        self.alter("Fill holes of", without_holes)

    def remove_specks(self, smallest: int) -> None:
        """Remove pieces of fewer pixels from the selected objects."""
        from annotator.core.editing.regions import without_specks

        self.alter("Remove specks of", lambda mask: without_specks(mask, smallest))

    def smooth(self, strength: float) -> None:
        """Smooth the outlines of the selected objects; see `regions.smoothed`."""
        from annotator.core.editing.regions import smoothed

        self.alter("Smooth", lambda mask: smoothed(mask, strength))

    def grow(self, pixels: int) -> None:
        """Grow the selected objects on all sides, or shrink them (negative)."""
        from annotator.core.editing.regions import grown

        self.alter("Grow" if pixels > 0 else "Shrink", lambda mask: grown(mask, pixels))

    def keep_largest(self) -> None:
        """Remove all but the largest connected piece (8) of the selected objects."""
        from annotator.core.editing.regions import pieces

        self.alter("Keep largest piece of", lambda mask: (*pieces(mask), mask)[0])

    def split(self, connectivity: Connectivity = 8) -> None:
        """Make every connected piece of the selected objects an object of its own."""
        from annotator.core.editing.regions import pieces

        masks = {a.id: a.shape for a in self._open() if isinstance(a.shape, Mask)}

        def work() -> dict[int, tuple[Mask, ...]]:
            found = {number: pieces(mask, connectivity) for number, mask in masks.items()}
            return {number: parts for number, parts in found.items() if len(parts) > 1}

        def done(several: dict[int, tuple[Mask, ...]]) -> None:
            if several:
                self._take_apart(several, f"Split {self._called(several)}")
            else:
                self._editing.noticed.emit("There is one piece only: nothing to split.")

        self._work.run(_size(masks.values()), work, done)

    def combine(self, operation: str) -> None:
        """Combine the selected objects.

        The largest one stays and keeps its number and class (else it gets the first class among
        the others). With "subtract" it loses what the others cover, and they stay; with "union",
        "intersect" and "exclude" the others become part of it.

        Raises:
            UserError: fewer than two are selected, or nothing would be left.
        """
        from annotator.core import raster
        from annotator.core.editing.layers import combined

        chosen = self._open()
        if len(chosen) < 2:
            raise UserError(
                "Select at least two objects that are not locked.",
                "Ctrl+click adds to the selection.",
            )
        masks = {a.id: self.mask_of(a) for a in chosen}
        chosen.sort(key=lambda a: -raster.area(masks[a.id]))
        mask = combined(operation, [masks[a.id] for a in chosen])
        if not raster.area(mask):
            raise UserError("Nothing would be left.", "The objects are as they were.")
        main, others = chosen[0], {a.id for a in chosen[1:]}
        named = next((a.category_id for a in chosen if a.category_id is not None), None)

        def alter(annotation: Annotation) -> Annotation | None:
            if annotation.id == main.id:
                name = named if annotation.category_id is None else annotation.category_id
                return replace(annotation, shape=mask, polygons=None, category_id=name)
            return annotation if operation == "subtract" else None

        count = len(chosen)
        self._editing.change_some(
            {main.id, *others}, f"{_COMBINED[operation]} {count} objects", alter
        )
        self._editing.select({main.id})

    def _open(self) -> list[Annotation]:
        self.finish()
        return [a for a in self._editing.selected if not a.locked]

    def _called(self, ids: Iterable[int]) -> str:
        wanted = set(ids)
        found = [a for a in self._editing.annotations if a.id in wanted]
        if len(found) == 1:
            return self._editing.name_of(found[0].category_id)
        return f"{len(found)} objects"

    def _take_apart(self, parts: Mapping[int, tuple[Mask, ...]], text: str) -> None:
        """Put parts in place of objects: the first keeps the object, the others lie above it."""
        document, key = self._editing.document, self._editing.key
        if document is None or key is None:
            return
        after: list[Annotation] = []
        made: list[int] = []
        for annotation in self._editing.annotations:
            if annotation.id not in parts:
                after.append(annotation)
                continue
            numbers = [annotation.id, *(document.new_id() for _ in parts[annotation.id][1:])]
            made += numbers
            whole = self._editing.corrected(annotation)
            after += [
                replace(whole, id=number, shape=mask, polygons=None)
                for number, mask in zip(numbers, parts[annotation.id], strict=True)
            ]
        document.edit(key, self.settled(self._editing.annotations, tuple(after)), text)
        self._editing.select(made)


def _size(masks: Iterable[Mask]) -> float:
    """Pixels of the boxes of masks: what work on them costs."""
    from annotator.core import raster

    boxes = [raster.box(mask) for mask in masks]
    return sum(box.width * box.height for box in boxes)
