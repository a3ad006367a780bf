"""The loader answers the newest request, preview first, and keeps neighbours within bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from annotator.core import images
from annotator.core.errors import UserError
from annotator.core.images import LoadedImage
from annotator.services.image_loader import ImageLoader

LARGE = (2400, 1800)
FULL = LARGE[0] * LARGE[1] * 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """large0.jpg … large5.jpg (4.3 megapixels) and small0.png … small5.png."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(6):
        color = (number * 40, 100, 50)
        Image.new("RGB", LARGE, color).save(folder / f"large{number}.jpg")
        Image.new("RGB", (64, 48), color).save(folder / f"small{number}.png")
    return folder


class Watched:
    """A loader, what it said, and what was read from disk."""

    def __init__(self, folder: Path, max_bytes: int = 96 << 20) -> None:
        self.folder = folder
        self.loader = ImageLoader(max_bytes)
        self.loaded: list[LoadedImage] = []
        self.failed: list[tuple[str, UserError]] = []
        self.loader.loaded.connect(self.loaded.append)
        self.loader.failed.connect(lambda key, error: self.failed.append((key, error)))

    def request(self, name: str) -> None:
        self.loader.request(name, self.folder / name)

    def prefetch(self, *names: str) -> None:
        self.loader.prefetch([(name, self.folder / name) for name in names])

    def said(self) -> list[tuple[str, bool]]:
        return [(image.key, image.complete) for image in self.loaded]

    def kept(self) -> dict[str, bool]:
        entries = list(self.loader._cache._images.items())
        return {key: image.complete for (key, _), image in entries}


@pytest.fixture
def watched(qtbot: QtBot, photos: Path) -> Iterator[Watched]:
    made = Watched(photos)
    yield made
    made.loader.close()


def complete(watched: Watched, key: str) -> bool:
    return (key, True) in watched.said()


def test_a_large_jpeg_comes_twice(qtbot: QtBot, watched: Watched) -> None:
    watched.request("large0.jpg")
    qtbot.waitUntil(lambda: complete(watched, "large0.jpg"))
    assert watched.said() == [("large0.jpg", False), ("large0.jpg", True)]
    preview, full = watched.loaded
    assert (preview.width, preview.height) == (full.width, full.height) == LARGE
    assert full.pixels.shape == (1800, 2400, 3)
    assert preview.pixels.shape == (900, 1200, 3)


def test_a_small_image_comes_once(qtbot: QtBot, watched: Watched) -> None:
    watched.request("small0.png")
    qtbot.waitUntil(lambda: complete(watched, "small0.png"))
    watched.request("small1.png")
    qtbot.waitUntil(lambda: complete(watched, "small1.png"))
    assert watched.said() == [("small0.png", True), ("small1.png", True)]


def test_only_the_newest_request_is_answered(qtbot: QtBot, watched: Watched) -> None:
    for name in ("large0.jpg", "large1.jpg", "small0.png", "large2.jpg"):
        watched.request(name)
    qtbot.waitUntil(lambda: complete(watched, "large2.jpg"))
    assert {key for key, _ in watched.said()} == {"large2.jpg"}


def test_an_image_kept_is_answered_in_the_next_turn_without_reading(
    qtbot: QtBot, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("large0.jpg", "small0.png"):
        watched.request(name)
        qtbot.waitUntil(lambda name=name: complete(watched, name))  # type: ignore[misc]
    watched.loaded.clear()
    monkeypatch.setattr(images, "load", None)
    monkeypatch.setattr(images, "load_preview", None)
    watched.request("large0.jpg")
    assert watched.loaded == []
    qtbot.waitUntil(lambda: bool(watched.loaded))
    assert watched.said() == [("large0.jpg", True)]


def test_a_stale_cached_answer_is_dropped(qtbot: QtBot, watched: Watched) -> None:
    watched.request("small0.png")
    qtbot.waitUntil(lambda: complete(watched, "small0.png"))
    watched.loaded.clear()
    watched.request("small0.png")
    watched.request("small1.png")
    qtbot.waitUntil(lambda: complete(watched, "small1.png"))
    assert watched.said() == [("small1.png", True)]


def test_neighbours_are_loaded_after_the_current_image(qtbot: QtBot, watched: Watched) -> None:
    watched.request("large1.jpg")
    watched.prefetch("large2.jpg", "large0.jpg")
    assert watched.kept() == {}
    qtbot.waitUntil(
        lambda: watched.kept() == {"large1.jpg": True, "large2.jpg": True, "large0.jpg": False}
    )
    watched.loaded.clear()
    watched.request("large2.jpg")
    qtbot.waitUntil(lambda: bool(watched.loaded))
    assert watched.said() == [("large2.jpg", True)]


def test_going_back_looks_ahead_backwards(qtbot: QtBot, watched: Watched) -> None:
    for name in ("large3.jpg", "large2.jpg"):
        watched.request(name)
        qtbot.waitUntil(lambda name=name: complete(watched, name))  # type: ignore[misc]
    watched.loader.forget("large3.jpg")
    watched.prefetch("large3.jpg", "large1.jpg")  # next and previous, as always
    qtbot.waitUntil(lambda: watched.kept().get("large1.jpg", False))
    assert watched.kept() == {"large2.jpg": True, "large1.jpg": True, "large3.jpg": False}


def test_memory_is_bounded_and_the_current_image_stays(qtbot: QtBot, photos: Path) -> None:
    watched = Watched(photos, max_bytes=FULL * 2 + 1000)
    try:
        for number in range(6):
            watched.request(f"large{number}.jpg")
            watched.prefetch(f"large{(number + 1) % 6}.jpg", f"large{(number - 1) % 6}.jpg")
            qtbot.waitUntil(lambda n=number: complete(watched, f"large{n}.jpg"))  # type: ignore[misc]
            kept = list(watched.loader._cache._images.values())
            assert sum(image.nbytes for image in kept) <= FULL * 2 + 1000
            assert watched.kept()[f"large{number}.jpg"]
    finally:
        watched.loader.close()


def test_an_image_larger_than_the_memory_is_still_shown(qtbot: QtBot, photos: Path) -> None:
    watched = Watched(photos, max_bytes=1000)
    try:
        watched.request("large0.jpg")
        qtbot.waitUntil(lambda: complete(watched, "large0.jpg"))
        watched.prefetch("large1.jpg")
        watched.request("small0.png")
        qtbot.waitUntil(lambda: complete(watched, "small0.png"))
        assert "large0.jpg" not in watched.kept()
    finally:
        watched.loader.close()


def test_the_same_key_in_another_project_is_another_image(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    watched.request("small0.png")
    qtbot.waitUntil(lambda: complete(watched, "small0.png"))
    Image.new("RGB", (5, 5), "red").save(tmp_path / "small0.png")
    watched.loaded.clear()
    watched.loader.request("small0.png", tmp_path / "small0.png")
    qtbot.waitUntil(lambda: bool(watched.loaded))
    assert watched.loaded[0].pixels.shape == (5, 5, 3)


def test_forget_reads_the_file_again(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for color in ("red", "lime"):
        Image.new("RGB", (5, 5), color).save(path)
        watched.loader.forget("a.png")
        watched.loaded.clear()
        watched.loader.request("a.png", path)
        qtbot.waitUntil(lambda: bool(watched.loaded))
    assert watched.loaded[0].pixels[0, 0].tolist() == [0, 255, 0]


def test_failures_name_the_file_and_the_next_image_still_loads(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    watched.loader.request("broken.jpg", tmp_path / "broken.jpg")
    watched.prefetch("small1.png")
    qtbot.waitUntil(lambda: bool(watched.failed))
    assert watched.failed[0][0] == "broken.jpg"
    assert "broken.jpg" in watched.failed[0][1].message
    qtbot.waitUntil(lambda: "small1.png" in watched.kept())
    watched.request("small0.png")
    qtbot.waitUntil(lambda: complete(watched, "small0.png"))


def test_a_failure_of_an_image_already_left_is_not_told(
    qtbot: QtBot, watched: Watched, tmp_path: Path
) -> None:
    watched.loader.request("gone.jpg", tmp_path / "gone.jpg")
    watched.request("small0.png")
    qtbot.waitUntil(lambda: complete(watched, "small0.png"))
    assert watched.failed == []


def test_an_unreadable_neighbour_is_skipped(qtbot: QtBot, watched: Watched, tmp_path: Path) -> None:
    watched.request("small0.png")
    gone = ("gone.jpg", tmp_path / "gone.jpg")
    watched.loader.prefetch([gone, ("small1.png", watched.folder / "small1.png")])
    qtbot.waitUntil(lambda: "small1.png" in watched.kept())
    assert watched.failed == []


def test_close_ends_all_threads_and_later_requests_do_nothing(
    qtbot: QtBot, watched: Watched
) -> None:
    before = threading.active_count()
    watched.request("large0.jpg")
    watched.prefetch("large1.jpg")
    assert threading.active_count() > before
    watched.loader.close()
    assert threading.active_count() == before
    watched.request("small0.png")
    watched.prefetch("small1.png")
    watched.loader.forget("small0.png")
    watched.loader.close()
    assert threading.active_count() == before
    assert watched.loaded == []


def test_pixels_are_those_of_the_file(qtbot: QtBot, watched: Watched) -> None:
    watched.request("small3.png")
    qtbot.waitUntil(lambda: complete(watched, "small3.png"))
    assert np.all(watched.loaded[0].pixels == (120, 100, 50))
