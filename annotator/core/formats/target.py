"""Where an export goes: a folder that appears whole or not at all, and what there is to tell."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from annotator.core.errors import UserError
from annotator.core.files import explain
from annotator.core.troubles import Trouble, Troubles

BLOCK = 4 << 20
"""Bytes written at once."""


@dataclass(slots=True)
class Fidelity:
    """How close written shapes come to the masks, as pycocotools reads both.

    Attributes:
        count: shapes that were compared.
        total: sum of the intersections over unions.
        worst: the smallest of them, 1 before the first.
        where: which object that is.
        inexact: shapes that are not the same mask.
    """

    count: int = 0
    total: float = 0.0
    worst: float = 1.0
    where: str = ""
    inexact: int = 0

    def add(self, iou: float, where: str) -> None:
        """One more shape."""
        self.count += 1
        self.total += iou
        self.inexact += iou < 1
        if iou < self.worst:
            self.worst, self.where = iou, where

    @property
    def mean(self) -> float:
        """Mean intersection over union, 1 where nothing was compared."""
        return self.total / self.count if self.count else 1.0

    def sentence(self) -> str:
        """For people."""
        if not self.inexact:
            return f"All {self.count:,} shapes are exactly the masks." if self.count else ""
        return (
            f"{self.inexact:,} of {self.count:,} shapes are not exactly the masks: IoU "
            f"{self.mean:.4f} on average, {self.worst:.4f} at worst ({self.where})."
        )


@dataclass(slots=True)
class Target:
    """Takes the files of one export.

    Files are written into a hidden folder beside the final one, which takes its place at the end.

    Attributes:
        folder: the hidden folder.
        files: written so far.
        annotations: objects written so far.
        lost: what could not be kept.
        fidelity: of shapes that may differ from the masks.
        with_images: whether image files are part of the export.
    """

    folder: Path
    with_images: bool = False
    files: int = 0
    annotations: int = 0
    lost: Troubles = field(default_factory=Troubles)
    fidelity: Fidelity = field(default_factory=Fidelity)

    def place(self, name: str) -> Path:
        """Where a file of this relative name is to be written; makes its folder.

        Raises:
            UserError: the name leads out of the folder, or the folder cannot be made.
        """
        if not is_inside(name):
            raise UserError(f"“{name}” leads out of the folder of the export.", "Rename the image.")
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, path.parent) from error
        return path

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file.

        Raises:
            UserError: it cannot be written.
        """
        path = self.place(name)
        try:
            with path.open("wb") as file:
                _write_meanwhile(file, chunks)
        except OSError as error:
            raise explain(error, path) from error
        self.files += 1

    def is_taken(self, name: str, key: str) -> bool:
        """Whether another image's labels have this name ("a.jpg" and "a.png"); then says so."""
        if not (self.folder / name).exists():
            return False
        self.lose("images left out, because another one has the same name but for its ending", key)
        return True

    def want_jpeg(self, key: str) -> None:
        """The format's own readers look for `.jpg` only: say where an image is another kind."""
        if self.with_images and PurePosixPath(key).suffix != ".jpg":
            self.lose(
                "image files that do not end with .jpg, as the format's own readers want", key
            )

    def lose(self, what: str, where: str) -> None:
        """Something cannot be kept in this format: "holes of polygons", and of which object."""
        self.lost.add([Trouble(what, where)])

    def finish(self, out: Path, *, file: str = "", overwrite: bool = False) -> None:
        """Put everything in its place.

        Args:
            out: the folder, or the file if `file` is given.
            file: the only file that was written, to become `out`.
            overwrite: whether files that are there may be replaced.

        Raises:
            UserError: something is in the way; nothing was changed.
        """
        try:
            if file:
                self._put(self.folder / file, out)
            elif not out.exists():
                out.parent.mkdir(parents=True, exist_ok=True)
                self.folder.rename(out)
            else:
                check_free(out, overwrite=overwrite)
                for path in sorted(p for p in self.folder.rglob("*") if not p.is_dir()):
                    self._put(path, out / path.relative_to(self.folder), out)
        except OSError as error:
            raise explain(error, out) from error

    @staticmethod
    def _put(path: Path, out: Path, inside: Path | None = None) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        # A link among what was there must not carry our files elsewhere.
        if inside is not None and not out.parent.resolve().is_relative_to(inside.resolve()):
            raise UserError(f"“{out.parent}” leads out of “{inside}”.", "Choose an empty folder.")
        path.replace(out)

    def discard(self) -> None:
        """Remove what is left of the hidden folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def start(out: Path, *, overwrite: bool = False) -> Target:
    """A target whose files will become `out`.

    Raises:
        UserError: there is something already, or the folder cannot be written.
    """
    check_free(out, overwrite=overwrite)
    folder = out.with_name(f".{out.name}.writing")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise explain(error, folder) from error
    return Target(folder)


def check_free(out: Path, *, overwrite: bool) -> None:
    """Nothing of the user's may be in the way.

    Raises:
        UserError: there is something, and nobody allowed to replace it.
    """
    if overwrite or not os.path.lexists(out):
        return
    if out.is_dir() and next(out.iterdir(), None) is None:
        return
    raise UserError(f"“{out}” is there already.", "Choose another place, or allow to overwrite it.")


def is_inside(name: str) -> bool:
    """Whether a relative name, of this or another system, stays inside of its folder."""
    if not name or "\0" in name or Path(name).is_absolute() or Path(name).drive:
        return False
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and ".." not in parts and parts[0] != "/"


def _write_meanwhile(file: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Write one block while the next one is made; a small file needs no thread for that."""
    block, size = list[bytes](), 0
    with ThreadPoolExecutor(1, "writer") as pool:
        writing: Future[int] | None = None
        for chunk in chunks:
            block.append(chunk)
            size += len(chunk)
            if size >= BLOCK:
                if writing is not None:
                    writing.result()
                writing = pool.submit(file.write, b"".join(block))
                block, size = [], 0
        if writing is not None:
            writing.result()
        file.write(b"".join(block))
