"""`Proposals`: what a model made and nobody has decided on: filtered, accepted, rejected."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.core.proposals import (
    NO_OVERLAPS,
    Overlaps,
    ProposalFilter,
    decided,
    overlaps,
    shown,
    undecided,
)

if TYPE_CHECKING:
    from annotator.core.annotation import Annotations
    from annotator.services.document import Document
    from annotator.services.editing import Editing

NOTE = "proposal_filter"
SLICE = 0.008
"""Seconds a decision for the whole folder works before the window gets its turn."""


@dataclass(frozen=True, slots=True)
class FolderDecision:
    """What was decided in all images of the folder.

    Attributes:
        accept: whether the proposals were accepted.
        steps: the undo step of every image that changed, by key.
        count: proposals decided on, or objects named.
        left: images that were not reached, because it was stopped.
        name: what objects were named, "" where nothing was.
        group: the group step it is in the history of the project.
    """

    accept: bool
    steps: dict[str, int]
    count: int
    left: int = 0
    name: str = ""
    group: int = 0

    @property
    def text(self) -> str:
        """A sentence for people."""
        if self.name:
            rest = f" Stopped: {_many(self.left, 'image')} left." if self.left else ""
            where = _many(len(self.steps), "image")
            if not self.count:
                return f"Nothing was named; locked objects are left alone.{rest}"
            return f"Named {_many(self.count, 'object')} “{self.name}” in {where}.{rest}"
        verb = "Accepted" if self.accept else "Rejected"
        rest = f" Stopped: {_many(self.left, 'image')} left." if self.left else ""
        where = _many(len(self.steps), "image")
        return f"{verb} {_many(self.count, 'proposal')} in {where}.{rest}"


class Proposals(QObject):
    """Decisions on proposals, of the current image or of the whole folder.

    Every decision is one undo step per image. A decision for the folder is done in short slices,
    so that the work goes on meanwhile; the last one can be taken back as a whole.

    Args:
        editing: the current image and its selection.
    """

    filter_changed = Signal(object)
    """The new `ProposalFilter`."""
    progressed = Signal(int, int)
    """A decision for the folder: images done, images in all."""
    finished = Signal(object)
    """A decision for the folder came to its end: `FolderDecision`."""
    revealed = Signal(int)
    """The proposal with this id became the one to decide on next."""

    def __init__(self, editing: Editing) -> None:
        super().__init__(editing)
        self._editing = editing
        self._filter = ProposalFilter()
        self._overlaps: Overlaps = NO_OVERLAPS
        self._known: tuple[Annotations, ProposalFilter, frozenset[int]] | None = None
        self._queue: deque[str] = deque()
        self._total = 0
        self._visit: Callable[[str], None] = lambda _: None
        self._finish: Callable[[], None] = lambda: None
        self._last: FolderDecision | None = None
        self._slices = QTimer(self, interval=0)
        self._slices.timeout.connect(self._do_slice)

    # --- What is shown ---

    def follow_project(self, document: Document) -> None:
        """A project was opened: its filter counts again."""
        self._known, self._overlaps, self._last = None, NO_OVERLAPS, None
        document.history.finished.connect(lambda done: self._editing.noticed.emit(done.text))
        self._filter = _filter_from_json(document.note(NOTE))
        self.filter_changed.emit(self._filter)

    @property
    def filter(self) -> ProposalFilter:
        """Which proposals are shown."""
        return self._filter

    def set_filter(self, which: ProposalFilter) -> None:
        """Show other proposals; nothing is changed, nothing runs again."""
        if which == self._filter:
            return
        self._filter = which
        if self._editing.document is not None:
            self._editing.document.set_note(NOTE, _filter_to_json(which))
        visible = {a.id for a in self.visible(self._editing.annotations)}
        self._editing.select(self._editing.selection & visible)
        self.filter_changed.emit(which)

    def shown(self, annotations: Annotations) -> frozenset[int]:
        """Ids of the proposals of the current image that pass the filter."""
        if not any(a.proposed for a in annotations):
            return frozenset()
        known = self._known
        if known is None or known[0] is not annotations or known[1] != self._filter:
            self._overlaps = overlaps(annotations, self._overlaps)
            found = shown(annotations, self._filter, self._overlaps)
            self._known = known = (annotations, self._filter, found)
        return known[2]

    def visible(self, annotations: Annotations) -> Annotations:
        """The objects of the current image without the proposals the filter holds back."""
        if not any(a.proposed for a in annotations):
            return annotations
        found = self.shown(annotations)
        return tuple(a for a in annotations if not a.proposed or a.id in found)

    def open(self, categories: frozenset[int | None] | None = None) -> list[int]:
        """Ids of the shown and not hidden proposals of the current image, bottom layer first."""
        annotations = self._editing.annotations
        found = self.shown(annotations)
        return [
            a.id
            for a in annotations
            if a.id in found
            and not a.hidden
            and (categories is None or a.category_id in categories)
        ]

    # --- The current image ---

    def decide(self, ids: Iterable[int], *, accept: bool, category_id: int | None = None) -> None:
        """Accept or reject proposals of the current image, as one step.

        Args:
            ids: the proposals; anything else among them is left alone, so are locked ones.
            accept: whether they become objects or go away.
            category_id: class for accepted ones without one.
        """
        document, key = self._editing.document, self._editing.key
        if document is not None and key is not None:
            self._decide(document, key, ids, accept=accept, category_id=category_id)

    def _decide(
        self,
        document: Document,
        key: str,
        ids: Iterable[int],
        *,
        accept: bool,
        category_id: int | None = None,
    ) -> tuple[int, int]:
        """The step (0: none) and the number of proposals decided on."""
        before = document.annotations(key)
        chosen = undecided(before, ids)
        if not chosen:
            return 0, 0
        after = decided(before, (a.id for a in chosen), accept=accept, category_id=category_id)
        after = self._editing.masks.settled(before, after)
        return document.edit(key, after, _describe(document, chosen, accept)), len(chosen)

    def decide_shown(
        self, *, accept: bool, categories: frozenset[int | None] | None = None
    ) -> None:
        """Accept or reject what is shown: proposals that pass the filter and are not hidden.

        Args:
            accept: whether they become objects or go away.
            categories: only these classes (None among them: without a name).
        """
        self.decide(self.open(categories), accept=accept)

    def decide_selected(self, *, accept: bool, category_id: int | None = None) -> None:
        """Accept or reject the selected proposals; a single one hands on to the next."""
        chosen = self._editing.selection
        order = self._walk(1)
        self.decide(chosen, accept=accept, category_id=category_id)
        if len(chosen) == 1:
            left = set(self.open())
            self._select(next((i for i in order if i in left and i not in chosen), None))

    def _walk(self, step: int) -> list[int]:
        """Proposals to decide on, beginning after (1) or before (-1) the selected one, around."""
        found = set(self.open())
        every = [a.id for a in self._editing.annotations]
        places = [place for place, i in enumerate(every) if i in self._editing.selection]
        start = (places[-1] + 1 if step > 0 else places[0]) if places else 0
        order = every[start:] + every[:start]
        return [i for i in (order if step > 0 else order[::-1]) if i in found]

    def select_step(self, step: int) -> None:
        """Select the next (1) or previous (-1) proposal, bottom layer first."""
        found = next(iter(self._walk(step)), None)
        if found is None:
            self._editing.noticed.emit("No proposals are shown in this image.")
        self._select(found)

    def _select(self, number: int | None) -> None:
        if number is not None:
            self._editing.select((number,))
            self.revealed.emit(number)

    # --- The whole folder ---

    @property
    def running(self) -> bool:
        """Whether a decision for the folder is going on, or is being taken back."""
        document = self._editing.document
        return bool(self._queue) or (document is not None and document.history.running)

    @property
    def last(self) -> FolderDecision | None:
        """What `take_back` would take back."""
        return None if self.running else self._last

    def decide_everywhere(
        self, *, accept: bool, categories: frozenset[int | None] | None = None
    ) -> None:
        """Accept or reject in all images what the filter shows there, in the background."""
        document = self._editing.document
        if document is None or self.running:
            return
        which = self._filter
        steps: dict[str, int] = {}
        count, history = 0, document.history
        verb = "Accept" if accept else "Reject"
        group = history.begin(verb.lower(), f"{verb} proposals in the whole folder")

        def visit(key: str) -> None:
            nonlocal count
            before = document.annotations(key)
            found = shown(before, which, overlaps(before) if which.overlap < 1 else NO_OVERLAPS)
            wanted = [
                a.id
                for a in before
                if a.id in found
                and not a.hidden
                and (categories is None or a.category_id in categories)
            ]
            with history.inside(group):
                step, decisions = self._decide(document, key, wanted, accept=accept)
            if step:
                steps[key] = step
                count += decisions

        def finish() -> None:
            self._last = FolderDecision(accept, steps, count, len(self._queue), group=group)
            self._queue.clear()
            self.finished.emit(self._last)

        keys = [key for key in document.keys() if document.record(key).proposals]  # noqa: SIM118
        self._start(keys, visit, finish)

    def name_objects(self, chosen: Mapping[str, Collection[int]], category_id: int) -> None:
        """Give objects of any images a class, as one decision; proposals among them are accepted.

        Args:
            chosen: ids by the key of their image. Locked objects, and what is gone meanwhile, are
                left alone.
            category_id: the class.

        Raises:
            UserError: a decision for the folder is still going on.
        """
        document = self._editing.document
        if document is None:
            return
        if self.running:
            raise UserError("A decision for the whole folder is still going on.", "Wait for it.")
        steps: dict[str, int] = {}
        count, name = 0, document.category(category_id).name
        history, total = document.history, sum(map(len, chosen.values()))
        group = history.begin("name", f"Name {_many(total, 'object')} “{name}”")

        def visit(key: str) -> None:
            nonlocal count
            before, ids = document.annotations(key), chosen[key]
            after = tuple(
                replace(a, category_id=category_id, proposed=False)
                if a.id in ids and not a.locked
                else a
                for a in before
            )
            changed = sum(new != old for new, old in zip(after, before, strict=True))
            text = f"Name {name}" if changed == 1 else f"Name {changed:,} objects “{name}”"
            with history.inside(group):
                step = document.edit(key, after, text)
            if step:
                steps[key] = step
                count += changed

        def finish() -> None:
            self._last = FolderDecision(True, steps, count, len(self._queue), name, group)
            self._queue.clear()
            self.finished.emit(self._last)

        keys = [key for key in chosen if chosen[key]]
        self._start(keys, visit, finish)
        if len(keys) == 1:
            # At once: those who name one object after the other are faster than a timer.
            self._do_slice()

    def take_back(self) -> None:
        """Undo the last decision for the folder as one, where nothing was changed since."""
        last, document = self.last, self._editing.document
        if last is None or document is None:
            return
        if last.steps:
            document.history.take_back(last.group)
        self._last = None

    def stop(self) -> None:
        """End the decision for the folder here; what is done stays, and can be undone."""
        if self._queue:
            self._slices.stop()
            self._finish()

    def _start(
        self, keys: list[str], visit: Callable[[str], None], finish: Callable[[], None]
    ) -> None:
        self._queue, self._total = deque(keys), len(keys)
        self._visit, self._finish = visit, finish
        if keys:
            self._slices.start()
        else:
            finish()

    def _do_slice(self) -> None:
        end = time.perf_counter() + SLICE
        while self._queue:
            self._visit(self._queue.popleft())
            if time.perf_counter() > end:
                break
        is_over = not self._queue
        self.progressed.emit(self._total - len(self._queue), self._total)
        if is_over:
            self._slices.stop()
            self._finish()


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _describe(document: Document, chosen: Annotations, accept: bool) -> str:
    """The name of the step, for the undo menu."""
    verb, names = "Accept" if accept else "Reject", {a.category_id for a in chosen}
    (name,) = names if len(names) == 1 else (None,)
    words = "" if name is None else document.category(name).name
    if len(chosen) == 1:
        return f"{verb} {words or 'proposal'}"
    return f"{verb} {len(chosen):,} proposals" + (f" of “{words}”" if words else "")


def _filter_to_json(which: ProposalFilter) -> dict[str, Any]:
    return {
        "score": which.score,
        "stability": which.stability,
        "smallest": which.smallest,
        "largest": which.largest,
        "overlap": which.overlap,
    }


def _filter_from_json(value: Any) -> ProposalFilter:
    """What was kept; the default for anything else."""
    known = value if isinstance(value, dict) else {}
    default = ProposalFilter()

    def number(name: str) -> float:
        found = known.get(name)
        return float(found if isinstance(found, int | float) else getattr(default, name))

    largest = known.get("largest")
    return ProposalFilter(
        number("score"),
        number("stability"),
        round(number("smallest")),
        largest if isinstance(largest, int) else None,
        number("overlap"),
    )
