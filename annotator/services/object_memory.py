"""The accepted, named objects of a project as they look, for finding the same ones again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.services.accepted import accepted_objects
from annotator.services.glance import glance

if TYPE_CHECKING:
    from annotator.core.prelabel.again import Example

MOST = 2000
"""Objects that are remembered, the newest ones: a picture of each is kept."""


def read_examples(
    folder: Path,
    project_dir: Path | None = None,
    skipped: Callable[[UserError], None] = lambda _: None,
) -> Iterator[Example]:
    """What the accepted objects with a name look like; also while a window has the project open.

    Reads their images, image after image, so it may be stopped in between.

    Args:
        folder: the images.
        project_dir: where the project is, if not beside them.
        skipped: told of images that cannot be read; their objects are left out.

    Raises:
        UserError: there is no project, or it cannot be read.
    """
    from annotator.core.images import read_image
    from annotator.core.prelabel.again import examples_of
    from models.describe import BasicDescriber

    project = glance(folder, project_dir, BasicDescriber().id)
    names = {category.id: category.name for category in project.categories}
    rows = [
        (key, one.id, names[one.category_id], one.shape)
        for key, one in accepted_objects(folder, project_dir)
        if _is_useful(one) and one.category_id in names and isinstance(one.shape, Mask)
    ]
    newest = {number for _, number, *_ in sorted(rows, key=lambda row: -row[1])[:MOST]}
    kept = (row for row in rows if row[1] in newest)
    for key, group in groupby(kept, lambda row: row[0]):
        try:
            pixels = read_image(folder / key)
        except UserError as error:
            skipped(error)
            continue
        yield from examples_of(key, pixels, [row[1:] for row in group])


def some_examples(
    folder: Path,
    project_dir: Path | None = None,
    skipped: Callable[[UserError], None] = lambda _: None,
) -> list[Example]:
    """All of `read_examples`, if there are any.

    Raises:
        RefusedError: there are none.
        UserError: as `read_examples`.
    """
    from annotator.core.prelabel.run import RefusedError

    found = list(read_examples(folder, project_dir, skipped))
    if not found:
        raise RefusedError(
            "There is no accepted object with a name to look for.",
            "Accept and name a few objects first, with masks.",
        )
    return found


def _is_useful(annotation: Annotation) -> bool:
    return not annotation.is_crowd and not annotation.proposed
