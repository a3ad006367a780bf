"""Every kind of image file comes out upright, in the right colours, or with a message."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from annotator.core import images
from annotator.core.cv import cv2
from annotator.core.errors import UserError
from annotator.core.image_depth import display_range, to_8bit

Array = NDArray[np.uint8]

SCENE_SIZE = (48, 32)


def scene() -> Array:
    """(32, 48, 3): four flat quarters, so that lossy formats keep them and every turn shows."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24] = (250, 20, 20)
    pixels[:16, 24:] = (20, 240, 20)
    pixels[16:, :24] = (20, 20, 230)
    pixels[16:, 24:] = (128, 128, 128)
    return pixels


def stored_for(upright: Array, orientation: int) -> Array:
    """What a camera stores so that the orientation makes it upright (EXIF 2.32, 4.6.4 A)."""
    turns: dict[int, Callable[[Array], Array]] = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda p: np.rot90(p, -1),
    }
    return np.ascontiguousarray(turns[orientation](upright))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def near(first: Array, second: Array, tolerance: int = 12) -> bool:
    """Equal up to compression, away from the edges between the quarters."""
    if first.shape != second.shape:
        return False
    difference = np.abs(first.astype(int) - second.astype(int)).max(axis=2)
    return float(np.mean(difference > tolerance)) < 0.15


def refused(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        images.read_image(path)
    assert path.name in caught.value.message
    assert caught.value.remedy
    return caught.value


# --- Orientation ---


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_in_every_reader(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    options = {"quality": 95} if suffix in (".jpg", ".webp") else {}
    stored = stored_for(scene(), orientation)
    Image.fromarray(stored).save(path, exif=exif(orientation), **options)

    info = images.probe(path)
    assert (info.width, info.height, info.orientation) == (*SCENE_SIZE, orientation)
    assert near(images.read_image(path), scene())
    assert near(images.read_reduced(path, 48), scene())
    assert near(images.thumbnail(path, 48), scene())
    assert near(images.load("a", path).pixels, scene())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_jpeg_is_upright(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.jpg"
    large = scene().repeat(20, 0).repeat(20, 1)
    Image.fromarray(stored_for(large, orientation)).save(path, exif=exif(orientation))
    for side, factor in ((480, 2), (240, 4), (120, 8), (60, 8)):
        small = images.read_reduced(path, side)
        assert near(small, large[::factor, ::factor])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_samples_are_upright_too(tmp_path: Path, orientation: int) -> None:
    values = np.arange(6 * 4, dtype=np.uint16).reshape(4, 6, 1) * 2700
    stored = stored_for(values, orientation)[..., 0]  # type: ignore[arg-type]
    path = tmp_path / "a.png"
    Image.fromarray(stored).save(path, exif=exif(orientation))
    image = images.load("a", path)
    assert (image.width, image.height) == (6, 4)
    for x, y in ((0, 0), (5, 0), (0, 3), (5, 3)):
        assert image.value_text(x, y) == f"Grey {int(values[y, x, 0])}"
        assert image.pixels[y, x, 0] == round(int(values[y, x, 0]) / 257)


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colour_is_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = stored_for(scene(), orientation).astype(np.uint16) * 257
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        path.write_bytes(deep_tiff(stored, orientation))
    else:
        data = cv2.imencode(".png", stored[..., ::-1])[1].tobytes()
        path.write_bytes(data[:33] + exif_chunk(orientation) + data[33:])
    assert np.array_equal(images.read_image(path), scene())
    assert images.load("a", path).value_text(0, 0) == f"R {250 * 257} G {20 * 257} B {20 * 257}"


def deep_tiff(pixels: NDArray[np.uint16], orientation: int) -> bytes:
    """An uncompressed 16-bit RGB TIFF, written by hand: Pillow cannot."""
    height, width = pixels.shape[:2]
    data = pixels.astype("<u2").tobytes()
    offset = 8 + len(data)
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, offset + 2 + 10 * 12 + 4),
        (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8), (274, 3, 1, orientation),
        (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, count, value in entries:
        wide = kind == 4 or count > 1
        directory += struct.pack("<HHI", tag, kind, count)
        directory += struct.pack("<I", value) if wide else struct.pack("<HH", value, 0)
    return (
        b"II*\0" + struct.pack("<I", offset) + data + directory + struct.pack("<I3H", 0, 16, 16, 16)
    )


def exif_chunk(orientation: int) -> bytes:
    chunk = b"eXIf" + exif(orientation).tobytes().removeprefix(b"Exif\0\0")
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    path = tmp_path / "late.png"
    buffer = io.BytesIO()
    Image.fromarray(stored_for(scene(), 6)).save(buffer, "PNG")
    data = buffer.getvalue()
    path.write_bytes(data[:-12] + exif_chunk(6) + data[-12:])
    assert np.array_equal(images.read_image(path), scene())


@pytest.mark.parametrize("value", [0, 9, 77])
def test_nonsense_orientation_counts_as_upright(tmp_path: Path, value: int) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(scene()).save(path, exif=exif(value))
    assert images.probe(path).orientation == 1
    assert np.array_equal(images.read_image(path), scene())


# --- Kinds of pixels ---


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".PNG", ".TIFF", ".Bmp"])
def test_plain_rgb_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(scene()), **options)
    assert np.array_equal(images.read_image(path), scene())
    image = images.load("a", path)
    assert image.complete
    assert image.value_text(0, 0) == "R 250 G 20 B 20"
    assert image.value_text(48, 0) == ""
    assert image.value_text(0, -1) == ""


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg"])
def test_grey(tmp_path: Path, suffix: str) -> None:
    grey = np.full((9, 7), 77, np.uint8)
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(grey))
    assert np.array_equal(images.read_image(path), np.repeat(grey[..., None], 3, 2))
    assert images.load("a", path).value_text(3, 3) == "Grey 77"


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit(tmp_path: Path, suffix: str) -> None:
    bits = np.zeros((5, 11), bool)
    bits[2, 3:9] = True
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(bits))
    assert np.array_equal(images.read_image(path)[..., 1], bits * np.uint8(255))
    assert images.probe(path).bit_depth == 1


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_palette(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(scene()).quantize(8))
    assert near(images.read_image(path), scene(), 2)


def test_palette_with_a_transparent_colour_shows_white_there(tmp_path: Path) -> None:
    indexed = Image.fromarray(scene()).quantize(4)
    corner = indexed.getpixel((0, 0))
    path = saved(tmp_path / "a.png", indexed, transparency=corner)
    pixels = images.read_image(path)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert near(pixels[16:], scene()[16:], 2)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparent_pixels_stand_on_white(tmp_path: Path, suffix: str) -> None:
    rgba = np.dstack([scene(), np.full((32, 48), 255, np.uint8)])
    rgba[:16, :24, 3] = 0
    rgba[16:, :24, 3] = 128
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(rgba), **options)
    pixels = images.read_image(path)
    assert pixels[3, 3].tolist() == [255, 255, 255]
    assert pixels[3, 40].tolist() == [20, 240, 20]
    assert np.abs(pixels[20, 3].astype(int) - [137, 137, 242]).max() <= 1


def test_rgb_png_with_one_transparent_colour(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", Image.fromarray(scene()), transparency=(250, 20, 20))
    pixels = images.read_image(path)
    assert pixels[3, 3].tolist() == [255, 255, 255]
    assert pixels[3, 40].tolist() == [20, 240, 20]


def test_grey_with_alpha(tmp_path: Path) -> None:
    la = np.dstack([np.full((4, 4), 10, np.uint8), np.full((4, 4), 255, np.uint8)])
    la[0, 0, 1] = 0
    path = saved(tmp_path / "a.png", Image.fromarray(la, "LA"))
    assert images.read_image(path)[:2, 0].tolist() == [[255] * 3, [10] * 3]


def test_an_image_that_is_all_transparent_is_shown_as_if_opaque(tmp_path: Path) -> None:
    rgba = np.dstack([scene(), np.zeros((32, 48), np.uint8)])
    path = saved(tmp_path / "a.png", Image.fromarray(rgba))
    assert np.array_equal(images.read_image(path), scene())


def test_cmyk_jpeg_is_not_a_negative(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", Image.fromarray(scene()).convert("CMYK"), quality=95)
    assert images.probe(path).mode == "CMYK"
    assert near(images.read_image(path), scene(), 20)
    large = Image.fromarray(scene().repeat(20, 0).repeat(20, 1)).convert("CMYK")
    reduced = images.read_reduced(saved(tmp_path / "b.jpg", large), 240)
    assert near(reduced, scene().repeat(5, 0).repeat(5, 1), 20)


def test_cmyk_tiff(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(scene()).convert("CMYK"))
    assert near(images.read_image(path), scene(), 20)


def test_a_broken_cmyk_profile_is_ignored(tmp_path: Path) -> None:
    cmyk = Image.fromarray(scene()).convert("CMYK")
    path = saved(tmp_path / "a.tif", cmyk, icc_profile=b"nonsense" * 40)
    assert near(images.read_image(path), scene(), 20)


def test_lab_tiff(tmp_path: Path) -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(Image.fromarray(scene()), to_lab)
    assert lab is not None
    assert near(images.read_image(saved(tmp_path / "a.tif", lab)), scene(), 20)


# --- More than 8 bits ---


def test_a_true_16_bit_photograph_is_divided_by_257(tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    for suffix in (".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        cv2.imwrite(str(path), deep[..., ::-1])
        image = images.load("a", path)
        assert np.array_equal(image.pixels, np.rint(deep / 257).astype(np.uint8))
        assert image.bit_depth == 16
        assert image.value_text(7, 9) == "R {} G {} B {}".format(*deep[9, 7])


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_camera_with_fewer_bits_does_not_look_black(
    tmp_path: Path, bits: int, suffix: str
) -> None:
    top = 2**bits - 1
    grey = np.linspace(top * 0.02, top * 0.9, 64 * 64).reshape(64, 64).astype(np.uint16)
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(grey))
    image = images.load("a", path)
    assert np.array_equal(image.pixels[..., 0], np.rint(grey * (255 / top)).astype(np.uint8))
    assert image.value_text(63, 63) == f"Grey {grey[63, 63]}"


def test_one_hot_pixel_does_not_darken_the_rest() -> None:
    grey = np.random.default_rng(2).integers(0, 900, (200, 200), dtype=np.uint16)
    grey[7, 7] = 65535
    assert display_range(grey) == (0.0, 1023.0)
    assert to_8bit(grey)[7, 7] == 255


def test_an_offset_is_removed() -> None:
    scan = np.linspace(32000, 34000, 10_000).astype(np.uint16).reshape(100, 100)
    low, high = display_range(scan)
    assert 32000 <= low < 32010
    assert 33990 < high <= 34000


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.0, 0.5, 1.0), (0, 128, 255)),
        ((-2.0, 0.0, 2.0), (0, 128, 255)),
        ((float("nan"), 0.0, 1.0), (0, 0, 255)),
    ],
)
def test_float_tiff(tmp_path: Path, values: tuple[float, ...], shown: tuple[int, ...]) -> None:
    samples = np.array(values, np.float32).repeat(2000).reshape(3, 2000)
    path = saved(tmp_path / "a.tif", Image.fromarray(samples))
    image = images.load("a", path)
    assert image.pixels[:, 5, 0].tolist() == list(shown)
    assert image.value_text(0, 1) == f"Grey {values[1]:.6g}"


def test_constant_and_signed_samples() -> None:
    assert to_8bit(np.full((4, 4), 65535, np.uint16)).min() == 255
    assert to_8bit(np.zeros((4, 4), np.uint16)).max() == 0
    assert to_8bit(np.full((4, 4), np.nan, np.float32)).max() == 0
    signed = np.array([[-1000, 1000]] * 500, np.int32)
    assert to_8bit(signed)[0].tolist() == [0, 255]


def test_deep_image_with_alpha_stands_on_white(tmp_path: Path) -> None:
    deep = np.zeros((8, 8, 4), np.uint16)
    deep[..., :3] = (65535, 0, 0)
    deep[:4, :, 3] = 65535
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), deep[..., [2, 1, 0, 3]])
    pixels = images.read_image(path)
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[7, 7].tolist() == [255, 255, 255]


def test_float_colour_tiff_that_pillow_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    cv2.imwrite(str(path), (scene().astype(np.float32) / 255)[..., ::-1])
    assert np.array_equal(images.read_image(path), scene())
    assert (images.probe(path).width, images.probe(path).height) == SCENE_SIZE


def test_only_the_first_page_is_shown_and_said_so(tmp_path: Path) -> None:
    first, second = Image.fromarray(scene()), Image.new("RGB", (10, 10))
    path = saved(tmp_path / "a.tif", first, save_all=True, append_images=[second])
    image = images.load("a", path)
    assert np.array_equal(image.pixels, scene())
    assert "pages" in image.note
    single = saved(tmp_path / "b.tif", first)
    assert images.load("b", single).note == ""


# --- Previews ---


def test_preview_then_complete(tmp_path: Path) -> None:
    large = np.asarray(Image.fromarray(scene()).resize((3000, 2000), Image.Resampling.NEAREST))
    path = saved(tmp_path / "a.jpg", Image.fromarray(large))
    preview, complete = images.load_preview("a", path), images.load("a", path)
    assert not preview.complete
    assert complete.complete
    assert preview.pixels.shape == (1000, 1500, 3)
    assert (preview.width, preview.height) == (complete.width, complete.height) == (3000, 2000)
    assert preview.value_text(2999, 1999) == complete.value_text(2999, 1999)
    small = images.load_preview("b", saved(tmp_path / "b.jpg", Image.fromarray(scene())))
    assert small.complete


def test_thumbnail_comes_from_exif_if_it_fits(tmp_path: Path) -> None:
    photo = Image.new("RGB", (1600, 1200), (200, 30, 30))
    for size, used in (((160, 120), True), ((160, 90), False), ((80, 60), False)):
        path = saved(tmp_path / "a.jpg", photo, exif=exif_with_thumbnail(size, (30, 30, 200)))
        red, _, blue = images.thumbnail(path, 128)[40, 60]
        assert (blue > red) == used


def exif_with_thumbnail(size: tuple[int, int], color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    first = struct.pack("<HHHIII", 1, 0x0112, 3, 1, 1, 26)
    second = struct.pack("<H", 2)
    second += struct.pack("<HHII", 0x0201, 4, 1, 26 + 30)
    second += struct.pack("<HHII", 0x0202, 4, 1, len(jpeg)) + struct.pack("<I", 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + second + jpeg


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_large_images_are_read_in_place(
    tmp_path: Path, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "LARGE", 100)
    for suffix in (".jpg", ".png"):
        path = tmp_path / f"große Karte{suffix}"
        Image.fromarray(stored_for(scene(), orientation)).save(path, exif=exif(orientation))
        assert near(images.read_image(path), scene())
        path.write_bytes(path.read_bytes()[:-200])
        refused(path)


# --- Names and contents ---


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "really a png.jpg"
    Image.fromarray(scene()).save(path, "PNG")
    assert images.probe(path).format == "PNG"
    assert np.array_equal(images.read_image(path), scene())


@pytest.mark.parametrize(
    "name", ["Übergröße", "写真 01", "снимок", "🐈‍⬛ cat", "a'b\"c %20 #", "é" * 60]
)
def test_any_unicode_name(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / f"{name}.png", Image.fromarray(scene()))
    assert np.array_equal(images.read_image(path), scene())
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    refused(path)


def encoded(kind: str, size: tuple[int, int] = (120, 90)) -> bytes:
    noise = np.random.default_rng(3).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    options: dict[str, object] = {"progressive": True} if kind == "progressive" else {}
    name = {"progressive": "JPEG", "LZW": "TIFF"}.get(kind, kind)
    if kind == "LZW":
        options["compression"] = "tiff_lzw"
    Image.fromarray(noise).save(buffer, name, **options)
    return buffer.getvalue()


KINDS = ["JPEG", "progressive", "PNG", "BMP", "TIFF", "LZW", "WEBP"]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    data = encoded(kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * share)])
    refused(path)
    for reader in (images.thumbnail, images.read_reduced):
        with pytest.raises(UserError):
            reader(path, 64)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_a_truncated_large_jpeg_gives_no_grey_preview(tmp_path: Path, factor: int) -> None:
    data = encoded("JPEG", (1600, 1200))
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"cut\.jpg"):
        images.read_reduced(path, 1600 // factor)


def test_a_jpeg_with_something_behind_its_end_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG") + b"trailer of a phone" * 100)
    assert images.read_image(path).shape == (90, 120, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_never_raise_anything_else(tmp_path: Path, kind: str) -> None:
    data = encoded(kind, (40, 30))
    chance = random.Random(kind)
    path = tmp_path / "damaged.img"
    refusals = 0
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            # Mostly in the header, where the interesting numbers are.
            end = min(len(data), 300) if chance.random() < 0.7 else len(data)
            broken[chance.randrange(end)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        path.write_bytes(broken)
        try:
            assert images.read_image(path).ndim == 3
            assert images.thumbnail(path, 16).ndim == 3
        except UserError:
            refusals += 1
    assert refusals > 5


def test_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("hello")
    assert "not a JPEG" in refused(path).message


def test_empty_missing_and_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert "0 bytes" in refused(tmp_path / "empty.jpg").message
    assert "no longer there" in refused(tmp_path / "gone.jpg").message
    (tmp_path / "folder.jpg").mkdir()
    assert "folder" in refused(tmp_path / "folder.jpg").message
    (tmp_path / "file").touch()
    assert "no longer there" in refused(tmp_path / "file" / "a.jpg").message
    refused(tmp_path / ("x" * 300 + ".jpg"))
    refused(tmp_path / "nul\0.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(tmp_path / "pipe.jpg")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "secret.png", Image.fromarray(scene()))
    path.chmod(0)
    assert "permission" in refused(path).remedy


def test_the_message_for_a_forbidden_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "secret.png", Image.fromarray(scene()))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "permission" in refused(path).remedy


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9999)))


def test_absurd_sizes(tmp_path: Path) -> None:
    path = tmp_path / "vast.png"
    path.write_bytes(png_header(50_000, 50_000))
    assert "too large" in refused(path).message
    path.write_bytes(png_header(30_000, 30_000))
    assert "header is damaged" in refused(path).message
    path.write_bytes(png_header(4_000, 3_000))
    refused(path)


# --- OpenCV and Qt ---


@pytest.mark.parametrize("first", ["annotator.core.cv", "cv2, annotator.core.cv"])
def test_importing_opencv_does_not_point_qt_at_its_own_plugins(first: str) -> None:
    code = (
        f"import os, {first}\n"
        "assert 'QT_QPA_PLATFORM_PLUGIN_PATH' not in os.environ\n"
        "assert os.environ['QT_QPA_FONTDIR'] == '/my/fonts'\n"
        "from PySide6.QtWidgets import QApplication, QLabel\n"
        "application = QApplication([])\n"
        "QLabel('x').grab()\n"
        "print('fine', application.platformName())\n"
    )
    variables = {k: v for k, v in os.environ.items() if k != "QT_QPA_PLATFORM_PLUGIN_PATH"}
    if first.startswith("cv2"):
        code = code.replace("assert os.environ['QT_QPA_FONTDIR'] == '/my/fonts'\n", "")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "QT_QPA_FONTDIR": "/my/fonts", "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "fine offscreen", done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_100_megapixel_image_opens_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    stripe = np.random.default_rng(4).integers(0, 255, (100, 11600, 3), dtype=np.uint8)
    cv2.imwrite(str(path), np.tile(stripe, (87, 1, 1)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    code = (
        "import sys, pathlib\n"
        "from annotator.core import images\n"
        "pixels = images.read_image(pathlib.Path(sys.argv[1]))\n"
        "assert pixels.shape == (8700, 11600, 3)\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 290 + 90  # the pixels and the program itself
