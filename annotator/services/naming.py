"""`Namer`: names from a text model, for a project's classes, without ever making anybody wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from models.api import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.suggestions import Ranking
    from annotator.core.views import View
    from annotator.services.task_queue import TaskQueue
    from models.api import CropFrame, Describer
    from models.naming.classifier import Names
    from models.naming.clip import Clip

    Vector = NDArray[np.float32]
    Look = Callable[[CropFrame], View | None]

_LEARN, _LOOK = "learn names", "look for names"


@dataclass(frozen=True, slots=True)
class Wording:
    """What can be named.

    Attributes:
        classes: the names of each class, the one people read first.
        templates: sentences with one `{}`.
    """

    classes: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...]


class Namer(QObject):
    """One text model on the model thread; idle while none is chosen.

    Args:
        queue: the model thread.
        parent: Qt parent.
        cache: where vectors of names are kept; by default in the user's cache folder.
    """

    changed = Signal()
    """Rankings differ from now on: another model, or names were learnt."""
    learning = Signal(int)
    """So many names have no vector yet; 0: all have."""
    failed = Signal(object)
    """`UserError`: the model cannot run; the memory goes on alone."""

    def __init__(
        self, queue: TaskQueue, parent: QObject | None = None, cache: Path | None = None
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._cache = cache
        self._tower = ""
        self._wording = Wording((), ())
        self._names: tuple[tuple[str, ...], Names] | None = None
        # The model thread's own.
        self._opened: tuple[str, Clip, Describer] | None = None

    @property
    def space(self) -> str:
        """The vector space objects are described in, "" while no model is chosen."""
        if not self._tower:
            return ""
        from models.naming import describer, towers

        return describer.space(towers.find_tower(self._tower))

    def use(self, tower_id: str) -> None:
        """Choose a model, "" for none.

        Raises:
            ModelError: there is no such model.
        """
        if tower_id == self._tower:
            return
        if tower_id:
            from models.naming.towers import find_tower

            find_tower(tower_id)
        self._tower = tower_id
        self._forget_names()
        self._learn()

    def set_wording(self, wording: Wording) -> None:
        """Rank these names from now on; what is not known of them is learnt in the background."""
        if wording == self._wording:
            return
        self._wording = wording
        self._learn()

    def look(self, view: Look, done: Callable[[Vector], None]) -> None:
        """Describe one object; the newest wins.

        Args:
            view: makes the picture of the object; runs on the model thread.
            done: gets the unit vector (d,).
        """
        tower = self._tower
        if tower:
            self._submit(_LOOK, tower, view, done)

    def describe(self, view: Look, done: Callable[[Vector], None]) -> None:
        """`look` for an object that was kept: never dropped for a newer one."""
        tower = self._tower
        if tower:
            self._submit(f"name {id(done)}", tower, view, done)

    def _submit(self, slot: str, tower: str, view: Look, done: Callable[[Vector], None]) -> None:
        def tell(vector: Vector | None) -> None:
            if vector is not None:
                done(vector)

        self._queue.submit(slot, lambda: self._look(tower, view), tell, self._fail)

    def rank(self, vector: Vector) -> Ranking:
        """Classes by probability, best first; () while no name is known.

        What is missing to 1 is the background's. Takes less than a millisecond for 1,203 names.
        """
        score = self.scorer()
        if score is None:
            return ()
        from models.api import Suggestion

        titles, rank = score
        try:
            found = rank(vector[None])[0]
        except ModelError:  # a vector of another model
            return ()
        order = (-found).argsort(kind="stable")
        return tuple(Suggestion(titles[place], float(found[place])) for place in order)

    def scorer(self) -> tuple[tuple[str, ...], Callable[[Vector], Vector]] | None:
        """The names in their order, and vectors (n, d) to probabilities (n, C); for any thread.

        None while no name is known.
        """
        if self._names is None:
            return None
        from models.naming import classifier

        titles, names = self._names
        return titles, lambda vectors: classifier.probabilities(vectors, names)

    def close(self) -> None:
        """Nobody hears of what still runs."""
        self._queue.cancel(_LEARN)
        self._queue.cancel(_LOOK)

    def _forget_names(self) -> None:
        self._queue.cancel(_LOOK)
        self._names = None
        self.changed.emit()

    def _learn(self) -> None:
        self._queue.cancel(_LEARN)
        wording, tower = self._wording, self._tower
        if not tower or not wording.classes or not wording.templates:
            if self._names is not None:
                self._forget_names()
            self.learning.emit(0)
            return
        self._queue.stream(
            _LEARN,
            lambda: self._learning(tower, wording),
            lambda found: self._take_names(wording, found),
            lambda: None,
            self._fail,
        )

    def _take_names(self, wording: Wording, found: int | Names) -> None:
        if isinstance(found, int):
            self.learning.emit(found)
            return
        self._names = (tuple(names[0] for names in wording.classes), found)
        self.learning.emit(0)
        self.changed.emit()

    def _fail(self, error: Exception) -> None:
        self.learning.emit(0)
        if not isinstance(error, UserError | ModelError):
            self.failed.emit(UserError(f"The model for names failed: {error}."))
            raise error
        remedy = "Names are suggested from this project's own objects meanwhile."
        self.failed.emit(UserError(str(error), remedy))

    # --- On the model thread ---

    def _open(self, tower_id: str) -> tuple[str, Clip, Describer]:
        if self._opened is None or self._opened[0] != tower_id:
            from models.naming.clip import Clip
            from models.naming.describer import ClipDescriber
            from models.naming.towers import find_tower

            self._opened = None  # two of them may not fit into the memory
            tower = find_tower(tower_id)
            clip = Clip.open(tower)
            self._opened = (tower_id, clip, ClipDescriber(tower, clip))
        return self._opened

    def _look(self, tower_id: str, view: Look) -> Vector | None:
        _, _, describer = self._open(tower_id)
        seen = view(describer.frame)
        return None if seen is None else describer.describe(*seen)

    def _learning(self, tower_id: str, wording: Wording) -> Iterator[int | Names]:
        from models.naming.texts import NameVectors

        vectors = NameVectors(self._folder(), tower_id, wording.templates)
        names = [name for names in wording.classes for name in names]
        if vectors.missing(names):
            yield len(names)
            yield from vectors.learning(names, lambda texts: self._open(tower_id)[1].texts(texts))
        yield vectors.table(wording.classes)

    def _folder(self) -> Path:
        if self._cache is not None:
            return self._cache
        from platformdirs import user_cache_dir

        return Path(user_cache_dir("annotator")) / "names"
