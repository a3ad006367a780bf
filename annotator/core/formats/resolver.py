"""Which image of a folder a name in a file means. No name leads out of the folder."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from annotator.core.errors import UserError
from annotator.core.paths import file_of, is_image_name


class Resolver:
    """Finds the image of the folder that a `file_name` means.

    A relative path that exists is taken as it is; otherwise the only image of that base name in
    the folder and its sub-folders; otherwise the name stays, for an image that is missing.

    Args:
        folder: the images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[str]] | None = None
        self._by_stem: dict[str, list[str]] = {}

    def key(self, file_name: str) -> str:
        """The key of the image."""
        for name in (file_name, file_name.replace("\\", "/")):
            path = PurePosixPath(name)
            if not path.is_absolute() and ".." not in path.parts and self._is_file(str(path)):
                return str(path)
        candidates = self._names().get(path.name, [])
        return candidates[0] if len(candidates) == 1 else file_name

    def beside(self, name: str) -> list[str]:
        """The images a file with labels can mean, whatever their extension.

        Args:
            name: path of the file with labels, relative to the folder of such files.
        """
        path = PurePosixPath(name.replace("\\", "/"))
        self._names()
        stem = str(path.with_suffix(""))
        found = self._by_stem.get(path.stem, [])
        exact = [key for key in found if str(PurePosixPath(key).with_suffix("")) == stem]
        return exact or found

    def size(self, key: str) -> tuple[int, int]:
        """Width and height of the upright image, (0, 0) if it cannot be read."""
        from annotator.core.images import probe

        if not self._is_file(key):
            return (0, 0)
        try:
            info = probe(self.folder / key)
        except UserError:
            return (0, 0)
        return info.width, info.height

    def file(self, key: str) -> Path | None:
        """The image file, None where there is none."""
        return self.folder / key if self._is_file(key) else None

    def _is_file(self, name: str) -> bool:
        try:
            return file_of(self.folder / name).is_file()
        except (OSError, ValueError):
            return False

    def _names(self) -> dict[str, list[str]]:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            stems = defaultdict(list)
            for folder, folders, files in os.walk(self.folder):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                relative = Path(folder).relative_to(self.folder)
                for name in sorted(files):
                    key = (relative / name).as_posix()
                    self._by_name[name].append(key)
                    if is_image_name(name):
                        stems[PurePosixPath(name).stem].append(key)
            self._by_stem = dict(stems)
        return self._by_name


def image_folder(path: Path, given: Path | None, names: Iterable[str]) -> Path:
    """Where the images of a file with labels are.

    Args:
        path: the file or folder with labels.
        given: what the user said, or None.
        names: some names of images, as the file has them.

    Returns:
        The first of the usual places where one of the names is, otherwise the folder itself.
    """
    if given is not None:
        return given
    base = path if path.is_dir() else path.parent
    usual = [base, base / "images", base / "JPEGImages", base.parent, base.parent / "images",
             base.parent / "JPEGImages", base / "images" / path.stem, base / path.stem,
             base.parent / path.stem.removeprefix("instances_")]  # fmt: skip
    some = [name for name in names if name]
    for folder in usual:
        resolver = Resolver(folder)
        if any(".." not in name and resolver.file(name.lstrip("/")) for name in some):
            return folder
    return base
