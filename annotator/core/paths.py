"""Names of image files: which ones count, and their natural order. Imports nothing heavy.

A frame of a video is named as if the video were a folder of images: “clip.mp4/000123.png”. Written
out under these names, frames are what the project says they are.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"))
"""Lower-case suffixes of the files the program lists as images."""

VIDEO_EXTENSIONS = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"))
"""Lower-case suffixes of the files whose frames the program lists."""

_FRAME = re.compile(r"([0-9]{6,})\.png")
_NUMBER = re.compile(r"0*([0-9]+)")


def is_image_name(name: str) -> bool:
    """Whether the extension, in any case, is one of `EXTENSIONS`."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in EXTENSIONS


def is_video_name(name: str) -> bool:
    """Whether the extension, in any case, is one of `VIDEO_EXTENSIONS`."""
    dot = name.rfind(".")
    return dot > 0 and name[dot:].lower() in VIDEO_EXTENSIONS


def frame_key(video: str, number: int) -> str:
    """The key of a frame, numbered from 0."""
    return f"{video}/{number:06d}.png"


def split_frame(key: str) -> tuple[str, int] | None:
    """The key of the video and the number of the frame; None for the key of another image."""
    path = PurePosixPath(key)
    found = _FRAME.fullmatch(path.name)
    if found is None or not is_video_name(path.parent.name):
        return None
    return str(path.parent), int(found[1])


def frame_of(path: Path) -> tuple[Path, int] | None:
    """The video and the number of the frame; None for another file, also a frame written out."""
    found = _FRAME.fullmatch(path.name)
    if found is None or not is_video_name(path.parent.name) or path.parent.is_dir():
        return None
    return path.parent, int(found[1])


def file_of(path: Path) -> Path:
    """The file that holds an image: the video of a frame, else the path itself."""
    frame = frame_of(path)
    return path if frame is None else frame[0]


def natural_key(name: str) -> str:
    """A text that sorts as people count: img2 before img10, case ignored.

    Every run of digits becomes its length in three digits and then its digits, so that comparing
    texts compares numbers. One text per name compares about five times faster than the usual
    tuples, and the name itself at the end decides between "1" and "01".
    """
    return f"{_NUMBER.sub(_number, name.casefold())}\0{name}"


def _number(match: re.Match[str]) -> str:
    digits = match[1]
    return f"{min(len(digits), 999):03d}{digits}"


def natural_path_key(key: str) -> tuple[tuple[bool, str], ...]:
    """Sorts relative posix paths as the folder scan walks: files before sub-folders, natural."""
    *folders, name = key.split("/")
    return (*((True, natural_key(folder)) for folder in folders), (False, natural_key(name)))
