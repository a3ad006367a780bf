"""Where the proposals of a run go: into a project, or into a COCO results file.

Both remember which images are done together with what was found in them, in one write, so that a
run that was killed goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QCoreApplication

from annotator.core.annotation import Annotation, Annotations, Category, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats.detections.values import Known
from annotator.core.mask import Mask
from annotator.core.prelabel.naming import Lines, Named, Names, Tally
from annotator.core.prelabel.numbering import class_names, class_numbers, image_numbers
from annotator.core.vocabulary import TEMPLATES, clean_name
from annotator.services.document import Document
from annotator.services.glance import glance
from annotator.services.project_folder import lock_file

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.proposing import Found, Outcome
    from annotator.core.prelabel.run import Run

NOTE = "prelabel"
"""Note of the project with the settings of its last run; “prelabel 0” and so on: image ids."""
CHUNK = 1000
MOST_PENDING = 32
"""Edits that wait for the disk before a run does."""
PATIENCE = 10.0
"""Seconds for a disk that does not answer."""


class Target(Protocol):
    """Takes what was found, image by image."""

    tally: Tally

    def record(self, key: str) -> ImageRecord | None:
        """What the project knows about an image."""

    def known(self, *, resume: bool) -> Known:
        """What numbers of images and classes mean in the project, as it was when the run began."""

    def namer(self, *, resume: bool) -> Namer:
        """The classes, and what named objects look like, as it was when the run began."""

    @property
    def templates(self) -> tuple[str, ...]:
        """The sentences names are put into."""

    def begin(self, run: Run, detections: Known, labels: Sequence[str], *, resume: bool) -> int:
        """Begin a run, or continue the one that was not finished; how many images are done.

        Raises:
            RefusedError: that one had other settings.
            UserError: nothing can be written.
        """

    def is_done(self, key: str) -> bool:
        """Whether an image was finished in this run before."""

    def take(self, outcome: Outcome) -> None:
        """Keep what was found in an image.

        Raises:
            ImageError: not in this one; the others can go on.
            UserError: nothing can be written any more.
        """

    def finish(self, keys: Sequence[str]) -> None:
        """All images were tried: `keys`, in their order.

        Raises:
            UserError: the results cannot be written.
        """

    def close(self) -> None:
        """Let others in.

        Raises:
            UserError: something could not be written.
        """


class ImageError(UserError):
    """Something is wrong with one image only."""


def _space() -> str:
    from models.describe import BasicDescriber

    return BasicDescriber().id


class ProjectWriter:
    """Puts proposals into an open project, one undo step per image.

    Args:
        document: the project.
        only_existing: make no new classes.
        max_overlap: what overlaps an object more is that object.
        namer: from `namer`, if that was asked for already.
    """

    def __init__(
        self,
        document: Document,
        only_existing: bool,
        max_overlap: float,
        namer: Namer | None = None,
    ) -> None:
        self.tally = Tally()
        self._document = document
        self._only_existing = only_existing
        self._max_overlap = max_overlap
        self._namer = namer
        self._names = Names(namer or self.namer(resume=False), only_existing, self.tally)
        self._settings: Mapping[str, Any] = {}
        self._done: set[int] = set()
        self._chunk: list[int] = []
        self._chunks = 0
        self.group = 0
        """The group step of the run, in the history of the project."""

    def record(self, key: str) -> ImageRecord | None:
        """See `Target`."""
        return self._document.record(key)

    def known(self, *, resume: bool) -> Known:
        """See `Target`."""
        ids = self._document.numbering()()
        return Known({i: key for key, i in ids.items()}, names_in(self._document, resume=resume))

    def namer(self, *, resume: bool) -> Namer:
        """See `Target`."""
        return namer_in(self._document, resume=resume)()

    @property
    def templates(self) -> tuple[str, ...]:
        """See `Target`."""
        return self._document.templates()

    def begin(self, run: Run, detections: Known, labels: Sequence[str], *, resume: bool) -> int:
        """See `Target`."""
        document, begun = self._document, self._begun()
        self._settings = run.settings
        if resume and begun is not None:
            run.check(begun["settings"])
            namer = self._namer or self.namer(resume=True)
            self._names = Names(namer, self._only_existing, self.tally)
            self._take_up()
            self.group = int(begun.get("group", 0))
            if not document.history.has(self.group):
                self.group = self._new_group()
            return len(self._done)
        place = 0
        while document.note(f"{NOTE} {place}"):
            document.set_note(f"{NOTE} {place}", [])
            place += 1
        names = _names_of(document.categories())
        newest = int(document.vectors(_space())[0].max(initial=0))
        self.group = self._new_group()
        note = {"settings": dict(run.settings), "categories": names, "newest": newest}
        note["group"] = self.group
        document.set_note(NOTE, note)
        return 0

    def _new_group(self) -> int:
        return self._document.history.begin("prelabel", "Pre-label the folder")

    @property
    def done(self) -> Set[int]:
        """Ids of the images that were finished in this run before."""
        return self._done

    def _begun(self) -> dict[str, Any] | None:
        return _begun_in(self._document)

    def _take_up(self) -> None:
        chunks = _chunks_of(self._document)
        self._done = {number for chunk in chunks for number in chunk}
        self._chunk = chunks[-1] if chunks else []
        self._chunks = max(len(chunks) - 1, 0)

    def is_done(self, key: str) -> bool:
        """See `Target`."""
        return self._document.record(key).id in self._done

    def named(self, outcome: Outcome) -> Named:
        """Which classes the proposals of an image get; on any thread, one image at a time."""
        return self._names.wanted(outcome.found)

    def write(self, outcome: Outcome, wanted: Named) -> int:
        """Keep what was found in an image, with what `named` says of it, and that it is done.

        Returns:
            The step, 0 if nothing changed.

        Raises:
            ImageError: not in this one; the others can go on.
            UserError: the journal cannot be read.
        """
        with self._document.history.inside(self.group):
            return self._write(outcome, wanted)

    def _write(self, outcome: Outcome, wanted: Named) -> int:
        from annotator.core.prelabel.joining import joined

        document, key = self._document, outcome.key
        present = document.annotations(key)
        if outcome.size is not None:
            check_size(key, outcome.size, present)
            document.set_size(key, *outcome.size, outcome.orientation)
        there = {category.id for category in document.categories()}
        made = [self._annotation(*one, there) for one in wanted]
        after, new = joined(present, made, self._max_overlap, self._settings, self._names.known)
        text = f"Pre-label: {len(new)} object{'' if len(new) == 1 else 's'}"
        step = document.edit(key, after, text, note=self._noted(key))
        came = {one.id: found for one, (found, *_) in zip(made, wanted, strict=True)}
        for one in new:
            if (vector := came[one.id].looks) is not None:
                document.set_vector(one.id, _space(), vector)
        self.tally.new += len(new)
        self.tally.known += len(made) - len(new)
        self.tally.named += sum(a.category_id is not None and not came[a.id].name for a in new)
        return step

    def _annotation(
        self, found: Found, category_id: int | None, new_class: str, there: set[int]
    ) -> Annotation:
        document, known = self._document, self._names.known
        if category_id is not None and category_id not in there:
            # Somebody removed the class since the run began.
            category_id = None
            new_class = "" if self._only_existing else clean_name(found.name)
        if new_class:
            category_id = known.find(new_class)
            if category_id is None or category_id not in there:
                category_id = document.add_category(new_class).id
                known.add(new_class, category_id)
                there.add(category_id)
                self.tally.classes.append(new_class)
        return Annotation(document.new_id(), found.mask, category_id, found.origin, proposed=True)

    def _noted(self, key: str) -> tuple[str, list[int]]:
        """The note that says that an image is done."""
        if len(self._chunk) >= CHUNK:
            self._chunk = []
            self._chunks += 1
        self._chunk = [*self._chunk, self._document.record(key).id]
        return f"{NOTE} {self._chunks}", self._chunk


class ProjectTarget(ProjectWriter):
    """Puts proposals into a project of its own; needs a QCoreApplication.

    Args:
        document: the project; closed with this.
        only_existing: make no new classes.
        max_overlap: what overlaps an object more is that object.
    """

    def take(self, outcome: Outcome) -> None:
        """See `Target`."""
        self.write(outcome, self.named(outcome))
        self._settle()

    def _settle(self) -> None:
        """Let the journal's messages arrive, and wait for a disk that is slow or full."""
        QCoreApplication.processEvents()
        state = self._document.save_state
        if state.pending < MOST_PENDING and state.error is None:
            return
        if not self._document.flush(PATIENCE):
            QCoreApplication.processEvents()
            error = self._document.save_state.error
            raise error or UserError("The disk does not answer.", "Check it, and use --resume.")
        QCoreApplication.processEvents()

    def finish(self, keys: Sequence[str]) -> None:
        """See `Target`."""
        self._document.flush(PATIENCE)

    def close(self) -> None:
        """See `Target`."""
        QCoreApplication.processEvents()
        self._document.close()


def namer_in(document: Document, *, resume: bool) -> Callable[[], Namer]:
    """The classes and the memory of a project, as they were when the run began.

    Returns:
        Makes it; on any thread, as that copies much.
    """
    from annotator.core.prelabel.joining import Namer

    begun = _begun_in(document) if resume else None
    ids, category_ids, vectors = document.vectors(_space())
    categories = document.categories()

    def made() -> Namer:
        # What the run itself named is no memory, or a killed one would go on otherwise than one
        # that was left alone. Copies, because what is done meanwhile must not change it either.
        known = ids <= (begun or {}).get("newest", ids.max(initial=0))
        return Namer(categories, category_ids[known], vectors[known])

    return made


def names_in(document: Document, *, resume: bool) -> dict[int | str, str]:
    """The names of the classes by number, as they were when the run began."""
    begun = _begun_in(document) if resume else None
    names = begun["categories"] if begun else _names_of(document.categories())
    return {int(number): name for number, name in names.items()}


def done_images(document: Document) -> frozenset[int]:
    """Ids of the images that the last run of a project has finished."""
    return frozenset(number for chunk in _chunks_of(document) for number in chunk)


def _begun_in(document: Document) -> dict[str, Any] | None:
    note = document.note(NOTE)
    return note if isinstance(note, dict) else None


def _chunks_of(document: Document) -> list[list[int]]:
    chunks: list[list[int]] = []
    while chunk := document.note(f"{NOTE} {len(chunks)}"):
        chunks.append(chunk)
    return chunks


def _known(records: Iterable[ImageRecord], names: Mapping[str, str]) -> Known:
    return Known(
        {record.id: record.key for record in records},
        {int(number): name for number, name in names.items()},
    )


def _names_of(categories: Iterable[Category]) -> dict[str, str]:
    return {str(category.id): category.name for category in categories}


def check_size(key: str, size: tuple[int, int], present: Annotations) -> None:
    """Refuse an image that is not as large as its objects say.

    Raises:
        ImageError: it is another one.
    """
    sizes = {(a.shape.width, a.shape.height) for a in present if isinstance(a.shape, Mask)}
    if sizes - {size}:
        other = min(sizes - {size})
        raise ImageError(
            f"The objects of “{key}” were made for an image of {other[0]} × {other[1]} pixels, "
            f"but it has {size[0]} × {size[1]}.",
            "Check that it is the right file, and that it was not rotated or resized.",
        )


class FileTarget:
    """Puts proposals into a COCO results file; the project is only read, and may be open.

    Args:
        out: the results file.
        folder: the images.
        project_dir: where the project is, if not beside the images.
        only_existing: leave boxes out whose class the project does not have.
    """

    def __init__(
        self, out: Path, folder: Path, project_dir: Path | None, only_existing: bool
    ) -> None:
        from annotator.core.prelabel.results_file import RunFile, run_path

        self.tally = Tally()
        self._out = out
        self._project = glance(folder, project_dir, _space())
        self._only_existing = only_existing
        self._lines: Lines | None = None
        self._numbers: dict[str, int] = {}
        self._listed = Known()
        lock = run_path(out).with_name(f"{out.name}.lock")
        self._lock = lock_file(
            lock,
            f"Another run writes “{out}”{{}}.",
            f"Wait for it. If there is none, delete “{lock}”.",
        )
        self._run = RunFile(run_path(out))

    def record(self, key: str) -> ImageRecord | None:
        """See `Target`."""
        return self._project.records.get(key)

    def known(self, *, resume: bool) -> Known:
        """See `Target`."""
        header = self._run.header() if resume else None
        names = header["known"] if header else _names_of(self._project.categories)
        return _known(self._project.records.values(), names)

    def namer(self, *, resume: bool) -> Namer:
        """See `Target`."""
        from annotator.core.prelabel.joining import Namer

        return Namer(self._project.categories, *self._project.memory)

    @property
    def templates(self) -> tuple[str, ...]:
        """See `Target`."""
        return TEMPLATES

    def begin(self, run: Run, detections: Known, labels: Sequence[str], *, resume: bool) -> int:
        """See `Target`."""
        self._listed = detections
        header = self._run.header()
        if resume and header is not None:
            run.check(header["settings"])
            self._numbers = header["classes"]
            self._run.resume()
            return len(self._run)
        categories = self._project.categories
        self._numbers = class_numbers(detections.categories, categories, labels)
        self._run.begin(
            {
                "settings": dict(run.settings),
                "known": _names_of(self._project.categories),
                "classes": self._numbers,
            }
        )
        return 0

    def is_done(self, key: str) -> bool:
        """See `Target`."""
        return key in self._run

    def take(self, outcome: Outcome) -> None:
        """See `Target`."""
        if self._lines is None:
            namer = self.namer(resume=True)
            self._lines = Lines(namer, self._only_existing, self._numbers, self.tally)
        self._run.add(outcome.key, self._lines.of(outcome.found))

    def finish(self, keys: Sequence[str]) -> None:
        """See `Target`."""
        from annotator.core.prelabel.results_file import write_results

        own = [(record.id, key) for key, record in self._project.records.items()]
        numbers = image_numbers(self._listed, own, keys)
        numbers.add(keys)
        write_results(self._out, self._run, keys, numbers.known, *class_names(self._numbers))

    def close(self) -> None:
        """See `Target`."""
        self._run.close()
        self._lock.unlock()
