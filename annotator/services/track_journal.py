"""The journal's objects as the table of tracks needs them: no mask is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.mask import Mask
from annotator.core.tracks import TRACK, Cell, cell_of
from annotator.services.operations import stored_key
from models.api import Prompt

_NO_SHAPE = Mask(1, 1, b"1")
_QUERY = f"""
SELECT i.key, a.id, a.category, a.proposed, json_extract(a.value, '$.track'),
  json_extract(a.value, '$.origin.follows'), json_extract(a.value, '$.origin.source'),
  json_extract(a.value, '$.origin.edited'), json_type(a.value, '$.origin.prompt'),
  json_extract(a.value, '$.attributes.{TRACK}'), json_extract(a.value, '$.extra.{TRACK}')
FROM images i JOIN annotations a ON a.image = i.id WHERE i.key IN ({{}}) ORDER BY i.id
"""


def load_cells(db: sqlite3.Connection, keys: Sequence[str]) -> list[tuple[str, list[Cell]]]:
    """Keys of images that have objects, and a cell for each of those.

    Args:
        db: a connection.
        keys: no more than SQLite takes in one query, some hundreds.
    """
    stored = {stored_key(key): key for key in keys}
    rows = db.execute(_QUERY.format(",".join("?" * len(stored))), list(stored))
    return [
        (stored[key], [_cell(*row[1:]) for row in found])
        for key, found in groupby(rows, lambda row: row[0])
    ]


def _cell(
    number: int, category: int | None, proposed: int, track: int | None, follows: int | None,
    source: str, edited: int | None, prompt: str | None, attribute: str | float | None,
    foreign: str | float | None,
) -> Cell:  # fmt: skip
    return cell_of(
        Annotation(
            number, _NO_SHAPE, category,
            Origin(
                Source(source), prompt=Prompt() if prompt else None, follows=follows,
                edited=bool(edited),
            ),
            attributes={} if attribute is None else {TRACK: attribute},
            extra={} if foreign is None else {TRACK: foreign},
            proposed=bool(proposed), track=track,
        )
    )  # fmt: skip
