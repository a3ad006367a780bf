"""Video files as sequences of images: every frame by its number, decoded when it is asked for.

Nothing is written to disk. A video is indexed once, by the time stamps of its packets and without
decoding, so that frame 123 is the same whatever was looked at before and however irregular the
times are. To show a frame, the decoder starts at the key frame before it and goes on to its very
time stamp. Frames are upright: the rotation a phone notes in the file is applied. Pixels that are
not square are left as they are.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.error import FFmpegError

from annotator.core.errors import UserError
from annotator.core.image_header import ImageInfo

if TYPE_CHECKING:
    from av.container import InputContainer
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

OPEN = 4
"""Videos that stay open."""
CURSORS = 2
"""Decoders of one video: one for the person, one for thumbnails and what works ahead."""
RECENT = 6
"""Decoded frames a cursor keeps, for steps backward."""
_ERRORS = (FFmpegError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Index:
    """What a video consists of.

    Attributes:
        stamp: size in bytes and time of the last change in ns of the file.
        times: of all frames in the order they are shown, in units of `unit`.
        keys: those of them a decoder can start at.
        unit: seconds.
        width: pixels of the upright frames.
        height: pixels of the upright frames.
        rotation: degrees against the clock that bring a frame upright: a multiple of 90.
    """

    stamp: tuple[int, int]
    times: tuple[int, ...]
    keys: tuple[int, ...]
    unit: float
    width: int
    height: int
    rotation: int

    @property
    def info(self) -> ImageInfo:
        """Of every frame."""
        return ImageInfo(self.width, self.height, format="video")


def count_frames(path: Path) -> int:
    """How many frames a video has; reads it once.

    Raises:
        UserError: it cannot be read, or has no frames.
    """
    return len(_video(path).index.times)


def probe(path: Path) -> ImageInfo:
    """What the frames of a video are like.

    Raises:
        UserError: as `count_frames`.
    """
    return _video(path).index.info


def index_of(path: Path) -> Index:
    """What a video consists of.

    Raises:
        UserError: as `count_frames`.
    """
    return _video(path).index


def read_frame(path: Path, number: int) -> Pixels:
    """A frame (H, W, 3) uint8 RGB, upright; for any thread.

    Args:
        path: of the video.
        number: of the frame, from 0.

    Raises:
        UserError: as `count_frames`; there is no such frame, or it is damaged.
    """
    return _video(path).frame(number)


def upright(pixels: Pixels, rotation: int) -> Pixels:
    """Turned against the clock by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(pixels, rotation // 90 % 4))


# --- Open videos ---

_LOCK = threading.Lock()
_VIDEOS: OrderedDict[Path, _Video] = OrderedDict()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(
            f"The video “{path.name}” is no longer there.", "Put it back, and read it again (F5)."
        ) from error
    return status.st_size, status.st_mtime_ns


def _video(path: Path) -> _Video:
    """The video as it is now; one that changed meanwhile is indexed anew."""
    stamp = _stamp(path)
    with _LOCK:
        known = _VIDEOS.get(path)
        if known is None or known.stamp != stamp:
            known = _VIDEOS[path] = _Video(path, stamp)
        _VIDEOS.move_to_end(path)
        while len(_VIDEOS) > OPEN:
            _VIDEOS.popitem(last=False)
    return known


class _Video:
    """One video; all access goes one after the other."""

    def __init__(self, path: Path, stamp: tuple[int, int]) -> None:
        self.stamp = stamp
        self._path = path
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._cursors: list[_Cursor] = []

    @property
    def index(self) -> Index:
        """Made when it is first asked for."""
        with self._lock:
            return self._indexed()

    def _indexed(self) -> Index:
        if self._index is None:
            try:
                self._index = _index(self._path, self.stamp)
            except _ERRORS as error:
                raise _damaged(self._path, error) from error
        return self._index

    def frame(self, number: int) -> Pixels:
        with self._lock:
            index = self._indexed()
            if not 0 <= number < len(index.times):
                raise UserError(
                    f"“{self._path.name}” has no frame {number}: it has {len(index.times)}.",
                    "Read it again from disk (F5).",
                )
            try:
                picture = self._cursor(number).picture(number)
                pixels = None if picture is None else picture.to_ndarray(format="rgb24")
            except _ERRORS as error:
                self._cursors.clear()
                raise self._bad_frame(number) from error
            if pixels is None:
                raise self._bad_frame(number)
            turned = upright(np.asarray(pixels, np.uint8), index.rotation)
            if turned.shape[:2] != (index.height, index.width):
                raise self._bad_frame(number)
            return turned

    def _bad_frame(self, number: int) -> UserError:
        return UserError(
            f"Frame {number} of “{self._path.name}” is damaged.",
            "Pass over it, or convert the video again.",
        )

    def _cursor(self, number: int) -> _Cursor:
        """The one that is nearest before a frame, else the one not used for longest."""
        index = self._indexed()
        chosen = next((one for one in self._cursors if one.has(number)), None)
        chosen = chosen or next((one for one in self._cursors if one.reaches(number)), None)
        if chosen is None and len(self._cursors) < CURSORS:
            chosen = _Cursor(self._path, index)
        chosen = chosen or self._cursors[0]
        self._cursors = [*(one for one in self._cursors if one is not chosen), chosen]
        return chosen


class _Cursor:
    """A decoder somewhere in a video."""

    def __init__(self, path: Path, index: Index) -> None:
        self._index = index
        self._container: InputContainer = av.open(str(path))
        self._stream = self._container.streams.video[0]
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._at: int | None = None
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()

    def has(self, number: int) -> bool:
        """Whether it has just decoded a frame."""
        return self._index.times[number] in self._recent

    def reaches(self, number: int) -> bool:
        """Whether going on is the shortest way to a frame."""
        wanted = self._index.times[number]
        return self._at is not None and self._start(wanted) <= self._at < wanted

    def picture(self, number: int) -> av.VideoFrame | None:
        """A frame; None if the video does not give it."""
        wanted = self._index.times[number]
        if not self.has(number):
            if not self.reaches(number):
                self._seek(self._start(wanted))
            if not self._go_on(wanted):
                # Some files name key frames a decoder cannot start at.
                self._seek(self._index.times[0])
                self._go_on(wanted)
        return self._recent.get(wanted)

    def _start(self, wanted: int) -> int:
        place = bisect_right(self._index.keys, wanted) - 1
        return self._index.keys[place] if place >= 0 else self._index.times[0]

    def _seek(self, time: int) -> None:
        self._container.seek(time, stream=self._stream, backward=True)
        self._frames = self._container.decode(self._stream)
        self._at = None

    def _go_on(self, wanted: int) -> bool:
        for frame in self._frames:
            if frame.pts is None:
                continue
            self._at = frame.pts
            self._recent[frame.pts] = frame
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)
            if frame.pts >= wanted:
                return frame.pts == wanted
        return False


def _index(path: Path, stamp: tuple[int, int]) -> Index:
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise UserError(f"“{path.name}” has no pictures.", "It may hold sound only.")
        stream = container.streams.video[0]
        times, keys = set[int](), set[int]()
        for packet in container.demux(stream):
            time = packet.dts if packet.pts is None else packet.pts
            if packet.size and time is not None and not packet.is_discard:
                times.add(time)
                if packet.is_keyframe:
                    keys.add(time)
        if not times:
            raise UserError(f"“{path.name}” has no pictures.", "Convert the video again.")
        unit = float(stream.time_base or 0)
    with av.open(str(path)) as container:
        first = next(iter(container.decode(video=0)))
        rotation = round(first.rotation / 90) * 90 % 360
        width, height = first.width, first.height
    if rotation % 180:
        width, height = height, width
    return Index(stamp, tuple(sorted(times)), tuple(sorted(keys)), unit, width, height, rotation)


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"The video “{path.name}” cannot be read ({error}).",
        "It may be cut off or of a kind that is not known; convert it to MP4 and try again.",
    )
