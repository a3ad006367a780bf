"""`annotator embed FOLDER`: what a model computes once for each image, computed beforehand."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands.images import image_keys
from annotator.commands.progress import progress, say
from annotator.core.errors import UserError
from annotator.core.memory import keep_freed_memory
from models.api import ModelError, Segmenter, SegmenterSpec
from models.registry import DEFAULT_SEGMENTER, segmenter_spec, segmenters

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.services.settings import Settings
    from models.embedding_cache import DiskCache, EmbeddingKey

AHEAD = 2
"""Images read while one is encoded; each takes its pixels in memory."""


def run(arguments: list[str]) -> int:
    """Run `annotator embed` with these arguments.

    Returns:
        0 when all images are prepared, 1 when some are not.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    spec = _spec(parser, given)
    if not given.folder.is_dir():
        parser.error(f"“{given.folder}” is not a folder")
    result = Result(spec.id, str(given.folder))
    try:
        _embed(given.folder, spec, result)
    except (ModelError, UserError) as error:
        say(f"annotator embed: {error}")
        result.stopped = str(error)
    except KeyboardInterrupt:
        result.stopped = "interrupted"
        say("Stopped. What was prepared is kept; the same command goes on.")
    return _finish(result, given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotator embed",
        description="Prepare the images of a folder for a model, so that each is clickable at "
        "once. What is there already is skipped: after an interruption, say the same again.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="images, also in sub-folders")
    parser.add_argument(
        "--model", metavar="ID", help="for which model; the one chosen in the window by default"
    )
    parser.add_argument("--json", action="store_true", help="the result for programs")
    return parser


def _spec(parser: argparse.ArgumentParser, given: argparse.Namespace) -> SegmenterSpec:
    useful = ", ".join(spec.id for spec in segmenters().values() if spec.cache_on_disk) or "none"
    try:
        spec = segmenter_spec(given.model or _settings().model or DEFAULT_SEGMENTER)
    except ModelError as error:
        parser.error(str(error))
    if not spec.cache_on_disk:
        parser.error(
            f"“{spec.title}” needs no preparation: an image takes it no longer than reading the "
            f"image. Models that gain from it (--model): {useful}"
        )
    return spec


def _settings() -> Settings:
    """What was chosen in the window: its embeddings have to be the same."""
    from annotator.services.settings import SettingsStore

    return SettingsStore().settings


# --- The work ---


@dataclass(slots=True)
class Result:
    """What has been done.

    Attributes:
        model: `SegmenterSpec.id`.
        folder: of the images.
        images: found in the folder.
        made: prepared now.
        known: were prepared already.
        failed: key and reason of those that could not be prepared.
        bytes: what the images of this folder take in the cache.
        seconds: taken by all of it.
        cache: the folder of the cache.
        stopped: why it ended early, or "".
    """

    model: str
    folder: str
    images: int = 0
    made: int = 0
    known: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    seconds: float = 0.0
    cache: str = ""
    stopped: str = ""

    @property
    def done(self) -> int:
        """Images dealt with."""
        return self.made + self.known + len(self.failed)


@dataclass(frozen=True, slots=True)
class _Read:
    """An image that is not in the cache, or how much room it takes there."""

    key: EmbeddingKey
    image: LoadedImage | None
    known_bytes: int = 0


def _embed(folder: Path, spec: SegmenterSpec, result: Result) -> None:
    from models.embedding_cache import DiskCache
    from models.runtimes import using

    missing = spec.available()
    if missing is not None:
        raise ModelError(missing)
    begin = time.monotonic()
    keep_freed_memory()
    disk = DiskCache()
    result.cache = str(disk.folder)
    keys = image_keys(folder)
    result.images = len(keys)
    with using(_settings().device):
        segmenter, limit = spec.load(), disk.limit()
    with progress(result) as show:
        try:
            for key, read in _reading(folder, keys, segmenter, disk):
                _take(key, read, segmenter, disk, limit, result)
                show()
        finally:
            result.seconds = round(time.monotonic() - begin, 3)


def _reading(
    folder: Path, keys: list[str], segmenter: Segmenter, disk: DiskCache
) -> Iterator[tuple[str, Future[_Read]]]:
    """Images in order, the next ones being read meanwhile."""
    waiting: deque[tuple[str, Future[_Read]]] = deque()
    with ThreadPoolExecutor(1, "reader") as reader:
        try:
            for key in keys:
                waiting.append((key, reader.submit(_read, folder / key, segmenter, disk)))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()
            yield from waiting
        finally:
            reader.shutdown(cancel_futures=True)


def _read(path: Path, segmenter: Segmenter, disk: DiskCache) -> _Read:
    from annotator.core import files, images
    from annotator.services.embeddings import ImageFile
    from models.embedding_cache import EmbeddingKey, file_content

    try:
        file = ImageFile.now(path)
        key = EmbeddingKey.of(segmenter, file_content(path))
    except OSError as error:
        raise files.explain(error, path, "read") from error
    known = disk.contains(key)
    if known:
        return _Read(key, None, known)
    image = images.load(path.name, path)
    if ImageFile(path, *image.stamp) != file:
        raise UserError(f"“{path.name}” was changed while it was read.", "Run this again.")
    return _Read(key, image)


def _take(
    key: str,
    read: Future[_Read],
    segmenter: Segmenter,
    disk: DiskCache,
    limit: int,
    result: Result,
) -> None:
    from models.encoding import check

    try:
        found = read.result()
    except UserError as error:
        result.failed[key] = str(error)
        say(str(error))
        return
    # The same picture may lie in the folder twice: the copy was read before this was written.
    known = found.known_bytes or disk.contains(found.key)
    if known or found.image is None:
        result.known += 1
        result.bytes += known
        return
    kept = result.made + result.known
    if kept and result.bytes + result.bytes / kept > limit:
        # One more would push out the first of this very folder.
        raise _too_large(result, limit)
    embedding = segmenter.encode(found.image.pixels)
    check(embedding, segmenter)
    written = disk.put(found.key, embedding, segmenter.spec.stored_arrays)
    if not written:
        raise UserError(
            f"Nothing can be kept in “{disk.folder}”.",
            "Check that the folder can be written and that the disk has more than 1 GB to spare.",
        )
    result.made += 1
    result.bytes += written


def _too_large(result: Result, limit: int) -> UserError:
    return UserError(
        f"The cache is full: it takes at most {_size(limit)} on this disk, enough for the first "
        f"{result.done} of {result.images} images.",
        "The others are prepared when they are opened. More free disk space gives more room, up "
        "to 12 GB.",
    )


# --- Words ---


def _finish(result: Result, as_json: bool) -> int:
    complete = not result.stopped and not result.failed
    try:
        if as_json:
            sys.stdout.write(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n")
        elif result.images:
            failed = f", {len(result.failed)} failed" if result.failed else ""
            sys.stdout.write(
                f"{result.made} prepared, {result.known} were already{failed}, of "
                f"{result.images} images for {segmenter_spec(result.model).title}: "
                f"{_size(result.bytes)} in {result.cache}\n"
            )
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0 if complete else 1


def _size(nbytes: int) -> str:
    from models.weight_files import size_text

    return size_text(nbytes)
