"""`RunComparison`: what a new run would change of the accepted objects of the current image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Annotation, Annotations
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.prelabel.difference import Comparison, Difference, compare
from annotator.services.everything import options_of
from annotator.services.priority import lower_priority
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import ModelError

if TYPE_CHECKING:
    from annotator.services.assistant import Picture
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.api import Segmenter, SegmenterSpec
    from models.everything import Options
    from models.runtimes import Device

SLOT = "compare"


class RunComparison(QObject):
    """Asks the current model for everything in the image, on a thread of its own.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        parent: Qt parent.
    """

    compared = Signal(str, object)
    """Key of the image, `Comparison`."""
    working = Signal(bool)
    """Whether a comparison is being made."""
    failed = Signal(object)
    """`UserError`."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace, self._settings = workspace, settings
        self._queue: TaskQueue | None = None
        # The thread's own.
        self._loaded: tuple[SegmenterSpec, Segmenter] | None = None
        workspace.project_closing.connect(self.stop)

    def start(self) -> None:
        """Compare; `compared` follows.

        Raises:
            UserError: there is no image.
        """
        workspace = self._workspace
        picture, document = workspace.picture(), workspace.document
        if picture is None or document is None:
            raise UserError("There is no image to compare.", "Show one, and wait until it is read.")
        mine = tuple(a for a in document.annotations(picture.key) if not a.proposed)
        spec, current = workspace.assistant.model, self._settings.settings
        options = options_of(current)
        if self._queue is None:
            self._queue = TaskQueue("compare", self)
            self._queue.submit("priority", lower_priority, lambda _: None, self._fail)
        self.working.emit(True)
        self._queue.submit(
            SLOT,
            lambda: self._compare(spec, current.device, options, picture, mine),
            lambda found: self._tell(picture.key, found),
            self._fail,
        )

    def stop(self) -> None:
        """Nobody waits for a comparison any more."""
        if self._queue is not None:
            self._queue.cancel(SLOT)
        self.working.emit(False)

    def close(self) -> None:
        """End the thread."""
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    def take(self, key: str, difference: Difference) -> bool:
        """Give an object the shape that was found, or add what was found, as one undo step.

        Returns:
            Whether anything changed: the object may be gone, locked, or another by now.
        """
        workspace, found = self._workspace, difference.found
        if found is None or workspace.document is None or workspace.key != key:
            return False
        mine = difference.accepted
        if mine is None:
            new = replace(found, id=workspace.document.new_id(), proposed=False)
            after = workspace.masks.settled(workspace.annotations, (*workspace.annotations, new))
            workspace.document.edit(key, after, "Take an object of the new run")
            return True
        now = {one.id: one for one in workspace.annotations}.get(mine.id)
        if now is None or now.shape != mine.shape or now.locked:
            return False
        workspace.change_some((mine.id,), "Take the new shape", lambda a: _reshaped(a, found))
        return True

    def _tell(self, key: str, found: Comparison) -> None:
        self.working.emit(False)
        self.compared.emit(key, found)

    def _fail(self, error: Exception) -> None:
        self.working.emit(False)
        if not isinstance(error, UserError | ModelError):
            raise error
        self.failed.emit(error if isinstance(error, UserError) else UserError(str(error)))

    # --- On the thread ---

    def _compare(
        self,
        spec: SegmenterSpec,
        device: Device,
        options: Options,
        picture: Picture,
        mine: Annotations,
    ) -> Comparison:
        from annotator.core.prelabel.everything_mode import EverythingMode
        from annotator.core.prelabel.proposing import propose
        from models.runtimes import using

        if self._loaded is None or self._loaded[0] != spec:
            self._loaded = None  # two of them may not fit into the memory
            with using(device):
                self._loaded = (spec, spec.load())
        found = propose(picture.pixels, picture.key, self._loaded[1], EverythingMode(options)).found
        new = tuple(
            Annotation(-place, one.mask, None, one.origin, proposed=True)
            for place, one in enumerate(found, 1)
        )
        # Everything mode knows no names.
        return compare(mine, new, lambda _: "")


def _reshaped(annotation: Annotation, found: Annotation) -> Annotation:
    assert isinstance(found.shape, Mask)
    return replace(annotation, shape=found.shape, polygons=None, origin=found.origin)
