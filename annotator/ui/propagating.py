"""Following objects through the next images, in the window: commands, progress, what is told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from annotator.services.propagation import Progress, Propagation, Report
from annotator.ui.work_field import WorkField

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from annotator.services.looks import Looks
    from annotator.services.workspace import Workspace
    from annotator.ui.message_bar import MessageBar

AHEAD = 10
"""How many images “until unsure” goes through at most."""
KEY = "propagation"
"""Of the message about how it ended."""


class Propagating(QObject):
    """Makes the service, and shows where it needs a person.

    Args:
        workspace: what is open.
        looks: its thread reads images.
        messages: where is said how it ended.
        parent: Qt parent.
    """

    def __init__(
        self, workspace: Workspace, looks: Looks, messages: MessageBar, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._messages = messages
        self._is_step = False
        self.propagation = Propagation(workspace, looks, self)
        self.field = PropagatingField(self.propagation)
        self.propagation.failed.connect(workspace.reported)
        self.propagation.finished.connect(self._tell)

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Command id to function."""
        return {
            "propagate.next": partial(self._start, 1),
            "propagate.ahead": partial(self._start, AHEAD),
        }

    @property
    def running(self) -> bool:
        """Whether objects are being followed."""
        return self.propagation.running

    def stop(self) -> None:
        """What Esc means while objects are being followed."""
        self.propagation.stop()

    def _start(self, count: int) -> None:
        """Follow the selected objects, or all accepted ones, into so many images at most.

        Raises:
            UserError: there is nothing to follow, or nowhere to.
        """
        workspace = self._workspace
        document, key = workspace.document, workspace.key
        if document is not None and key is not None:
            self.propagation.start(document, key, workspace.selection, count)
            self._is_step = count == 1
            self._messages.dismiss(KEY)

    def _tell(self, report: Report) -> None:
        if report.stopped:
            if report.images:
                self._workspace.noticed.emit(f"Stopped. {told(report)}")
            return
        if not report.unsure:
            self._messages.show_message(told(report), level="success", key=KEY)
            if self._is_step and report.images and self._is_free(report):
                self._workspace.show(report.reached)
            return
        key, ids = report.unsure[0]
        free = self._is_free(report)
        self._messages.show_message(
            asked(report),
            remedy(report),
            level="warning",
            actions=[] if free else [("Show", partial(self._show, key, ids))],
            key=KEY,
        )
        if free:
            self._show(key, ids)

    def _is_free(self, report: Report) -> bool:
        """Whether the user still looks at where it began, and nothing is open there."""
        return self._workspace.key == report.source and not self._workspace.draft

    def _show(self, key: str, ids: tuple[int, ...]) -> None:
        """Show an image with its unsure proposals selected."""
        workspace = self._workspace
        workspace.show(key)
        if not workspace.draft:
            present = {a.id for a in workspace.visible}
            workspace.select(present.intersection(ids))


def asked(report: Report) -> str:
    """Where a person is needed first: "2 of 5 objects are unsure in frame_0013.png."."""
    key, ids = report.unsure[0]
    verb = "is" if len(ids) == 1 else "are"
    return f"{len(ids)} of {_objects(report.objects)} {verb} unsure in {key}."


def remedy(report: Report) -> str:
    """What to do there, and what became of the others."""
    key, ids = report.unsure[0]
    if any(ids):
        text = "Correct or accept what is selected there, and propagate again."
    else:
        text = "Mark what can still be seen of it there, and propagate again."
    later = sum(len(others) for _, others in report.unsure[1:])
    if later:
        text += f" {later} more in later images."
    if report.reached != key:
        text += f" Others went on to {report.reached}."
    return text


def told(report: Report) -> str:
    """What was done, in a sentence or two."""
    if not report.images:
        text = f"No image after {report.source} could be read."
    elif report.images == 1:
        text = f"Proposed {_objects(report.proposed)} in {report.reached}."
    else:
        many = _objects(report.objects)
        text = f"Followed {many} through {report.images} images, to {report.reached}."
    if report.left:
        text += f" {_objects(report.left)} left the image."
    if report.unread and report.images:
        noun = "image" if report.unread == 1 else "images"
        text += f" {report.unread} {noun} could not be read."
    return text


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"


class PropagatingField(WorkField):
    """How far objects were followed, in the status bar.

    Args:
        propagation: the work.
        parent: Qt parent.
    """

    def __init__(self, propagation: Propagation, parent: QWidget | None = None) -> None:
        super().__init__("propagating objects", propagation.stop, "Stop propagating (Esc)", parent)
        propagation.running_changed.connect(self.setVisible)
        propagation.progressed.connect(self._show_progress)

    def _show_progress(self, progress: Progress) -> None:
        place = max(progress.place, 1)
        tip = f"In {progress.key}. Go on working: clicks come first."
        self.tell(f"Propagating… image {place} of {progress.images}", tip, progress.share)
