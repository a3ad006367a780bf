"""A run that writes nothing: what it would change of the accepted objects of a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.formats.detections.values import Known
from annotator.core.mask import Mask
from annotator.core.prelabel.difference import Comparison, Difference, compare
from annotator.core.prelabel.naming import Names, Tally
from annotator.core.vocabulary import TEMPLATES, clean_name
from annotator.services.glance import glance

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.proposing import Outcome
    from annotator.core.prelabel.run import Run
    from models.api import Box


class ComparingTarget:
    """Compares; see `annotator.services.prelabelling.Target`. The project may be open elsewhere.

    Args:
        folder: the images.
        project_dir: where the project is, if not beside the images.
        only_existing: leave boxes out whose class the project does not have.

    Raises:
        UserError: there is no project, or it cannot be read.
    """

    def __init__(self, folder: Path, project_dir: Path | None, only_existing: bool) -> None:
        from annotator.services.accepted import accepted_objects
        from models.describe import BasicDescriber

        self.tally = Tally()
        self.comparisons: dict[str, Comparison] = {}
        self._accepted: dict[str, list[Annotation]] = {}
        for key, annotation in accepted_objects(folder, project_dir):
            self._accepted.setdefault(key, []).append(annotation)
        self._project = glance(folder, project_dir, BasicDescriber().id)
        self._names = Names(self.namer(resume=False), only_existing, self.tally)

    def record(self, key: str) -> ImageRecord | None:
        """See `Target`."""
        return self._project.records.get(key)

    def known(self, *, resume: bool) -> Known:
        """See `Target`."""
        records, categories = self._project.records.values(), self._project.categories
        return Known({one.id: one.key for one in records}, {one.id: one.name for one in categories})

    def namer(self, *, resume: bool) -> Namer:
        """See `Target`."""
        from annotator.core.prelabel.joining import Namer

        return Namer(self._project.categories, *self._project.memory)

    @property
    def templates(self) -> tuple[str, ...]:
        """See `Target`."""
        return TEMPLATES

    def begin(self, run: Run, detections: Known, labels: Sequence[str], *, resume: bool) -> int:
        """See `Target`: nothing was done before."""
        return 0

    def is_done(self, key: str) -> bool:
        """See `Target`."""
        return False

    def take(self, outcome: Outcome) -> None:
        """Compare what was found with what is accepted."""
        from annotator.services.prelabelling import check_size

        mine = tuple(self._accepted.get(outcome.key, ()))
        if outcome.size is not None:
            check_size(outcome.key, outcome.size, mine)
        found, new = [], {}
        for place, (one, number, name) in enumerate(self._names.wanted(outcome.found), 1):
            found.append(Annotation(-place, one.mask, number, one.origin, proposed=True))
            new[-place] = name
        own = {category.id: category.name for category in self._project.categories}

        def name_of(annotation: Annotation) -> str:
            if annotation.category_id is not None:
                return own.get(annotation.category_id, "")
            return new.get(annotation.id, "")

        compared = compare(mine, tuple(found), name_of)
        self.tally.new += compared.count("added")
        self.tally.known += compared.same
        self.comparisons[outcome.key] = compared

    def finish(self, keys: Sequence[str]) -> None:
        """See `Target`: nothing is written."""

    def close(self) -> None:
        """See `Target`."""

    def values(self) -> dict[str, Any]:
        """All comparisons as JSON values, by image."""
        return {
            key: {
                "same": one.same,
                "differences": [
                    values(difference, self._project.categories) for difference in one.differences
                ],
            }
            for key, one in self.comparisons.items()
        }


def values(difference: Difference, categories: Sequence[Category]) -> dict[str, Any]:
    """A difference as JSON values."""
    own = {category.id: category.name for category in categories}
    value: dict[str, Any] = {"kind": difference.kind}
    if difference.accepted is not None:
        value["accepted"] = _object(difference.accepted, own) | {"id": difference.accepted.id}
    if difference.found is not None:
        value["found"] = _object(difference.found, own) | {"score": difference.found.origin.score}
    if difference.kind == "changed":
        value["iou"] = round(difference.iou, 4)
        value["reshaped"], value["renamed"] = difference.reshaped, difference.renamed
    return value


def _object(annotation: Annotation, own: Mapping[int, str]) -> dict[str, Any]:
    from annotator.core import raster

    shape = annotation.shape
    box: Box = raster.box(shape) if isinstance(shape, Mask) else shape
    name = own.get(annotation.category_id or 0, clean_name(annotation.origin.label))
    return {"name": name or None, "bbox": [box.x0, box.y0, box.width, box.height]}


def total(comparisons: Mapping[str, Comparison]) -> dict[str, int]:
    """How many objects of all images are the same, changed, missing and added."""
    found = comparisons.values()
    return {
        "same": sum(one.same for one in found),
        "changed": sum(one.count("changed") for one in found),
        "missing": sum(one.count("missing") for one in found),
        "added": sum(one.count("added") for one in found),
    }
