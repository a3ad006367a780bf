"""Proposals as a COCO results file, gathered image by image in a file beside it.

`proposals.json.run` gets a line for each finished image, so that a killed run goes on where it
was: a line that was cut off is dropped and its image done again. When all are done, the results are
written from it in the order of the images, in one step.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from annotator.core import raster
from annotator.core.codec import mask_from_json, origin_from_json, origin_to_json
from annotator.core.files import explain, from_json, to_json, write_atomic
from annotator.core.formats.coco.dataset import OURS
from annotator.core.prelabel.proposing import Found
from annotator.core.prelabel.run import RefusedError

SUFFIX = ".run"
_FORMAT = "annotator prelabel 1"
_START = to_json({"format": _FORMAT})[:-1] + b","


def run_path(out: Path) -> Path:
    """The file that gathers what `out` is made from."""
    return out.with_name(out.name + SUFFIX)


class RunFile:
    """What has been done, a line for each image.

    Args:
        path: of the run file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        """How many images are done."""
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        """Whether an image is done."""
        return key in self._places

    def header(self) -> dict[str, Any] | None:
        """What a run that can be continued began with; None if there is none.

        Raises:
            RefusedError: the file belongs to somebody else.
            UserError: the file cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                start = file.read(len(_START))
                line = start + file.readline()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(error, self._path, "read") from error
        if not _START.startswith(start):
            raise RefusedError(
                f"“{self._path}” belongs to something else.", "Choose another place with --out."
            )
        return _value(line)

    def begin(self, header: Mapping[str, Any]) -> None:
        """A new run; what an older one gathered goes.

        Raises:
            UserError: the file cannot be written.
        """
        try:
            self._file = FileIO(self._path, "w+")
        except OSError as error:
            raise explain(error, self._path) from error
        self._append({"format": _FORMAT, **header})

    def resume(self) -> None:
        """Go on with the run that is there: see `header`.

        Raises:
            UserError: the file cannot be read or written.
        """
        try:
            with self._path.open("rb") as file:
                place = len(file.readline())
                for line in file:
                    value = _value(line)
                    if value is None:
                        break
                    self._places[value["key"]] = place
                    place += len(line)
            self._file = FileIO(self._path, "r+")
            self._file.truncate(place)
        except OSError as error:
            raise explain(error, self._path) from error

    def add(self, key: str, found: list[dict[str, Any]]) -> None:
        """An image is done; its line is on the disk when this returns.

        Raises:
            UserError: the disk does not take it; the line counts for nothing.
        """
        self._places[key] = self._append({"key": key, "found": found})

    def lines(self, keys: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """What was found in these images, as far as they are done."""
        with self._path.open("rb") as file:
            for key in keys:
                if key in self._places:
                    file.seek(self._places[key])
                    yield key, from_json(file.readline())["found"]

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _append(self, value: Mapping[str, Any]) -> int:
        assert self._file is not None
        data = to_json(value) + b"\n"
        try:
            place = self._file.seek(0, os.SEEK_END)
            try:
                if self._file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(place)
                raise
        except OSError as error:
            raise explain(error, self._path) from error
        return place


def _value(line: bytes) -> dict[str, Any] | None:
    """The value of a complete line."""
    if not line.endswith(b"\n"):
        return None
    try:
        value = from_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def line_of(found: Found, category_id: int | None) -> dict[str, Any]:
    """A proposal as the run file keeps it."""
    return {
        "mask": found.mask.to_coco(),
        "category": category_id,
        "origin": origin_to_json(found.origin),
    }


def write_results(
    out: Path,
    run: RunFile,
    keys: Sequence[str],
    image_ids: Mapping[str, int],
    categories: Mapping[int, str],
    unnamed_id: int,
) -> None:
    """Replace a results file by what a run has gathered.

    Args:
        out: the results file.
        run: what was gathered.
        keys: the images in their order.
        image_ids: of the images.
        categories: names by id.
        unnamed_id: of those, the one for proposals without a name.

    Raises:
        UserError: it cannot be written; the old file is as it was.
    """
    found = (
        entry
        for key, values in run.lines(keys)
        for entry in entries(key, image_ids[key], values, categories, unnamed_id)
    )
    try:
        write_atomic(out, framed(found))
    except OSError as error:
        raise explain(error, out) from error


BEGIN, BETWEEN, END, NOTHING = b"[\n", b",\n", b"\n]\n", b"[]\n"
"""What is around the entries of a results file."""


def framed(found: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a results file with these entries."""
    before = BEGIN
    for entry in found:
        yield before + entry
        before = BETWEEN
    yield NOTHING if before == BEGIN else END


def entries(
    key: str,
    image_id: int,
    values: Iterable[dict[str, Any]],
    categories: Mapping[int, str],
    unnamed_id: int,
) -> Iterator[bytes]:
    """The entries of an image, from its lines in a run file."""
    for value in values:
        number = unnamed_id if value["category"] is None else value["category"]
        entry = _entry(value, number, categories[number])
        yield to_json({"image_id": image_id, "file_name": key, **entry})


def _entry(value: dict[str, Any], category_id: int, category: str) -> dict[str, Any]:
    mask, origin = mask_from_json(value["mask"]), origin_from_json(value["origin"])
    bounds = raster.box(mask)
    return {
        "category_id": category_id,
        "category": category,
        "segmentation": value["mask"],
        "bbox": [bounds.x0, bounds.y0, bounds.width, bounds.height],
        "area": raster.area(mask),
        "score": origin.score,
        OURS: {"origin": value["origin"]},
    }
