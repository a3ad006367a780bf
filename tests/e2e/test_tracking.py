"""Tracks in the real window: a video tracked through, corrected, cut, merged and exported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QInputDialog

from annotator.commands import export
from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from annotator.core.tracks import Mark, track_of
from annotator.services.propagation import Report
from tests.core.videos import write as write_video
from tests.e2e.user import ALT, Start, User
from tests.models.moving import Disk, disk_mask, scene

DISK = Disk(70, 70, 26, dx=5, dy=3, seed=1)
COUNT = 12
KEYS = [f"clip.mp4/{number:06d}.png" for number in range(COUNT)]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "films" / "clip.mp4"
    write_video(path, [scene((DISK,), time) for time in range(COUNT)], b="4000000", bf="2")
    return path


def overlap(annotation: Annotation, time: int) -> float:
    assert isinstance(annotation.shape, Mask)
    return raster.iou(annotation.shape, raster.from_array(disk_mask(DISK, time)))


def tracks_through(user: User) -> Report:
    """Ctrl+Shift+W, Enter; waits for the end."""
    heard: list[Report] = []
    user.window.tracking.run.finished.connect(heard.append)
    user.window.canvas.setFocus()
    dialog = user.window.tracking.ask()
    assert dialog.problem == ""
    dialog.start_button.click()
    # Its thread gives way to everything else, other tests on the machine too.
    user._bot.waitUntil(lambda: bool(heard), timeout=60_000)
    user.window.tracking.run.finished.disconnect(heard.append)
    return heard[0]


def marks(user: User, track: int) -> list[int]:
    row = user.window.tracking.timeline.row(track)
    return [] if row is None else list(row.marks)


def test_a_video_is_tracked_through_corrected_cut_merged_and_exported(
    start: Start, clip: Path, tmp_path: Path
) -> None:
    def script(user: User) -> None:
        user.waits_for_image(KEYS[0])
        document, window = user.workspace.document, user.window
        assert document is not None
        user.waits_for(lambda: list(document.keys()) == KEYS)
        timeline = window.tracking.timeline
        user.clicks(70, 70)
        user.waits_for(lambda: bool(user.workspace.candidates))
        user.names("coin")
        user.waits_for_objects(1)
        first = document.annotations(KEYS[0])[0]
        # The exact disk, so that nothing depends on how well the model clicks.
        mask = raster.from_array(disk_mask(DISK, 0))
        exact = Annotation(first.id, mask, first.category_id, first.origin)
        document.edit(KEYS[0], (exact,), "Correct")

        report = tracks_through(user)
        assert (report.images, report.proposed, report.unsure) == (COUNT - 1, COUNT - 1, ())
        found = [document.annotations(key)[0] for key in KEYS[1:]]
        assert {one.track for one in found} == {first.id}
        assert np.mean([overlap(one, time) for time, one in enumerate(found, 1)]) > 0.85
        user.waits_for(lambda: marks(user, first.id)[1:] == [Mark.PROPOSED] * (COUNT - 1))

        # One frame is corrected by hand; tracking again leaves it and goes on from it.
        right = Annotation(
            found[5].id, raster.from_array(disk_mask(DISK, 6)), found[5].category_id,
            track=first.id,
        )  # fmt: skip
        document.edit(KEYS[6], (right,), "Correct")
        tracks_through(user)
        assert document.annotations(KEYS[6]) == (right,)
        assert [len(document.annotations(key)) for key in KEYS] == [1] * COUNT
        assert marks(user, first.id)[6] == Mark.EDITED

        # A click on the timeline shows the frame with the object selected; Alt+. the next one.
        view = window.tracking.panel
        place = view.cell_rect(0, 3).center()
        QTest.mouseClick(
            view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place
        )
        user.waits_for_image(KEYS[3])
        assert timeline.chosen == first.id
        assert [a.id for a in user.workspace.selected] == [document.annotations(KEYS[3])[0].id]
        window.activateWindow()
        view.setFocus()
        user.waits_for(window.isActiveWindow)
        user.presses(Qt.Key.Key_Period, ALT)
        user.waits_for_image(KEYS[4])

        window.run("track.accept")
        user.waits_for(lambda: Mark.PROPOSED not in marks(user, first.id))
        user.workspace.show(KEYS[8])
        user.waits_for_image(KEYS[8])
        window.run("track.cut")
        user.waits_for(lambda: len(timeline.rows()) == 2)
        other = track_of(document.annotations(KEYS[8])[0])
        assert other != first.id
        # It is done image by image, with time for everything else in between.
        user.waits_for(lambda: timeline.chosen == other)
        assert {track_of(document.annotations(key)[0]) for key in KEYS[8:]} == {other}

        window.run("track.rename")
        (dialog,) = window.findChildren(QInputDialog)
        dialog.setTextValue("button")
        dialog.accept()
        button = document.add_category("button").id
        user.waits_for(lambda: not window.tracking.editing.running)
        assert {document.annotations(key)[0].category_id for key in KEYS[8:]} == {button}

        merge = window.menus["track.merge"]
        merge.aboutToShow.emit()
        merge.actions()[0].trigger()
        user.waits_for(lambda: not window.tracking.editing.running)
        assert len(timeline.rows()) == 1
        assert {document.annotations(key)[0].category_id for key in KEYS} == {button}
        banner = window.messages.banner("track editing")
        assert banner is not None
        # All of it is one step of the project.
        window.tracking._tell_edit("Merge tracks", document.history.newest("track").id)
        document.history.take_back(document.history.newest("track").id)
        user.waits_for(lambda: len(timeline.rows()) == 2)
        timeline.choose(first.id)
        merge.aboutToShow.emit()
        merge.actions()[0].trigger()
        user.waits_for(lambda: not window.tracking.editing.running)
        assert marks(user, first.id).count(Mark.NOTHING) == 0
        assert {document.annotations(key)[0].track for key in KEYS} == {first.id}
        user.saves()

    assert start([str(clip)], script) == 0
    folder = clip.parent
    content = json.loads((folder / "annotations.json").read_text())
    assert len({entry["track_id"] for entry in content["annotations"]}) == 1
    assert len(content["annotations"]) == COUNT

    for name in ("youtube-vis", "davis", "coco"):
        assert export.run([str(folder), "--format", name, "-o", str(tmp_path / name)]) == 0
    (path,) = (tmp_path / "youtube-vis").rglob("instances.json")
    exported = json.loads(path.read_text())
    (video,) = exported["videos"]
    assert video["file_names"] == KEYS
    (track,) = exported["annotations"]
    assert None not in track["segmentations"]
    (path,) = (tmp_path / "coco").rglob("annotations.json")
    assert len({e["track_id"] for e in json.loads(path.read_text())["annotations"]}) == 1
    from PIL import Image

    palettes = sorted((tmp_path / "davis").rglob("Annotations/**/*.png"))
    assert len(palettes) == COUNT
    assert [np.unique(np.asarray(Image.open(p))).tolist() for p in palettes] == [[0, 1]] * COUNT
