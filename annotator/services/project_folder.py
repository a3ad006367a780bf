"""Where a project lives on the disk, and the lock that keeps a second window out."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QLockFile

from annotator.core.errors import UserError
from annotator.core.files import DENIED, explain, make_writable_folder

PROJECT = ".annotator"
JOURNAL = "journal.sqlite"
COCO = "annotations.json"


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one project.

    Attributes:
        folder: the images.
        project_dir: the program's own files.
        coco: the COCO file people keep, unless the project remembers another name.
        source: a COCO file to start from, where it is not `coco`.
        notice: something to tell about the place, or None.
    """

    folder: Path
    project_dir: Path
    coco: Path
    source: Path
    notice: UserError | None = None

    @property
    def journal(self) -> Path:
        """The SQLite file."""
        return self.project_dir / JOURNAL

    @property
    def coco_state(self) -> Path:
        """What is known about the COCO file on the disk."""
        return self.project_dir / "coco.json"


def find_place(folder: Path, project_dir: Path | None = None) -> Place:
    """Decide where the project lives and make its folder.

    Beside the images where possible; where the folder is read-only, in the user's data folder.

    Raises:
        UserError: there is no such folder, or no place to write.
    """
    folder = Path(os.path.realpath(folder))
    if not folder.is_dir():
        raise UserError(f"There is no folder “{folder}”.", "Check the spelling or the drive.")
    own = project_dir is None or Path(os.path.realpath(project_dir)) == folder / PROJECT
    wanted = folder / PROJECT if own or project_dir is None else Path(os.path.realpath(project_dir))
    try:
        make_writable_folder(wanted)
        if own:
            _check_writable(wanted / JOURNAL)
    except OSError as error:
        if not own or error.errno not in DENIED:
            raise explain(error, wanted) from error
        return _elsewhere(folder)
    base = folder if own else wanted
    return Place(folder, wanted, base / COCO, folder / COCO)


def _check_writable(journal: Path) -> None:
    if journal.exists() and not os.access(journal, os.W_OK):
        raise PermissionError(13, "Permission denied", str(journal))


def known_journal(folder: Path, project_dir: Path | None = None) -> Path | None:
    """The journal of a project, without making anything; None if there is none yet."""
    folder = Path(os.path.realpath(folder))
    if project_dir is not None:
        choices = [project_dir]
    else:
        # Where the folder is read-only, the one elsewhere went on from the one beside the images.
        choices = [_dir_elsewhere(folder), folder / PROJECT]
    return next((path / JOURNAL for path in choices if (path / JOURNAL).is_file()), None)


def _dir_elsewhere(folder: Path) -> Path:
    from platformdirs import user_data_path

    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in folder.name)[:40]
    return user_data_path("annotator", appauthor=False) / "projects" / f"{name}-{digest}"


def _elsewhere(folder: Path) -> Place:
    project = _dir_elsewhere(folder)
    try:
        make_writable_folder(project)
        _take_over(folder / PROJECT / JOURNAL, project / JOURNAL)
    except OSError as error:
        raise explain(error, project) from error
    notice = UserError(
        f"The folder “{folder}” is read-only.",
        f"The annotations are kept in “{project}” instead.",
    )
    return Place(folder, project, project / COCO, folder / COCO, notice)


def _take_over(existing: Path, journal: Path) -> None:
    """Continue from a journal that stands beside the images but cannot be written."""
    if journal.exists() or not existing.is_file():
        return
    for suffix in ("-wal", ""):
        source = existing.with_name(existing.name + suffix)
        if source.is_file():
            shutil.copyfile(source, journal.with_name(journal.name + suffix))


def lock_project(project_dir: Path) -> QLockFile:
    """Keep every other window out until the lock is released.

    A lock left behind by a crash does not count: its process is gone.

    Raises:
        UserError: another window has the project open.
    """
    path = project_dir / "lock"
    return lock_file(
        path,
        "This project is already open in another window{}.",
        f"Close it there. If it is not open anywhere, delete “{path}”.",
    )


def lock_file(path: Path, message: str, remedy: str) -> QLockFile:
    """Make a lock that holds until it is released or its process has gone.

    Args:
        path: the file.
        message: for people where somebody else has it; “{}” stands for who.
        remedy: likewise.

    Raises:
        UserError: somebody else has it, or it cannot be written.
    """
    lock = QLockFile(str(path))
    lock.setStaleLockTime(0)
    if lock.tryLock(100):
        return lock
    if lock.error() != QLockFile.LockError.LockFailedError:
        raise UserError(f"“{path}” cannot be written.", "Check the folder's permissions.")
    raise UserError(message.replace("{}", _holder(lock)), remedy)


def _holder(lock: QLockFile) -> str:
    # PySide returns the three out-parameters; its type stubs say something else.
    info: object = lock.getLockInfo()
    if not isinstance(info, tuple) or len(info) != 3:
        return ""
    pid, host, program = info
    return f" by process {pid} ({program}) on “{host}”"
