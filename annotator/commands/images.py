"""The images a command works on."""

from __future__ import annotations

from pathlib import Path

from annotator.commands.progress import say
from annotator.core.errors import UserError


def image_keys(folder: Path) -> list[str]:
    """The images of a folder and its sub-folders in their order; what is left out is said.

    Raises:
        UserError: there are none, or the folder cannot be read.
    """
    from annotator.services.folder_scan import walk

    keys: list[str] = []
    for report in walk(folder):
        if isinstance(report, UserError):
            say(str(report))
        else:
            keys += report
    if not keys:
        raise UserError(f"There are no images in “{folder}”.", "Name the folder of the images.")
    return keys
