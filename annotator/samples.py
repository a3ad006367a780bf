"""The bundled sample images as a folder the user may write to."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path


def sample_folder(parent: Path | None = None) -> Path:
    """A private copy of the bundled images; what exists in it already stays as it is.

    Args:
        parent: where to put it; None for the user's data folder.
    """
    if parent is None:
        import platformdirs

        parent = Path(platformdirs.user_data_dir("annotator", appauthor=False))
    folder = parent / "sample"
    with as_file(files("resources") / "samples") as source:
        for file in source.rglob("*"):
            target = folder / file.relative_to(source)
            if file.is_file() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
    return folder
