"""The scan finds every image, in the order people count, and leaves the event loop its turn."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from natsort import natsorted, ns
from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from annotator.core.errors import UserError
from annotator.core.paths import is_image_name, natural_key, natural_path_key
from annotator.services import folder_scan
from annotator.services.folder_scan import FolderScan


@pytest.fixture
def scanner(qtbot: QtBot) -> Iterator[FolderScan]:
    made = FolderScan()
    yield made
    made.stop()


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def batches(qtbot: QtBot, scanner: FolderScan, folder: Path) -> list[list[str]]:
    found: list[list[str]] = []
    scanner.found.connect(found.append)
    with qtbot.waitSignal(scanner.finished) as done:
        scanner.start(folder)
    scanner.found.disconnect(found.append)
    assert done.args == [sum(map(len, found))]
    return found


def keys(qtbot: QtBot, scanner: FolderScan, folder: Path) -> list[str]:
    return [key for batch in batches(qtbot, scanner, folder) for key in batch]


def test_files_before_folders_and_numbers_by_value(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    touch(tmp_path, "b10.png", "b9.JPG", "B1.tif", "a/2.png", "a/10.png", "a/1/x.bmp", "Z2/1.webp")
    assert keys(qtbot, scanner, tmp_path) == [
        "B1.tif", "b9.JPG", "b10.png", "a/2.png", "a/10.png", "a/1/x.bmp", "Z2/1.webp",
    ]  # fmt: skip


def test_only_images_and_nothing_hidden(qtbot: QtBot, scanner: FolderScan, tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.json", "jpg", ".hidden.jpg", ".annotator/x.jpg", "b.jpg.txt", "c.")
    touch(tmp_path, "folder.png/inside.TIFF")
    assert keys(qtbot, scanner, tmp_path) == ["a.jpg", "folder.png/inside.TIFF"]


def test_same_names_in_different_folders_and_any_unicode(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    names = ["a.jpg", "x/a.jpg", "x/y/a.jpg", "Ü/ß 🐈.jpg", "写真/一.png"]
    touch(tmp_path, *names)
    assert sorted(keys(qtbot, scanner, tmp_path)) == sorted(names)


def test_the_first_batch_is_small_and_everything_arrives_in_order(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    numbers = list(range(5000))
    random.Random(5).shuffle(numbers)
    touch(tmp_path, *(f"{number}.jpg" for number in numbers))
    found = batches(qtbot, scanner, tmp_path)
    assert [len(batch) for batch in found] == [1, 255, 2048, 2048, 648]
    assert [key for batch in found for key in batch] == [f"{n}.jpg" for n in range(5000)]


def test_the_event_loop_turns_between_batches(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    """Reports must not queue up before timers and mouse events."""
    touch(tmp_path, *(f"{number}.jpg" for number in range(9000)))
    happened: list[str] = []
    timer = QTimer()
    timer.timeout.connect(lambda: happened.append("tick"))
    timer.start(0)
    scanner.found.connect(lambda _: happened.append("batch"))
    with qtbot.waitSignal(scanner.finished):
        scanner.start(tmp_path)
    timer.stop()
    order = "".join(name[0] for name in happened)
    assert order.count("b") == 7
    assert "bb" not in order


def test_links_are_followed_once(qtbot: QtBot, scanner: FolderScan, tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.jpg", "sub/b.jpg")
    touch(tmp_path / "elsewhere", "c.jpg")
    try:
        (tmp_path / "images" / "sub" / "loop").symlink_to(tmp_path / "images")
        (tmp_path / "images" / "other").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "images" / "twice").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "images" / "gone.jpg").symlink_to(tmp_path / "nothing")
        (tmp_path / "images" / "linked.jpg").symlink_to(tmp_path / "elsewhere" / "c.jpg")
    except OSError:
        pytest.skip("no links here")
    assert keys(qtbot, scanner, tmp_path / "images") == [
        "a.jpg", "linked.jpg", "other/c.jpg", "sub/b.jpg",
    ]  # fmt: skip


def test_an_empty_folder(qtbot: QtBot, scanner: FolderScan, tmp_path: Path) -> None:
    assert keys(qtbot, scanner, tmp_path) == []


def failure(qtbot: QtBot, scanner: FolderScan, folder: Path) -> UserError:
    with qtbot.waitSignal(scanner.failed) as failed:
        scanner.start(folder)
    assert failed.args is not None
    error: UserError = failed.args[0]
    assert str(folder) in error.message
    assert error.remedy
    return error


def test_a_missing_folder_and_a_file(qtbot: QtBot, scanner: FolderScan, tmp_path: Path) -> None:
    failure(qtbot, scanner, tmp_path / "nowhere")
    touch(tmp_path, "a.jpg")
    failure(qtbot, scanner, tmp_path / "a.jpg")


def test_a_folder_that_vanishes_during_the_walk(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    folder = tmp_path / "drive"
    touch(folder, "1.jpg", "2.jpg", "sub/3.jpg")
    walk = folder_scan._Walk(folder)
    steps = walk.steps()
    assert next(steps) == [["1.jpg"]]
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="no longer there"):
        list(steps)


def test_an_unreadable_sub_folder_is_reported_and_the_walk_goes_on(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    skipped: list[UserError] = []
    scanner.skipped.connect(skipped.append)
    assert keys(qtbot, scanner, tmp_path) == ["a/1.jpg", "c/3.jpg"]
    assert [str(tmp_path / "b") in error.message for error in skipped] == [True]


@pytest.mark.skipif(os.name != "posix", reason="names are always Unicode here")
def test_a_name_that_is_not_unicode_is_left_out_with_a_message(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    touch(tmp_path, "a.jpg")
    try:
        with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):  # noqa: PTH123
            pass
    except OSError:
        pytest.skip("this file system wants Unicode")
    skipped: list[UserError] = []
    scanner.skipped.connect(skipped.append)
    assert keys(qtbot, scanner, tmp_path) == ["a.jpg"]
    assert "caf" in skipped[0].message


def test_stop_is_silent_and_start_works_again(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    touch(tmp_path / "one", *(f"{number}.jpg" for number in range(3000)))
    touch(tmp_path / "two", "x.jpg")
    found: list[list[str]] = []
    scanner.found.connect(found.append)
    scanner.start(tmp_path / "one")
    assert scanner.running
    scanner.stop()
    assert not scanner.running
    with qtbot.waitSignal(scanner.finished) as done:
        scanner.start(tmp_path / "two")
    assert (found, done.args) == ([["x.jpg"]], [1])


def test_a_new_start_replaces_the_old_walk(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    touch(tmp_path / "one", *(f"{number}.jpg" for number in range(3000)))
    touch(tmp_path / "two", "x.jpg")
    found: list[list[str]] = []
    scanner.found.connect(found.append)
    scanner.start(tmp_path / "one")
    with qtbot.waitSignal(scanner.finished):
        scanner.start(tmp_path / "two")
    assert found == [["x.jpg"]]


def test_natural_order_agrees_with_natsort() -> None:
    chance = random.Random(6)
    alphabet = ["a", "B", "img", "IMG", "1", "2", "10", "007", "é"]
    names = {"".join(chance.choices(alphabet, k=chance.randint(1, 5))) + ".jpg" for _ in range(800)}
    ours = sorted(names, key=natural_key)
    theirs = natsorted(names, alg=ns.IGNORECASE)
    # Names that differ in case or leading zeros only are equal to natsort.
    plain = [name.casefold() for name in ours]
    assert natsorted(plain) == plain or sorted(map(str.casefold, theirs)) == sorted(plain)
    numbers = [f"{n}x{m}.jpg" for n in range(12) for m in (1, 9, 11, 100)]
    chance.shuffle(numbers)
    assert sorted(numbers, key=natural_key) == natsorted(numbers)


def test_natural_order_of_paths_is_the_order_of_the_walk(
    qtbot: QtBot, scanner: FolderScan, tmp_path: Path
) -> None:
    touch(
        tmp_path, "z.jpg", "a/b/1.jpg", "a/2.jpg", "a/10.jpg", "B/1.jpg", "a 2/1.jpg", "a10/1.png"
    )
    found = keys(qtbot, scanner, tmp_path)
    assert sorted(found, key=natural_path_key) == found


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "A.b.Tiff", "x.webp", "x.BMP", "x.png"])
def test_image_names(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["jpg", ".jpg", "a.jpg ", "a.gif", "a.", ""])
def test_other_names(name: str) -> None:
    assert not is_image_name(name)
