"""From an empty folder to a correct COCO file, with mouse and keyboard on the real window."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from PySide6.QtCore import Qt

from tests.e2e.user import CTRL, SHIFT, Start, User


def read(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def disk(x: float, y: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:240, :320] + 0.5
    return (xx - x) ** 2 + (yy - y) ** 2 < radius**2


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def image_id(coco: COCO, name: str) -> int:
    return next(entry["id"] for entry in coco.imgs.values() if entry["file_name"] == name)


def test_click_name_and_own_a_coco_file(start: Start, folder: Path) -> None:
    written: list[Path] = []

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.clicks(80, 120)
        user.wait_for_mask()
        user.presses(Qt.Key.Key_Return)  # there is no class yet: the name field takes the focus
        user.types("red disk")
        user.presses(Qt.Key.Key_Return)
        user.waits_for_objects(1)
        user.drags(165, 65, 275, 175)
        user.wait_for_mask()
        user.names("blue disk")
        user.waits_for_objects(2)
        user.presses(Qt.Key.Key_D)
        user.waits_for_image("img10.png")
        user.clicks(160, 120)
        user.wait_for_mask()
        user.presses(Qt.Key.Key_1)
        user.waits_for_objects(1)
        user.presses(Qt.Key.Key_D)
        user.waits_for_image("night/img2.png")
        user.clicks(100, 100)
        user.wait_for_mask()
        user.presses(Qt.Key.Key_Return)
        user.waits_for_objects(1)
        written.append(user.saves())

    assert start([str(folder)], script) == 0
    assert written == [folder / "annotations.json"]
    coco = read(written[0])
    assert sorted(entry["file_name"] for entry in coco.imgs.values()) == [
        "img10.png",
        "img2.png",
        "night/img2.png",
    ]
    assert {c["name"] for c in coco.cats.values()} == {"red disk", "blue disk"}
    top = coco.loadAnns(coco.getAnnIds(imgIds=[image_id(coco, "img2.png")]))
    names = {coco.cats[a["category_id"]]["name"]: a for a in top}
    assert iou(coco.annToMask(names["red disk"]) > 0, disk(80, 120, 40)) > 0.93
    assert iou(coco.annToMask(names["blue disk"]) > 0, disk(220, 120, 50)) > 0.93
    (night,) = coco.loadAnns(coco.getAnnIds(imgIds=[image_id(coco, "night/img2.png")]))
    assert coco.cats[night["category_id"]]["name"] == "red disk"  # the class used last is active
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        ys, xs = np.nonzero(mask)
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == [
            xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min(),
        ]  # fmt: skip
        assert annotation["iscrowd"] == 0
        assert type(annotation["iscrowd"]) is int
        assert annotation["id"] >= 1


def test_points_correct_each_other_and_are_taken_back(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.clicks(80, 120)
        user.wait_for_mask()
        user.clicks(220, 120)
        user.clicks(160, 30, Qt.MouseButton.RightButton)
        user.clicks(20, 220, keys=SHIFT)
        signs = [point.positive for point in user.workspace.draft.prompt.points]
        assert signs == [True, True, False, False]
        user.presses(Qt.Key.Key_Backspace)
        assert len(user.workspace.draft.marks) == 3
        user.presses(Qt.Key.Key_Z, CTRL)
        assert len(user.workspace.draft.marks) == 2
        user.presses(Qt.Key.Key_Escape)
        assert not user.workspace.draft
        assert user.workspace.annotations == ()

    start([str(folder)], script)


def test_tab_shows_another_candidate_and_that_one_is_kept(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.clicks(80, 120)
        user.wait_for_mask()
        if len(user.workspace.candidates) < 2:
            pytest.skip("the default segmenter is sure about this disk")
        first = user.workspace.candidate
        user.presses(Qt.Key.Key_Tab)
        assert user.workspace.candidate is user.workspace.candidates[1]
        assert user.workspace.candidate is not first
        candidate = user.workspace.candidate
        share = candidate.extent.width * candidate.extent.height / (320 * 240)
        shown = (candidate.logits > 0).mean() * share
        user.names("thing")
        user.waits_for_objects(1)
        kept = read(user.saves())
        (annotation,) = kept.anns.values()
        assert annotation["area"] / (320 * 240) == pytest.approx(shown, abs=0.02)

    start([str(folder)], script)


def test_no_click_is_lost_when_people_are_faster_than_the_model(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.names("first")  # no prompt is open: this only makes the class
        # Three objects accepted without ever waiting for an answer.
        user.clicks(80, 120)
        user.presses(Qt.Key.Key_Return)
        user.clicks(220, 120)
        user.presses(Qt.Key.Key_Return)
        user.drags(165, 65, 275, 175)
        user.presses(Qt.Key.Key_Return)
        user.presses(Qt.Key.Key_D)  # and on to the next image at once
        user.waits_for_image("img10.png")
        document = user.workspace.document
        assert document is not None
        user.waits_for(lambda: len(document.annotations("img2.png")) == 3)
        assert document.annotations("img10.png") == ()

    start([str(folder)], script)


def test_an_open_prompt_comes_back_with_its_image(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.clicks(80, 120)
        user.wait_for_mask()
        user.presses(Qt.Key.Key_D)
        user.waits_for_image("img10.png")
        assert not user.workspace.draft
        user.presses(Qt.Key.Key_A)
        user.waits_for_image("img2.png")
        assert len(user.workspace.draft.prompt.points) == 1
        user.wait_for_mask()

    start([str(folder)], script)


def test_undo_and_redo_belong_to_the_image_and_survive_a_restart(
    start: Start, folder: Path
) -> None:
    def label(user: User) -> None:
        user.waits_for_image("img2.png")
        user.clicks(80, 120)
        user.wait_for_mask()
        user.names("disk")
        user.waits_for_objects(1)
        user.clicks(220, 120)
        user.wait_for_mask()
        user.presses(Qt.Key.Key_Return)
        user.waits_for_objects(2)
        user.presses(Qt.Key.Key_Z, CTRL)
        user.waits_for_objects(1)

    def come_back(user: User) -> None:
        user.waits_for_image("img2.png")
        user.waits_for_objects(1)
        user.presses(Qt.Key.Key_Y, CTRL)
        user.waits_for_objects(2)
        user.presses(Qt.Key.Key_Z, CTRL)
        user.presses(Qt.Key.Key_Z, CTRL)
        user.waits_for_objects(0)
        user.presses(Qt.Key.Key_Z, CTRL | SHIFT)
        user.waits_for_objects(1)
        assert len(read(user.saves()).anns) == 1

    start([str(folder)], label)
    start([str(folder)], come_back)


def test_shapes_drawn_by_hand(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.names("hand made")
        user.presses(Qt.Key.Key_R)
        user.drags(20, 30, 120, 90)
        user.waits_for_objects(1)
        user.presses(Qt.Key.Key_P)
        for x, y in ((200, 20), (280, 20), (240, 80)):
            user.clicks(x, y)
        user.presses(Qt.Key.Key_Return)
        user.waits_for_objects(2)
        coco = read(user.saves())
        box, triangle = (coco.anns[i] for i in sorted(coco.anns))
        assert box["bbox"] == pytest.approx([20, 30, 100, 60], abs=2)
        assert triangle["area"] == pytest.approx(80 * 60 / 2, rel=0.06)
        assert len(triangle["segmentation"][0]) == 6

    start([str(folder)], script)


def test_select_copy_paste_rename_delete(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.clicks(80, 120)
        user.wait_for_mask()
        user.names("disk")
        user.waits_for_objects(1)
        user.presses(Qt.Key.Key_V)
        user.clicks(80, 120)
        assert len(user.workspace.selection) == 1
        user.presses(Qt.Key.Key_C, CTRL)
        user.presses(Qt.Key.Key_D)
        user.waits_for_image("img10.png")
        user.presses(Qt.Key.Key_V, CTRL)
        user.waits_for_objects(1)
        user.names("copy")
        assert user.workspace.document is not None
        (pasted,) = user.workspace.annotations
        assert user.workspace.document.category(pasted.category_id or 0).name == "copy"
        user.presses(Qt.Key.Key_Delete)
        user.waits_for_objects(0)
        coco = read(user.saves())
        assert len(coco.anns) == 1

    start([str(folder)], script)


def test_typing_in_a_field_types_and_runs_no_command(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.presses(Qt.Key.Key_L)
        user.types("dad 12")
        assert user.workspace.key == "img2.png"
        user.presses(Qt.Key.Key_Return)
        assert user.workspace.document is not None
        assert [c.name for c in user.workspace.document.categories()] == ["dad 12"]
        user.presses(Qt.Key.Key_D)
        user.waits_for_image("img10.png")

    start([str(folder)], script)


def test_reopening_restores_image_classes_and_active_class(start: Start, folder: Path) -> None:
    def label(user: User) -> None:
        user.waits_for_image("img2.png")
        user.names("one")
        user.names("two")
        user.presses(Qt.Key.Key_D)
        user.waits_for_image("img10.png")

    def come_back(user: User) -> None:
        user.waits_for_image("img10.png")
        document = user.workspace.document
        assert document is not None
        assert [c.name for c in document.categories()] == ["one", "two"]
        active = user.workspace.active_category
        assert active is not None
        assert document.category(active).name == "two"

    start([str(folder)], label)
    start([], come_back)  # without arguments the last folder comes back


def test_a_second_window_on_the_same_project_is_refused(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()

        def second(other: User) -> None:
            other.waits_for(lambda: bool(other.window.messages.messages))
            assert other.workspace.document is None
            assert "already open" in " ".join(other.window.messages.messages)

        start([str(folder)], second)

    start([str(folder)], script)


def test_an_existing_coco_file_is_kept_with_all_it_says(start: Start, folder: Path) -> None:
    original = {
        "info": {"description": "mine", "contributor": "me"},
        "licenses": [{"id": 3, "name": "CC", "url": "x"}],
        "my_own_key": [1, 2, 3],
        "images": [
            {"id": 77, "file_name": "night/img2.png", "width": 320, "height": 240, "site": 4}
        ],
        "categories": [{"id": 9, "name": "moon", "supercategory": "sky", "isthing": 1}],
        "annotations": [
            {
                "id": 501, "image_id": 77, "category_id": 9, "iscrowd": 0, "area": 5000.0,
                "bbox": [10.0, 10.0, 100.0, 50.0], "track_id": 6,
                "segmentation": [[10.0, 10.0, 110.0, 10.0, 110.0, 60.0, 10.0, 60.0]],
            }
        ],
    }  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps(original), "utf-8")

    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.clicks(80, 120)
        user.wait_for_mask()
        user.names("disk")
        user.waits_for_objects(1)
        user.saves()

    start([str(folder)], script)
    after = json.loads((folder / "annotations.json").read_text("utf-8"))
    assert after["my_own_key"] == [1, 2, 3]
    assert after["info"]["contributor"] == "me"
    night = next(entry for entry in after["images"] if entry["id"] == 77)
    assert night["file_name"] == "night/img2.png"
    assert night["site"] == 4
    kept = next(entry for entry in after["annotations"] if entry["id"] == 501)
    assert kept["track_id"] == 6
    assert kept["segmentation"] == original["annotations"][0]["segmentation"]
    assert any(c["id"] == 9 and c["isthing"] == 1 for c in after["categories"])
    assert len(after["annotations"]) == 2
    assert len(read(folder / "annotations.json").imgs) == 3


def test_the_view_comes_back_after_a_restart(start: Start, folder: Path) -> None:
    seen: list[object] = []

    def look(user: User) -> None:
        user.waits_for_image("img2.png")
        user.window.run("view.actual")
        user.window.run("view.zoom_in")
        seen.append(user.window.canvas.view_state())

    def look_again(user: User) -> None:
        user.waits_for_image("img2.png")
        seen.append(user.window.canvas.view_state())

    start([str(folder)], look)
    start([str(folder)], look_again)
    assert "zoom" in seen[0]
    assert seen[1] == pytest.approx(seen[0])


def test_rle_everywhere_when_the_user_says_so(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.names("thing")
        user.presses(Qt.Key.Key_R)
        user.drags(20, 30, 120, 90)
        user.waits_for_objects(1)
        polygons = read(user.saves())
        user.window.settings.update(segmentation="rle")
        user.waits_for(lambda: '"counts"' in (folder / "annotations.json").read_text("utf-8"))
        masks = read(folder / "annotations.json")
        (before,), (after,) = polygons.anns.values(), masks.anns.values()
        assert isinstance(before["segmentation"], list)
        assert isinstance(after["segmentation"]["counts"], str)
        assert np.array_equal(polygons.annToMask(before), masks.annToMask(after))

    start([str(folder)], script)
