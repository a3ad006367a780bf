"""What an image file says about itself, without decoding its pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import (
    BmpImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from annotator.core.cv import cv2
from annotator.core.errors import UserError
from annotator.core.paths import frame_of

PIXEL_LIMIT = 1_000_000_000
"""Larger images are refused: their pixels alone would take 3 GB."""
BELIEVABLE_PIXELS = 25_000_000
PIXELS_PER_BYTE = 10_000
"""No codec packs a picture tighter (PNG's ceiling is 8,256): a header that claims more lies."""

# MPO (what many cameras call .jpg) comes through the JPEG plug-in and is not registered by itself.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP")
_PLUGINS = (
    BmpImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 0x0112

# Pillow's own limit warns from 89 megapixels on and is a process-wide setting; ours (PIXEL_LIMIT
# and the plausibility of the header) is checked on every file instead.
Image.MAX_IMAGE_PIXELS = None

DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    cv2.error,
)
"""What the codecs raise on damaged files, found by mutating files of every format."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The header of an image file.

    Attributes:
        width: pixels of the upright image.
        height: pixels of the upright image.
        orientation: EXIF orientation, 1 (stored upright) to 8.
        bit_depth: bits per sample as stored (1, 2, 4, 8, 12, 16, 32 …).
        mode: Pillow's name of the stored pixels ("L", "RGB", "CMYK", "I;16" …), or "other".
        format: "JPEG", "PNG", "BMP", "TIFF" or "WEBP", decided by content, never by extension;
            "video" for a frame of one.
        more_pages: the file holds more pages or frames than the first one, which is shown.
    """

    width: int
    height: int
    orientation: int = 1
    bit_depth: int = 8
    mode: str = "RGB"
    format: str = "JPEG"
    more_pages: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether samples have more than 8 bits, so that a display range must be chosen."""
        return self.bit_depth > 8 and self.format in ("PNG", "TIFF")

    @property
    def nbytes(self) -> int:
        """About the memory of the complete image in bytes, original samples included."""
        channels = 1 if self.is_grey else 3
        samples = channels * -(-self.bit_depth // 8) if self.is_deep else 0
        return self.width * self.height * (3 + samples)

    @property
    def is_grey(self) -> bool:
        """Whether one stored channel makes all three shown ones."""
        return self.mode in ("1", "L", "I", "F") or self.mode.startswith("I;16")


def damaged(path: Path) -> UserError:
    """The error for a file that breaks off or whose data contradict themselves."""
    return UserError(
        f"“{path.name}” is damaged or incomplete and cannot be shown.",
        "Copy it again from its source, or open and export it in an image editor.",
    )


def not_an_image(path: Path) -> UserError:
    """The error for a file whose content no decoder knows."""
    return UserError(
        f"“{path.name}” is not a JPEG, PNG, BMP, TIFF or WebP image, or its header is damaged.",
        "Convert it to one of these formats, or remove it from the folder.",
    )


def file_error(path: Path, error: OSError) -> UserError:
    """The error for a file that cannot be read at all."""
    name = f"“{path.name}”"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UserError(
            f"{name} is no longer there.",
            "Put it back, reconnect its drive, or open the folder again.",
        )
    if isinstance(error, IsADirectoryError):
        return UserError(f"{name} is a folder, not an image.", "Open it as a folder.")
    if isinstance(error, PermissionError):
        return UserError(f"{name} may not be read.", "Give yourself permission to read the file.")
    reason = error.strerror or str(error)
    return UserError(f"{name} cannot be read ({reason}).", "Check the drive and try again.")


def probe(path: Path) -> ImageInfo:
    """Read the header only (well under a millisecond on a local disk).

    Raises:
        UserError: names the file: gone, unreadable, empty, no image, larger than 1 gigapixel, or a
            header that claims far more pixels than the file can hold.
    """
    frame = frame_of(path)
    if frame is not None:
        from annotator.core import videos

        return videos.probe(frame[0])
    with open_file(path) as file:
        return read_info(path, file)


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """The opened file; a folder, a missing or an empty file is a UserError."""
    try:
        if path.is_dir():
            raise IsADirectoryError
        if not path.is_file() and path.exists():
            # A pipe or a device would block or never end.
            raise not_an_image(path)
        file = path.open("rb")
    except OSError as error:
        raise file_error(path, error) from error
    except ValueError as error:
        raise not_an_image(path) from error
    with file:
        if not file.read(1):
            raise UserError(
                f"“{path.name}” is empty (0 bytes).", "Copy it again from its source, or delete it."
            )
        file.seek(0)
        yield file


def open_pillow(file: IO[bytes]) -> Image.Image:
    """Pillow's lazy view of an open file, restricted to the supported formats."""
    file.seek(0)
    return Image.open(file, formats=_FORMATS)


def read_info(path: Path, file: IO[bytes]) -> ImageInfo:
    """`probe` for a file that is already open."""
    try:
        info = _pillow_info(file)
    except UnidentifiedImageError as error:
        info = _unknown_tiff_info(path, file, error)
    except DECODE_ERRORS as error:
        raise not_an_image(path) from error
    _check_size(path, file, info)
    return info


def _pillow_info(file: IO[bytes]) -> ImageInfo:
    with open_pillow(file) as image:
        kind = {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "", image.format or "")
        orientation = _orientation(image, file)
        width, height = _stored_size(image)
        if orientation >= 5:
            width, height = height, width
        return ImageInfo(
            width,
            height,
            orientation,
            _bit_depth(image, file),
            image.mode,
            kind,
            # The extra pictures of an MPO are previews of the first one, not pages.
            kind != "JPEG" and _has_more_pages(image),
        )


def _stored_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Newer versions of Pillow give the upright size of a TIFF here, and of nothing else.
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


def _bit_depth(image: Image.Image, file: IO[bytes]) -> int:
    if isinstance(image, PngImagePlugin.PngImageFile):
        file.seek(24)
        return file.read(1)[0]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(258, (1,))[0])
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return int(image.bits)
    return 1 if image.mode == "1" else 8


def _has_more_pages(image: Image.Image) -> bool:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Counting all pages walks the whole file; the offset of the second one is in the header.
        return bool(image.tag_v2.next)
    return bool(getattr(image, "is_animated", False))


def _orientation(image: Image.Image, file: IO[bytes]) -> int:
    """EXIF (or XMP) orientation; nonsense counts as upright."""
    try:
        if isinstance(image, PngImagePlugin.PngImageFile):
            if "exif" not in image.info and (late := _late_png_exif(file)) is not None:
                image.info["exif"] = late
            # PngImageFile.getexif would decode the whole image to look behind the pixels.
            exif = Image.Image.getexif(image)
        else:
            exif = image.getexif()
        value = exif.get(_ORIENTATION, 1)
    except DECODE_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _late_png_exif(file: IO[bytes]) -> bytes | None:
    """The eXIf chunk of a PNG that stands behind the pixels."""
    position, end = 8, file.seek(0, 2)
    while position + 8 <= end:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"eXIf":
            return b"Exif\0\0" + file.read(length)
        position += length + 12
    return None


def _unknown_tiff_info(path: Path, file: IO[bytes], error: Exception) -> ImageInfo:
    """The header of a TIFF with samples Pillow has no mode for (OpenCV may read it)."""
    file.seek(0)
    header = file.read(16)
    if header[:4] not in _TIFF_MAGIC:
        raise not_an_image(path) from error
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(
            header if header[2:3] == b"+" or header[3:4] == b"+" else header[:8]
        )
        file.seek(tags.next)
        tags.load(file)
        width, height = int(tags[256]), int(tags[257])
        orientation = int(tags.get(274, 1))
        depth = int(tags.get(258, (1,))[0])
    except DECODE_ERRORS as broken:
        raise not_an_image(path) from broken
    if orientation not in range(1, 9):
        orientation = 1
    if orientation >= 5:
        width, height = height, width
    return ImageInfo(width, height, orientation, depth, "other", "TIFF", bool(tags.next))


def _check_size(path: Path, file: IO[bytes], info: ImageInfo) -> None:
    pixels = info.width * info.height
    if pixels <= 0:
        raise not_an_image(path)
    if pixels > PIXEL_LIMIT:
        raise UserError(
            f"“{path.name}” is too large: {info.width:,} × {info.height:,} pixels.",
            "Cut it into tiles of less than 1,000 megapixels.",
        )
    size = file.seek(0, 2)
    if pixels > BELIEVABLE_PIXELS and pixels > PIXELS_PER_BYTE * size:
        raise UserError(
            f"“{path.name}” claims {info.width:,} × {info.height:,} pixels but has only "
            f"{size:,} bytes: its header is damaged.",
            "Copy it again from its source, or remove it from the folder.",
        )
