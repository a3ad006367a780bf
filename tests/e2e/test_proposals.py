"""Deciding on a model's proposals with the keyboard, until only the good ones are in the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageState, Origin, Source
from annotator.services.document import Document
from tests.e2e.user import CTRL, SHIFT, Start, User

Key = Qt.Key
DISKS = {"img2.png": [(80, 120, 40), (220, 120, 50)], "img10.png": [(160, 120, 60)]}
SCORES = (0.95, 0.9)


def disk(x: float, y: float, radius: float) -> np.ndarray:
    yy, xx = np.mgrid[:240, :320] + 0.5
    return (xx - x) ** 2 + (yy - y) ** 2 < radius**2


@pytest.fixture
def proposed(folder: Path, qapp: object) -> Path:
    """A folder on which a model has worked: good proposals, a doubtful one and a double."""
    document = Document.open(folder)
    document.add_images([*DISKS, "night/img2.png"])
    for key, disks in DISKS.items():
        found = [(disk(*place), score) for place, score in zip(disks, SCORES, strict=False)]
        x, y, radius = disks[0]
        found.append((disk(x + 2, y, radius), 0.7))
        found.append((disk(20, 20, 12), 0.2))
        document.edit(
            key,
            tuple(
                Annotation(
                    document.new_id(),
                    raster.from_array(pixels),
                    origin=Origin(Source.MODEL, "edgesam", "3x", score, None, 0.97),
                    proposed=True,
                )
                for pixels, score in found
            ),
            "Propose objects",
        )
    document.close()
    return folder


def entries(path: Path) -> dict[str, list[dict]]:
    content = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    found: dict[str, list[dict]] = {name: [] for name in names.values()}
    for entry in content["annotations"]:
        found[names[entry["image_id"]]].append(entry)
    return found


def test_only_what_a_person_accepted_reaches_the_file(start: Start, proposed: Path) -> None:
    written: list[dict[str, list[dict]]] = []

    def script(user: User) -> None:
        workspace, panel = user.workspace, user.window.annotation_list.proposals
        user.waits_for_image("img2.png")
        assert workspace.document.record("img2.png").state is ImageState.PROPOSALS
        assert panel.count.text() == "3 of 4 shown"  # the double of the first disk is held back
        assert entries(user.saves())["img2.png"] == []
        user.presses(Key.Key_J)
        user.presses(Key.Key_Return)  # there is no class yet: the name field takes the focus
        user.types("disk")
        user.presses(Key.Key_Return)
        user.presses(Key.Key_Return)
        assert [a.proposed for a in workspace.annotations] == [False, True, True, True]
        user.presses(Key.Key_1)  # the next one is selected already: name it …
        QTest.keyClick(user.window.canvas, Key.Key_Space)  # … and a tap of Space accepts it
        user.waits_for(lambda: workspace.document.record("img2.png").count == 2)
        (doubtful,) = workspace.selection
        user.presses(Key.Key_Delete)
        assert doubtful not in {a.id for a in workspace.annotations}
        written.append(entries(user.saves()))
        user.presses(Key.Key_Z, CTRL)
        assert doubtful in {a.id for a in workspace.annotations}
        user.presses(Key.Key_J, SHIFT)
        user.waits_for_image("img10.png")
        panel.sliders["score"].setValue(50)
        assert panel.count.text() == "1 of 3 shown"
        user.presses(Key.Key_Return, CTRL)
        written.append(entries(user.saves()))

    start([str(proposed)], script)
    first, second = written
    assert [len(first[key]) for key in ("img2.png", "img10.png")] == [2, 0]
    for entry, place in zip(first["img2.png"], DISKS["img2.png"], strict=True):
        assert entry["area"] == disk(*place).sum()
        assert entry["category_id"] == 1
        origin = entry["annotator"]["origin"]
        assert (origin["source"], origin["model"], origin["version"]) == ("model", "edgesam", "3x")
        assert origin["stability"] == 0.97
    assert [e["annotator"]["origin"]["score"] for e in first["img2.png"]] == list(SCORES)
    assert len(second["img2.png"]) == 2, "an undone rejection is a proposal again, not an object"
    (entry,) = second["img10.png"]
    assert entry["area"] == disk(*DISKS["img10.png"][0]).sum()


def test_the_whole_folder_at_once_and_taken_back_at_once(start: Start, proposed: Path) -> None:
    def script(user: User) -> None:
        workspace, window = user.workspace, user.window
        user.waits_for_image("img2.png")
        document = workspace.document
        window.annotation_list.proposals.sliders["score"].setValue(80)
        user.presses(Key.Key_Return, CTRL | SHIFT)
        user.waits_for(lambda: window.messages.banner("folder decision") is not None)
        assert [document.record(key).count for key in DISKS] == [2, 1]
        assert document.undo_text("img10.png") == "Accept proposal"
        window.run("proposals.take_back")
        user.waits_for(lambda: not workspace.proposals.running)
        assert [document.record(key).count for key in DISKS] == [0, 0]
        assert [document.record(key).proposals for key in DISKS] == [4, 3]

    start([str(proposed)], script)


def test_what_is_undecided_is_undecided_after_a_restart(start: Start, proposed: Path) -> None:
    def first(user: User) -> None:
        user.waits_for_image("img2.png")
        user.window.annotation_list.proposals.sliders["score"].setValue(80)
        user.presses(Key.Key_J)
        user.presses(Key.Key_Delete)

    def second(user: User) -> None:
        user.waits_for_image("img2.png")
        panel = user.window.annotation_list.proposals
        assert panel.count.text() == "1 of 3 shown"
        assert panel.values["score"].text() == "≥ 0.80"
        user.presses(Key.Key_Z, CTRL)
        assert panel.count.text() == "2 of 4 shown"

    start([str(proposed)], first)
    start([str(proposed)], second)
