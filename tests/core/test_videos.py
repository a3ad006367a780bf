"""Frames of video files: exact, lazy, and clear about what is wrong."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.app import main
from annotator.core import images, videos
from annotator.core.annotation import ImageRecord
from annotator.core.errors import UserError
from annotator.core.files import from_json
from annotator.core.formats.coco.writing import image_entry
from annotator.core.paths import file_of, frame_key, frame_of, split_frame
from annotator.services.folder_scan import walk
from tests.core.videos import HEIGHT, WIDTH, number_in, picture, write

COUNT = 60
KINDS = [
    ("a.mp4", "mpeg4", {"g": "12", "bf": "2"}),
    ("a.mkv", "libx264", {"g": "25", "bf": "3"}),
    ("a.avi", "mjpeg", {}),
    ("a.webm", "libvpx-vp9", {"g": "20", "deadline": "realtime", "cpu-used": "8"}),
    ("a.mpg", "mpeg2video", {"g": "12", "bf": "2"}),
    ("a.mov", "mpeg4", {"g": "250"}),
]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write(path, [picture(n) for n in range(COUNT)], g="12", bf="2")
    return path


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_every_frame_is_the_right_one_in_any_order(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / name
    write(path, [picture(n) for n in range(COUNT)], codec, **options)
    assert videos.count_frames(path) == COUNT
    order = [*range(8), *range(7, -1, -1), *random.Random(3).sample(range(COUNT), 25), COUNT - 1, 0]
    assert [number_in(videos.read_frame(path, number)) for number in order] == order


def test_frames_at_irregular_times(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    gaps = random.Random(1).choices((2, 3, 4, 50, 400), k=40)
    times = np.cumsum(gaps).tolist()
    write(path, [picture(n) for n in range(40)], times=times, g="10", bf="2")
    assert videos.count_frames(path) == 40
    for number in (39, 0, 17, 18, 3):
        assert number_in(videos.read_frame(path, number)) == number


def test_threads_share_a_video(clip: Path) -> None:
    order = [number for number in range(COUNT) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: number_in(videos.read_frame(clip, number)), order))
    assert found == order


def test_frames_are_images_like_others(clip: Path) -> None:
    path = clip / "000017.png"
    assert frame_of(path) == (clip, 17)
    assert file_of(path) == clip
    info = images.probe(path)
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    image = images.load("clip.mp4/000017.png", path)
    assert (image.key, image.width, image.height) == ("clip.mp4/000017.png", WIDTH, HEIGHT)
    assert image.stamp == (clip.stat().st_size, clip.stat().st_mtime_ns)
    assert image.complete
    for pixels in (image.pixels, images.read_image(path), images.load_preview("", path).pixels):
        assert number_in(pixels) == 17
    assert images.thumbnail(path, 48).shape == (32, 48, 3)
    assert images.read_reduced(path, 48).shape == (32, 48, 3)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turning(rotation: int) -> None:
    pixels = picture(5)
    assert np.array_equal(videos.upright(videos.upright(pixels, rotation), 360 - rotation), pixels)
    assert videos.upright(pixels, 90)[0, 0].tolist() == pixels[0, -1].tolist()


def test_a_folder_lists_the_frames_of_its_videos(clip: Path) -> None:
    for name in ("b.png", "clip2.png"):
        assert cv2.imwrite(str(clip.parent / name), picture(1))
    (clip.parent / "broken.mp4").write_bytes(b"no video" * 100)
    found: list[str] = []
    problems: list[UserError] = []
    for report in walk(clip.parent):
        if isinstance(report, UserError):
            problems.append(report)
        else:
            found += report
    assert found == ["b.png", "clip2.png", *(f"clip.mp4/{n:06d}.png" for n in range(COUNT))]
    assert ["broken.mp4" in str(problem) for problem in problems] == [True]


def test_what_is_wrong_is_said(clip: Path) -> None:
    with pytest.raises(UserError, match="no frame 60: it has 60"):
        images.load("", clip / "000060.png")
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) // 2])  # the index at its end is gone
    with pytest.raises(UserError, match=r"“clip.mp4” cannot be read"):
        images.probe(clip / "000001.png")
    clip.write_bytes(b"")
    with pytest.raises(UserError, match=r"clip.mp4"):
        images.load("", clip / "000001.png")
    clip.unlink()
    with pytest.raises(UserError, match="no longer there"):
        images.load("", clip / "000001.png")


def test_a_video_that_was_replaced_is_read_anew(clip: Path) -> None:
    assert number_in(videos.read_frame(clip, 3)) == 3
    write(clip, [picture(100 + n) for n in range(5)])
    assert videos.count_frames(clip) == 5
    assert number_in(videos.read_frame(clip, 3)) == 103


def test_damaged_frames_are_named_and_others_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    write(path, [picture(n) for n in range(20)], "mjpeg")
    content = bytearray(path.read_bytes())
    places = [i for i in range(len(content) - 3) if content[i : i + 3] == b"\xff\xd8\xff"]
    content[places[10] : places[11] - 16] = bytes(places[11] - 16 - places[10])
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"Frame 10 of “a.avi” is damaged"):
        videos.read_frame(path, 10)
    assert number_in(videos.read_frame(path, 11)) == 11


def test_names_of_frames() -> None:
    assert frame_key("a/clip.MP4", 7) == "a/clip.MP4/000007.png"
    assert split_frame("a/clip.MP4/000007.png") == ("a/clip.MP4", 7)
    assert split_frame(frame_key("clip.mkv", 1234567)) == ("clip.mkv", 1234567)
    for key in ("000007.png", "a/000007.png", "clip.mp4/7.png", "clip.mp4/000007.jpg"):
        assert split_frame(key) is None


def test_coco_says_which_video() -> None:
    entry = from_json(image_entry(ImageRecord("a/clip.mp4/000123.png", 5, 96, 64)))
    assert entry["file_name"] == "a/clip.mp4/000123.png"
    assert entry["video"] == {"file_name": "a/clip.mp4", "frame": 123}
    assert "video" not in from_json(image_entry(ImageRecord("a.png", 5, 96, 64)))


def test_frames_written_out_have_the_names_of_the_project(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["frames", str(clip), str(out), "--first", "3", "--last", "5"]) == 0
    assert "3 of 60 frames written" in capsys.readouterr().out
    files = sorted(out.rglob("*"))
    assert [p.name for p in files] == ["clip.mp4", "000003.png", "000004.png", "000005.png"]
    path = out / "clip.mp4" / "000004.png"
    assert frame_of(path) is None  # a file of its own
    assert np.array_equal(images.read_image(path), videos.read_frame(clip, 4))
    assert main(["frames", str(clip), str(out), "--first", "3", "--last", "5"]) == 0
    assert "3 were there already" in capsys.readouterr().out
    for arguments in ([str(clip), str(clip.parent)], [str(clip.with_name("no.mp4")), str(out)]):
        with pytest.raises(SystemExit):
            main(["frames", *arguments])
