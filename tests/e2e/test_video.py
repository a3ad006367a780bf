"""A video in the real window: opened, followed through, and written to COCO."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from annotator.services.propagation import Report
from tests.core.videos import write as write_video
from tests.e2e.user import SHIFT, Start, User
from tests.models.moving import Disk, disk_mask, scene

DISK = Disk(70, 70, 26, dx=5, dy=3, seed=1)
COUNT = 8
KEYS = [f"clip.mp4/{number:06d}.png" for number in range(COUNT)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "films" / "clip.mp4"
    write_video(path, [scene((DISK,), time) for time in range(COUNT)], b="4000000", bf="2")
    return path


def overlap(annotation: Annotation, time: int) -> float:
    assert isinstance(annotation.shape, Mask)
    return raster.iou(annotation.shape, raster.from_array(disk_mask(DISK, time)))


def test_an_object_is_followed_through_a_video(start: Start, clip: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image(KEYS[0])
        document = user.workspace.document
        assert document is not None
        user.waits_for(lambda: list(document.keys()) == KEYS)
        user.window.activateWindow()
        user.window.canvas.setFocus()
        mask = raster.from_array(disk_mask(DISK, 0))
        number = document.add_category("coin").id
        document.edit(KEYS[0], (Annotation(document.new_id(), mask, number),), "Mark")
        user.waits_for(lambda: user.window.actions_by_id["propagate.next"].isEnabled())
        heard: list[Report] = []
        user.window.propagating.propagation.finished.connect(heard.append)
        user.presses(Qt.Key.Key_W, SHIFT)
        user.waits_for(lambda: bool(heard))
        assert heard[0].images == COUNT - 1
        found = [document.annotations(key)[0] for key in KEYS[1:]]
        assert all(one.origin.follows == document.annotations(KEYS[0])[0].id for one in found)
        # Region similarity J: the mean overlap with the truth.
        assert np.mean([overlap(one, time) for time, one in enumerate(found, 1)]) > 0.85
        # The next frame is where the walk through images goes.
        user.window.canvas.setFocus()
        user.workspace.show(KEYS[3])
        user.waits_for_image(KEYS[3])
        user.presses(Qt.Key.Key_D)
        user.waits_for_image(KEYS[4])

    # The video itself may be opened; its folder is the project.
    assert start([str(clip)], script) == 0
    content = json.loads((clip.parent / "annotations.json").read_text())
    (image,) = [image for image in content["images"] if image["file_name"] == KEYS[0]]
    assert image["video"] == {"file_name": "clip.mp4", "frame": 0}
    assert (image["width"], image["height"]) == (320, 240)
    assert len(content["annotations"]) == 1
    assert sorted(p.name for p in clip.parent.iterdir()) == [
        ".annotator", "annotations.json", "clip.mp4",
    ]  # fmt: skip
