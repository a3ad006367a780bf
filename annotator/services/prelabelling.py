"""Where the proposals of a run go: into a project, or into a COCO results file.

Both remember which images are done together with what was found in them, in one write, so that a
run that was killed goes on exactly where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QCoreApplication

from annotator.core.annotation import Annotation, Annotations, Category, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats.coco.dataset import UNNAMED, UNNAMED_ID
from annotator.core.formats.detections.values import Known
from annotator.core.mask import Mask
from annotator.core.vocabulary import clean_name
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


@dataclass(slots=True)
class Tally:
    """What became of what was found.

    Attributes:
        new: proposals.
        known: objects that were there already.
        named: proposals that got a name from the project's memory.
        classes: new ones, in the order they were met.
        skipped: how many boxes were left out by label, because there is no such class.
    """

    new: int = 0
    known: int = 0
    named: int = 0
    classes: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


class Target(Protocol):
    """Takes what was found, image by image."""

    tally: Tally

    def record(self, key: str) -> ImageRecord | None:
        """What the project knows about an image."""

    def known(self, *, resume: bool) -> Known:
        """What numbers of images and classes mean in the project, as it was when the run began."""

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


class _Names:
    """Gives proposals their class, for both targets.

    Args:
        namer: knows the classes and the looks of named objects.
        only_existing: leave boxes out that need a new class.
        tally: counts those.
    """

    def __init__(self, namer: Namer, only_existing: bool, tally: Tally) -> None:
        self.known = namer.names
        self._namer = namer
        self._only_existing = only_existing
        self._tally = tally

    def wanted(self, found: Iterable[Found]) -> list[tuple[Found, int | None, str]]:
        """Each with the id of its class, or None and the name of one to be made, or neither."""
        chosen: list[tuple[Found, int | None, str]] = []
        for one in found:
            label = clean_name(one.origin.label)
            number = self.known.find(label) if label else self._namer.by_looks(one)
            if label and number is None and self._only_existing:
                self._tally.skipped[label] += 1
            else:
                chosen.append((one, number, label if number is None else ""))
        return chosen


class ProjectTarget:
    """Puts proposals into a project; needs a QCoreApplication.

    Args:
        document: the project; closed with this.
        only_existing: make no new classes.
        max_overlap: what overlaps an object more is that object.
    """

    def __init__(self, document: Document, only_existing: bool, max_overlap: float) -> None:
        from annotator.core.prelabel.joining import Namer

        self.tally = Tally()
        self._document = document
        self._max_overlap = max_overlap
        _, category_ids, vectors = document.vectors(_space())
        # Copies: what is done meanwhile must not change what is proposed.
        namer = Namer(document.categories(), category_ids.copy(), vectors.copy())
        self._names = _Names(namer, only_existing, self.tally)
        self._settings: Mapping[str, Any] = {}
        self._done: set[int] = set()
        self._chunk: list[int] = []
        self._chunks = 0

    def record(self, key: str) -> ImageRecord | None:
        """See `Target`."""
        return self._document.record(key)

    def known(self, *, resume: bool) -> Known:
        """See `Target`."""
        begun = self._begun() if resume else None
        names = begun["categories"] if begun else _names_of(self._document.categories())
        return _known((self._document.record(key) for key in self._document.keys()), names)  # noqa: SIM118

    def begin(self, run: Run, detections: Known, labels: Sequence[str], *, resume: bool) -> int:
        """See `Target`."""
        document, begun = self._document, self._begun()
        self._settings = run.settings
        if resume and begun is not None:
            run.check(begun["settings"])
            self._take_up()
            return len(self._done)
        place = 0
        while document.note(f"{NOTE} {place}"):
            document.set_note(f"{NOTE} {place}", [])
            place += 1
        names = _names_of(document.categories())
        document.set_note(NOTE, {"settings": dict(run.settings), "categories": names})
        return 0

    def _begun(self) -> dict[str, Any] | None:
        note = self._document.note(NOTE)
        return note if isinstance(note, dict) else None

    def _take_up(self) -> None:
        while chunk := self._document.note(f"{NOTE} {self._chunks}"):
            self._done.update(chunk)
            self._chunk = chunk
            self._chunks += 1
        self._chunks = max(self._chunks - 1, 0)

    def is_done(self, key: str) -> bool:
        """See `Target`."""
        return self._document.record(key).id in self._done

    def take(self, outcome: Outcome) -> None:
        """See `Target`."""
        from annotator.core.prelabel.joining import joined

        document, key = self._document, outcome.key
        present = document.annotations(key)
        if outcome.size is not None:
            _check_size(key, outcome.size, present)
            document.set_size(key, *outcome.size, outcome.orientation)
        wanted = self._names.wanted(outcome.found)
        made = [self._annotation(*one) for one in wanted]
        after, new = joined(present, made, self._max_overlap, self._settings, self._names.known)
        text = f"Pre-label: {len(new)} object{'' if len(new) == 1 else 's'}"
        document.edit(key, after, text, note=self._noted(key))
        looks = {one.id: found.looks for one, (found, *_) in zip(made, wanted, strict=True)}
        for one in new:
            document.set_vector(one.id, _space(), looks[one.id])
        self.tally.new += len(new)
        self.tally.known += len(made) - len(new)
        self.tally.named += sum(a.category_id is not None and not a.origin.label for a in new)
        self._settle()

    def _annotation(self, found: Found, category_id: int | None, new_class: str) -> Annotation:
        document = self._document
        if new_class:
            category_id = self._names.known.find(new_class)
            if category_id is None:
                category_id = document.add_category(new_class).id
                self._names.known.add(new_class, category_id)
                self.tally.classes.append(new_class)
        return Annotation(document.new_id(), found.mask, category_id, found.origin, proposed=True)

    def _noted(self, key: str) -> tuple[str, list[int]]:
        """The note that says that an image is done."""
        if len(self._chunk) >= CHUNK:
            self._chunk = []
            self._chunks += 1
        self._chunk = [*self._chunk, self._document.record(key).id]
        return f"{NOTE} {self._chunks}", self._chunk

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


def _known(records: Iterable[ImageRecord], names: Mapping[str, str]) -> Known:
    return Known(
        {record.id: record.key for record in records},
        {int(number): name for number, name in names.items()},
    )


def _names_of(categories: Iterable[Category]) -> dict[str, str]:
    return {str(category.id): category.name for category in categories}


def _check_size(key: str, size: tuple[int, int], present: Annotations) -> None:
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
        from annotator.core.prelabel.joining import Namer
        from annotator.core.prelabel.results_file import RunFile, run_path

        self.tally = Tally()
        self._out = out
        self._project = glance(folder, project_dir, _space())
        namer = Namer(self._project.categories, *self._project.memory)
        self._names = _Names(namer, only_existing, self.tally)
        self._numbers: dict[str, int] = {}
        self._images: Mapping[int | str, str] = {}
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

    def begin(self, run: Run, detections: Known, labels: Sequence[str], *, resume: bool) -> int:
        """See `Target`."""
        self._images = detections.images
        header = self._run.header()
        if resume and header is not None:
            run.check(header["settings"])
            self._numbers = header["classes"]
            self._run.resume()
            return len(self._run)
        own = [(category.id, category.name) for category in self._project.categories]
        self._numbers = _numbered(detections.categories, [*own, *((0, name) for name in labels)])
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
        from annotator.core.prelabel.results_file import line_of

        own = {category.id: category.name for category in self._project.categories}
        values = []
        for found, number, new_class in self._names.wanted(outcome.found):
            name = own[number] if number is not None else new_class
            if new_class and new_class not in self.tally.classes:
                self.tally.classes.append(new_class)
            self.tally.named += number is not None and not found.origin.label
            values.append(line_of(found, self._number(name)))
        self._run.add(outcome.key, values)
        self.tally.new += len(values)

    def _number(self, name: str) -> int | None:
        return self._numbers[clean_name(name)] if name else None

    def finish(self, keys: Sequence[str]) -> None:
        """See `Target`."""
        from annotator.core.formats.detections.values import ImageNames
        from annotator.core.prelabel.results_file import write_results

        images = ImageNames(keys)
        named = {n: images.named(name) for n, name in self._images.items() if isinstance(n, int)}
        listed = [(n, found[0]) for n, found in named.items() if len(found) == 1]
        own = [(record.id, key) for key, record in self._project.records.items()]
        numbers = _numbered(dict(listed), [*own, *((0, key) for key in keys)], clean=False)
        names = {number: name for name, number in self._numbers.items()}
        unnamed = UNNAMED_ID
        while unnamed in names:
            unnamed += 1
        names[unnamed] = UNNAMED
        write_results(self._out, self._run, keys, numbers.__getitem__, names, unnamed)

    def close(self) -> None:
        """See `Target`."""
        self._run.close()
        self._lock.unlock()


def _numbered(
    first: Mapping[int, str] | Mapping[int | str, str],
    others: Iterable[tuple[int, str]],
    *,
    clean: bool = True,
) -> dict[str, int]:
    """Every name with its number; those without one, or with one that is taken, get the next."""
    spell = clean_name if clean else str
    numbers: dict[str, int] = {}
    for number, name in first.items():
        if isinstance(number, int):
            numbers.setdefault(spell(name), number)
    taken = set(numbers.values())
    later = list(others)
    following = max([*taken, *(number for number, _ in later), 0])
    for number, name in later:
        if spell(name) in numbers:
            continue
        if number <= 0 or number in taken:
            following += 1
            number = following
        taken.add(number)
        numbers[spell(name)] = number
    return numbers
