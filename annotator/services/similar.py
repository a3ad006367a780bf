"""`Similar`: other objects of the folder that look like a given one, and naming them alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.core.errors import UserError
from annotator.services.everything import Alike, options_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.annotation import Annotation
    from annotator.services.document import Document
    from annotator.services.looks import Looks
    from annotator.services.settings import SettingsStore
    from annotator.services.similar_search import SimilarSearch
    from annotator.services.whereabouts import Whereabouts
    from annotator.services.workspace import Workspace

    Vectors = NDArray[np.float32]

SLOT = "similar"
NOTE = "least_similarity"
AT_LEAST = 0.8
"""Least cosine unless the user chooses another. On the training data 53 of 100 such pairs within
an image have the same name where 8 of 100 do at random (COCO), 86 against 53 on facades; half to
nine tenths of the pairs of the same name are found."""
LIMIT = 300
"""The most objects that are listed."""
WAIT_MS = 250
"""After a change, before the list is made anew."""


@dataclass(frozen=True, slots=True)
class Query:
    """The object others are compared with.

    Attributes:
        key: of its image.
        id: the annotation.
    """

    key: str
    id: int


@dataclass(frozen=True, slots=True)
class Hit:
    """An object that looks like the one asked about.

    Attributes:
        key: of its image.
        id: the annotation.
        similarity: cosine.
        category_id: its class.
        proposed: whether nobody has accepted it.
    """

    key: str
    id: int
    similarity: float
    category_id: int | None
    proposed: bool


class Similar(QObject):
    """Ranks proposals and objects with no or another name by how much they look like one object.

    Args:
        workspace: what is open.
        settings: the user's preferences: how everything is searched.
        looks: compares in the background.
        search: looks for objects nobody has marked.
        parent: Qt parent.
    """

    changed = Signal()
    """Another query, other hits, or the state of the work."""

    def __init__(
        self,
        workspace: Workspace,
        settings: SettingsStore,
        looks: Looks,
        search: SimilarSearch,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._settings = settings
        self._looks = looks
        self.search = search
        self._query: Query | None = None
        self._hits: tuple[Hit, ...] = ()
        self._working = False
        self._active = False
        self._unseen = False
        self._then: tuple[str, ...] = ()
        self._wait = QTimer(self, singleShot=True, interval=WAIT_MS)
        self._wait.timeout.connect(self._rank)
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closing.connect(lambda: self._set_query(None))
        looks.described.connect(self._follow_described)
        if workspace.document is not None:
            self._follow_project(workspace.document)

    def _follow_project(self, document: Document) -> None:
        document.annotations_changed.connect(lambda _: self._expect())
        document.categories_changed.connect(self._expect)

    # --- What is asked ---

    @property
    def query(self) -> Query | None:
        """The object others are compared with."""
        return self._query

    @property
    def annotation(self) -> Annotation | None:
        """That object as it is now; None when it is gone."""
        query, document = self._query, self._workspace.document
        if query is None or document is None:
            return None
        return next((a for a in document.annotations(query.key) if a.id == query.id), None)

    @property
    def hits(self) -> tuple[Hit, ...]:
        """What looks like it, most similar first."""
        return self._hits

    @property
    def working(self) -> bool:
        """Whether the hits are about to be replaced."""
        return self._working

    @property
    def unseen(self) -> bool:
        """Whether nobody could see what the object looks like."""
        return self._unseen

    @property
    def at_least(self) -> float:
        """The least similarity that counts."""
        document = self._workspace.document
        value = document.note(NOTE) if document is not None else None
        return float(value) if isinstance(value, int | float) else AT_LEAST

    def set_at_least(self, value: float) -> None:
        """Another least similarity, kept with the project."""
        if self._workspace.document is not None and value != self.at_least:
            self._workspace.document.set_note(NOTE, value)
            self._expect()

    def set_active(self, active: bool) -> None:
        """Whether anybody looks: else nothing is computed."""
        if active != self._active:
            self._active = active
            self._expect()

    def ask(self) -> None:
        """What looks like the selected object?

        Raises:
            UserError: not exactly one object is selected.
        """
        workspace = self._workspace
        if workspace.key is None or len(workspace.selection) != 1:
            raise UserError(
                "Similar objects are found for one selected object.",
                "Select one on the canvas or in the list, then try again.",
            )
        (number,) = workspace.selection
        self._active = True
        self._set_query(Query(workspace.key, number))

    def _set_query(self, query: Query | None) -> None:
        self._query, self._hits, self._unseen, self._then = query, (), False, ()
        self._looks.cancel(SLOT)
        self._working = False
        self._rank()
        self.changed.emit()

    # --- Ranking ---

    def _expect(self) -> None:
        if self._active and self._query is not None:
            self._wait.start()

    def _follow_described(self, number: int) -> None:
        if self._query is not None and self._query.id == number:
            self._rank()
            if self._then:
                self.look_in(self._then)
        else:
            self._expect()

    def _vector(self) -> Vectors | None:
        """What the object looks like; somebody looks now if nobody has."""
        document, query = self._workspace.document, self._query
        if document is None or query is None:
            return None
        return document.vector(query.id, self._looks.space)

    def _rank(self) -> None:
        self._wait.stop()
        document, query, asked = self._workspace.document, self._query, self.annotation
        if not self._active or document is None or query is None or asked is None:
            self._hits = ()
            self.changed.emit()
            return
        vector = self._vector()
        if vector is None:
            # Once: an image that cannot be read would be tried for ever.
            if not self._unseen:
                self._unseen = True
                self._looks.describe(query.key, query.id)
            self.changed.emit()
            return
        self._unseen = False
        self._working = True
        vector, at_least, name = vector.copy(), self.at_least, asked.category_id
        # Views: should an object be looked at again meanwhile, that changes the list anyway.
        ids, vectors = document.every_vector(self._looks.space)
        self._looks.submit(
            SLOT,
            lambda where: ranked(where, ids, vectors, query.id, vector, name, at_least),
            self._take,
        )

    def _take(self, hits: tuple[Hit, ...]) -> None:
        self._working = False
        self._hits = hits
        self.changed.emit()

    # --- Naming ---

    def name(self, ids: Iterable[int]) -> None:
        """Give some hits the class of the object asked about, as one decision; accepts proposals.

        Raises:
            UserError: that object has no class, or a decision is still going on.
        """
        asked = self.annotation
        if asked is None:
            return
        if asked.category_id is None:
            raise UserError(
                "The object you are comparing with has no name yet.", "Give it one first."
            )
        wanted = frozenset(ids)
        chosen: dict[str, set[int]] = {}
        for hit in self._hits:
            if hit.id in wanted:
                chosen.setdefault(hit.key, set()).add(hit.id)
        if chosen:
            self._workspace.proposals.name_objects(chosen, asked.category_id)

    # --- Objects nobody has marked ---

    def look_in(self, keys: Sequence[str]) -> None:
        """Let the model look for similar objects in some images, in the background.

        Where nobody has looked at the object itself yet, that comes first.

        Raises:
            UserError: a search goes on.
        """
        document, asked, vector = self._workspace.document, self.annotation, self._vector()
        self._then = ()
        if document is None or asked is None:
            return
        if vector is None:
            self._then = tuple(keys)
            return
        alike = Alike(vector.copy(), self.at_least, asked.category_id)
        self.search.start(document, keys, options_of(self._settings.settings), alike)


def ranked(
    where: Whereabouts,
    ids: NDArray[np.int64],
    vectors: Vectors,
    asked: int,
    vector: Vectors,
    category_id: int | None,
    at_least: float,
) -> tuple[Hit, ...]:
    """The hits for one object; for a background thread.

    Args:
        where: knows which objects there are.
        ids: (n,) of all objects that were looked at.
        vectors: (n, d) what they look like.
        asked: the object itself.
        vector: (d,) what it looks like.
        category_id: its class: objects that have it already are left out.
        at_least: the least cosine.
    """
    from annotator.core.similar import closest

    limit = 2 * LIMIT
    while True:
        rows, similarity = closest(vectors, vector, limit, at_least)
        found = where.find(ids[rows].tolist())
        hits = [
            Hit(place.key, number, value, place.category_id, place.proposed)
            for number, value in zip(ids[rows].tolist(), similarity.tolist(), strict=True)
            if number != asked
            and (place := found.get(number)) is not None
            # Those with the same name are no news, but for proposals and a search without name.
            and (place.proposed or category_id is None or place.category_id != category_id)
        ]
        # Deleted objects and those of the same name may have taken the places of others.
        if len(hits) >= LIMIT or rows.size < limit:
            return tuple(hits[:LIMIT])
        limit *= 4
