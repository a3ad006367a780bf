"""`Carrying`: the selected objects go into the next image, at the same place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.services.workspace import Workspace


class Carrying(QObject):
    """Pastes when the pixels of the next image say how large it is.

    Args:
        workspace: what is open.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        self._workspace = workspace
        self._awaited: str | None = None
        workspace.image_ready.connect(self._paste)
        workspace.image_shown.connect(self._follow)

    def copy_to_next(self) -> None:
        """Show the next image with copies of the selected objects.

        Raises:
            UserError: nothing is selected, or there is no next image.
        """
        workspace, before = self._workspace, self._workspace.key
        if not workspace.selected:
            raise UserError("Nothing is selected.", "Select the objects to copy.")
        chosen = workspace.selection
        workspace.copy()
        workspace.step(1)
        if workspace.key == before:
            workspace.select(chosen)
            raise UserError("There is no next image.", "The objects are copied; paste them.")
        self._awaited = workspace.key
        if workspace.image is not None:
            self._paste(workspace.image)

    def _follow(self, key: str) -> None:
        if key != self._awaited:
            self._awaited = None

    def _paste(self, image: LoadedImage) -> None:
        if image.key == self._awaited:
            self._awaited = None
            self._workspace.paste(in_place=True)
