"""How a run of the window is made ready: what is asked for, what the project remembers of it.

`request` takes what a thread needs from the project, quickly; the rest runs on the thread, because
a folder may have 100,000 images.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.formats.detections.values import Known
from annotator.services.prelabel_sources import Context, kind_of, names_of
from annotator.services.prelabelling import NOTE, namer_in, names_in
from annotator.services.priority import lower_priority
from models.api import ModelError
from models.registry import segmenter_spec

if TYPE_CHECKING:
    from annotator.core.annotation import Category
    from annotator.core.prelabel.as_is import AnySource
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.run import Run
    from annotator.core.troubles import Trouble
    from annotator.services.document import Document
    from annotator.services.settings import Settings
    from models.api import Segmenter
    from models.runtimes import Device

WINDOW = "window"
"""In the note of a run: what the window asked for."""
Ranges = Sequence[Sequence[int]]
"""First and last of each gapless row of numbers, rising."""


@dataclass(frozen=True, slots=True)
class Order:
    """What shall be done; everything but which images.

    Attributes:
        source: `SourceKind.id`.
        values: what was chosen for it.
        model: `SegmenterSpec.id`; nobody asks for it where the source brings its own.
    """

    source: str
    values: Mapping[str, Any]
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What the thread has to know of the project.

    Attributes:
        order: what shall be done.
        folder: of the images.
        project_dir: the project's own files.
        keys: all images.
        numbers: makes their ids by key.
        categories: of the project.
        names: of classes by number, when the run began.
        namer: makes what knows the named objects.
        templates: sentences for names.
        device: what models may run on.
        names_model: which model looks for names.
    """

    order: Order
    folder: Path
    project_dir: Path
    keys: tuple[str, ...]
    numbers: Callable[[], dict[str, int]]
    categories: tuple[Category, ...]
    names: Mapping[int | str, str]
    namer: Callable[[], Namer]
    templates: tuple[str, ...]
    device: Device
    names_model: str


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Everything a run needs.

    Attributes:
        segmenter: the model, None where none is needed.
        source: what is asked.
        troubles: what could not be used.
        known: what the numbers of a file mean.
        run: what its proposals depend on.
        namer: knows the named objects.
        numbers: ids of images by key.
    """

    segmenter: Segmenter | None
    source: AnySource
    troubles: Sequence[Trouble]
    known: Known
    run: Run
    namer: Namer
    numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Listed:
    """Which images are meant.

    Attributes:
        total: how many.
        todo: those that are left, in their order.
        ranges: ids of all that are meant.
    """

    total: int
    todo: Sequence[str]
    ranges: Ranges


def request(document: Document, order: Order, settings: Settings, *, resume: bool) -> Request:
    """What a thread has to know to begin or go on with a run."""
    return Request(
        order,
        document.folder,
        document.project_dir,
        tuple(document.keys()),
        document.numbering(),
        document.categories(),
        names_in(document, resume=resume),
        namer_in(document, resume=resume),
        document.templates(),
        settings.device,
        settings.names,
    )


def window_of(document: Document) -> dict[str, Any] | None:
    """What the window asked for in the last run, if it was one of the window."""
    note = document.note(NOTE)
    found = note.get(WINDOW) if isinstance(note, dict) else None
    names = {"source", "values", "model", "ids", "finished"}
    return found if isinstance(found, dict) and names <= found.keys() else None


def remember(document: Document, **changes: Any) -> None:
    """Remember more of the last run, beside its settings."""
    note = document.note(NOTE)
    if isinstance(note, dict):
        before = window_of(document) or {}
        document.set_note(NOTE, {**note, WINDOW: {**before, **changes}})


def count_of(ranges: Ranges) -> int:
    """How many numbers there are."""
    return sum(last - first + 1 for first, last in ranges)


def count_within(numbers: Iterable[int], ranges: Ranges) -> int:
    """How many of these numbers there are in the ranges."""
    ordered = sorted(numbers)
    return sum(bisect_right(ordered, b) - bisect_left(ordered, a) for a, b in ranges)


def ranges_of(ids: Iterable[int]) -> list[list[int]]:
    """Numbers as first and last of each gapless row: those of a folder are nearly one."""
    ordered = sorted(ids)
    if not ordered:
        return []
    ends = [(a, b) for a, b in pairwise(ordered) if b != a + 1]
    firsts = [ordered[0], *(b for _, b in ends)]
    lasts = [*(a for a, _ in ends), ordered[-1]]
    return [[first, last] for first, last in zip(firsts, lasts, strict=True)]


# The rest runs on the thread.


def prepare(asked: Request) -> Ready:
    """Read what is asked, and load the model.

    Raises:
        UserError: what is asked cannot be read.
        ModelError: the model cannot be loaded.
    """
    from annotator.core.prelabel.as_is import AsIs
    from annotator.core.prelabel.run import Run
    from annotator.services.prelabel_names import named
    from models.runtimes import using

    # Threads that are started from here on, by the pipeline or the model, inherit it.
    lower_priority()
    order, numbers, namer = asked.order, asked.numbers(), asked.namer()
    kind = kind_of(order.source)
    assert kind is not None, "looked for before"
    spec = segmenter_spec(order.model) if kind.asks_model else None
    if spec is not None and (missing := spec.available()) is not None:
        raise ModelError(missing)
    known = Known({number: key for key, number in numbers.items()}, asked.names)
    context = Context(asked.folder, asked.keys, known, asked.project_dir, asked.categories)
    made = kind.make(order.values, context)
    source, spec, segmenter = made.source, made.model or spec, None
    if spec is not None and not isinstance(source, AsIs):
        with using(asked.device):
            segmenter = spec.load()
            wanted = names_of(kind, order.values, asked.names_model)
            if wanted is not None:
                templates = asked.templates
                source = named(source, wanted, namer, templates, segmenter, lambda _: None)
    run = Run.of(segmenter, source, classes=order.values.get("classes", "add"))
    return Ready(segmenter, source, made.troubles, made.known, run, namer, numbers)


def listed(
    ready: Ready,
    keys: Sequence[str] | Ranges,
    done: Set[int],
    again: Set[str],
    every: Sequence[str],
) -> Listed:
    """Which images are meant and left.

    Args:
        ready: the run.
        keys: of the images, or the ranges of their ids.
        done: ids of those that were finished before.
        again: those of them that are tried again.
        every: all images in their order.
    """
    numbers, source = ready.numbers, ready.source
    chosen = [key for key in keys if isinstance(key, str) and key in numbers]
    ranges = [one for one in keys if not isinstance(one, str)]
    if ranges:
        ids = {n for first, last in ranges for n in range(first, last + 1)}
        chosen = [key for key in every if numbers.get(key) in ids]
    meant = [key for key in chosen if numbers[key] in done or source.wants(key)]
    todo = [key for key in meant if numbers[key] not in done or key in again]
    return Listed(len(meant), todo, ranges_of(numbers[key] for key in meant))
