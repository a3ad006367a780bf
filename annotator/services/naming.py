"""`Namer`: names from a text model, for a project's classes, without ever making anybody wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from models.api import ModelError
from models.encoding import EncodingStoppedError, Passed, watched

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.suggestions import Ranking
    from annotator.core.views import View
    from annotator.services.answering import Picture
    from annotator.services.embeddings import Embeddings
    from annotator.services.task_queue import TaskQueue
    from models.api import CropFrame
    from models.naming.classifier import Names
    from models.naming.clip import Clip
    from models.naming.sight import Sight

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
    """One text model on a thread of its own; idle while none is chosen.

    A model is a pair of CLIP's towers, which look at a crop of the object, or a segmenter whose
    embeddings tell what lies in a box (`models.api.ObjectDescriber`).

    Args:
        queue: the thread: clicks do not wait for it.
        embeddings: of all models of this program.
        parent: Qt parent.
        cache: where vectors of names are kept; by default in the user's cache folder.
    """

    changed = Signal()
    """Rankings differ from now on: another model, or names were learnt."""
    learning = Signal(int)
    """So many names have no vector yet; 0: all have."""
    looking = Signal(str)
    """What a slow model is doing to look at an image, for people; "" when it is done."""
    failed = Signal(object)
    """`UserError`: the model cannot run; the memory goes on alone."""

    def __init__(
        self,
        queue: TaskQueue,
        embeddings: Embeddings,
        parent: QObject | None = None,
        cache: Path | None = None,
    ) -> None:
        super().__init__(parent)
        self._queue = queue
        self._embeddings = embeddings
        self._cache = cache
        self._tower = ""
        self._wording = Wording((), ())
        self._names: tuple[tuple[str, ...], Names] | None = None
        self._wanted = ""
        # The thread's own.
        self._clip: tuple[str, Clip] | None = None
        self._sight: Sight | None = None

    @property
    def space(self) -> str:
        """The vector space objects are described in, "" while no model is chosen."""
        if not self._tower:
            return ""
        from models.naming.sight import space

        return space(self._tower)

    def use(self, tower_id: str) -> None:
        """Choose a model, "" for none.

        Raises:
            ModelError: there is no such model.
        """
        if tower_id == self._tower:
            return
        if tower_id:
            from models.naming.sight import space

            space(tower_id)
        self._tower = tower_id
        self._forget_names()
        self._learn()

    def set_wording(self, wording: Wording) -> None:
        """Rank these names from now on; what is not known of them is learnt in the background."""
        if wording == self._wording:
            return
        self._wording = wording
        self._learn()

    def look(self, picture: Picture, view: Look, done: Callable[[Vector], None]) -> None:
        """Describe one object; the newest wins.

        Args:
            picture: the image, complete.
            view: makes the picture of the object; runs on the thread.
            done: gets the unit vector (d,).
        """
        self._submit(_LOOK, picture, view, done)

    def describe(
        self, annotation: int, picture: Picture, view: Look, done: Callable[[Vector], None]
    ) -> None:
        """`look` for an object that was kept: only asking for it again replaces this."""
        self._submit(f"name {annotation}", picture, view, done)

    def _submit(
        self, slot: str, picture: Picture, view: Look, done: Callable[[Vector], None]
    ) -> None:
        tower, self._wanted = self._tower, picture.key
        if not tower:
            return

        def tell(vector: Vector | None) -> None:
            self.looking.emit("")
            if vector is not None:
                done(vector)

        self._queue.submit(slot, lambda: self._look(tower, picture, view), tell, self._fail)

    def rank(self, vector: Vector) -> Ranking:
        """Classes by probability, best first; () while no name is known.

        What is missing to 1 is the background's. Takes less than a millisecond for 1,203 names.
        """
        if self._names is None:
            return ()
        from models.naming import classifier

        try:
            return classifier.ranking(vector, *self._names)
        except ModelError:  # a vector of another model
            return ()

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
        self._wanted = ""
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
        self.looking.emit("")
        if isinstance(error, EncodingStoppedError):
            return
        self.learning.emit(0)
        if not isinstance(error, UserError | ModelError):
            self.failed.emit(UserError(f"The model for names failed: {error}."))
            raise error
        remedy = "Names are suggested from this project's own objects meanwhile."
        self.failed.emit(UserError(str(error), remedy))

    # --- On the thread ---

    def _open_clip(self, tower_id: str) -> Clip:
        if self._clip is None or self._clip[0] != tower_id:
            from models.naming.clip import Clip
            from models.naming.towers import find_tower

            self._clip = None  # two of them may not fit into the memory
            self._clip = (tower_id, Clip.open(find_tower(tower_id)))
        return self._clip[1]

    def _look(self, model_id: str, picture: Picture, view: Look) -> Vector | None:
        from models.naming.sight import open_sight

        if self._sight is None or self._sight.id != model_id:
            self._sight = None
            self._sight = open_sight(model_id, self._open_clip)
        sight = self._sight
        seen = view(sight.frame)
        if seen is None:
            return None
        with watched(self._report, lambda: picture.key != self._wanted):
            return sight.vector(
                seen,
                lambda segmenter: self._embeddings.obtain(
                    picture.file, segmenter, lambda: segmenter.encode(picture.pixels)
                ),
            )

    def _report(self, passed: Passed) -> None:
        text = f"looking at the image: {passed.share:.0%}".replace("%", " %")
        self._queue.tell(lambda: self.looking.emit(text))

    def _learning(self, model_id: str, wording: Wording) -> Iterator[int | Names]:
        from models.naming.sight import text_tower
        from models.naming.texts import NameVectors, default_folder

        tower = text_tower(model_id)
        vectors = NameVectors(self._cache or default_folder(), tower, wording.templates)
        names = [name for names in wording.classes for name in names]
        if vectors.missing(names):
            yield len(names)
            yield from vectors.learning(names, lambda texts: self._open_clip(tower).texts(texts))
        yield vectors.table(wording.classes)
