"""How proposals meet what an image and a project have already. Pure functions.

A person's work always stays: accepted objects, and proposals somebody named, hid, locked or
described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from annotator.core.annotation import (
    Annotation,
    Annotations,
    Category,
    ImageRecord,
    Origin,
    Source,
    Status,
)
from annotator.core.everything import added, merged
from annotator.core.vocabulary import clean_name, same_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.prelabel.proposing import Found

SCOPES = ("all", "untouched", "empty")
"""Which images: all of them; those without objects and proposals that nobody reviewed; those
without objects that nobody reviewed."""


def in_scope(record: ImageRecord | None, scope: str) -> bool:
    """Whether an image is meant; None for one the project has never seen."""
    if scope == "all" or record is None:
        return True
    touched = record.status is not Status.TODO or record.count > 0
    return not (touched or (scope == "untouched" and record.proposals > 0))


class ClassNames:
    """Finds the class a label means: its name, else the same but for upper case, else a synonym.

    Args:
        categories: of the project.
    """

    def __init__(self, categories: Iterable[Category]) -> None:
        known = list(categories)
        self._exact: dict[str, int] = {}
        self._alike: dict[str, int] = {}
        for category in known:
            self.add(category.name, category.id)
        for category in known:
            for synonym in category.synonyms:
                self._alike.setdefault(same_name(clean_name(synonym)), category.id)

    def add(self, name: str, category_id: int) -> None:
        """A class has been added."""
        self._exact.setdefault(clean_name(name), category_id)
        self._alike.setdefault(same_name(clean_name(name)), category_id)

    def find(self, label: str) -> int | None:
        """The id of the class, None if there is none."""
        name = clean_name(label)
        return self._exact.get(name, self._alike.get(same_name(name)))


class Namer:
    """Which class a proposal gets.

    Args:
        categories: of the project.
        category_ids: (n,) classes of the named objects, oldest first.
        vectors: (n, d) what they look like.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        category_ids: NDArray[np.int64],
        vectors: NDArray[np.float32],
    ) -> None:
        self.names = ClassNames(categories)
        self.categories = categories
        self.memory = category_ids, vectors

    def by_looks(self, found: Found) -> int | None:
        """The class the project's named objects suggest, if they leave no doubt."""
        from annotator.core.suggestions import sure

        category = sure(self.categories, *self.memory, found.looks)
        return None if category is None else category.id


def is_replaceable(annotation: Annotation, names: ClassNames, ask: str = "boxes") -> bool:
    """Whether a run of a kind proposed it and nobody has done anything with it since.

    Args:
        annotation: an object of an image.
        names: the classes of the project.
        ask: what the run asked, from the settings of its source.
    """
    origin = annotation.origin
    return (
        annotation.proposed
        and origin.source is (Source.IMPORT if ask == "masks" else Source.MODEL)
        and origin.follows is None
        and annotation.track is None
        and _KINDS[ask](origin)
        # Naming does not accept: another name than that it came with may be a person's.
        and annotation.category_id == (names.find(origin.label) if origin.label else None)
        and not (annotation.hidden or annotation.locked or annotation.attributes)
        and not annotation.comment
        and annotation.status is Status.TODO
    )


def _is_from_box(origin: Origin) -> bool:
    prompt = origin.prompt
    from_box = prompt is not None and prompt.box is not None and not prompt.points
    return from_box and origin.resembles is None


def _is_named_point(origin: Origin) -> bool:
    prompt = origin.prompt
    from_point = prompt is not None and prompt.box is None and len(prompt.points) == 1
    return from_point and origin.resembles is None and bool(origin.label)


_KINDS: Mapping[str, Callable[[Origin], bool]] = {
    # With a name from a vocabulary; those without one are known to `annotator.core.everything`.
    "everything": _is_named_point,
    "boxes": _is_from_box,
    "again": lambda origin: origin.resembles is not None,
    # No other part of the program proposes without a prompt.
    "instances": lambda origin: origin.prompt is None,
    # Of a file of others: what this program made once stays, and is found again by overlap.
    "masks": lambda origin: True,
}
"""What tells the proposals of a kind of run from those of the others."""


def joined(
    present: Annotations,
    proposals: Sequence[Annotation],
    max_overlap: float,
    settings: Mapping[str, object],
    names: ClassNames,
) -> tuple[Annotations, Annotations]:
    """The objects of an image after a run, and those of them that are new.

    A run replaces what an earlier one of its kind proposed. Proposals of other kinds than
    everything mode also take the place of its proposals of the same object: they know its name.

    Args:
        present: the objects of the image.
        proposals: of the same image, with ids of their own.
        max_overlap: 0 to 1; what overlaps more with an object that stays is not proposed again.
        settings: of the source.
        names: the classes of the project.
    """
    ask = str(settings["ask"])
    stay = tuple(one for one in present if not is_replaceable(one, names, ask))
    return (merged if ask == "everything" else added)(stay, proposals, max_overlap)
