"""`RunComparison`: what a new run would change of accepted objects; nothing is written."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Annotation, Annotations
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.prelabel.difference import Comparison, Difference, compare
from annotator.services.everything import options_of
from annotator.services.priority import lower_priority
from annotator.services.run_preparing import Order, Ready, Request, prepare, request
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import ModelError

if TYPE_CHECKING:
    from annotator.services.answering import Picture
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.api import Segmenter, SegmenterSpec
    from models.everything import Options
    from models.runtimes import Device

SLOT = "compare"


class RunComparison(QObject):
    """Asks a model about the current image or many, on a thread of its own.

    Args:
        workspace: what is open.
        settings: the user's preferences.
        parent: Qt parent.
    """

    compared = Signal(str, object)
    """Key of the image, `Comparison`."""
    working = Signal(bool)
    """Whether a comparison is being made."""
    progressed = Signal(int, int)
    """Images of a folder compared, and images in all."""
    skipped = Signal(str, str)
    """Key of an image that cannot be compared, and why."""
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
        self._count = 0
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
        queue = self._begin()
        queue.submit(
            SLOT,
            lambda: self._compare(spec, current.device, options, picture, mine),
            lambda found: self._tell(picture.key, found),
            self._fail,
        )

    def start_folder(self, order: Order, keys: Sequence[str]) -> None:
        """Compare images with what a run would find; `compared` follows for each of them.

        Raises:
            UserError: nothing is open.
        """
        document = self._workspace.document
        if document is None:
            raise UserError("No project is open.", "Open a folder first.")
        asked = request(document, order, self._settings.settings, resume=False)
        self.stop()
        queue = self._begin()
        self.progressed.emit(0, len(keys))

        def go_on(ready: Ready) -> None:
            self._count = 0
            queue.stream(
                SLOT,
                lambda: _comparisons(asked, ready, keys),
                lambda found: self._take_one(len(keys), *found),
                lambda: self.working.emit(False),
                self._fail,
            )

        queue.submit(SLOT, lambda: prepare(asked), go_on, self._fail)

    def _begin(self) -> TaskQueue:
        if self._queue is None:
            self._queue = TaskQueue("compare", self)
            self._queue.submit("priority", lower_priority, lambda _: None, self._fail)
        self.working.emit(True)
        return self._queue

    def _take_one(self, total: int, key: str, found: Comparison | str) -> None:
        self._count += 1
        if isinstance(found, str):
            self.skipped.emit(key, found)
        else:
            self.compared.emit(key, found)
        self.progressed.emit(self._count, total)

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
        document = workspace.document
        if found is None or document is None or not document.has_image(key):
            return False
        mine, before = difference.accepted, document.annotations(key)
        if mine is None:
            new = replace(found, id=document.new_id(), proposed=False)
            after, text = (*before, new), "Take an object of the new run"
        else:
            now = {one.id: one for one in before}.get(mine.id)
            if now is None or now.shape != mine.shape or now.locked:
                return False
            after = tuple(_reshaped(one, found) if one is now else one for one in before)
            text = "Take the new shape"
        document.edit(key, workspace.masks.settled(before, after), text)
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


def _comparisons(
    asked: Request, ready: Ready, keys: Sequence[str]
) -> Generator[tuple[str, Comparison | str], None, None]:
    """What a run would change, image by image; a sentence for one that cannot be compared."""
    from annotator.core.prelabel.as_is import outcomes_of
    from annotator.core.prelabel.pipeline import Failed
    from annotator.services.prelabel_comparing import ComparingTarget
    from annotator.services.prelabelling import ImageError

    only_existing = asked.order.values.get("classes") == "existing"
    target = ComparingTarget(asked.folder, asked.project_dir, only_existing)
    with closing(outcomes_of(keys, asked.folder, ready.segmenter, ready.source)) as coming:
        for outcome in coming:
            if isinstance(outcome, Failed):
                yield outcome.key, str(outcome.error)
                continue
            try:
                target.take(outcome)
            except ImageError as error:
                yield outcome.key, str(error)
            else:
                yield outcome.key, target.comparisons.pop(outcome.key)
