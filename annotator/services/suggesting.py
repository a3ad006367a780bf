"""`Suggesting`: ranked names for the object at hand, from the project's memory and a text model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from annotator.services.naming import Namer, Wording
from models.api import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.annotation import Annotation
    from annotator.core.mask import Mask
    from annotator.services.answering import Picture
    from annotator.services.workspace import Workspace
    from models.api import MaskCandidate, Suggestion

    Vector = NDArray[np.float32]

LOOK_MS = 30
"""What an object looks like is found out this long after its mask: painting it comes first."""


class Suggesting(QObject):
    """Has the object at hand described, and names it by what is alike and by what words fit.

    Args:
        workspace: what is open.
        namer: the text model.
    """

    changed = Signal(object)
    """tuple of `Suggestion`, best first, for the open draft or the selected annotation."""

    def __init__(self, workspace: Workspace, namer: Namer) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._namer = namer
        self._looks: dict[MaskCandidate, Vector | None] = {}
        self._namings: dict[MaskCandidate, Vector] = {}
        self._pause = QTimer(self, singleShot=True, interval=LOOK_MS)
        self._pause.timeout.connect(self._look)
        namer.changed.connect(self.refresh)

    # --- What is suggested ---

    def refresh(self) -> None:
        """The object at hand, or what is known, has changed."""
        workspace = self._workspace
        candidate, picture = workspace.candidate, workspace.askable_picture()
        if candidate is not None and candidate not in self._looks and picture is not None:
            self._pause.start()
        elif candidate is None and len(workspace.selection) != 1:
            self.changed.emit(())
        else:
            self.changed.emit(self.now())
            self._describe_selected()

    def forget_candidates(self) -> None:
        """There are others now."""
        self._looks, self._namings = {}, {}

    def now(self) -> tuple[Suggestion, ...]:
        """Ranked names for the open prompt, or for the one selected annotation."""
        from annotator.core import suggestions
        from models.describe import BasicDescriber

        document, space = self._workspace.document, self._namer.space
        if document is None:
            return ()
        basic = BasicDescriber().id
        asked = self._workspace.candidate is None and len(self._workspace.selection) == 1
        without = next(iter(self._workspace.selection)) if asked else None
        query, naming = self._seen(basic, space)
        text = self._namer.rank(naming) if naming is not None else ()
        ids, categories, vectors = document.vectors(basic)
        if naming is not None and len(document.vectors(space)[0]) >= len(ids):
            # A model that knows words sees better, once it has seen all that was named.
            (ids, categories, vectors), query = document.vectors(space), naming
        classes = document.categories()
        memory = suggestions.rank(classes, ids, categories, vectors, query, without)
        return suggestions.joined(memory, text, len(ids))

    def _seen(self, basic: str, space: str) -> tuple[Vector | None, Vector | None]:
        """Vectors of the object at hand: without a text model, and with it."""
        candidate, document = self._workspace.candidate, self._workspace.document
        if candidate is not None:
            return self._looks.get(candidate), self._namings.get(candidate)
        if document is None or len(self._workspace.selection) != 1:
            return None, None
        (chosen,) = self._workspace.selection
        naming = document.vector(chosen, space) if space else None
        return document.vector(chosen, basic), naming

    def tell_names(self) -> None:
        """The text model ranks the classes of this project."""
        document = self._workspace.document
        if document is not None:
            classes = tuple((c.name, *c.synonyms) for c in document.categories())
            self._namer.set_wording(Wording(classes, document.templates()))

    # --- What objects look like ---

    def remember(self, annotation: int, vector: Vector | None) -> None:
        """An object that is kept looks like this; None: unknown."""
        from models.describe import BasicDescriber

        document = self._workspace.document
        if document is not None and vector is not None:
            document.set_vector(annotation, BasicDescriber().id, vector)

    def describe(self, annotation: Annotation) -> None:
        """Have an object of the current image described that no model made."""
        picture = self._workspace.picture()
        if picture is None:
            return
        mask = _mask(annotation, picture)
        self._workspace.assistant.describe(
            picture, mask, lambda vector: self._take_description(annotation.id, vector)
        )
        self.describe_for_names(picture, mask, annotation.id)

    def describe_for_names(self, picture: Picture, mask: Mask, annotation: int) -> None:
        """Have the text model look at an object that is kept, for its name and for later ones."""
        from annotator.core import views

        document, space = self._workspace.document, self._namer.space
        if document is None or not space or not picture.complete:
            return

        def done(vector: Vector) -> None:
            if document is self._workspace.document:
                document.set_vector(annotation, space, vector)
                self._refresh_if_selected(annotation)

        self._namer.describe(
            annotation, picture, lambda frame: views.of_mask(picture.pixels, mask, frame), done
        )

    def _describe_selected(self) -> None:
        """Have the text model look at the selected object, if it never did."""
        workspace, space = self._workspace, self._namer.space
        document, picture = workspace.document, workspace.picture()
        if document is None or picture is None or not space or workspace.candidate is not None:
            return
        for annotation in workspace.selected:
            if document.vector(annotation.id, space) is None:
                self.describe_for_names(picture, _mask(annotation, picture), annotation.id)

    def _take_description(self, annotation: int, vector: Vector | None) -> None:
        self.remember(annotation, vector)
        self._refresh_if_selected(annotation)

    def _refresh_if_selected(self, annotation: int) -> None:
        if self._workspace.selection == {annotation}:
            self.refresh()

    def _look(self) -> None:
        workspace = self._workspace
        candidate, picture = workspace.candidate, workspace.askable_picture()
        if candidate is None or picture is None:
            return
        workspace.assistant.describe_candidate(
            picture, candidate, lambda vector: self._take_look(candidate, vector)
        )
        if picture.complete:
            from annotator.core import views

            self._namer.look(
                picture,
                lambda frame: views.of_candidate(picture.pixels, candidate, frame),
                lambda vector: self._take_naming(candidate, vector),
            )

    def _take_look(self, candidate: MaskCandidate, vector: Vector | None) -> None:
        if candidate in self._workspace.candidates:
            self._looks[candidate] = vector
            self.refresh()

    def _take_naming(self, candidate: MaskCandidate, vector: Vector) -> None:
        if candidate in self._workspace.candidates:
            self._namings[candidate] = vector
            self.refresh()


def _mask(annotation: Annotation, picture: Picture) -> Mask:
    from annotator.core import raster

    height, width = picture.pixels.shape[:2]
    shape = annotation.shape
    return raster.from_box(shape, width, height) if isinstance(shape, Box) else shape
