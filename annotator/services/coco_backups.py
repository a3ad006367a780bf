"""Earlier versions of the COCO file, kept in the project, and what others made of the last one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.core.errors import UserError
from annotator.core.files import fingerprint, from_json, time_stamp

if TYPE_CHECKING:
    from annotator.core.formats.api import Content, LabelledImage

FOLDER = "backups"
DEFAULT = 10
"""Versions."""
SPACING = 300.0
"""Seconds between two versions that are kept; the newest is always kept."""
LARGE = 64 << 20
"""Bytes: of larger files there is a new version no more often than that."""
_NAME = re.compile(r"(\d{6,}) .*\.json")


class ChangedOutside(UserError):
    """Another program changed the COCO file.

    Attributes:
        path: its version of it.
        base: what this program wrote last, None where that was not kept.
        is_newer: the file is ahead of the project: what differs is newer there.
    """

    def __init__(
        self, path: Path, base: Path | None, message: str, remedy: str, *, is_newer: bool = False
    ) -> None:
        super().__init__(message, remedy)
        self.path = path
        self.base = base
        self.is_newer = is_newer or base is not None


def versions(folder: Path) -> list[Path]:
    """The versions there are, oldest first, whatever the clock said."""
    found = [
        (int(m.group(1)), path) for path in folder.glob("*.json") if (m := _NAME.match(path.name))
    ]
    return [path for _, path in sorted(found)]


def back_up(written: Path, folder: Path, count: int) -> None:
    """Keep a version of the file as it is now, and forget old ones.

    Args:
        written: the COCO file.
        folder: where versions are kept.
        count: how many are kept at most; 0 for none.

    Raises:
        OSError: it was not kept.
    """
    known = versions(folder)
    if count > 0 and not _is_too_soon(written, known):
        folder.mkdir(exist_ok=True)
        number = int(known[-1].name.split()[0]) + 1 if known else 1
        part = folder / ".writing"
        # A copy: other programs that write into the file itself must not change it.
        shutil.copyfile(written, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        new = folder / f"{number:06} {time_stamp()}.json"
        part.replace(new)
        known.append(new)
    for path in _superfluous(known, count):
        path.unlink(missing_ok=True)


def _is_too_soon(written: Path, known: list[Path]) -> bool:
    if not known or written.stat().st_size < LARGE:
        return False
    return abs(written.stat().st_mtime - known[-1].stat().st_mtime) < SPACING


def _superfluous(known: list[Path], count: int) -> list[Path]:
    """Those too near to the one kept before them, then the oldest; never the newest."""
    kept: list[Path] = []
    for path in known[:-1]:
        if not kept or abs(path.stat().st_mtime - kept[-1].stat().st_mtime) >= SPACING:
            kept.append(path)
    kept += known[-1:]
    kept = kept[max(len(kept) - count, 0) :]
    return [path for path in known if path not in kept]


def base_of(folder: Path, hashes: tuple[str, ...]) -> Path | None:
    """The version that was written last, if it was kept.

    Args:
        folder: where versions are kept.
        hashes: sha256 of what was written, newest last.
    """
    with contextlib.suppress(OSError):
        for path in reversed(versions(folder)[-2:]):
            if hashes and fingerprint(path).sha256 == hashes[-1]:
                return path
    return None


def outside_content(path: Path, base: Path | None, images: Path) -> Content:
    """What another program added to the COCO file or changed in it.

    Args:
        path: its version.
        base: the version it began with; without it everything is given.
        images: the folder of the images.

    Raises:
        UserError: the file cannot be read.
    """
    from annotator.core.formats.api import Origin
    from annotator.core.formats.coco_instances import read

    content = read(Origin(path, images))
    if base is None:
        return content
    same = _unchanged(path, base)

    def changed() -> Iterator[LabelledImage]:
        for image in content.images():
            left = [a for a in image.annotations if a.id not in same]
            if left:
                yield replace(image, annotations=left, coco=None, category_ids=None)

    return replace(content, images=changed)


def _unchanged(path: Path, base: Path) -> set[int]:
    """Ids of the objects that are the same in both files."""
    try:
        old, new = (from_json(one.read_bytes()).get("annotations", ()) for one in (base, path))
    except (OSError, ValueError, AttributeError):
        return set()
    known: dict[Any, Any] = {entry.get("id"): entry for entry in old if isinstance(entry, dict)}
    return {
        entry["id"]
        for entry in new
        if isinstance(entry, dict) and "id" in entry and known.get(entry["id"]) == entry
    }
