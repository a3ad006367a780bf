"""The COCO file follows the journal: a moment after the last edit, whole, and never over another's.

Runs on its own thread with its own reading connection, so that neither the user nor the journal
waits for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.codec import annotation_from_json
from annotator.core.errors import UserError
from annotator.core.files import (
    Fingerprint,
    Temporary,
    explain,
    fingerprint,
    free_name,
    from_json,
    put_in_place,
    time_stamp,
    to_json,
    write_atomic,
    write_temporary,
)
from annotator.services import coco_backups
from annotator.services.coco_backups import ChangedOutside
from annotator.services.journal import (
    load_categories,
    load_counter,
    load_header,
    load_images,
    record,
)
from annotator.services.operations import KeepEntries, Operation
from annotator.services.store import DELAYS, Reader, explain_failure

if TYPE_CHECKING:
    from annotator.core.annotation import ImageRecord

QUIET = 2.0
"""Seconds without an edit before the file is written."""
LONGEST = 10.0
"""Seconds after the first edit at which it is written anyway."""
PATIENCE = 5.0
"""Times the duration of the last writing to leave between two."""
PROBING = 2.0
"""Seconds one writing may spend on sizes of images that nobody has opened."""
CHUNK = 256


@dataclass(frozen=True, slots=True)
class CocoState:
    """What we know of the file on the disk; kept beside the journal.

    Attributes:
        file: name of the COCO file.
        generation: state of the journal it shows.
        size: bytes when we last saw it.
        mtime_ns: time of change when we last saw it.
        hashes: sha256 of what we wrote or read, newest last.
    """

    file: str
    generation: int = 0
    size: int = -1
    mtime_ns: int = -1
    hashes: tuple[str, ...] = ()

    def seen(self, file: Fingerprint) -> CocoState:
        """With this content known as ours."""
        known = (*(h for h in self.hashes if h != file.sha256), file.sha256)[-4:]
        return replace(self, size=file.size, mtime_ns=file.mtime_ns, hashes=known)


def load_state(path: Path, default: str) -> CocoState:
    """What was known when the project was last open."""
    try:
        value = from_json(path.read_bytes())
        return CocoState(**(value | {"hashes": tuple(value["hashes"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return CocoState(default)


def save_state(path: Path, state: CocoState) -> None:
    """Remember it.

    Raises:
        OSError: it was not remembered.
    """
    write_atomic(path, [to_json(asdict(state))])


def is_foreign(target: Path, state: CocoState) -> bool:
    """Whether somebody else changed the file since we last wrote or read it.

    Raises:
        OSError: the file is there but cannot be read.
    """
    try:
        status = target.stat()
    except FileNotFoundError:
        return False
    if (status.st_size, status.st_mtime_ns) == (state.size, state.mtime_ns):
        return False
    return fingerprint(target).sha256 not in state.hashes


def keep_beside(target: Path) -> Path:
    """Give a foreign file a second name, so that replacing it loses nothing.

    Raises:
        OSError: it has no second name.
    """
    stamp = time_stamp()
    kept = free_name(target.with_name(f"{target.stem} (changed outside {stamp}){target.suffix}"))
    try:
        os.link(target, kept)
    except OSError:
        shutil.copy2(target, kept)
        with kept.open("rb") as file:
            os.fsync(file.fileno())
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class Listeners:
    """What the exporter calls, always on its own thread.

    Attributes:
        written: the file shows this generation of the journal.
        failing: writing fails for this reason; None when it works again.
        reported: something people should know.
        measured: sizes read from files: tuples of key, width, height, orientation.
        put: hands an operation to the journal.
        settle: waits (seconds at most) until the journal holds everything done so far.
    """

    written: Callable[[int], None]
    failing: Callable[[UserError | None], None]
    reported: Callable[[UserError], None]
    measured: Callable[[list[tuple[str, int, int, int]]], None]
    put: Callable[[Operation], None]
    settle: Callable[[float], bool]


class CocoExporter:
    """Writes the COCO file on a thread of its own.

    Args:
        folder: the images.
        target: the COCO file.
        state_path: where `CocoState` is kept.
        state: what is known about the file.
        reader: connects to the journal; used on the exporter's thread only.
        listeners: whom to tell.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        state_path: Path,
        state: CocoState,
        reader: Reader,
        listeners: Listeners,
    ) -> None:
        self._folder = folder
        self._target = target
        self._state_path = state_path
        self._known = state
        self._reader = reader
        self._tell = listeners
        self._first: float | None = None
        self._due: float | None = None
        self._asked = False
        self._closing = False
        self._rle_only = False
        self._versions = coco_backups.DEFAULT
        self._duration = 0.0
        self._attempts = 0
        self._lacks_backup = False
        self._error: UserError | None = None
        self._unreadable: set[str] = set()
        self._state = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="coco", daemon=True)
        self._thread.start()

    def follow(self) -> None:
        """The journal has something new; any thread."""
        with self._state:
            now = time.monotonic()
            pause = PATIENCE * self._duration
            self._first = now if self._first is None else self._first
            latest = max(self._first + LONGEST, self._first + pause)
            self._due = min(now + max(QUIET, pause), latest)
            self._state.notify_all()

    def use_rle_only(self, rle_only: bool) -> None:
        """Whether masks are written as RLE everywhere from the next time on; any thread."""
        self._rle_only = rle_only

    def keep_versions(self, count: int) -> None:
        """How many versions of the file are kept from the next time on; any thread."""
        self._versions = count

    @property
    def known(self) -> CocoState:
        """What is known of the file; any thread."""
        return self._known

    @property
    def backups(self) -> Path:
        """Where versions of the file are kept."""
        return self._state_path.with_name(coco_backups.FOLDER)

    def write_now(self) -> None:
        """Write as soon as the journal holds everything done so far; any thread."""
        with self._state:
            self._asked = True
            self._due = time.monotonic()
            self._state.notify_all()

    def close(self) -> None:
        """Write once more if something is missing in the file, and end the thread."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        self._thread.join()

    # --- On the exporter's thread ---

    def _run(self) -> None:
        while self._wait():
            started = time.monotonic()
            try:
                generation, is_complete = self._write()
            except (OSError, sqlite3.Error) as error:
                self._fail(error)
                continue
            finally:
                self._duration = time.monotonic() - started
            self._attempts = 0
            if self._error is not None:
                self._error = None
                self._tell.failing(None)
            if is_complete:
                self._tell.written(generation)
            elif not self._closing:
                self.follow()
            else:
                break
        self._reader.close()

    def _wait(self) -> bool:
        """Until it is time to write; False at the end."""
        with self._state:
            while self._due is None or (self._due > time.monotonic() and not self._closing):
                if self._closing:
                    return False
                rest = None if self._due is None else self._due - time.monotonic()
                self._state.wait(rest)
            if self._closing and self._attempts:
                return False
            asked, self._asked = self._asked, False
            self._first = self._due = None
        if asked:
            self._tell.settle(5.0)
        return True

    def _fail(self, error: OSError | sqlite3.Error) -> None:
        if isinstance(error, OSError):
            message = explain(error, self._target)
        else:
            message = explain_failure(error, self._target)
        self._attempts += 1
        with self._state:
            now = time.monotonic()
            self._first = now
            self._due = now + DELAYS[min(self._attempts, len(DELAYS)) - 1]
        if self._error is None or self._error.message != message.message:
            self._error = message
            self._tell.failing(message)

    def _write(self) -> tuple[int, bool]:
        """Write the file; the generation it shows, and whether nothing is left to add."""
        from annotator.core.formats.coco.writing import category_entries, file_chunks

        db = self._reader.connection()
        db.execute("BEGIN")
        try:
            generation = load_counter(db, "generation")
            unnamed = load_counter(db, "unnamed")
            has_unnamed = db.execute(_UNNAMED).fetchone()
            header = load_header(db)
            patience = PROBING / 8 if self._closing else PROBING
            sizes = _Sizes(self._folder, time.monotonic() + patience, self._unreadable)
            sections = {
                "images": self._images(db, header, sizes),
                "annotations": self._annotations(db, unnamed),
                "categories": category_entries(
                    load_categories(db)[0], unnamed if has_unnamed else None
                ),
            }
            temporary = write_temporary(self._target, file_chunks(header, sections))
        finally:
            db.execute("COMMIT")
        # Where sizes are missing, the next opening goes on with them.
        self._replace(temporary, generation if sizes.is_complete else self._known.generation)
        if sizes.failures:
            self._tell.reported(sizes.failures[0])
        return generation, sizes.is_complete

    def _replace(self, temporary: Temporary, generation: int) -> None:
        if is_foreign(self._target, self._known):
            kept = keep_beside(self._target)
            base = coco_backups.base_of(self.backups, self._known.hashes)
            self._tell.reported(
                ChangedOutside(
                    kept,
                    base,
                    f"“{self._target.name}” was changed by another program.",
                    f"That version was kept as “{kept.name}”; merge it if you need its objects.",
                )
            )
        # Known as ours before it is in place: a crash in between must not make it a stranger.
        hashes = (*self._known.hashes[-3:], temporary.sha256)
        self._known = replace(self._known, hashes=hashes)
        save_state(self._state_path, self._known)
        written = put_in_place(temporary)
        self._known = replace(self._known, generation=generation).seen(written)
        save_state(self._state_path, self._known)
        self._back_up()

    def _back_up(self) -> None:
        """Without room for it the file itself is what counts, so that is told and no more."""
        try:
            coco_backups.back_up(self._target, self.backups, self._versions)
        except OSError as error:
            if not self._lacks_backup:
                self._tell.reported(explain(error, self.backups))
            self._lacks_backup = True
        else:
            self._lacks_backup = False

    def _images(
        self, db: sqlite3.Connection, header: dict[str, Any], sizes: _Sizes
    ) -> Iterator[bytes]:
        from annotator.core.formats.coco.dataset import UNKNOWN_LICENSE
        from annotator.core.formats.coco.writing import image_entry

        license_id = 1 if header.get("licenses") == [UNKNOWN_LICENSE] else None
        for row in load_images(db):
            image = sizes.of(record(row))
            yield image_entry(image, license_id)
            if len(sizes.found) >= CHUNK:
                self._tell.measured(sizes.take())
        if sizes.found:
            self._tell.measured(sizes.take())

    def _annotations(self, db: sqlite3.Connection, unnamed: int) -> Iterator[bytes]:
        from annotator.core.formats.coco.writing import annotation_entry

        made: list[tuple[str, int, int, str]] = []
        for image, number, value, entry, width, height in db.execute(_ANNOTATIONS):
            if entry is not None and not self._rle_only:
                yield entry.encode("utf-8")
                continue
            annotation = annotation_from_json(from_json(value))
            if self._rle_only:  # cheap to make, so the journal keeps the entries with polygons
                yield annotation_entry(annotation, image, width, height, unnamed, rle_only=True)
                continue
            text = annotation_entry(annotation, image, width, height, unnamed)
            made.append((text.decode("utf-8"), image, number, value))
            if len(made) >= CHUNK:
                self._keep(made)
                made = []
            yield text
        self._keep(made)

    def _keep(self, made: list[tuple[str, int, int, str]]) -> None:
        # The journal may be closing: then the entries are simply made again next time.
        with contextlib.suppress(RuntimeError):
            if made:
                self._tell.put(KeepEntries(made))


_ANNOTATIONS = """
SELECT a.image, a.id, a.value, a.coco, i.width, i.height
FROM annotations a JOIN images i ON i.id = a.image WHERE NOT a.proposed
ORDER BY a.image, a.place"""
_UNNAMED = "SELECT 1 FROM annotations WHERE category IS NULL AND NOT proposed"


class _Sizes:
    """Reads the sizes of images that were never opened, as long as the time lasts."""

    def __init__(self, folder: Path, deadline: float, unreadable: set[str]) -> None:
        self._folder = folder
        self._deadline = deadline
        self._unreadable = unreadable
        self.is_complete = True
        self.found: list[tuple[str, int, int, int]] = []
        self.failures: list[UserError] = []

    def of(self, image: ImageRecord) -> ImageRecord:
        """The image with its size, if it can be known."""
        if image.width or image.key in self._unreadable:
            return image
        if time.monotonic() > self._deadline:
            self.is_complete = False
            return image
        from annotator.core.images import probe

        try:
            info = probe(self._folder / image.key)
        except UserError as error:
            self._unreadable.add(image.key)
            self.failures.append(error)
            return image
        self.found.append((image.key, info.width, info.height, info.orientation))
        return replace(image, width=info.width, height=info.height, orientation=info.orientation)

    def take(self) -> list[tuple[str, int, int, int]]:
        """What was found since the last time."""
        found, self.found = self.found, []
        return found
