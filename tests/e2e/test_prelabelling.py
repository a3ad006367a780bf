"""Pre-labelling in the real window, with real photographs and the model that ships."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QSpinBox, QTableView

from annotator.app import main
from annotator.core.mask import Mask
from annotator.services.document import Document
from annotator.services.folder_run import Report
from annotator.ui.prelabel_dialog import PrelabelDialog
from annotator.ui.prelabelling import KEY
from tests.e2e.user import CTRL, SHIFT, Start, User

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "resources" / "samples"
PHOTOGRAPHS = ("cat.jpg", "coffee.jpg", "space/astronaut.jpg")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    (folder / "space").mkdir(parents=True)
    for name in PHOTOGRAPHS:
        shutil.copy(SAMPLES / name, folder / name)
    return folder


def state(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything about the objects of a project but their ids."""
    document = Document.open(folder)
    names = {category.id: category.name for category in document.categories()}
    found = {
        key: [(a.shape, names.get(a.category_id or 0), a.origin, a.proposed)
              for a in document.annotations(key)]
        for key in document.keys()  # noqa: SIM118
    }  # fmt: skip
    document.close()
    return found


def asks(user: User) -> PrelabelDialog:
    """Presses the key when the window listens."""
    user.window.activateWindow()
    user.waits_for(lambda: QApplication.focusWidget() is not None)
    user.presses(Qt.Key.Key_E, SHIFT)
    (dialog,) = [d for d in user.window.findChildren(PrelabelDialog) if d.isVisible()]
    return dialog


def spin(dialog: PrelabelDialog, source: str, name: str) -> QSpinBox:
    found = dialog.form(source).findChild(QSpinBox, name)
    assert found is not None
    return found


def chooses(dialog: PrelabelDialog, box: str, value: str) -> None:
    combo = getattr(dialog, box)
    combo.setCurrentIndex(combo.findData(value))
    assert combo.currentData() == value


def reports(user: User) -> list[Report]:
    heard: list[Report] = []
    user.window.prelabelling.run.finished.connect(heard.append)
    return heard


def ends(user: User, heard: list[Report], count: int = 1) -> None:
    """Waits for runs to end. They give way to everything else that this computer does."""
    user._bot.waitUntil(lambda: len(heard) == count, timeout=120_000)


def button(user: User, text: str) -> QPushButton:
    banner = user.window.messages.banner(KEY)
    assert banner is not None
    (found,) = [b for b in banner.findChildren(QPushButton) if b.text() == text]
    return found


def test_the_window_proposes_what_the_command_line_does(
    start: Start, photographs: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(photographs, alone)
    assert main(["prelabel", str(alone), "--side", "4"]) == 0

    def script(user: User) -> None:
        user.waits_for_image("cat.jpg")
        heard = reports(user)
        dialog = asks(user)
        chooses(dialog, "condition", "all")
        spin(dialog, "everything", "side").setValue(4)
        assert "3 Images" in dialog.start_button.text()
        dialog.start_button.click()
        field = user.window.prelabelling.field
        assert field.isVisible()
        # A person goes on meanwhile, in an image that is still to come.
        user.workspace.show("space/astronaut.jpg")
        user.waits_for_image("space/astronaut.jpg")
        user.clicks(322, 200)
        user.waits_for(lambda: bool(user.workspace.candidates))
        draft = user.workspace.draft
        assert not heard, "it still runs"
        ends(user, heard)
        assert user.workspace.draft == draft
        assert not field.isVisible()
        assert (heard[0].made, heard[0].failed, heard[0].stopped) == (3, 0, False)
        assert any(a.proposed for a in user.workspace.annotations)
        assert "3 of 3 images pre-labelled" in user.window.messages.messages[0]
        user.presses(Qt.Key.Key_Escape)

    assert start([str(photographs)], script) == 0
    assert state(photographs) == state(alone)


def test_boxes_of_a_file_and_everything_that_is_wrong_with_it(
    start: Start, photographs: Path, tmp_path: Path
) -> None:
    (photographs / "zebra.jpg").write_bytes(b"no image")
    entries = [
        {"file_name": "cat.jpg", "bbox": [100, 50, 200, 200], "category": "cat", "score": 0.8},
        {"file_name": "zebra.jpg", "bbox": [1, 1, 9, 9], "category": "cat", "score": 0.8},
        {"file_name": "coffee.jpg", "bbox": [9000, 1, 9, 9], "category": "cup", "score": 0.5},
        {"file_name": "elsewhere.jpg", "bbox": [1, 1, 9, 9], "category": "cup", "score": 0.5},
    ]
    boxes = tmp_path / "results.json"
    boxes.write_text(json.dumps(entries))

    def script(user: User) -> None:
        user.waits_for_image()
        window, heard = user.window, reports(user)
        dialog = asks(user)
        chooses(dialog, "source", "boxes")
        assert not dialog.start_button.isEnabled()
        assert dialog.problem == "Choose the file or folder with the boxes."
        field = dialog.form("boxes").findChild(QLineEdit, "path")
        field.setText(str(boxes))
        assert dialog.problem == ""
        dialog.start_button.click()
        ends(user, heard)
        report = heard[0]
        assert (report.total, report.made, report.failed) == (3, 2, 1)
        assert report.tally.classes == ["cat"]
        button(user, "Show problems").click()
        panel = window.prelabelling.panel
        assert panel.isVisible()
        rows = {r.text().split("\n")[0]: r for r in
                (panel.list.item(i) for i in range(panel.list.count()))}  # fmt: skip
        assert set(rows) == {"elsewhere.jpg", "zebra.jpg", "coffee.jpg"}
        assert "not in the folder" in rows["elsewhere.jpg"].text()
        assert "no area in their image" in rows["coffee.jpg"].text()
        panel.list.itemClicked.emit(rows["coffee.jpg"])
        assert user.workspace.key == "coffee.jpg"
        # Somebody repairs the file; what failed is tried again, and nothing else.
        shutil.copy(SAMPLES / "cat.jpg", photographs / "zebra.jpg")
        assert panel.retry.text() == "&Try Again"
        panel.retry.click()
        ends(user, heard, 2)
        assert (heard[1].before, heard[1].made, heard[1].failed) == (2, 1, 0)
        document = user.workspace.document
        assert document is not None
        (cat,) = document.annotations("cat.jpg")
        assert isinstance(cat.shape, Mask)
        assert (cat.proposed, cat.origin.label, cat.origin.score) == (True, "cat", 0.8)

    assert start([str(photographs)], script) == 0


def test_it_goes_on_where_it_was_when_the_window_was_closed(
    start: Start, photographs: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(photographs, alone)
    assert main(["prelabel", str(alone), "--side", "4"]) == 0

    def begins(user: User) -> None:
        user.waits_for_image("cat.jpg")
        dialog = asks(user)
        chooses(dialog, "condition", "all")
        spin(dialog, "everything", "side").setValue(4)
        done: list[int] = []

        def hear(progress: Any) -> None:
            done.append(progress.done)
            if progress.done == 1:
                user.window.prelabelling.run.pause()

        user.window.prelabelling.run.progressed.connect(hear)
        dialog.start_button.click()
        user._bot.waitUntil(lambda: 1 in done, timeout=120_000)
        assert "paused at 1 of 3" in user.window.prelabelling.field._text.text()

    def goes_on(user: User) -> None:
        user.waits_for(lambda: user.window.messages.banner(KEY) is not None)
        banner = user.window.messages.banner(KEY)
        assert banner is not None
        assert banner.text == "Pre-labelling was interrupted: 1 of 3 images done."
        heard = reports(user)
        button(user, "Go on").click()
        ends(user, heard)
        assert (heard[0].before, heard[0].made) == (1, 2)
        assert user.window.prelabelling.run.unfinished() is None

    assert start([str(photographs)], begins) == 0
    assert start([str(photographs)], goes_on) == 0
    assert state(photographs) == state(alone)


def test_selected_images_only_and_all_of_it_taken_back(start: Start, photographs: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image("cat.jpg")
        window, heard = user.window, reports(user)
        rows = window.image_list.findChild(QTableView)
        assert rows is not None
        for row in (1, 2):
            place = rows.visualRect(rows.model().index(row, 0)).center()
            keys = CTRL if row == 2 else Qt.KeyboardModifier.NoModifier
            QTest.mouseClick(rows.viewport(), Qt.MouseButton.LeftButton, keys, place)
        assert user.workspace.key == "coffee.jpg", "only a plain click shows an image"
        dialog = asks(user)
        assert dialog.images.currentData() == "selected"
        spin(dialog, "everything", "side").setValue(4)
        dialog.start_button.click()
        ends(user, heard)
        document = user.workspace.document
        assert document is not None
        counts = {key: document.record(key).proposals for key in document.keys()}  # noqa: SIM118
        assert counts["cat.jpg"] == 0
        assert counts["coffee.jpg"]
        assert counts["space/astronaut.jpg"]
        button(user, "Take back").click()
        user.waits_for(lambda: not any(document.record(k).proposals for k in counts))
        # What was chosen is there again.
        dialog = asks(user)
        assert spin(dialog, "everything", "side").value() == 4
        dialog.close()

    assert start([str(photographs)], script) == 0


def test_killed_in_the_middle_and_gone_on_it_proposes_the_same(
    photographs: Path, tmp_path: Path, qapp: QApplication
) -> None:
    for number in range(3):
        shutil.copy(SAMPLES / "coins.png", photographs / f"coins {number}.png")
    alone = tmp_path / "alone"
    shutil.copytree(photographs, alone)
    assert main(["prelabel", str(alone), "--side", "4"]) == 0
    command = [sys.executable, "-m", "tests.e2e.prelabelling_child", str(photographs)]
    told: list[list[int]] = []
    for kill_at in (2, 4, None):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told.append([])
            for line in child.stdout:
                told[-1].append(int(line))
                if told[-1][-1] == kill_at:
                    child.send_signal(signal.SIGKILL)
        assert child.returncode == (0 if kill_at is None else -signal.SIGKILL)
    assert told[-1][-1] == 6
    # What counts as done at the beginning is what was durable, which may be one or two less.
    assert all(part[0] == 0 for part in told)
    assert told[1][1] > 0
    assert told[2][1] > told[1][1]
    assert state(photographs) == state(alone)


def test_masks_of_a_file_are_compared_and_then_taken_as_they_are(
    start: Start, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    asked = ("--side", "4", "--limit", "1", "--out", str(out))
    assert main(["prelabel", str(photographs), *asked]) == 0
    entries = json.loads(out.read_bytes())
    wrong = {**entries[0], "segmentation": {"size": [5, 5], "counts": "nonsense"}}
    other = {**entries[0], "file_name": "elsewhere.jpg"}
    unread = {**entries[0], "file_name": "zebra.jpg"}
    out.write_text(json.dumps([*entries, wrong, other, unread]))
    (photographs / "zebra.jpg").write_bytes(b"no image")

    def script(user: User) -> None:
        user.waits_for_image("cat.jpg")
        heard = reports(user)
        dialog = asks(user)
        chooses(dialog, "source", "masks")
        assert not dialog.model.isVisible(), "nobody asks a model"
        field = dialog.form("masks").findChild(QLineEdit, "path")
        field.setText(str(out))
        dialog.compare.setChecked(True)
        assert dialog.start_button.text() == "Com&pare 4 Images"
        dialog.start_button.click()
        panel = user.window.finding.comparing.panel
        assert panel is not None
        user.waits_for(lambda: f"{len(entries)} new" in panel.state.text())
        user.waits_for(lambda: panel.stop.isHidden())
        assert "1 image could not be compared" in panel.state.text()
        assert panel.list.count() == len(entries)
        document = user.workspace.document
        assert document is not None
        assert not any(document.record(key).proposals for key in document.keys())  # noqa: SIM118
        dialog = asks(user)
        assert dialog.source.currentData() == "masks", "what was chosen is there again"
        dialog.start_button.click()
        ends(user, heard)
        report = heard[0]
        assert (report.tally.new, report.made, report.failed) == (len(entries), 1, 1)
        panel = user.window.prelabelling.panel
        rows = "\n".join(panel.list.item(i).text() for i in range(panel.list.count()))
        for said in ("masks that are damaged", "elsewhere.jpg", "zebra.jpg"):
            assert said in rows

    assert start([str(photographs)], script) == 0
    alone = tmp_path / "alone"
    shutil.copytree(photographs, alone, ignore=shutil.ignore_patterns(".annotator"))
    assert main(["prelabel", str(alone), "--boxes", str(out), "--as-is"]) == 1
    assert state(alone) == state(photographs)
