"""Checks of a whole project, from its journal: what is found, and repairing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.core.files import from_json, to_json, write_atomic
from annotator.core.paths import split_frame
from annotator.services.journal import (
    ImageRow,
    connect_beside,
    load_annotations,
    load_categories,
    load_images,
    load_vectors,
)
from annotator.services.project_folder import known_journal

if TYPE_CHECKING:
    from annotator.core.annotation import Annotations
    from annotator.core.checks.api import Finding, Labelled, Limits

HASHES = "hashes.json"
"""Beside the journal: what pictures look like, by key, size and time of the file."""
SIDE = 96
"""Pictures are read about so large to compare them."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is checked.

    Attributes:
        folder: the images.
        project_dir: the project's own files, None for the usual place.
        checks: ids.
        limits: what counts as wrong.
        keys: only these images; None for all.
    """

    folder: Path
    project_dir: Path | None
    checks: frozenset[str]
    limits: Limits
    keys: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is.

    Attributes:
        found: since the step before.
        done: images, or pictures.
        count: of how many.
        what: "objects" or "pictures".
    """

    found: Sequence[Finding]
    done: int
    count: int
    what: str = "objects"


def journal_of(folder: Path, project_dir: Path | None) -> Path:
    """The journal.

    Raises:
        UserError: there is no project.
    """
    path = known_journal(folder, project_dir)
    if path is None:
        raise UserError(
            f"“{folder}” is no project: there is nothing to check.",
            "Open it in the window once, or name the folder of the images.",
        )
    return path


def run(order: Order) -> Iterator[Step]:
    """Check a project, image by image; images are read only to compare pictures.

    Raises:
        UserError: there is no project, or another version made it.
        sqlite3.Error: the journal cannot be read.
    """
    from annotator.core.checks.table import ALIKE, OUTLIER

    path = journal_of(order.folder, order.project_dir)
    db = connect_beside(path)
    try:
        rows = [r for r in load_images(db) if order.keys is None or r[1] in order.keys]
        yield from _objects(db, rows, order)
        if OUTLIER in order.checks:
            yield Step(list(_outliers(db, rows, order)), len(rows), len(rows))
        if ALIKE in order.checks:
            yield from _pictures(path.parent / HASHES, rows, order)
    finally:
        db.close()


def _objects(db: sqlite3.Connection, rows: list[ImageRow], order: Order) -> Iterator[Step]:
    from annotator.core.checks.table import CHECKS

    checks = [check for check in CHECKS if check.id in order.checks and check.find is not None]
    if not checks:
        return
    for place, row in enumerate(rows, 1):
        found: list[Finding] = []
        if row[5]:
            image = labelled(db, row)
            found = [f for check in checks for f in check.findings(image, order.limits)]
        yield Step(found, place, len(rows))


def labelled(db: sqlite3.Connection, row: ImageRow) -> Labelled:
    """An image with its objects."""
    from annotator.core.checks.api import Labelled

    return Labelled(row[1], row[2], row[3], load_annotations(db, row[0]))


def _outliers(db: sqlite3.Connection, rows: list[ImageRow], order: Order) -> Iterator[Finding]:
    from annotator.core.checks.api import Finding
    from annotator.core.checks.project import size_outliers
    from annotator.core.checks.table import OUTLIER
    from annotator.services.project_facts import read_objects

    keys = {row[0]: row[1] for row in rows}
    names = {category.id: category.name for category in load_categories(db)[0]}
    for image, number, text in size_outliers(read_objects(db), names, order.limits):
        if image in keys:
            yield Finding(OUTLIER, keys[image], (number,), text)


def _pictures(cache: Path, rows: list[ImageRow], order: Order) -> Iterator[Step]:
    from annotator.core.checks.api import Finding
    from annotator.core.checks.project import look_alikes
    from annotator.core.checks.table import ALIKE

    known, hashes, fresh = _load_hashes(cache), {}, {}
    # Frames of a film are meant to look the same.
    keys = [row[1] for row in rows if split_frame(row[1]) is None]
    for place, key in enumerate(keys, 1):
        entry = _hash_of(order.folder / key, known.get(key))
        if entry is not None:
            fresh[key] = entry
            hashes[key] = entry[2]
        yield Step((), place, len(keys), "pictures")
    _keep_hashes(cache, known | fresh)
    found = [
        Finding(ALIKE, later, (), f"looks like “{first}”" + (" (nearly)" if bits else ""))
        for later, first, bits in look_alikes(hashes, order.limits.differing)
    ]
    yield Step(found, len(keys), len(keys), "pictures")


Known = tuple[int, int, int]
"""Size in bytes, time of change in nanoseconds, and hash."""


def _hash_of(path: Path, known: Known | None) -> Known | None:
    from annotator.core.checks.project import picture_hash
    from annotator.core.images import read_reduced

    try:
        status = path.stat()
        if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
            return known
        return status.st_size, status.st_mtime_ns, picture_hash(read_reduced(path, SIDE))
    except (OSError, UserError):
        return None  # the image list tells about images that cannot be read


def _load_hashes(path: Path) -> dict[str, Known]:
    try:
        value = from_json(path.read_bytes())
        return {str(key): (int(a), int(b), int(c, 16)) for key, (a, b, c) in value.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep_hashes(path: Path, hashes: Mapping[str, Known]) -> None:
    try:
        write_atomic(path, [to_json({k: [a, b, f"{c:016x}"] for k, (a, b, c) in hashes.items()})])
    except OSError:
        return  # they are found out again next time


@dataclass(frozen=True, slots=True)
class Repaired:
    """An image with findings repaired.

    Attributes:
        key: of the image.
        before: its objects as they were looked at.
        after: its objects as they shall be.
        count: findings repaired.
    """

    key: str
    before: Annotations
    after: Annotations
    count: int


def repairs(
    order: Order,
    findings: Collection[Finding] | None,
    asked: Callable[[], bool] = lambda: False,
) -> Iterator[Repaired]:
    """What repairing would make of the images, without doing it.

    Args:
        order: what is checked.
        findings: those to repair; None for all that the checks find.
        asked: whether to stop.

    Raises:
        UserError: there is no project.
        sqlite3.Error: the journal cannot be read.
    """
    from annotator.core.checks.table import OUTLIER, UNNAMED, repaired

    db = connect_beside(journal_of(order.folder, order.project_dir))
    try:
        rows = load_images(db)
        wanted: dict[str, dict[str, set[tuple[int, ...]]]] = {}
        compared = list(_outliers(db, rows, order)) if OUTLIER in order.checks else []
        for finding in compared if findings is None else findings:
            wanted.setdefault(finding.key, {}).setdefault(finding.check, set()).add(finding.ids)
        names: SureNames | None = None
        for row in rows:
            if asked():
                return
            of_image = wanted.get(row[1], {})
            meant = order.keys is None or row[1] in order.keys
            if not row[5] or not (meant if findings is None else of_image):
                continue
            image = labelled(db, row)
            which: dict[str, frozenset[tuple[int, ...]] | None] = {}
            if findings is None:
                which |= dict.fromkeys(order.checks)
            which |= {name: frozenset(ids) for name, ids in of_image.items()}
            if UNNAMED in which and any(a.category_id is None for a in image.accepted):
                names = names or SureNames(db)
                image = replace(image, names=names.of(image))
            after, count = repaired(image, which, order.limits)
            if count:
                yield Repaired(row[1], image.annotations, after, count)
    finally:
        db.close()


class SureNames:
    """Names that objects get without asking, from what looks alike in the project.

    Args:
        db: the journal.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        from annotator.services.name_memory import NameMemory
        from models.describe import BasicDescriber

        self._categories = load_categories(db)[0]
        self._memory = NameMemory(load_vectors(db, BasicDescriber().id))
        _, self._classes, self._vectors = self._memory.living()

    def of(self, image: Labelled) -> dict[int, int]:
        """Class of each object that has none, where its looks are known and leave no doubt."""
        from annotator.core.suggestions import sure

        found = {}
        for annotation in image.accepted:
            vector = self._memory.vector(annotation.id)
            if annotation.category_id is None and vector is not None:
                category = sure(self._categories, self._classes, self._vectors, vector)
                if category is not None:
                    found[annotation.id] = category.id
        return found


def repair_text(checks: Collection[str]) -> str:
    """The name of the step."""
    from annotator.core.checks.table import BY_ID

    titles = [BY_ID[name].title.lower() for name in checks if name in BY_ID]
    return f"Repair: {titles[0]}" if len(titles) == 1 else "Repair what checks found"
