"""`Editing`: the objects of one image, which of them are selected, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.errors import UserError
from annotator.core.proposals import accepted
from annotator.services.mask_editing import MaskEditing
from annotator.services.proposals import Proposals

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.core.mask import Mask
    from annotator.services.document import Document
    from models.api import Box

PASTE_STEP = 12
"""Pixels a copy is moved by when it is pasted into the image it comes from."""


class Editing(QObject):
    """Every change is one `Document.edit`, so one undo step.

    Args:
        parent: Qt parent.
    """

    selection_changed = Signal(object)
    """frozenset of selected annotation ids of the current image."""
    clipboard_changed = Signal()
    """Objects were copied."""
    reported = Signal(object)
    """A `UserError` for the message bar."""
    noticed = Signal(str)
    """A short piece of good news for the status bar."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._key: str | None = None
        self._image: LoadedImage | None = None
        self._selection: frozenset[int] = frozenset()
        self._clipboard: Annotations = ()
        self.proposals = Proposals(self)
        self.masks = MaskEditing(self)

    @property
    def document(self) -> Document | None:
        """The open project."""
        return self._document

    @property
    def key(self) -> str | None:
        """The current image."""
        return self._key

    @property
    def image(self) -> LoadedImage | None:
        """The current image's pixels, None until they are read."""
        return self._image

    @property
    def annotations(self) -> Annotations:
        """All objects of the current image, proposals among them, bottom layer first."""
        if self._document is None or self._key is None:
            return ()
        return self._document.annotations(self._key)

    @property
    def visible(self) -> Annotations:
        """The objects without the proposals that the filter holds back, bottom layer first."""
        return self.proposals.visible(self.annotations)

    @property
    def selection(self) -> frozenset[int]:
        """Ids of the selected annotations."""
        return self._selection

    @property
    def selected(self) -> Annotations:
        """The selected annotations, bottom layer first."""
        return tuple(a for a in self.annotations if a.id in self._selection)

    def select(self, ids: Iterable[int]) -> None:
        """Select exactly these annotations of the current image."""
        chosen = frozenset(ids)
        if chosen == self._selection:
            return
        self._selection = chosen
        self.selection_changed.emit(chosen)

    def select_all(self) -> None:
        """Select everything shown that is neither hidden nor locked."""
        self.select(a.id for a in self.visible if not a.hidden and not a.locked)

    def select_step(self, step: int) -> None:
        """Select the next (1) or previous (-1) object, bottom layer first."""
        walk = [a.id for a in self.visible if not a.hidden]
        if not walk:
            return
        places = [place for place, number in enumerate(walk) if number in self._selection]
        start = (places[-1] if step > 0 else places[0]) if places else (-1 if step > 0 else 0)
        number = walk[(start + step) % len(walk)]
        self.select((number,))
        self.proposals.revealed.emit(number)

    def _follow_annotations(self, key: str) -> None:
        if key == self._key:
            present = {a.id for a in self.visible}
            self.select(self._selection & present)

    def change(self, text: str, alter: Callable[[Annotation], Annotation | None]) -> None:
        """Alter the selected annotations in one step; None deletes.

        Locked annotations are left alone unless the alteration unlocks them.
        """
        self.change_some(self._selection, text, alter)

    def change_some(
        self,
        ids: Iterable[int],
        text: str,
        alter: Callable[[Annotation], Annotation | None],
    ) -> None:
        """Alter these annotations of the current image in one step; None deletes.

        A proposal whose shape is altered is accepted by that: a person has corrected it, and
        “reject all” must not throw their work away. Naming it does not accept it.
        """
        if self._document is None or self._key is None:
            return
        chosen = frozenset(ids)
        after: list[Annotation] = []
        for annotation in self.annotations:
            new = alter(annotation) if annotation.id in chosen else annotation
            if annotation.locked and (new is None or new.locked):
                new = annotation
            elif new is not None and new.shape != annotation.shape:
                new = self.corrected(new)
            if new is not None:
                after.append(new)
        settled = self.masks.settled(self.annotations, tuple(after))
        if settled != self.annotations:
            self._document.edit(self._key, settled, text)

    @staticmethod
    def corrected(annotation: Annotation) -> Annotation:
        """An object whose shape a person changed: accepted, and its origin says so."""
        origin = annotation.origin
        edited = origin.edited or origin.source is not Source.PERSON
        return replace(accepted(annotation), origin=replace(origin, edited=edited))

    def delete_selected(self) -> None:
        """Delete the selected annotations; proposals alone are rejected."""
        if all(a.proposed for a in self.selected):
            self.proposals.decide_selected(accept=False)
        else:
            self.change(f"Delete {self._count()}", lambda _: None)

    def _count(self) -> str:
        chosen = self.selected
        if len(chosen) == 1:
            return self.name_of(chosen[0].category_id)
        return f"{len(chosen)} objects"

    def rename_selected(self, category_id: int) -> None:
        """Give the selected annotations this class."""
        self.change(
            f"Name {self.name_of(category_id)}", lambda a: replace(a, category_id=category_id)
        )

    def set_flag(self, ids: Iterable[int], flag: str, value: bool) -> None:
        """Set "hidden", "locked" or "is_crowd" of these annotations."""
        words = {"hidden": ("Hide", "Show"), "locked": ("Lock", "Unlock")}
        verb = words.get(flag, ("Mark as crowd", "Not a crowd"))[0 if value else 1]
        chosen = frozenset(ids)

        def alter(annotation: Annotation) -> Annotation:
            return replace(annotation, **{flag: value})  # type: ignore[arg-type]

        if self._document is None or self._key is None:
            return
        after = tuple(alter(a) if a.id in chosen else a for a in self.annotations)
        if after != self.annotations:
            self._document.edit(self._key, after, verb)

    def set_attributes(self, annotation_id: int, attributes: dict[str, str | float | bool]) -> None:
        """Replace the attributes of one annotation."""
        self.change_some(
            (annotation_id,), "Edit attributes", lambda a: replace(a, attributes=attributes)
        )

    def move_selected(self, dx: int, dy: int) -> None:
        """Move the selected annotations by whole pixels; what leaves the image is cut off."""
        if not dx and not dy:
            return
        from annotator.core.shapes import moved

        image = self._image
        if image is not None:
            self.change(
                f"Move {self._count()}", lambda a: moved(a, dx, dy, image.width, image.height)
            )

    def replace_shape(self, annotation_id: int, shape: Mask | Box, text: str) -> None:
        """Give one annotation another shape."""
        self.change_some((annotation_id,), text, lambda a: replace(a, shape=shape, polygons=None))

    def restack(self, ids: Iterable[int], step: int | None, *, up: bool) -> None:
        """Move annotations through the layers: by one step, or (None) to the very end."""
        from annotator.core.shapes import restacked

        if self._document is None or self._key is None:
            return
        after = restacked(self.annotations, frozenset(ids), step, up=up)
        if after != self.annotations:
            self._document.edit(self._key, after, "Raise" if up else "Lower")

    def copy(self) -> None:
        """Remember the selected annotations."""
        if self.selected:
            self._clipboard = self.selected
            self.clipboard_changed.emit()
            self.noticed.emit(f"Copied {self._count()}.")

    def cut(self) -> None:
        """Remember the selected annotations and delete them."""
        self.copy()
        self.delete_selected()

    @property
    def can_paste(self) -> bool:
        """Whether anything was copied."""
        return bool(self._clipboard)

    def paste(self, *, in_place: bool = False) -> None:
        """Insert copies, in place in another image, a little aside in the same one.

        Args:
            in_place: in place in the same one, too.
        """
        self._insert(self._clipboard, "Paste", in_place=in_place)

    def duplicate(self) -> None:
        """Insert copies of the selected annotations."""
        self._insert(self.selected, "Duplicate")

    def _insert(self, originals: Annotations, verb: str, *, in_place: bool = False) -> None:
        document, key, image = self._document, self._key, self._image
        if document is None or key is None or image is None or not originals:
            return
        from annotator.core.shapes import fitted, moved

        present = {a.shape for a in self.annotations}
        aside = not in_place and any(a.shape in present for a in originals)
        shift = PASTE_STEP if aside else 0
        copies = []
        for original in originals:
            placed = fitted(original, image.width, image.height)
            placed = placed and moved(placed, shift, shift, image.width, image.height)
            if placed is not None:
                placed = replace(placed, id=document.new_id(), locked=False, hidden=False)
                copies.append(accepted(placed))
        if not copies:
            self.reported.emit(UserError("The copied objects lie outside this image."))
            return
        after = self.masks.settled(self.annotations, (*self.annotations, *copies))
        document.edit(key, after, f"{verb} {len(copies)}")
        self.select(copy.id for copy in copies)

    def name_of(self, category_id: int | None) -> str:
        """What people call an object of this class."""
        if category_id is None or self._document is None:
            return "object"
        return self._document.category(category_id).name
