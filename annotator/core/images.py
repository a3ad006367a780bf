"""Image files to upright 8-bit RGB arrays.

Decisions: what a file is, is decided by its content. EXIF orientation is applied everywhere.
Transparent pixels are shown over white, as browsers and printers show them; a fully transparent
image is shown as if it had no alpha. Colour profiles are ignored for RGB and grey (models are
trained on plain values, and people should mark what the model sees), but used for CMYK, where
colours without one are far off. More than 8 bits: see `image_depth`. Of several pages the first.
"""

from __future__ import annotations

import io
import mmap
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from annotator.core.cv import cv2
from annotator.core.errors import UserError
from annotator.core.image_depth import Samples, to_8bit
from annotator.core.image_header import (
    DECODE_ERRORS,
    ImageInfo,
    damaged,
    file_error,
    open_file,
    open_pillow,
    probe,
    read_info,
)
from annotator.core.paths import EXTENSIONS, frame_of

__all__ = [
    "EXTENSIONS",
    "ImageInfo",
    "LoadedImage",
    "load",
    "load_preview",
    "pays_preview",
    "probe",
    "read_image",
    "read_reduced",
    "thumbnail",
]

Pixels = NDArray[np.uint8]
"""(H, W, 3) uint8, red first, upright."""

PREVIEW_SIDE = 1024
"""The longest side of a preview is at least this, less than twice as much."""
LARGE = 50_000_000
"""From this many pixels on memory counts more than anything else."""
SAMPLES_LIMIT = 256 << 20
"""Original samples beyond this many bytes are not kept for the status bar."""

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {
    2: (cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR) | _RGB,
    4: (cv2.IMREAD_REDUCED_COLOR_4 & ~cv2.IMREAD_COLOR) | _RGB,
    8: (cv2.IMREAD_REDUCED_COLOR_8 & ~cv2.IMREAD_COLOR) | _RGB,
}
_FILE_LIMIT = 2 << 30
_BLOCK_PIXELS = 1 << 19
_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True, eq=False, slots=True)
class LoadedImage:
    """The pixels of one image file, complete or as a reduced preview.

    Attributes:
        key: the image's key in the project.
        pixels: (h, w, 3) uint8 RGB, upright; never written to.
        width: of the full upright image in pixels, also for a preview.
        height: of the full upright image in pixels, also for a preview.
        complete: False: `pixels` is a smaller picture of the whole image.
        bit_depth: bits per sample of the file.
        orientation: EXIF orientation of the file, 1 to 8 (already applied).
        grey: the file has one channel.
        samples: original samples of more than 8 bits, upright (H, W) or (H, W, 3), or None.
        note: what a person should know about this file, may be empty.
        stamp: size in bytes and time of the last change in ns of the file when it was read.
    """

    key: str
    pixels: Pixels
    width: int
    height: int
    complete: bool = True
    bit_depth: int = 8
    orientation: int = 1
    grey: bool = False
    samples: Samples | None = None
    note: str = ""
    stamp: tuple[int, int] = (0, 0)

    @property
    def nbytes(self) -> int:
        """Memory held by the arrays."""
        return self.pixels.nbytes + (0 if self.samples is None else self.samples.nbytes)

    @property
    def full_nbytes(self) -> int:
        """Memory of the complete image, also for a preview (without samples)."""
        return max(self.nbytes, self.width * self.height * 3)

    def value_text(self, x: int, y: int) -> str:
        """The value of the pixel at column x, row y of the full image; empty outside it.

        "R 12 G 40 B 3" or "Grey 12"; the value in the file where that has more than 8 bits.
        """
        if not (0 <= x < self.width and 0 <= y < self.height):
            return ""
        if self.samples is not None:
            return _text(self.samples[y, x], self.grey)
        h, w = self.pixels.shape[:2]
        return _text(self.pixels[y * h // self.height, x * w // self.width], self.grey)


def _text(value: Any, grey: bool) -> str:
    numbers = [f"{float(v):.6g}" if v.dtype.kind == "f" else str(int(v)) for v in np.ravel(value)]
    if grey or len(numbers) == 1:
        return f"Grey {numbers[0]}"
    return " ".join(f"{name} {number}" for name, number in zip("RGB", numbers, strict=True))


def read_image(path: Path) -> Pixels:
    """The whole image.

    Raises:
        UserError: names the file and a remedy; see `probe`, and damaged or incomplete data.
    """
    return load("", path).pixels


def read_reduced(path: Path, max_side: int) -> Pixels:
    """A smaller picture of the whole image, by the quickest way its format has.

    The longest side is at least `min(max_side, full size)`, and for JPEG less than twice that.

    Raises:
        UserError: as `read_image`.
    """
    if frame_of(path) is not None:
        return _fit(load("", path).pixels, max_side)
    with open_file(path) as file:
        info = read_info(path, file)
        return _reduced(path, file, info, max_side)


def load(key: str, path: Path) -> LoadedImage:
    """The complete image with what the status bar needs.

    Raises:
        UserError: as `read_image`.
    """
    frame = frame_of(path)
    if frame is not None:
        return _load_frame(key, *frame)
    with open_file(path) as file:
        stamp = _stamp(file)
        info = read_info(path, file)
        pixels, samples = _decode(path, file, info)
    keep = samples is not None and samples.nbytes <= SAMPLES_LIMIT
    image = _describe(key, info, pixels)
    return replace(image, samples=samples if keep else None, stamp=stamp)


def _load_frame(key: str, video: Path, number: int) -> LoadedImage:
    from annotator.core import videos

    index = videos.index_of(video)
    pixels = videos.read_frame(video, number)
    return replace(_describe(key, index.info, pixels), stamp=index.stamp)


def load_preview(key: str, path: Path, max_side: int = PREVIEW_SIDE) -> LoadedImage:
    """A preview where that is clearly quicker than the whole image, else the complete image.

    Raises:
        UserError: as `read_image`.
    """
    if frame_of(path) is not None:
        return load(key, path)
    with open_file(path) as file:
        stamp = _stamp(file)
        info = read_info(path, file)
        if not pays_preview(info):
            pixels, samples = _decode(path, file, info)
            return replace(_describe(key, info, pixels), samples=samples, stamp=stamp)
        pixels = _reduced(path, file, info, max_side)
    return replace(_describe(key, info, pixels), stamp=stamp)


def thumbnail(path: Path, side: int) -> Pixels:
    """At most `side` pixels wide and high; takes the EXIF thumbnail where there is a fitting one.

    Raises:
        UserError: as `read_image`.
    """
    if frame_of(path) is not None:
        return _fit(load("", path).pixels, side)
    with open_file(path) as file:
        info = read_info(path, file)
        small = _exif_thumbnail(file, info, side)
        if small is None:
            small = _reduced(path, file, info, side)
    return _fit(small, side)


def pays_preview(info: ImageInfo) -> bool:
    """Whether a reduced picture comes much sooner than the complete one."""
    return info.format == "JPEG" and max(info.width, info.height) >= 2 * PREVIEW_SIDE


def _stamp(file: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _describe(key: str, info: ImageInfo, pixels: Pixels) -> LoadedImage:
    return LoadedImage(
        key,
        pixels,
        info.width,
        info.height,
        pixels.shape[:2] == (info.height, info.width),
        info.bit_depth,
        info.orientation,
        info.is_grey,
        note="First of several pages; the others are not shown." if info.more_pages else "",
    )


def _decode(path: Path, file: IO[bytes], info: ImageInfo) -> tuple[Pixels, Samples | None]:
    """Upright pixels, and upright original samples where they have more than 8 bits."""
    try:
        if info.is_deep or info.mode == "other":
            pixels, samples = _decode_deep(path, file, info)
        else:
            pixels, samples = _decode_plain(path, file, info), None
    except DECODE_ERRORS as error:
        raise damaged(path) from error
    except MemoryError as error:
        raise _too_little_memory(path) from error
    if pixels.shape[:2] != (info.height, info.width):
        raise damaged(path)  # the decoder found another size than the header promised
    return pixels, samples


def _decode_plain(path: Path, file: IO[bytes], info: ImageInfo) -> Pixels:
    pixels = _decode_quick(path, file, info)
    if pixels is None:
        pixels = _decode_pillow(file)
        if info.format == "TIFF":
            return pixels  # Pillow turns TIFF upright by itself
    upright: Pixels = _upright(pixels, info.orientation)
    return upright


def _decode_quick(path: Path, file: IO[bytes], info: ImageInfo) -> Pixels | None:
    """OpenCV's decoders where they are right: no alpha, no palette, no CMYK; None elsewhere.

    They need half of Pillow's time and memory, and leave the interpreter lock alone.
    """
    if info.format not in ("JPEG", "PNG", "WEBP") or info.mode not in ("L", "RGB"):
        return None
    if info.more_pages or (info.format == "PNG" and _has_transparency(file)):
        return None
    if info.width * info.height >= LARGE and os.name == "posix":
        return _read_in_place(path, file, info)
    data = _bytes(path, file)
    if info.format == "JPEG" and not _jpeg_ends(data):
        return None
    return _imdecode(data, _RGB)


def _read_in_place(path: Path, file: IO[bytes], info: ImageInfo) -> Pixels | None:
    """One array and nothing else: `imdecode` needs the file in memory and two arrays.

    Not for Windows, where OpenCV cannot open every path.
    """
    if info.format == "JPEG":
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if not _jpeg_ends(data):
                return None
    width, height = info.width, info.height
    shape = (width, height, 3) if info.orientation >= 5 else (height, width, 3)
    pixels = np.empty(shape, np.uint8)
    read = cv2.imread(str(path), pixels, _RGB)
    # Another size than promised would have been decoded into another array.
    return pixels if read is not None and read.shape == pixels.shape else None


def _imdecode(data: bytes, flags: int) -> Samples | None:
    decoded: Samples | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return decoded


def _bytes(path: Path, file: IO[bytes]) -> bytes:
    size = file.seek(0, io.SEEK_END)
    if size > _FILE_LIMIT:
        raise UserError(
            f"“{path.name}” is too large a file ({size / 1e9:.1f} GB).", "Cut it into tiles."
        )
    file.seek(0)
    try:
        return file.read()
    except OSError as error:
        raise file_error(path, error) from error


def _has_transparency(file: IO[bytes]) -> bool:
    with open_pillow(file) as image:
        return "transparency" in image.info


def _jpeg_ends(data: bytes | mmap.mmap) -> bool:
    """Whether the end marker follows the pixels; OpenCV may fill a truncated JPEG with grey."""
    if data[-2:] == _JPEG_END:
        return True
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == 0xDA:
            return data.rfind(_JPEG_END, position) > 0
        if data[position + 1] == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return False


def _decode_pillow(file: IO[bytes], draft: tuple[int, int] | None = None) -> Pixels:
    """Any 8-bit image, in blocks of rows so that the interpreter lock is never held for long."""
    with open_pillow(file) as image:
        if draft is not None:
            image.draft(None, draft)
        image.load()
        if image.mode in ("RGBA", "LA", "PA") and image.getchannel("A").getextrema() == (0, 0):
            image = image.convert("L" if image.mode == "LA" else "RGB")
        convert = _profile_transform(image)
        width, height = image.size
        out = np.empty((height, width, 3), np.uint8)
        step = max(1, _BLOCK_PIXELS // width)
        for top in range(0, height, step):
            piece = image.crop((0, top, width, min(top + step, height)))
            if convert is not None:
                piece = ImageCms.applyTransform(piece, convert) or piece
            out[top : top + step] = _rgb(piece)
        return out


def _rgb(image: Image.Image) -> Any:
    """(h, w, 3) or (h, w, 1), uint8."""
    if not (image.has_transparency_data or image.mode == "RGBa"):
        if image.mode in ("1", "L"):
            return np.asarray(image.convert("L"))[..., None]
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    rgba = np.asarray(image.convert("RGBA"))
    return _over_white(rgba[..., :3], rgba[..., 3:])


def _over_white(colour: NDArray[Any], alpha: NDArray[Any]) -> Any:
    """(h, w, 3) uint8 colour with (h, w, 1) uint8 opacity on white paper."""
    weighted = (255 - colour.astype(np.uint16)) * alpha
    return (255 - (weighted + 127) // 255).astype(np.uint8)


def _profile_transform(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    if image.mode == "LAB":
        return ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
        )
    profile = image.info.get("icc_profile")
    if image.mode != "CMYK" or not profile:
        return None
    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            "CMYK",
            "RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        return None  # a broken profile: plain conversion


def _decode_deep(path: Path, file: IO[bytes], info: ImageInfo) -> tuple[Pixels, Samples]:
    alpha: Samples | None = None
    if info.is_grey:
        samples = _grey_samples(file)
    else:
        samples, alpha = _colour_samples(path, file)
    shown = to_8bit(samples)
    pixels: Any = cv2.cvtColor(shown, cv2.COLOR_GRAY2RGB) if shown.ndim == 2 else shown
    if alpha is not None:
        opacity = _opacity(alpha)
        for top in range(0, len(pixels), 256):
            rows = slice(top, top + 256)
            pixels[rows] = _over_white(pixels[rows], opacity[rows, :, None])
    if info.format == "TIFF":
        return pixels, samples  # both libraries turn TIFF upright by themselves
    return _upright(pixels, info.orientation), _upright(samples, info.orientation)


def _opacity(alpha: Samples) -> NDArray[np.uint8]:
    """Opacity of any sample type as 0 … 255; all transparent counts as all opaque."""
    top = 1.0 if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)
    if not alpha.any():
        return np.full(alpha.shape, 255, np.uint8)
    scaled = np.clip(alpha * np.float32(255.0 / top) + np.float32(0.5), 0, 255)
    return np.asarray(scaled, np.uint8)


def _grey_samples(file: IO[bytes]) -> Samples:
    """(H, W) uint16, int32 or float32 by Pillow, which knows inverted and signed files."""
    with open_pillow(file) as image:
        image.load()
        if image.mode == "L":  # a depth Pillow has already brought down to 8 bits
            return np.asarray(image)
        width, height = image.size
        dtype = {"I": np.int32, "F": np.float32}.get(image.mode, np.uint16)
        out: Samples = np.empty((height, width), dtype)
        step = max(1, _BLOCK_PIXELS // width)
        for top in range(0, height, step):
            rows = (0, top, width, min(top + step, height))
            out[top : top + step] = np.asarray(image.crop(rows))
        return out


def _colour_samples(path: Path, file: IO[bytes]) -> tuple[Samples, Samples | None]:
    """(H, W, 3) or (H, W) samples and (H, W) opacity; Pillow would drop all but 8 bits."""
    samples = _imdecode(_bytes(path, file), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise ValueError("not decodable")
    if samples.ndim == 2:
        return samples, None
    alpha = np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None
    if samples.shape[2] == 2:
        return np.ascontiguousarray(samples[..., 0]), np.ascontiguousarray(samples[..., 1])
    if samples.shape[2] == 1:
        return samples[..., 0], None
    if samples.dtype in (np.uint8, np.uint16, np.float32):
        code = cv2.COLOR_BGRA2RGB if alpha is not None else cv2.COLOR_BGR2RGB
        rgb: Samples = cv2.cvtColor(samples, code)
        return rgb, alpha
    return np.ascontiguousarray(samples[..., 2::-1]), alpha


def _reduced(path: Path, file: IO[bytes], info: ImageInfo, max_side: int) -> Pixels:
    """Upright, at least `max_side` on its longest side where the file has that much."""
    if info.format != "JPEG":
        pixels, _ = _decode(path, file, info)
        return _fit(pixels, max_side)
    side = max(info.width, info.height)
    factor = next((f for f in (8, 4, 2) if -(-side // f) >= max_side), 1)
    try:
        pixels = _reduced_jpeg(path, file, info, factor)
    except DECODE_ERRORS as error:
        raise damaged(path) from error
    except MemoryError as error:
        raise _too_little_memory(path) from error
    upright: Pixels = _upright(pixels, info.orientation)
    return upright


def _reduced_jpeg(path: Path, file: IO[bytes], info: ImageInfo, factor: int) -> Pixels:
    if info.mode in ("L", "RGB"):
        data = _bytes(path, file)
        if _jpeg_ends(data):
            pixels: Pixels | None = _imdecode(data, _REDUCED.get(factor, _RGB))
            if pixels is not None:
                return pixels
    size = (-(-info.width // factor), -(-info.height // factor))
    return _decode_pillow(file, size if info.orientation < 5 else size[::-1])


def _exif_thumbnail(file: IO[bytes], info: ImageInfo, side: int) -> Pixels | None:
    """The camera's own thumbnail, upright, if it is large enough and has the image's shape."""
    if info.format != "JPEG":
        return None
    try:
        with open_pillow(file) as image:
            exif = image.info.get("exif", b"")
            tags = image.getexif().get_ifd(ExifTags.IFD.IFD1)
        start, length = int(tags.get(0x0201, 0)), int(tags.get(0x0202, 0))
        data = exif[6 + start : 6 + start + length]
        if not start or len(data) != length or not _jpeg_ends(data):
            return None
        pixels: Pixels | None = _imdecode(data, _RGB)
    except DECODE_ERRORS:
        return None
    if pixels is None:
        return None
    pixels = _upright(pixels, info.orientation)
    height, width = pixels.shape[:2]
    same_shape = abs(width * info.height - height * info.width) <= 0.03 * width * info.height
    return pixels if same_shape and max(width, height) >= side else None


def _fit(pixels: Pixels, side: int) -> Pixels:
    """Scaled down, never up, until the longest side is at most `side`."""
    height, width = pixels.shape[:2]
    scale = side / max(width, height)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _upright(pixels: Any, orientation: int) -> Any:
    """Apply an EXIF orientation; mirrored and upside-down images are turned in place."""
    if orientation == 2:
        return cv2.flip(pixels, 1, pixels)
    if orientation == 3:
        return cv2.flip(pixels, -1, pixels)
    if orientation == 4:
        return cv2.flip(pixels, 0, pixels)
    if orientation == 5:
        return cv2.transpose(pixels)
    if orientation == 6:
        return cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    if orientation == 7:
        turned = cv2.transpose(pixels)
        return cv2.flip(turned, -1, turned)
    if orientation == 8:
        return cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return pixels


def _too_little_memory(path: Path) -> UserError:
    return UserError(
        f"There is too little memory for “{path.name}”.",
        "Close other programs, or cut the image into tiles.",
    )
