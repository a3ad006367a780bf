"""Objects of files join a project: what would happen, then as one step that can be taken back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.annotation import Status
from annotator.core.errors import UserError
from annotator.core.troubles import Trouble, Troubles

if TYPE_CHECKING:
    from annotator.core.annotation import Annotation, Category, ImageRecord
    from annotator.core.formats.api import Content, LabelledImage
    from annotator.core.formats.merging import MergeRules
    from annotator.services.document import Document

PREFIX = "Import "
REVIEWS = "images whose status or comment stays in the file"
DIVISION = "images whose part (training, validation, test) stays in the file"
DETAILS = "classes that the project has already; what the file says of them stays there"
MISSING = "objects of images that are not in the folder; left out"


def describe_problems(path: Path, problems: Iterable[str], kept: Path | None = None) -> UserError:
    """What was unusual in a file, for people."""
    remedy = "Nothing was thrown away: what could not be used stays in the file."
    if kept is not None:
        remedy += f" The original was also kept as “{kept}”."
    return UserError(f"“{path.name}” was read, but: {' '.join(problems)}", remedy)


def import_into(document: Document, path: Path) -> str:
    """See `Document.import_coco`."""
    from annotator.core.formats.api import Origin
    from annotator.core.formats.coco_instances import read
    from annotator.core.formats.merging import THERE, MergeRules

    content = read(Origin(path, document.folder))
    joining = Import(document, content, MergeRules(overlap="add"), path.name)
    for _ in joining.apply():
        pass
    problems = (*content.notes, *content.troubles.sentences())
    if problems:
        document.announce(describe_problems(path, problems))
    skipped = joining.counts[THERE]
    sentence = f"Imported {_many(joining.changed, 'object')} in {_many(joining.images, 'image')}."
    return sentence + (f" {_many(skipped, 'object')} were already there." if skipped else "")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


@dataclass(slots=True)
class Import:
    """One file or folder on its way into a project.

    Attributes:
        document: the project.
        content: what is imported, read with the project's folder as that of the images.
        rules: what happens where something is there already.
        name: of the file, for the undo menu.
        counts: how often what happened, or would.
        images: images with objects so far.
        fresh_images: those of them that the project does not have.
        classes: objects by class of the file.
        left: what a project has another place for, or none.
    """

    document: Document
    content: Content
    rules: MergeRules
    name: str
    counts: Counter[str] = field(default_factory=Counter)
    images: int = 0
    fresh_images: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    left: Troubles = field(default_factory=Troubles)
    _ids: dict[int, int] = field(default_factory=dict)
    _tracks: dict[int, int] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """Objects that are new or replace another one."""
        from annotator.core.formats.merging import NEW, OUTCOMES

        replacing = [text for (_, choice), text in OUTCOMES.items() if choice == "replace"]
        return sum(self.counts[text] for text in (NEW, *replacing))

    def plan(self) -> Generator[str, None, None]:
        """Find out what would happen, image by image, without changing anything; yields keys."""
        names = self.content.names()
        known = {category.name: category.id for category in self.document.categories()}
        # Classes that are not there yet cannot be on any object: any number that is free will do.
        free = max(known.values(), default=0) + 1
        ids: dict[int | None, int | None] = {}
        for place, (number, name) in enumerate(names.items()):
            new = self.rules.class_name(name) if number is not None else ""
            ids[number] = known.get(new, free + place) if new else None
        self.classes.clear()
        for image, coming in self._coming(ids):
            for number in image.used():
                self.classes[names[number]] += 1
            self._merge(image, coming, lambda: 0)
            yield image.record.key

    def apply(self) -> Generator[str, None, None]:
        """Do it, a step for each image, all remembered as one import; yields keys.

        Where it is stopped, what was done so far is one import too.
        """
        history = self.document.history
        group = history.begin("import", f"{PREFIX}{self.name}")
        with history.inside(group):
            ids = self._make_classes()
        for image, coming in self._coming(ids):
            key = image.record.key
            self._make_room(image)
            after = self._merge(image, coming, self.document.new_id)
            if after:
                with history.inside(group):
                    self.document.edit(key, after, f"{PREFIX}{self.name}")
            yield key

    def sentences(self) -> list[str]:
        """What happened, or would, for people."""
        lines = [f"{count:,} {what}" for what, count in self.counts.most_common()]
        lost = (*self.content.troubles.sentences(), *self.left.sentences())
        return [*lines, *self.content.notes, *(f"Not kept: {sentence}" for sentence in lost)]

    def _leave(self, record: ImageRecord, split: str) -> None:
        """Note what an image of the file says that is not taken over."""
        found = [f"values of images that stay in the file: “{name}”" for name in record.extra]
        if record.status is not Status.TODO or record.comment:
            found.append(REVIEWS)
        if split:
            found.append(DIVISION)
        self.left.add(Trouble(what, record.key) for what in found)

    def _leave_rest(self) -> None:
        """Note what the file says of itself and of classes that is not taken over."""
        name = "values of the whole file that stay there: “{}”"
        known = {category.name: category for category in self.document.categories()}
        header = self.content.header
        self.left.add(Trouble(name.format(key), self.name) for key in header if header[key])
        for old in self.content.categories:
            new = known.get(self.rules.class_name(old.name))
            said = (old.supercategory, old.extra, old.synonyms)
            if new and any(said) and said != (new.supercategory, new.extra, new.synonyms):
                self.left.add([Trouble(DETAILS, old.name)])

    def _coming(
        self, ids: dict[int | None, int | None]
    ) -> Iterator[tuple[LabelledImage, list[Annotation]]]:
        self.counts.clear()
        self._ids.clear()
        self._tracks.clear()
        self.images = self.fresh_images = 0
        self.left = Troubles()
        self._leave_rest()
        for image in self.content.images():
            if self.rules.only_existing and image.file is None:
                if len(image.annotations):
                    self.counts[MISSING] += len(image.annotations)
                continue
            self._leave(image.record, image.split)
            self.images += bool(len(image.annotations))
            found = [replace(a, category_id=ids[a.category_id]) for a in image.annotations]
            yield image, found

    def _merge(self, image: LabelledImage, coming: list[Annotation], new_id: Any) -> Any:
        from annotator.core.formats.merging import merged

        if not coming:
            # Nothing of the journal is read for the thousands of images without objects.
            return ()
        key = image.record.key
        there = self.document.has_image(key)
        self.fresh_images += not there
        record = self.document.record(key) if there else image.record
        present = self.document.annotations(key) if there else ()
        size = (record.width, record.height)
        after, counts = merged(present, coming, self.rules, new_id, size, self._ids)
        self.counts.update(counts)
        old = set(map(id, present))
        return tuple(a if id(a) in old else self._linked(a, new_id) for a in after)

    def _linked(self, annotation: Annotation, new_id: Any) -> Annotation:
        """The object with ids of the project where it names others of the file."""
        origin, track = annotation.origin, annotation.track
        if track is not None:
            if track not in self._tracks:
                # Nobody else has had a new number, whatever became of the object it was.
                self._tracks[track] = self._ids.get(track) or new_id()
            annotation = replace(annotation, track=self._tracks[track])
        if origin.follows is None and origin.resembles is None:
            return annotation
        # Nothing has the id 0.
        follows, resembles = (self._ids.get(n or 0) for n in (origin.follows, origin.resembles))
        return replace(annotation, origin=replace(origin, follows=follows, resembles=resembles))

    def _make_room(self, image: LabelledImage) -> None:
        record = image.record
        if not self.document.has_image(record.key):
            self.document.add_images([record.key])
        if record.width and not self.document.record(record.key).width:
            self.document.set_size(record.key, record.width, record.height, record.orientation)

    def _make_classes(self) -> dict[int | None, int | None]:
        ids: dict[int | None, int | None] = {None: None}
        for old in self.content.categories:
            name = self.rules.class_name(old.name)
            ids[old.id] = _class(self.document, replace(old, name=name)) if name else None
        return ids


def _class(document: Document, old: Category) -> int:
    existing = {category.name for category in document.categories()}
    new = document.add_category(old.name, old.color)
    if new.name not in existing and (old.supercategory or old.extra or old.synonyms):
        document.change_category(replace(old, id=new.id, name=new.name, color=new.color))
    return new.id


def last_import(document: Document) -> str:
    """Name of the import `undo_import` would take back, "" if there is none."""
    row = document.history.newest("import")
    return row.text.removeprefix(PREFIX) if row is not None else ""


def undo_import(document: Document) -> tuple[int, list[str]]:
    """Take the last import back in all images; classes it brought go if nothing has them.

    Returns:
        Images that are as before, and the keys of those that were changed since: they stay.
    """
    work = taking_back(document)
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: tuple[int, list[str]] = end.value
            return result


def taking_back(document: Document) -> Generator[str, None, tuple[int, list[str]]]:
    """`undo_import` in steps of an image each; yields keys."""
    row = document.history.newest("import")
    if row is None:
        return 0, []
    result = yield from document.history.taking_back(row.id)
    return result.images, list(result.left)
