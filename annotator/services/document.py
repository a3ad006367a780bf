"""`Document`: the only mutable truth of a project, observable, with a history that never ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QLockFile, QObject, Signal

from annotator.core.annotation import Annotations, Category, ImageRecord, Status
from annotator.core.class_history import ClassChange
from annotator.core.errors import UserError
from annotator.core.history import Change, difference
from annotator.core.mask import Mask
from annotator.core.vocabulary import TEMPLATES
from annotator.services import journal, operations
from annotator.services.coco_export import CocoExporter, CocoState
from annotator.services.history_journal import Step, WriteJump, line_marks, origin_of
from annotator.services.journal import DamagedJournal
from annotator.services.name_memory import NameMemory
from annotator.services.opened_images import OpenedImage, OpenedImages
from annotator.services.project_classes import ProjectClasses
from annotator.services.project_folder import Place
from annotator.services.project_history import ProjectHistory
from annotator.services.saving import Saving
from annotator.services.store import Reader, SaveState
from annotator.services.whereabouts import Whereabouts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.services.image_order import ImageOrder

__all__ = ["DamagedJournal", "Document", "SaveState"]

TEMPLATES_NOTE = "templates"


class Document(QObject):
    """Images, annotations and categories of one folder. Made by `Document.open`.

    Every change is at once visible here, soon after durable in the journal (`edit_saved`), and
    some seconds later in the COCO file. Nothing here waits for the disk but small reads.
    """

    images_changed = Signal()
    """Images were added."""
    record_changed = Signal(str)
    """State, count or size of the image with this key changed."""
    annotations_changed = Signal(str)
    """The annotations of the image with this key changed."""
    categories_changed = Signal()
    """Categories were added, changed, moved or removed."""
    save_state_changed = Signal(object)
    """The new `SaveState`."""
    edit_saved = Signal(int)
    """The step with this number is durable."""
    reported = Signal(object)
    """A `UserError` for people; the work goes on."""

    @staticmethod
    def open(folder: Path, project_dir: Path | None = None) -> Document:
        """Open a folder as a project, or make it one.

        Args:
            folder: the images.
            project_dir: where the project's own files and the COCO file go; beside the images by
                default (".annotator" and "annotations.json").

        Raises:
            UserError: the folder is missing, the project is open elsewhere or cannot be written.
            DamagedJournal: the journal cannot be read; `recover` can.
        """
        from annotator.services.opening import open_document

        return open_document(folder, project_dir)

    @staticmethod
    def recover(folder: Path, project_dir: Path | None = None) -> Document:
        """Open a project whose journal is damaged.

        The damaged file is kept beside the new one, into which everything readable is copied; if
        nothing is, the project is made anew from its COCO file.

        Raises:
            UserError: as `open`.
        """
        from annotator.services.opening import recover_document

        return recover_document(folder, project_dir)

    def __init__(
        self,
        place: Place,
        lock: QLockFile,
        db: sqlite3.Connection,
        coco_path: Path,
        coco_state: CocoState,
    ) -> None:
        super().__init__()
        self._place = place
        self._lock = lock
        self._coco_path = coco_path
        self._closed = False
        self._load(db)
        self._saving = Saving(place, db, coco_path, coco_state, self)
        self._saving.state_changed.connect(self.save_state_changed)
        self._saving.reported.connect(self.reported)
        self._saving.saved.connect(self._take_saved)
        self._saving.measured.connect(self._take_sizes)
        self._put, self._ask = self._saving.put, self._saving.ask
        self.history = ProjectHistory(self, self._next_step, self._put, self._ask)
        self._opened = OpenedImages(self._load_image, self._load_change)

    def _load(self, db: sqlite3.Connection) -> None:
        from annotator.services.image_order import ImageOrder

        rows = journal.load_images(db)
        self._order: ImageOrder = ImageOrder([row[1] for row in rows])
        # A number alone stands for a new image: 100,000 of them must not stop the window.
        self._records: dict[str, int | journal.ImageRow | ImageRecord] = {
            row[1]: row for row in rows
        }
        self._classes = ProjectClasses(db, self._put_categories)
        self._put_classes = tuple(self._classes.listed)
        self._notes = journal.load_notes(db)
        self._last_image = journal.load_counter(db, "image")
        self._last_annotation = journal.load_counter(db, "annotation")
        self._last_step = journal.load_counter(db, "step")
        self._memories: dict[str, NameMemory] = {}
        self._category_of: dict[int, int | None] = {}

    # --- Where ---

    @property
    def folder(self) -> Path:
        """The images."""
        return self._place.folder

    @property
    def project_dir(self) -> Path:
        """The program's own files."""
        return self._place.project_dir

    @property
    def coco_path(self) -> Path:
        """The COCO file that follows the work."""
        return self._coco_path

    # --- Images ---

    def keys(self) -> Sequence[str]:
        """All images in the order of the folder. Treat as read-only; changes while images come."""
        return self._order.keys

    def record(self, key: str) -> ImageRecord:
        """What is known about an image. Raises KeyError for an unknown key."""
        known = self._records[key]
        if isinstance(known, ImageRecord):
            return known
        record = ImageRecord(key, known) if isinstance(known, int) else journal.record(known)
        self._records[key] = record
        return record

    def numbering(self) -> Callable[[], dict[str, int]]:
        """The ids of all images by their key, as of now; to be called on any thread, and slow."""
        known = dict(self._records)
        return lambda: {
            key: one if isinstance(one, int) else one.id if isinstance(one, ImageRecord) else one[0]
            for key, one in known.items()
        }

    def has_image(self, key: str) -> bool:
        """Whether there is an image with this key."""
        return key in self._records

    def path(self, key: str) -> Path:
        """The image file."""
        return self._place.folder / key

    def add_images(self, keys: Iterable[str]) -> None:
        """Images that exist, in the order of the folder; known ones only take their place."""
        batch = list(dict.fromkeys(keys))
        fresh = {key for key in batch if key not in self._records}
        first = self._order.place(batch, are_new=len(fresh) == len(batch))
        if fresh:
            places = [place for place, key in enumerate(batch, first) if key in fresh]
            new = batch if len(fresh) == len(batch) else [key for key in batch if key in fresh]
            ids = range(self._last_image + 1, self._last_image + 1 + len(new))
            self._last_image = ids[-1]
            self._records.update(zip(new, ids, strict=True))
            self._put(operations.AddImages(ids, new, places))
        if first >= 0:
            self.images_changed.emit()

    def set_size(self, key: str, width: int, height: int, orientation: int) -> None:
        """Size of the upright image in pixels and EXIF orientation, once somebody read the file."""
        old = self.record(key)
        if (old.width, old.height, old.orientation) == (width, height, orientation):
            return
        self._put(operations.WriteSize(old.id, width, height, orientation))
        self._set_record(replace(old, width=width, height=height, orientation=orientation))
        if old.count and old.width and (old.width, old.height) != (width, height):
            self.reported.emit(
                UserError(
                    f"The annotations of “{key}” were made for an image of "
                    f"{old.width} × {old.height} pixels, but it has {width} × {height}.",
                    "Check that it is the right file, and that it was not rotated or resized.",
                )
            )

    def set_reviewed(self, key: str, reviewed: bool) -> None:
        """A person said that this image is finished, or not."""
        self.set_review(key, Status.DONE if reviewed else Status.TODO)

    def set_review(self, key: str, status: Status, comment: str | None = None) -> None:
        """What a person said about an image; no comment leaves the one there is."""
        old = self.record(key)
        new = replace(old, status=status, comment=old.comment if comment is None else comment)
        if new != old:
            self._put(operations.WriteReview(old.id, status, new.comment))
            self._set_record(new)

    def _set_record(self, record: ImageRecord) -> None:
        self._records[record.key] = record
        self.record_changed.emit(record.key)

    # --- Annotations ---

    def annotations(self, key: str) -> Annotations:
        """All objects of an image, bottom layer first.

        Raises:
            KeyError: no such image.
            UserError: the journal cannot be read.
        """
        return self._opened_image(key).annotations

    def new_id(self) -> int:
        """An annotation id nobody has had."""
        self._last_annotation += 1
        return self._last_annotation

    def edit(
        self,
        key: str,
        annotations: Annotations,
        text: str,
        note: tuple[str, Any] | None = None,
    ) -> int:
        """Give an image other annotations, as one step of its history.

        Args:
            key: the image.
            annotations: its new state; new objects have ids from `new_id`.
            text: what the user did, for the undo menu.
            note: name and value for `set_note`; becomes durable with the edit or not at all.

        Returns:
            The number `edit_saved` confirms; 0 if nothing changed.

        Raises:
            ValueError: repeated or foreign ids, an unknown category: a bug of the caller.
        """
        opened, image = self._opened_image(key), self._image_id(key)
        annotations = tuple(annotations)
        change = difference(opened.annotations, annotations)
        if not change:
            if note is not None:
                self.set_note(*note)
            return 0
        self._check(annotations, change)
        self._learn_size(key, annotations)
        self._next_step()
        step, parent = self._last_step, self.last_step(key)
        part, origin = self.history.part_of(key, step)
        opened.done.append(Step(step, text, False))
        opened.undone.clear()
        self._opened.hold(image, step, change)
        self._put(
            operations.WriteEdit(
                image, step, text, change, annotations, self._noted(note), parent, part,
                origin or origin_of(change),
            )
        )  # fmt: skip
        self._take_change(key, opened, change, annotations)
        return step

    def _noted(self, note: tuple[str, Any] | None) -> operations.WriteNote | None:
        if note is None:
            return None
        name, value = note
        self._notes[name] = value
        return operations.WriteNote(name, operations.text_of(value))

    def _next_step(self) -> int:
        self._last_step += 1
        return self._last_step

    def _check(self, annotations: Annotations, change: Change) -> None:
        if len({a.id for a in annotations}) != len(annotations):
            raise ValueError("annotation ids are repeated")
        known = {category.id for category in self._classes.listed}
        for _, annotation in change.after:
            if not 0 < annotation.id <= self._last_annotation:
                raise ValueError(f"annotation id {annotation.id} is not from new_id()")
            if annotation.category_id is not None and annotation.category_id not in known:
                raise ValueError(f"there is no category {annotation.category_id}")

    def _learn_size(self, key: str, annotations: Annotations) -> None:
        if not self.record(key).width:
            shape = next((a.shape for a in annotations if isinstance(a.shape, Mask)), None)
            if shape is not None:
                self.set_size(key, shape.width, shape.height, self.record(key).orientation)

    def undo(self, key: str) -> str | None:
        """Take the last step of an image back; its text, or None if there is none."""
        opened = self._opened_image(key)
        if not opened.done:
            return None
        step = opened.done[-1]
        self._move(key, opened, step, self._opened.change(step.id).inverse)
        opened.undone.append(opened.done.pop())
        return step.text

    def redo(self, key: str) -> str | None:
        """Do the step taken back last again; its text, or None if there is none."""
        opened = self._opened_image(key)
        if not opened.undone:
            return None
        step = opened.undone[-1]
        self._move(key, opened, step, self._opened.change(step.id))
        opened.done.append(opened.undone.pop())
        return step.text

    def _move(self, key: str, opened: OpenedImage, step: Step, change: Change) -> None:
        is_undone = bool(opened.done) and opened.done[-1] is step
        annotations = change.apply(opened.annotations)
        self._classes.revive(change)
        image = self._image_id(key)
        self._opened.hold(image, step.id)
        self._put(operations.WriteMove(image, step.id, change, annotations, is_undone))
        self._take_change(key, opened, change, annotations)

    def last_step(self, key: str) -> int:
        """Number of the step `undo` would take back, 0 if there is none."""
        done = self._opened_image(key).done
        return done[-1].id if done else 0

    def next_step(self, key: str) -> int:
        """Number of the step `redo` would do again, 0 if there is none."""
        undone = self._opened_image(key).undone
        return undone[-1].id if undone else 0

    def is_done(self, key: str, step: int) -> bool:
        """Whether a step is on the way to the current state."""
        return any(one.id == step for one in reversed(self._opened_image(key).done))

    def jump(
        self, key: str, annotations: Annotations, done: Sequence[Step], undone: Sequence[Step]
    ) -> None:
        """Make another state of the history the current one; nothing is lost by it.

        Args:
            key: the image.
            annotations: that state.
            done: the steps that lead to it, oldest first.
            undone: the steps that can be done again from there, the next one last.
        """
        opened, image = self._opened_image(key), self._image_id(key)
        change = difference(opened.annotations, annotations)
        marks = line_marks((opened.done, opened.undone), (done, undone))
        self._classes.revive(change)
        self._opened.hold(image, 0)
        self._put(WriteJump(image, change, annotations, marks))
        opened.done, opened.undone = list(done), list(undone)
        self._take_change(key, opened, change, annotations)

    def restore(self, key: str, annotations: Annotations, text: str) -> int:
        """Give an image a state of its history again, as a new step; the number, 0 for none."""
        self._classes.revive(difference(self.annotations(key), annotations))
        return self.edit(key, annotations, text)

    def undo_text(self, key: str) -> str | None:
        """What `undo` would take back."""
        done = self._opened_image(key).done
        return done[-1].text if done else None

    def redo_text(self, key: str) -> str | None:
        """What `redo` would do again."""
        undone = self._opened_image(key).undone
        return undone[-1].text if undone else None

    def _take_change(
        self, key: str, opened: OpenedImage, change: Change, annotations: Annotations
    ) -> None:
        opened.annotations = annotations
        for _, annotation in change.before:
            self._classes.count(annotation, -1)
            self._name(annotation.id, None)
        for _, annotation in change.after:
            self._classes.count(annotation, 1)
            self._name(annotation.id, None if annotation.proposed else annotation.category_id)
        record, proposals = self.record(key), sum(a.proposed for a in annotations)
        counts = (len(annotations) - proposals, proposals)
        if (record.count, record.proposals) != counts:
            self._set_record(replace(record, count=counts[0], proposals=proposals))
        self.annotations_changed.emit(key)

    def _name(self, annotation: int, category: int | None) -> None:
        self._category_of[annotation] = category
        for memory in self._memories.values():
            memory.rename(annotation, category)

    def import_coco(self, path: Path) -> str:
        """Add the objects of a COCO file, one step per image; a sentence about what came.

        Raises:
            UserError: the file cannot be read, or is not COCO.
        """
        from annotator.services.importing import import_into

        return import_into(self, path)

    # --- Categories ---

    def categories(self) -> tuple[Category, ...]:
        """All classes in the user's order."""
        return tuple(self._classes.listed)

    def category(self, category_id: int) -> Category:
        """One class. Raises KeyError for an unknown id."""
        return self._classes.get(category_id)

    def category_usage(self) -> dict[int, int]:
        """How many annotations of the project every class has; proposals do not count."""
        return self._classes.usage()

    def add_category(self, name: str, color: str = "") -> Category:
        """The class with this name, made if there is none.

        Raises:
            UserError: the name is empty.
        """
        return self._classes.add(name, color)

    def set_vocabulary(
        self, wanted: Sequence[Category], templates: Sequence[str] | None = None
    ) -> None:
        """Give the project these classes in this order, as one step.

        Classes that are not among them are removed. One that was removed before comes back with
        its id when a new class has its name.

        Args:
            wanted: with the id `NEW` those that are to be made; a colour "" is chosen for them.
            templates: the sentences names are put into; None leaves them.

        Raises:
            UserError: an empty or repeated name, or a class in use is missing; nothing changed.
            ValueError: an unknown or repeated id: a bug of the caller.
        """
        classes = self._classes.settled(wanted)
        if templates is not None:
            self.set_note(TEMPLATES_NOTE, list(templates))
        self._classes.replace_all(classes)

    def templates(self) -> tuple[str, ...]:
        """The sentences names are put into for models that know text; those of ViLD at first."""
        note = self.note(TEMPLATES_NOTE)
        return tuple(map(str, note)) if isinstance(note, list) and note else TEMPLATES

    def change_category(self, category: Category) -> None:
        """Rename, recolour or regroup a class.

        Raises:
            UserError: the name is empty or another class has it.
            KeyError: no such class.
        """
        self._classes.change(category)

    def move_category(self, category_id: int, position: int) -> None:
        """Put a class at this place of the list."""
        self._classes.move(category_id, position)

    def remove_category(self, category_id: int) -> None:
        """Remove a class that neither annotations nor proposals have.

        Raises:
            UserError: it is used.
            KeyError: no such class.
        """
        self._classes.remove(category_id)

    def category_users(self, category_id: int) -> str:
        """Who has a class, "3 objects" or "1 proposal", "" if nobody has."""
        return self._classes.users(category_id)

    def restore_classes(self, change: ClassChange) -> list[str]:
        """Change the classes as the history says, where nothing newer speaks against it.

        Returns:
            A sentence for every class that was left as it is.
        """
        return self._classes.restore(change)

    def _put_categories(self, is_step: bool) -> None:
        before, self._put_classes = self._put_classes, tuple(self._classes.listed)
        steps = self.history.class_steps(before, self._put_classes) if is_step else ()
        removed = tuple(self._classes.removed)
        self._put(operations.WriteCategories(self._put_classes, removed, steps))
        self.categories_changed.emit()

    # --- Memory for names ---

    def vectors(
        self, space: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """What named objects look like, oldest first. Treat the arrays as read-only.

        Args:
            space: the model the vectors are from.

        Returns:
            Annotation ids (n,), category ids (n,), vectors (n, d).
        """
        return self._memory(space).living()

    def vector(self, annotation_id: int, space: str) -> NDArray[np.float32] | None:
        """What one object looks like, (d,), None if nobody has looked; also without a name."""
        return self._memory(space).vector(annotation_id)

    def every_vector(self, space: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What all objects look like that were ever looked at, deleted ones among them.

        Ids (n,) and vectors (n, d), views: treat them as read-only. `whereabouts` says which of
        them there are.
        """
        return self._memory(space).every()

    def whereabouts(self) -> Whereabouts:
        """Where objects are, for one background thread; whoever gets it closes it."""
        return Whereabouts(self.reader(), self._place.journal, self._saving.store.flush)

    def reader(self) -> Reader:
        """Reads the journal on one background thread; whoever gets it closes it."""
        return self._saving.reader()

    def set_vector(self, annotation_id: int, space: str, vector: NDArray[np.float32]) -> None:
        """Remember what an object looks like: (d,) float32."""
        import numpy as np

        vector = np.ascontiguousarray(vector, np.float32).ravel()
        memory = self._memory(space)
        memory.set(annotation_id, self._category_id_of(annotation_id), vector)
        self._put(operations.WriteVector(annotation_id, space, vector.tobytes()))

    def _memory(self, space: str) -> NameMemory:
        if space not in self._memories:
            rows = self._ask(lambda db: journal.load_vectors(db, space))
            current = ((i, self._category_of.get(i, c), v) for i, c, v in rows)
            self._memories[space] = NameMemory(current)
        return self._memories[space]

    def _category_id_of(self, annotation: int) -> int | None:
        if annotation in self._category_of:
            return self._category_of[annotation]
        return self._ask(lambda db: journal.load_category_of(db, annotation))

    # --- Small things ---

    def note(self, name: str) -> Any:
        """A small thing kept with the project, None if it was never set."""
        return self._notes.get(name)

    def set_note(self, name: str, value: Any) -> None:
        """Keep a small thing (a JSON value) with the project."""
        if name not in self._notes or self._notes[name] != value:
            self._notes[name] = value
            self._put(operations.WriteNote(name, operations.text_of(value)))

    def announce(self, notice: UserError) -> None:
        """Tell people something a moment later, when whoever opened the document listens."""
        self._saving.announce(notice)

    # --- Saving ---

    @property
    def save_state(self) -> SaveState:
        """How safe the work is."""
        return self._saving.state

    def save(self) -> None:
        """Write the COCO file now (in the background); `save_state_changed` tells when."""
        self._saving.exporter.write_now()

    def use_rle_only(self, rle_only: bool) -> None:
        """Whether the COCO file has masks as RLE even where a polygon would be exact."""
        self._saving.exporter.use_rle_only(rle_only)

    @property
    def exporter(self) -> CocoExporter:
        """Writes the COCO file."""
        return self._saving.exporter

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until every edit is durable; False if it is not within the time (seconds)."""
        return self._saving.store.flush(timeout)

    def close(self) -> None:
        """Finish saving, write the COCO file, end the threads, let other windows in.

        Raises:
            UserError: the disk does not take the last edits; they were put aside elsewhere and the
                message says where.
        """
        if self._closed:
            return
        self._closed = True
        if self._order.is_rearranged:
            places = [(place, self.record(key).id) for place, key in enumerate(self._order.keys)]
            self._put(operations.ArrangeImages(places))
        lost = self._saving.close()
        self._lock.unlock()
        if lost is not None:
            raise lost

    # --- Between the threads ---

    def _take_saved(self, batch: Sequence[operations.Operation]) -> None:
        for operation in batch:
            if isinstance(operation, (operations.WriteEdit, operations.WriteMove, WriteJump)):
                self._opened.release(operation.image, operation.step)
        for operation in batch:
            if isinstance(operation, operations.WriteEdit):
                self.edit_saved.emit(operation.step)

    def _take_sizes(self, sizes: list[tuple[str, int, int, int]]) -> None:
        if self._closed:
            return
        for key, width, height, orientation in sizes:
            if not self.record(key).width:
                self.set_size(key, width, height, orientation)

    # --- Reading ---

    def _image_id(self, key: str) -> int:
        return self.record(key).id

    def _opened_image(self, key: str) -> OpenedImage:
        image = self._image_id(key)
        return self._opened.get(image)

    def _load_image(self, image: int) -> OpenedImage:
        steps = self._ask(lambda db: journal.load_steps(db, image))
        done = [step for step in steps if not step.is_undone]
        undone = [step for step in reversed(steps) if step.is_undone]
        return OpenedImage(self._ask(lambda db: journal.load_annotations(db, image)), done, undone)

    def _load_change(self, step: int) -> Change:
        return self._ask(lambda db: journal.load_change(db, step))
