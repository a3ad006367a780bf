"""Settings, Model: licences first, then downloads that never block; errors where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from annotator.services.downloads import Downloads
from annotator.services.settings import SettingsStore
from annotator.ui.models_page import ModelsPage
from annotator.ui.settings_dialog import SettingsDialog
from annotator.ui.theme import DARK, LIGHT, palette
from annotator.ui.weight_row import FileRow, pace_text
from models.api import ModelError, Segmenter, SegmenterSpec
from models.registry import segmenter_spec
from models.weight_files import Progress
from models.weights import State, Weight, WeightStore
from tests.models.file_server import Answer, FileServer, body_of, weight_of

BODY = body_of(1_500_000)
OTHER = body_of(1_500_000, seed=2)


def no_segmenter() -> Segmenter:
    raise ModelError("Not needed here.")


class Desk:
    """A page with the basic model and one that needs a file."""

    def __init__(self, qtbot: QtBot, folder: Path, weight: Weight) -> None:
        self.weight = weight
        self.store = WeightStore(folder / "models")
        self.window = QWidget()
        self.settings = SettingsStore(folder / "annotator.ini", self.window)
        known = MappingProxyType({weight.id: weight})
        self.downloads = Downloads(self.store, known, self.window)
        spec = SegmenterSpec(
            id="tiny-model",
            title="Tiny model",
            version="1",
            summary="For tests.",
            licence="Test Licence",
            load=no_segmenter,
            available=lambda: None if self.store.local_path(weight) else "Its file is missing.",
            input_size=1024,
            sides=(1280, 1536),
        )
        specs = {"basic": segmenter_spec("basic"), spec.id: spec}
        self.page = ModelsPage(
            self.settings,
            self.downloads,
            specs,
            "basic",
            self.window,
            needs=lambda name: ((weight,),) if name == spec.id else (),
        )
        QVBoxLayout(self.window).addWidget(self.page)
        self.window.resize(700, 900)
        self.window.show()
        self.window.activateWindow()
        qtbot.waitExposed(self.window)

    def close(self) -> None:
        """Delete everything here and now.

        Python may collect it on any thread, and Qt crashes when that is not this one.
        """
        self.downloads.close()
        shiboken6.delete(self.window)

    @property
    def row(self) -> FileRow:
        return self.page.cards["tiny-model"].files[self.weight.id]

    def buttons(self) -> list[str]:
        row = self.row
        return [
            button.text()
            for button in (row.get, row.stop, row.check, row.remove)
            if not button.isHidden()
        ]


@pytest.fixture
def weight(server: FileServer) -> Weight:
    server.answers["/tiny"] = Answer(BODY)
    return weight_of(BODY, f"{server.address}/tiny")


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path, weight: Weight) -> Iterator[Desk]:
    desk = Desk(qtbot, tmp_path, weight)
    yield desk
    desk.close()


def texts(widget: QWidget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


def test_a_model_without_its_file_cannot_be_chosen(desk: Desk) -> None:
    card = desk.page.cards["tiny-model"]
    assert not card.use.isEnabled()
    assert "Its file is missing." in texts(card)
    assert desk.page.cards["basic"].use.isChecked()
    assert desk.row.state == "Not here"
    assert desk.buttons() == ["Download…"]


def test_everything_about_a_file_can_be_read(desk: Desk) -> None:
    desk.row.more.click()
    said = texts(desk.row).replace("\n", "")
    for words in (
        "tiny.pth",
        "1.5 MB",
        desk.weight.sha256,
        "Origin: here",
        "Test Licence (non-commercial)",
        "http://127.0.0.1/licence",
        "Tests.",
        str(desk.store.path(desk.weight)),
    ):
        assert words in said


def test_the_licence_comes_first(qtbot: QtBot, desk: Desk, server: FileServer) -> None:
    QTest.mouseClick(desk.row.get, Qt.MouseButton.LeftButton)
    assert desk.row.licence.isVisible()
    assert "For tests only." in texts(desk.row.licence)
    assert "Non-commercial use only." in texts(desk.row.licence)
    assert desk.row.licence.no.hasFocus(), "a second Enter agrees to nothing"
    assert not desk.downloads.busy
    assert not desk.store.agreed(desk.weight)
    QTest.keyClick(desk.row.licence.no, Qt.Key.Key_Escape)
    assert desk.row.licence.isHidden()
    assert desk.row.get.hasFocus()
    assert desk.page.isVisible(), "Esc closed the licence, not the page"
    assert server.seen == []


def test_agree_download_use(qtbot: QtBot, desk: Desk, server: FileServer) -> None:
    server.answers["/tiny"] = Answer(BODY, pace=0.03)
    desk.row.get.click()
    with qtbot.waitSignal(desk.downloads.finished, timeout=10_000):
        desk.row.licence.yes.click()
        assert desk.buttons() == ["Stop"]
        qtbot.waitUntil(lambda: "B/s" in desk.row.pace, timeout=5000)
        assert desk.row.pace.startswith("Downloading, ")
        assert "of 1.5 MB" in desk.row.pace
    assert desk.row.state == "Verified"
    assert desk.row.pace == ""
    assert desk.buttons() == ["Check", "Remove"]
    assert desk.page.message == "Tiny model is ready: choose it above."
    card = desk.page.cards["tiny-model"]
    assert card.use.isEnabled()
    card.use.click()
    assert desk.settings.settings.model == "tiny-model"


def test_stop_and_resume(qtbot: QtBot, desk: Desk, server: FileServer) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[-700_000])
    desk.row.get.click()
    desk.row.licence.yes.click()
    qtbot.waitUntil(lambda: "700 kB" in desk.row.pace, timeout=5000)
    desk.row.stop.click()
    qtbot.waitUntil(lambda: desk.row.state == "700 kB received" and not desk.downloads.busy)
    assert desk.row.error == ""
    assert desk.buttons() == ["Resume", "Remove"]
    server.released.set()
    with qtbot.waitSignal(desk.downloads.finished, timeout=5000):
        desk.row.get.click()
        assert desk.row.licence.isHidden(), "the agreement is remembered"
    assert server.ranges == [None, "bytes=700000-"]


def test_an_error_is_said_at_its_file(qtbot: QtBot, desk: Desk, server: FileServer) -> None:
    server.answers["/tiny"] = Answer(OTHER)
    desk.row.get.click()
    with qtbot.waitSignal(desk.downloads.failed, timeout=5000):
        desk.row.licence.yes.click()
    assert "serves another file" in desk.row.error
    assert desk.page.message == ""
    assert desk.buttons() == ["Download…"]
    server.answers["/tiny"] = Answer(BODY)
    with qtbot.waitSignal(desk.downloads.finished, timeout=5000):
        desk.row.get.click()
    assert desk.row.error == ""


def test_import_check_remove(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_bytes(OTHER)
    with qtbot.waitSignal(desk.downloads.failed, timeout=5000):
        desk.page.import_file(file)
    assert "none of the known files" in desk.page.message
    file.write_bytes(BODY)
    with qtbot.waitSignal(desk.downloads.imported, timeout=5000):
        desk.page.import_file(file)
    assert desk.page.message == "Tiny was imported."
    assert desk.row.state == "Verified"
    desk.store.path(desk.weight).write_bytes(OTHER)
    desk.row.check.click()
    qtbot.waitUntil(lambda: desk.row.state == "Another file of this name", timeout=5000)
    assert desk.buttons() == ["Download…", "Check"], "nothing here deletes a file of the user"
    desk.store.path(desk.weight).write_bytes(BODY)
    desk.row.check.click()
    qtbot.waitUntil(lambda: desk.row.state == "Verified", timeout=5000)


def test_remove_asks_and_the_model_in_use_is_replaced(
    qtbot: QtBot, desk: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "mine"
    file.write_bytes(BODY)
    with qtbot.waitSignal(desk.downloads.imported, timeout=5000):
        desk.page.import_file(file)
    desk.page.cards["tiny-model"].use.click()
    desk.row.remove.click()
    assert desk.row.remove.text() == "Really?"
    desk.row.check.setFocus()
    desk.row.remove.setFocus()
    desk.row.check.setFocus()
    assert desk.row.remove.text() == "Remove", "looking elsewhere takes it back"
    assert desk.store.state(desk.weight) is State.READY
    desk.row.remove.click()
    desk.row.remove.click()
    qtbot.waitUntil(lambda: desk.row.state == "Not here" and not desk.downloads.busy, timeout=5000)
    assert desk.settings.settings.model == ""
    assert desk.page.cards["basic"].use.isChecked()
    assert "the default model is used" in desk.page.message


def test_an_unverifiable_file_says_so_before(
    qtbot: QtBot, tmp_path: Path, server: FileServer
) -> None:
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny", sha256="", bytes=0)
    desk = Desk(qtbot, tmp_path, weight)
    desk.store.agree(weight)
    desk.row.get.click()
    assert "cannot be verified" in texts(desk.row.licence)
    with qtbot.waitSignal(desk.downloads.finished, timeout=5000):
        desk.row.licence.yes.click()
    assert desk.row.state == "Here, cannot be verified"
    desk.close()


def test_a_model_can_see_images_larger(qtbot: QtBot, desk: Desk) -> None:
    desk.store.folder.mkdir(parents=True)
    desk.store.path(desk.weight).write_bytes(BODY)
    desk.downloads.state_changed.emit(desk.weight.id)
    card, settings = desk.page.cards["tiny-model"], desk.settings
    assert desk.page.cards["basic"].side.isHidden()

    def choose(row: int) -> None:
        card.side.setCurrentIndex(row)
        card.side.activated.emit(row)

    choose(2)
    assert settings.settings.model == "", "a model that is not used stays so"
    card.use.click()
    assert settings.settings.model == "tiny-model@1536"
    choose(1)
    assert settings.settings.model == "tiny-model@1280"
    settings.update(model="tiny-model")
    assert card.side.currentText() == "1024 px, as in training"
    settings.update(model="tiny-model@1536")
    assert card.use.isChecked()
    assert card.side.currentText() == "1536 px"
    desk.page.show_device("tiny-model@1536", "Processor")
    assert "Processor" in texts(card)
    desk.store.path(desk.weight).unlink()
    desk.downloads.state_changed.emit(desk.weight.id)
    assert settings.settings.model == ""


def test_the_device_is_shown_when_it_is_known(desk: Desk) -> None:
    assert "processor" not in texts(desk.page)
    desk.page.show_device("tiny-model", "Runs on the processor.")
    assert "Runs on the processor." in texts(desk.page.cards["tiny-model"])


def test_a_download_goes_on_when_the_settings_are_closed(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "models"))
    window = QWidget()
    qtbot.addWidget(window)
    settings = SettingsStore(tmp_path / "annotator.ini", window)
    dialog = SettingsDialog.open_over(settings, window, "Model")
    qtbot.waitExposed(dialog)
    downloads = Downloads.of(window)
    (page,) = dialog.findChildren(ModelsPage)
    assert "basic" in page.cards
    with qtbot.waitSignal(dialog.destroyed, timeout=2000):
        dialog.close()
    assert Downloads.of(window) is downloads
    file = tmp_path / "mine"
    file.write_bytes(b"?")
    with qtbot.waitSignal(downloads.failed, timeout=5000):
        downloads.import_file(file)
    downloads.close()


def test_colours_follow_the_theme(qtbot: QtBot, qapp: QApplication, desk: Desk) -> None:
    card = desk.page.cards["tiny-model"]

    def shade() -> str:
        image = card.grab().toImage()
        return image.pixelColor(image.width() // 2, 4).name()

    before = qapp.palette()
    try:
        qapp.setPalette(palette(LIGHT))
        qtbot.waitUntil(lambda: shade() == LIGHT.base)
        qapp.setPalette(palette(DARK))
        qtbot.waitUntil(lambda: shade() == DARK.base)
    finally:
        qapp.setPalette(before)


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress("queued", 0, 0), "Waiting for its turn"),
        (Progress("connecting", 0, 100), "Connecting"),
        (
            Progress("downloading", 12_300_000, 38_800_000, 4_100_000),
            "Downloading, 12.3 MB of 38.8 MB, 4.1 MB/s, 6 s left",
        ),
        (
            Progress("downloading", 10**9, 10**10, 10**6),
            "Downloading, 1.0 GB of 10.0 GB, 1.0 MB/s, 2.5 h left",
        ),
        (
            Progress("retrying", 5000, 10_000, note="answers 503; trying again in 2 s"),
            "Trying again, 5 kB of 10 kB. answers 503; trying again in 2 s",
        ),
    ],
)
def test_how_far_it_is_in_words(progress: Progress, text: str) -> None:
    assert pace_text(progress) == text
