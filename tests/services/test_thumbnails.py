"""Thumbnails are made in the background, newest wish first, and kept within bounds."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtGui import QColor, QImage
from pytestqt.qtbot import QtBot

from annotator.core import images
from annotator.services import thumbnails
from annotator.services.thumbnails import Thumbnails


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def made(qtbot: QtBot, cache: Path) -> Iterator[Thumbnails]:
    service = Thumbnails(cache)
    yield service
    service.close()


def photo(folder: Path, name: str, color: str = "red", size: tuple[int, int] = (400, 300)) -> Path:
    Image.new("RGB", size, color).save(folder / name)
    return folder / name


def fetch(qtbot: QtBot, service: Thumbnails, key: str, path: Path) -> QImage:
    with qtbot.waitSignal(service.ready) as ready:
        service.request(key, path)
    assert ready.args is not None
    assert ready.args[0] == key
    image: QImage = ready.args[1]
    return image


def files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.jpg"))


def is_red(image: QImage) -> bool:
    color = QColor(image.pixel(image.width() // 2, image.height() // 2))
    return color.red() > 240 and color.green() < 20


def test_size_colour_and_shape(qtbot: QtBot, made: Thumbnails, tmp_path: Path) -> None:
    image = fetch(qtbot, made, "a", photo(tmp_path, "a.png"))
    assert (image.width(), image.height()) == (128, 96)
    assert is_red(image)
    tall = fetch(qtbot, made, "b", photo(tmp_path, "b.jpg", size=(10, 4000)))
    assert (tall.width(), tall.height()) == (1, 128)
    tiny = fetch(qtbot, made, "c", photo(tmp_path, "c.bmp", size=(3, 2)))
    assert (tiny.width(), tiny.height()) == (3, 2)


def test_orientation_is_honoured(qtbot: QtBot, made: Thumbnails, tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.new("RGB", (400, 200)).save(tmp_path / "a.jpg", exif=tags)
    image = fetch(qtbot, made, "a", tmp_path / "a.jpg")
    assert (image.width(), image.height()) == (64, 128)


def test_the_second_session_reads_the_disk_cache(
    qtbot: QtBot, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photo(tmp_path, "a.png")
    first = Thumbnails(cache)
    fetch(qtbot, first, "a", path)
    first.close()
    assert len(files(cache)) == 1
    monkeypatch.setattr(images, "thumbnail", None)
    second = Thumbnails(cache)
    assert is_red(fetch(qtbot, second, "a", path))
    second.close()


def test_a_changed_file_gets_a_new_thumbnail(
    qtbot: QtBot, made: Thumbnails, cache: Path, tmp_path: Path
) -> None:
    path = photo(tmp_path, "a.png", "blue")
    assert not is_red(fetch(qtbot, made, "a", path))
    photo(tmp_path, "a.png", "red")
    os.utime(path, ns=(1, 1))
    made.forget("a")
    assert is_red(fetch(qtbot, made, "a", path))
    assert len(files(cache)) == 2


def test_memory_answers_at_once(qtbot: QtBot, made: Thumbnails, tmp_path: Path) -> None:
    path = photo(tmp_path, "a.png")
    assert made.get("a") is None
    fetch(qtbot, made, "a", path)
    kept = made.get("a")
    assert kept is not None
    answers: list[str] = []
    made.ready.connect(lambda key, _: answers.append(key))
    path.unlink()
    made.request("a", path)
    assert answers == ["a"]


def test_memory_is_bounded(qtbot: QtBot, cache: Path, tmp_path: Path) -> None:
    one = 128 * 96 * 3
    service = Thumbnails(cache, memory=one * 3)
    for number in range(6):
        fetch(qtbot, service, str(number), photo(tmp_path, f"{number}.png"))
    assert [service.get(str(number)) is not None for number in range(6)] == [False] * 3 + [True] * 3
    service.close()


def test_what_cannot_be_read_gives_a_null_image_once(
    qtbot: QtBot, made: Thumbnails, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    assert fetch(qtbot, made, "broken", tmp_path / "broken.jpg").isNull()
    assert fetch(qtbot, made, "gone", tmp_path / "gone.jpg").isNull()
    assert files(cache) == []
    kept = made.get("broken")
    assert kept is not None
    assert kept.isNull()


def test_a_damaged_cache_file_is_made_again(qtbot: QtBot, cache: Path, tmp_path: Path) -> None:
    path = photo(tmp_path, "a.png")
    for content in (b"", b"junk"):
        service = Thumbnails(cache)
        fetch(qtbot, service, "a", path)
        service.close()
        files(cache)[0].write_bytes(content)
    service = Thumbnails(cache)
    assert is_red(fetch(qtbot, service, "a", path))
    service.close()


def test_a_cache_that_cannot_be_written_costs_only_time(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    service = Thumbnails(tmp_path / "file" / "cache")
    assert is_red(fetch(qtbot, service, "a", photo(tmp_path, "a.png")))
    service.close()


def test_the_newest_wish_comes_first_and_old_ones_are_dropped(
    qtbot: QtBot, made: Thumbnails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, order = threading.Event(), []
    thumbnail = images.thumbnail

    def slow(path: Path, side: int) -> images.Pixels:
        gate.wait(10)
        return thumbnail(path, side)

    monkeypatch.setattr(images, "thumbnail", slow)
    monkeypatch.setattr(thumbnails, "_WAITING", 3)
    made.ready.connect(lambda key, _: order.append(key))
    for number in range(6):
        made.request(str(number), photo(tmp_path, f"{number}.png"))
        if number == 0:
            qtbot.waitUntil(lambda: not made._maker.has_wishes())
    gate.set()
    qtbot.waitUntil(lambda: len(order) == 4)
    assert order == ["0", "5", "4", "3"]


def test_wishes_after_the_thread_went_to_rest(
    qtbot: QtBot, made: Thumbnails, tmp_path: Path
) -> None:
    path = photo(tmp_path, "a.png")
    for number in range(20):
        assert is_red(fetch(qtbot, made, f"a{number}", path))


def test_the_disk_cache_is_trimmed_oldest_first(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"{number:02d}" / "x.jpg"
        path.parent.mkdir()
        path.write_bytes(bytes(100))
        os.utime(path, (number, number))
    list(thumbnails._trim(tmp_path, 450))
    assert [path.parent.name for path in files(tmp_path)] == ["06", "07", "08", "09"]


def test_the_default_folder_is_the_users_cache(qtbot: QtBot, tmp_path: Path) -> None:
    service = Thumbnails()
    fetch(qtbot, service, "a", photo(tmp_path, "a.png"))
    service.close()
    assert len(files(Path(os.environ["XDG_CACHE_HOME"]))) == 1


def test_close_ends_the_thread(qtbot: QtBot, made: Thumbnails, tmp_path: Path) -> None:
    before = threading.active_count()
    for number in range(50):
        made.request(str(number), photo(tmp_path, f"{number}.png"))
    made.close()
    assert threading.active_count() == before
    made.request("x", tmp_path / "x.png")
    made.close()
    assert threading.active_count() == before
