"""Bad files and bad disks: a message that names the thing, the rest works, nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton

from tests.e2e.user import CTRL, Start, User


def said(user: User) -> str:
    return " ".join(banner.text for banner in user.window.messages.findChildren(type_of_banner()))


def type_of_banner() -> type:
    from annotator.ui.message_bar import Banner

    return Banner


def label_one(user: User, x: float = 80, y: float = 120, name: str = "disk") -> None:
    before = len(user.workspace.annotations)
    user.clicks(x, y)
    user.wait_for_mask()
    user.names(name)
    user.waits_for_objects(before + 1)


def test_unreadable_images_are_named_and_the_others_work(start: Start, folder: Path) -> None:
    whole = (folder / "img2.png").read_bytes()
    (folder / "a_empty.jpg").write_bytes(b"")
    (folder / "b_truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "c_text.jpg").write_text("this is not an image")
    shutil.copy(folder / "img2.png", folder / "d_mislabelled.jpg")

    def script(user: User) -> None:
        for name in ("a_empty.jpg", "b_truncated.png", "c_text.jpg"):
            user.waits_for(lambda name=name: user.workspace.key == name)
            user.waits_for(lambda name=name: name in said(user))
            user.presses(Qt.Key.Key_D)
        user.waits_for_image("d_mislabelled.jpg")
        label_one(user)
        coco = json.loads(user.saves().read_text("utf-8"))
        assert len(coco["annotations"]) == 1
        assert len(coco["images"]) == 7

    start([str(folder)], script)


def test_a_foreign_json_is_not_overwritten(start: Start, folder: Path) -> None:
    broken = '{"images": [{"id": 1, "file_na'
    (folder / "annotations.json").write_text(broken, "utf-8")

    def script(user: User) -> None:
        user.waits_for_image()
        user.waits_for(lambda: "annotations.json" in said(user))
        label_one(user)
        written = user.saves()
        assert written != folder / "annotations.json"
        assert len(json.loads(written.read_text("utf-8"))["annotations"]) == 1

    start([str(folder)], script)
    assert (folder / "annotations.json").read_text("utf-8") == broken


def test_a_damaged_journal_is_kept_and_recovered_on_request(start: Start, folder: Path) -> None:
    def label(user: User) -> None:
        user.waits_for_image("img2.png")
        label_one(user)
        user.saves()

    start([str(folder)], label)
    journal = folder / ".annotator" / "journal.sqlite"
    for extra in journal.parent.glob("journal.sqlite-*"):
        extra.unlink()
    damaged = b"this is no database" * 200
    journal.write_bytes(damaged)

    def recover(user: User) -> None:
        user.waits_for(lambda: "journal" in said(user))
        assert user.workspace.document is None
        button = next(
            b for b in user.window.messages.findChildren(QPushButton) if "Recover" in b.text()
        )
        button.click()
        user.waits_for_image("img2.png")
        user.waits_for_objects(1)

    start([str(folder)], recover)
    kept = [p for p in journal.parent.iterdir() if "damaged" in p.name]
    assert [p.read_bytes() for p in kept] == [damaged]


def test_a_folder_that_vanishes_loses_nothing_and_saving_goes_on_when_it_is_back(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    away = tmp_path / "away"

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        document = user.workspace.document
        assert document is not None
        label_one(user)
        user.saves()
        folder.rename(away)
        user.clicks(220, 120)
        user.wait_for_mask()
        user.presses(Qt.Key.Key_Return)
        user.waits_for_objects(2)
        user.presses(Qt.Key.Key_S, CTRL)
        user.waits_for(lambda: document.save_state.error is not None)
        away.rename(folder)
        user.waits_for(lambda: document.save_state.error is None)
        coco = json.loads(user.saves().read_text("utf-8"))
        assert len(coco["annotations"]) == 2

    start([str(folder)], script)


def test_an_image_with_exif_rotation_is_upright_everywhere(start: Start, tmp_path: Path) -> None:
    from PIL import Image

    from tests.e2e.user import draw_disks

    images = tmp_path / "phone"
    draw_disks(images / "plain.png", [(80, 120, 40, (200, 40, 40))])
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    Image.open(images / "plain.png").transpose(Image.Transpose.ROTATE_90).save(
        images / "turned.jpg", quality=95, exif=exif
    )
    (images / "plain.png").unlink()

    def script(user: User) -> None:
        user.waits_for_image("turned.jpg")
        assert user.workspace.image is not None
        assert (user.workspace.image.width, user.workspace.image.height) == (320, 240)
        label_one(user)
        coco = json.loads(user.saves().read_text("utf-8"))
        (image,) = coco["images"]
        assert (image["width"], image["height"]) == (320, 240)
        x, y, w, h = coco["annotations"][0]["bbox"]
        assert abs(x + w / 2 - 80) < 5
        assert abs(y + h / 2 - 120) < 5
        assert "EXIF" in json.dumps(coco["info"])

    start([str(images)], script)


def test_a_bug_is_told_logged_and_survived(start: Start, folder: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def script(user: User) -> None:
        user.waits_for_image()
        user.window.show_bug("ValueError: boom", "Traceback …")
        assert "Something went wrong" in said(user)
        label_one(user)

    start([str(folder)], script)
