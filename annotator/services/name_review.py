"""`NameReview`: which names the similar objects of a project speak against, kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.annotation import Category
    from annotator.core.disagreement import Disagreements, Opinion, Scores
    from annotator.core.neighbours import Neighbours
    from annotator.services.document import Document
    from annotator.services.looks import Looks
    from annotator.services.whereabouts import Whereabouts
    from annotator.services.workspace import Workspace

    Table = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]

SLOT = "review"
WAIT_MS = 400
"""After a change, before names are judged again."""
TELL_S = 1.5
"""Between two results while many objects are still being compared."""
NOTE = "right_names"
SHARD = 1000
"""Names a person confirmed are kept in notes, for so many ids each: one more writes little."""
LEAST = 0.1
"""Names doubted by less are not listed: that leaves out 6 of 100 wrong ones (COCO objects)."""
LISTED = 5000
"""The worst doubts; more would only cost time. Others come up when these are dealt with."""
WORTH = 0.02
"""Other names with a lower score are not offered."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A further ranking of names: that of a text model, for example.

    Attributes:
        space: of the vectors it judges.
        scores: (k, d) vectors to (k, C) probabilities, a column for every class in its order.
        weight: against 1 for the memory.
    """

    space: str
    scores: Scores
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """An object whose name the ranking would not give it.

    Attributes:
        key: of its image.
        id: the annotation.
        category_id: the name it has.
        score: what the ranking gives that, 0 to 1.
        others: better names, best first: category ids with their scores.
        confirmed: a person said that the name is right.
    """

    key: str
    id: int
    category_id: int
    score: float
    others: tuple[tuple[int, float], ...]
    confirmed: bool = False

    @property
    def amount(self) -> float:
        """Score of the best other name minus that of the given one."""
        return self.others[0][1] - self.score


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What the thread found, and how much of the work is done."""

    doubts: tuple[Doubt, ...]
    share: float


class NameReview(QObject):
    """Objects with names that may be wrong, the most doubtful first.

    Nothing is computed until somebody looks (`set_active`), and nothing on the GUI thread: there
    may be 100,000 objects. Who looks like whom is remembered between changes.

    Args:
        workspace: what is open.
        looks: compares in the background.
        parent: Qt parent.
    """

    changed = Signal()
    """Other doubts."""
    progressed = Signal()
    """`share`, `unseen` or `compared` changed."""

    def __init__(self, workspace: Workspace, looks: Looks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._looks = looks
        self._active = False
        self._doubts: tuple[Doubt, ...] = ()
        self._share: float | None = None
        self._unseen = 0
        self._compared = 0
        self._neighbours: Neighbours | None = None
        self._scorers: Callable[[Sequence[Category]], Sequence[Scorer]] = lambda _: ()
        self._wait = QTimer(self, singleShot=True, interval=WAIT_MS)
        self._wait.timeout.connect(self._judge)
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closing.connect(self._leave_project)
        looks.progressed.connect(lambda *_: self._expect())
        if workspace.document is not None:
            self._follow_project(workspace.document)

    def _follow_project(self, document: Document) -> None:
        document.annotations_changed.connect(self._follow_annotations)
        document.categories_changed.connect(self._expect)
        self._expect()

    def _leave_project(self) -> None:
        self._wait.stop()
        self._looks.cancel(SLOT)
        self._neighbours, self._doubts, self._share = None, (), None
        self._unseen = self._compared = 0
        self.changed.emit()
        self.progressed.emit()

    # --- What others ask ---

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Objects whose name may be wrong, also those somebody confirmed; worst first."""
        return self._doubts

    @property
    def share(self) -> float | None:
        """How much of the comparing is done, 0 to 1; None when all is."""
        return self._share

    @property
    def unseen(self) -> int:
        """Accepted objects nobody has looked at, which are therefore not judged."""
        return self._unseen

    @property
    def compared(self) -> int:
        """Named objects that are judged."""
        return self._compared

    def set_active(self, active: bool) -> None:
        """Whether anybody looks; else nothing is computed."""
        if active and not self._active:
            self._active = True
            self._judge()
        elif not active:
            self._active = False
            self._looks.cancel(SLOT)

    def set_scorers(self, make: Callable[[Sequence[Category]], Sequence[Scorer]]) -> None:
        """Judge with further rankings, too.

        Args:
            make: called for the classes of the project whenever names are judged, on the GUI
                thread; what it returns is used on another one.
        """
        self._scorers = make
        self._expect()

    def refresh(self) -> None:
        """The scorers changed their mind: judge again soon."""
        self._expect()

    # --- What a person decides ---

    def rename(self, doubt: Doubt, category_id: int) -> None:
        """Give the object another name, as one step that can be undone."""
        self._workspace.proposals.name_objects({doubt.key: (doubt.id,)}, category_id)

    def confirm(self, doubt: Doubt, right: bool = True) -> None:
        """The name is right: do not ask again while the object has it. Kept with the project."""
        document = self._workspace.document
        if document is None:
            return
        note = f"{NOTE}.{doubt.id // SHARD}"
        known: dict[str, Any] = dict(document.note(note) or {})
        known.pop(str(doubt.id), None)
        if right:
            known[str(doubt.id)] = doubt.category_id
        document.set_note(note, known)
        self._doubts = tuple(_marked(document, one) for one in self._doubts)
        self.changed.emit()

    # --- Judging ---

    def _expect(self) -> None:
        if self._active:
            self._wait.start()

    def _follow_annotations(self, key: str) -> None:
        document = self._workspace.document
        if document is not None and any(doubt.key == key for doubt in self._doubts):
            # Names given or objects deleted a moment ago must not stand there until all is judged.
            names = {a.id: a.category_id for a in document.annotations(key) if not a.proposed}
            kept = tuple(
                one
                for one in self._doubts
                if one.key != key or names.get(one.id) == one.category_id
            )
            if kept != self._doubts:
                self._doubts = kept
                self.changed.emit()
        self._expect()

    def _judge(self) -> None:
        document = self._workspace.document
        self._wait.stop()
        if document is None or not self._active:
            return
        if self._neighbours is None:
            from annotator.core.neighbours import Neighbours

            self._neighbours = Neighbours()
        categories, neighbours = document.categories(), self._neighbours
        # Views: a vector that is replaced meanwhile is compared again anyway.
        space = self._looks.space
        memory = document.vectors(space)
        further = [(document.vectors(one.space), one) for one in self._scorers(categories)]
        self._looks.stream(
            SLOT,
            lambda where: _judging(where, neighbours, categories, memory, further, space),
            lambda found: self._take(document, found),
            lambda: None,
        )

    def _take(self, document: Document, found: _Judged | float | tuple[int, int]) -> None:
        if isinstance(found, float):
            self._share = found
        elif isinstance(found, tuple):
            self._compared, self._unseen = found
        else:
            self._share = found.share if found.share < 1 else None
            self._doubts = tuple(_marked(document, one) for one in found.doubts)
            self.changed.emit()
        self.progressed.emit()


def _marked(document: Document, doubt: Doubt) -> Doubt:
    known = document.note(f"{NOTE}.{doubt.id // SHARD}") or {}
    confirmed = known.get(str(doubt.id)) == doubt.category_id
    return doubt if confirmed == doubt.confirmed else replace(doubt, confirmed=confirmed)


# The rest runs on the thread.


def _judging(
    where: Whereabouts,
    neighbours: Neighbours,
    categories: Sequence[Category],
    memory: Table,
    further: Sequence[tuple[Table, Scorer]],
    space: str,
) -> Iterator[_Judged | float | tuple[int, int]]:
    """Compare what is new, and tell from time to time what comes of it."""
    import numpy as np

    from annotator.core.disagreement import Opinion

    ids, category_ids, vectors = memory
    names = dict(zip(ids.tolist(), category_ids.tolist(), strict=True))
    opinions: list[Opinion] = []
    for (some, their_names, looks), scorer in further:
        if some.size:
            opinions.append(Opinion(some, looks, scorer.scores, scorer.weight))
            names |= zip(some.tolist(), their_names.tolist(), strict=True)
    every = np.fromiter(names.keys(), np.int64, len(names))
    given = np.fromiter(names.values(), np.int64, len(names))
    yield len(names), len(where.undescribed(space))

    def judged(share: float) -> _Judged:
        from annotator.core.disagreement import disagreements

        found = disagreements(neighbours, categories, every, given, opinions)
        return _Judged(_doubts(where, categories, found), share)

    told = time.monotonic()
    for share in neighbours.update(ids, vectors):
        if share < 1 and time.monotonic() - told > TELL_S:
            yield judged(share)
            told = time.monotonic()
        elif share < 1:
            yield share
    yield judged(1.0)


def _doubts(
    where: Whereabouts, categories: Sequence[Category], found: Disagreements
) -> tuple[Doubt, ...]:
    import numpy as np

    amount = found.amount
    rows = np.flatnonzero(amount > LEAST)
    rows = rows[np.argsort(-amount[rows], kind="stable")][:LISTED]
    places = where.find(found.ids[rows].tolist())
    doubts = []
    for row in rows.tolist():
        number = int(found.ids[row])
        place, given = places.get(number), categories[int(found.given[row])].id
        # What was renamed or deleted meanwhile is judged by the next run.
        if place is None or place.proposed or place.category_id != given:
            continue
        others = tuple(
            (categories[column].id, score)
            for column, score in zip(
                found.others[row].tolist(), found.other_scores[row].tolist(), strict=True
            )
            if score > WORTH
        )
        doubts.append(Doubt(place.key, number, given, float(found.score[row]), others))
    return tuple(doubts)
