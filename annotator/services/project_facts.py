"""What is known about all images and objects of a project, read from its journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from annotator.core.annotation import Category
from annotator.core.files import from_json
from annotator.services.journal import STATUSES as STORED
from annotator.services.journal import load_categories, load_images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.query.facts import ImageFacts, ObjectFacts
    from annotator.core.statistics import Statistics

CHUNK = 512
Progress = Callable[[int, int], None]
"""Objects read, and how many there are; may raise to stop."""


def read_images(db: sqlite3.Connection, *, dates: bool) -> ImageFacts:
    """All images in their order.

    Args:
        db: a connection to the journal.
        dates: whether to look for the last change of every image.
    """
    import numpy as np

    from annotator.core.annotation import STATE_OF, ImageState
    from annotator.core.query.facts import STATES, ImageFacts

    rows = load_images(db)
    ids, widths, heights, counts, reviewed, proposals = (
        np.asarray([row[place] for row in rows], np.int64) for place in (0, 2, 3, 5, 6, 7)
    )
    states = np.full(len(rows), STATES.index(ImageState.UNTOUCHED), np.int8)
    states[proposals > 0] = STATES.index(ImageState.PROPOSALS)
    states[counts > 0] = STATES.index(ImageState.ANNOTATED)
    for status, state in STATE_OF.items():
        states[reviewed == STORED.index(status)] = STATES.index(state)
    comments = {place: row[9] for place, row in enumerate(rows) if row[9]}
    return ImageFacts(
        [row[1] for row in rows], ids, widths.astype(np.int32), heights.astype(np.int32),
        counts.astype(np.int32), proposals.astype(np.int32), states, comments,
        _dates(db, ids) if dates else None,
    )  # fmt: skip


def _dates(db: sqlite3.Connection, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    import numpy as np

    found = dict(db.execute("SELECT image, max(time) FROM steps GROUP BY image"))
    return np.asarray([found.get(number, np.nan) for number in ids.tolist()], np.float64)


def read_objects(db: sqlite3.Connection, progress: Progress = lambda done, of: None) -> ObjectFacts:
    """All objects, proposals among them."""
    from annotator.core.query.facts import ObjectReader

    reader = ObjectReader()
    count = db.execute("SELECT count(*) FROM annotations").fetchone()[0]
    rows = db.execute("SELECT image, value FROM annotations")
    for done, chunk in enumerate(_chunks(rows), 1):
        reader.add((image, from_json(value)) for image, value in chunk)
        progress(min(done * CHUNK, count), count)
    return reader.facts()


def read_again(db: sqlite3.Connection, known: ObjectFacts, images: Sequence[int]) -> ObjectFacts:
    """The objects after those of some images (ids) changed."""
    import numpy as np

    from annotator.core.query.facts import ObjectReader

    reader = ObjectReader()
    reader.start_from(known, ~np.isin(known.images, np.asarray(images, np.int64)))
    for image in images:
        rows = db.execute("SELECT image, value FROM annotations WHERE image=?", (image,))
        reader.add((number, from_json(value)) for number, value in rows)
    return reader.facts()


def _chunks(rows: sqlite3.Cursor) -> Iterator[list[tuple[int, str]]]:
    while chunk := rows.fetchmany(CHUNK):
        yield chunk


def read_categories(db: sqlite3.Connection) -> list[Category]:
    """The classes in use."""
    return load_categories(db)[0]


_DAYS = """
SELECT date(time, 'unixepoch', 'localtime') AS day, count(*), count(DISTINCT image)
FROM steps WHERE state < 2 GROUP BY day ORDER BY day"""


def read_statistics(
    db: sqlite3.Connection, progress: Progress = lambda done, of: None
) -> Statistics:
    """The numbers of a whole project; what was abandoned is no progress."""
    from annotator.core.statistics import Day, statistics

    names = {category.id: category.name for category in read_categories(db)}
    days = [Day(day, steps, images) for day, steps, images in db.execute(_DAYS)]
    images = read_images(db, dates=False)
    return statistics(images, read_objects(db, progress), names, days)
