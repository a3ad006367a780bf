"""Finding similar objects and wrong names: how services, panels and commands belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.errors import UserError
from annotator.services.looks import Looks
from annotator.services.name_review import NameReview, Scorer
from annotator.services.object_crops import ObjectCrops
from annotator.services.similar import Similar
from annotator.services.similar_search import Progress, SimilarSearch
from annotator.ui.review_panel import ReviewPanel
from annotator.ui.run_comparison import Comparing
from annotator.ui.similar_panel import SimilarPanel
from annotator.ui.work_field import WorkField

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from annotator.core.annotation import Category
    from annotator.core.images import LoadedImage
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.canvas import Canvas

NEXT = 10
"""How many images “the next images” are."""


class Finding(QObject):
    """Makes the services and the panels, and jumps to objects of any image.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        canvas: where objects are shown.
        parent: Qt parent.
    """

    panel_wanted = Signal(str)
    """The dock with this command id shall be seen: "view.similar_panel" or "view.review_panel"."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, canvas: Canvas, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._canvas = canvas
        self._wanted: tuple[str, int] | None = None
        self._order: Callable[[], Sequence[str]] = lambda: ()
        self.looks = Looks(workspace, parent=self)
        self.search = SimilarSearch(workspace, self.looks, self)
        self.similar = Similar(workspace, settings, self.looks, self.search, self)
        self.review = NameReview(workspace, self.looks, self)
        crops = ObjectCrops(workspace, self.looks, self)
        self.similar_panel = SimilarPanel(workspace, self.similar, crops)
        self.review_panel = ReviewPanel(workspace, self.review, self.looks, crops)
        self.field = SimilarField(self.search)
        self.comparing = Comparing(workspace, settings, canvas, parent)
        self.comparing.comparison.failed.connect(workspace.reported)
        self.review.set_scorers(self._text_model)
        workspace.namer.changed.connect(self.review.refresh)
        self.search.finished.connect(workspace.noticed)
        self.search.failed.connect(workspace.reported)
        workspace.image_ready.connect(self._arrive)
        workspace.image_shown.connect(self._forget)
        self.similar_panel.command_wanted.connect(self._run)
        for panel in (self.similar_panel, self.review_panel):
            panel.shown.connect(self.show)
            panel.left.connect(canvas.setFocus)

    def _text_model(self, categories: Sequence[Category]) -> Sequence[Scorer]:
        """What the text model says of names, once it has learnt these."""
        found = self._workspace.namer.scorer()
        if found is None or found[0] != tuple(category.name for category in categories):
            return ()
        return (Scorer(self._workspace.namer.space, found[1]),)

    def set_order(self, keys: Callable[[], Sequence[str]]) -> None:
        """The images in the order people see them, for “the next images”."""
        self._order = keys

    def close(self) -> None:
        """End the thread; call it after the workspace is closed."""
        self.looks.close()
        self.comparing.close()

    # --- Commands ---

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        return {
            "similar.find": self.find,
            "similar.here": partial(self._look, self._here),
            "similar.next": partial(self._look, self._next),
            "similar.folder": partial(self._look, self._folder),
            "names.review": partial(self.panel_wanted.emit, "view.review_panel"),
            "names.look": self.looks.describe_all,
            "image.stop_proposing": self.stop,
            **self.comparing.handlers(),
        }

    @property
    def running(self) -> bool:
        """Whether objects are being looked for."""
        return self.search.running

    def stop(self) -> None:
        """What Esc means while objects are being looked for."""
        self.search.stop()
        self._workspace.everything.stop()

    def find(self) -> None:
        """List what looks like the selected object.

        Raises:
            UserError: not exactly one object is selected.
        """
        self.similar.ask()
        self.panel_wanted.emit("view.similar_panel")

    def _look(self, keys: Callable[[], Sequence[str]]) -> None:
        """Look for objects like the one in the open panel, else like the selected one."""
        if not self.similar_panel.isVisible() or self.similar.annotation is None:
            self.find()
        self.similar.look_in(keys())

    def _here(self) -> Sequence[str]:
        return [self._workspace.key] if self._workspace.key is not None else []

    def _next(self) -> Sequence[str]:
        return self._after()[1 : NEXT + 1]

    def _folder(self) -> Sequence[str]:
        document = self._workspace.document
        keys = list(document.keys()) if document is not None else []
        place = keys.index(self._workspace.key) if self._workspace.key in keys else 0
        return [*keys[place:], *keys[:place]]

    def _after(self) -> list[str]:
        """The current image and those after it, as they are listed."""
        keys = list(self._order())
        return keys[keys.index(self._workspace.key) :] if self._workspace.key in keys else keys

    def _run(self, command_id: str) -> None:
        try:
            self.handlers()[command_id]()
        except UserError as error:
            self._workspace.reported.emit(error)

    # --- Jumping ---

    def show(self, key: str, annotation_id: int) -> None:
        """Show an object: its image, selected, in view. The focus stays where it is."""
        self._workspace.show(key)
        self._wanted = (key, annotation_id)
        image = self._workspace.image
        if image is not None and image.key == key:
            self._arrive(image)

    def _forget(self, key: str) -> None:
        if self._wanted is not None and self._wanted[0] != key:
            self._wanted = None

    def _arrive(self, image: LoadedImage) -> None:
        if self._wanted is None or self._wanted[0] != image.key:
            return
        (_, number), self._wanted = self._wanted, None
        workspace = self._workspace
        if workspace.draft:
            return  # an open prompt came back with its image
        if not any(a.id == number for a in workspace.visible):
            workspace.noticed.emit("The filter for proposals hides that object.")
            return
        workspace.select((number,))
        self._canvas.center_on((number,))


class SimilarField(WorkField):
    """How far the search for similar objects is, in the status bar.

    Args:
        search: the search.
        parent: Qt parent.
    """

    def __init__(self, search: SimilarSearch, parent: QWidget | None = None) -> None:
        super().__init__("finding similar objects", search.stop, "Stop looking (Esc)", parent)
        search.running_changed.connect(self.setVisible)
        search.progressed.connect(self._show_progress)

    def _show_progress(self, progress: Progress) -> None:
        found = f"{progress.found:,} object{'' if progress.found == 1 else 's'}"
        place = min(progress.done + 1, progress.total)
        tip = "Go on working: clicks come first. What is found is proposed in its image."
        share = progress.done / max(progress.total, 1)
        self.tell(f"Similar… image {place:,} of {progress.total:,}, {found}", tip, share)
