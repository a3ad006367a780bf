"""The image list shows, filters and follows, on a real project with real images."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QLineEdit, QTableView, QToolButton
from pytestqt.qtbot import QtBot

from annotator.core import images as core_images
from annotator.core import raster
from annotator.core.annotation import Annotation, ImageRecord, ImageState
from annotator.core.paths import natural_path_key
from annotator.services.document import Document
from annotator.services.thumbnails import Thumbnails
from annotator.services.workspace import Workspace
from annotator.ui.image_list import ImageList
from annotator.ui.image_model import STATES, ImageModel, describe
from annotator.ui.image_row import draw_state, state_color
from annotator.ui.theme import DARK, LIGHT, Colors, palette
from models.api import Box
from tests.preferences import quick

NAMES = ["img1.png", "img2.png", "img10.png", "cats/a.png", "cats/b.png", "Dogs/A.png"]


class User:
    """What a person does with the list and sees in it."""

    def __init__(self, qtbot: QtBot, workspace: Workspace, images: ImageList) -> None:
        self.qtbot, self.workspace, self.images = qtbot, workspace, images
        self.view = images.findChild(QTableView)
        self.box = images.findChild(QLineEdit)
        self.chips = dict(zip(STATES, images.findChildren(QToolButton)[-6:], strict=True))

    @property
    def document(self) -> Document:
        document = self.workspace.document
        assert document is not None
        return document

    def rows(self) -> list[str]:
        model = self.view.model()
        return [model.index(row, 0).data() for row in range(model.rowCount())]

    def progress(self) -> str:
        return self.images._progress._label.text()

    def annotate(self, key: str, count: int = 1) -> None:
        shape = raster.from_box(Box(1, 1, 4, 4), 40, 30)
        made = tuple(Annotation(self.document.new_id(), shape) for _ in range(count))
        self.document.edit(key, made, "Add")

    def click_row(self, row: int) -> None:
        place = self.view.visualRect(self.view.model().index(row, 0)).center()
        self.qtbot.mouseClick(self.view.viewport(), Qt.MouseButton.LeftButton, pos=place)

    def press(self, widget: QTableView | QLineEdit, key: Qt.Key) -> None:
        self.qtbot.keyClick(widget, key)

    def type(self, text: str) -> None:
        self.qtbot.keyClicks(self.box, text)

    def current(self) -> str | None:
        index = self.view.currentIndex()
        return index.data() if index.isValid() else None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    for number, name in enumerate(NAMES):
        path = images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (40 * number, 90, 200)).save(path)
    return images


@pytest.fixture
def user(qtbot: QtBot, tmp_path: Path, folder: Path) -> Iterator[User]:
    workspace = Workspace(quick(tmp_path))
    images = ImageList(workspace)
    qtbot.addWidget(images)
    images.resize(300, 500)
    images.show()
    made = User(qtbot, workspace, images)
    workspace.open_folder(folder)
    qtbot.waitUntil(lambda: len(made.rows()) == len(NAMES) and workspace.image is not None)
    yield made
    workspace.close()


def test_images_in_natural_order_and_the_first_one_marked(user: User) -> None:
    assert user.rows() == NAMES
    assert user.images.visible_keys() == NAMES
    assert user.current() == "img1.png" == user.workspace.key


def test_click_and_enter_show_an_image_and_the_list_follows(user: User) -> None:
    user.click_row(2)
    assert user.workspace.key == "img10.png"
    user.press(user.view, Qt.Key.Key_Down)
    assert user.workspace.key == "img10.png"
    user.press(user.view, Qt.Key.Key_Return)
    assert user.workspace.key == "cats/a.png"
    user.workspace.show("img2.png")
    assert user.current() == "img2.png"


def test_the_current_row_stays_in_view_when_the_list_gets_lower(user: User) -> None:
    user.workspace.show(NAMES[-1])
    row = user.view.model().index(len(NAMES) - 1, 0)
    assert user.view.viewport().rect().contains(user.view.visualRect(row))
    user.images.resize(300, 260)
    assert user.view.viewport().rect().contains(user.view.visualRect(row))
    user.view.scrollToTop()
    user.images.resize(300, 240)
    assert not user.view.verticalScrollBar().value()


def test_the_row_of_the_image_on_the_canvas_is_filled(user: User) -> None:
    def ground(row: int) -> QColor:
        box = user.view.visualRect(user.view.model().index(row, 0))
        picture = user.view.viewport().grab(box).toImage()
        return QColor(picture.pixel(box.width() - 40, 8))

    accent = user.images.palette().color(QPalette.ColorRole.Highlight)
    assert ground(0) == accent
    user.view.setCurrentIndex(user.view.model().index(1, 0))
    assert ground(0) == accent != ground(1)
    user.workspace.show("img10.png")
    assert ground(2) == accent != ground(0)


def test_letters_typed_into_the_list_stay_commands(user: User) -> None:
    user.view.setFocus()
    user.qtbot.keyClicks(user.view, "d")
    assert user.current() == "img1.png"


def test_words_of_name_and_folder_filter(user: User) -> None:
    user.images.focus_filter()
    user.type("PNG cats")
    assert user.rows() == ["cats/a.png", "cats/b.png"]
    assert "2 listed" in user.progress()
    user.box.clear()
    user.type("img1")
    assert user.rows() == ["img1.png", "img10.png"]
    user.press(user.box, Qt.Key.Key_Escape)
    assert user.rows() == NAMES
    assert user.box.text() == ""


def test_keyboard_from_the_filter_to_an_image(user: User) -> None:
    user.images.focus_filter()
    user.type("cats")
    user.press(user.box, Qt.Key.Key_Down)
    user.press(user.view, Qt.Key.Key_Down)
    user.press(user.view, Qt.Key.Key_Enter)
    assert user.workspace.key == "cats/b.png"
    user.box.setText("dogs")
    user.press(user.box, Qt.Key.Key_Return)
    assert user.workspace.key == "Dogs/A.png"


def test_escape_leaves_the_list_when_nothing_is_filtered(user: User) -> None:
    user.images.set_filter("cats")
    left: list[bool] = []
    user.images.left.connect(lambda: left.append(True))
    user.press(user.view, Qt.Key.Key_Escape)
    assert (user.rows(), left) == (NAMES, [])
    user.press(user.view, Qt.Key.Key_Escape)
    assert left == [True]


def test_states_counts_and_progress(user: User) -> None:
    user.qtbot.waitUntil(lambda: user.chips[ImageState.UNTOUCHED].text() == "6")
    user.annotate("img2.png", 3)
    user.annotate("cats/a.png")
    user.document.set_reviewed("cats/a.png", True)
    user.document.set_reviewed("cats/b.png", True)
    assert [chip.text() for chip in user.chips.values()] == ["3", "0", "1", "2", "0", "0"]
    assert user.progress() == "3 of 6 annotated · 2 reviewed"
    user.document.undo("img2.png")
    assert [chip.text() for chip in user.chips.values()] == ["4", "0", "0", "2", "0", "0"]


def test_state_filter_and_words_together(user: User) -> None:
    user.annotate("img2.png")
    user.annotate("cats/a.png")
    user.qtbot.waitUntil(lambda: user.chips[ImageState.UNTOUCHED].text() == "4")
    user.qtbot.mouseClick(user.chips[ImageState.ANNOTATED], Qt.MouseButton.LeftButton)
    assert user.rows() == ["img2.png", "cats/a.png"]
    user.box.setText("cats")
    assert user.rows() == ["cats/a.png"]
    user.qtbot.mouseClick(user.chips[ImageState.UNTOUCHED], Qt.MouseButton.LeftButton)
    assert user.rows() == ["cats/a.png", "cats/b.png"]


def test_the_current_image_stays_listed_until_it_is_left(user: User) -> None:
    user.qtbot.waitUntil(lambda: user.chips[ImageState.UNTOUCHED].text() == "6")
    user.images.set_filter("", frozenset({ImageState.UNTOUCHED}))
    user.workspace.show("img2.png")
    user.annotate("img2.png")
    assert user.rows() == NAMES
    user.annotate("img10.png")
    assert "img10.png" not in user.rows()
    following = user.images.neighbour("img2.png", 1)
    assert following == "cats/a.png"
    user.workspace.show(following)
    assert user.rows() == ["img1.png", "cats/a.png", "cats/b.png", "Dogs/A.png"]
    user.document.undo("img2.png")
    assert "img2.png" in user.rows()


def test_next_and_previous_follow_the_filtered_order(user: User) -> None:
    neighbour = user.images.neighbour
    assert [neighbour("img2.png", step) for step in (-1, 1, 2)] == [
        "img1.png", "img10.png", "cats/a.png",
    ]  # fmt: skip
    assert neighbour("img1.png", -1) is None
    assert neighbour("Dogs/A.png", 1) is None
    with user.qtbot.waitSignal(user.images.order_changed):
        user.images.set_filter("a.png")
    assert user.rows() == ["cats/a.png", "Dogs/A.png"]
    # From an image the filter hides: the listed ones around it.
    assert neighbour("cats/b.png", 1) == "Dogs/A.png"
    assert neighbour("cats/b.png", -1) == "cats/a.png"
    assert neighbour("img1.png", 1) == "cats/a.png"
    assert neighbour("img1.png", -1) is None


def test_new_images_find_their_place(user: User) -> None:
    with user.qtbot.waitSignal(user.document.images_changed):
        user.document.add_images(["img3.png", "cats/aa.png", "0.png"])
    expected = sorted([*NAMES, "img3.png", "cats/aa.png", "0.png"], key=natural_path_key)
    user.qtbot.waitUntil(lambda: user.rows() == expected)
    assert user.current() == "img1.png"
    assert user.images.neighbour("img2.png", 1) == "img3.png"
    user.images.set_filter("img")
    assert user.rows() == ["img1.png", "img2.png", "img3.png", "img10.png"]
    user.document.add_images(["img5.png", "dog.png"])
    user.qtbot.waitUntil(
        lambda: user.rows() == ["img1.png", "img2.png", "img3.png", "img5.png", "img10.png"]
    )


def test_thumbnails_of_visible_rows_arrive(user: User) -> None:
    thumbnails = user.images._thumbnails
    assert thumbnails is not None
    user.qtbot.waitUntil(lambda: all(thumbnails.get(key) is not None for key in NAMES))
    user.qtbot.wait(1)
    place = user.view.visualRect(user.view.model().index(3, 0))
    picture = user.view.viewport().grab(place).toImage()
    color = QColor(picture.pixel(38, place.height() // 2))
    assert (color.red(), color.green(), color.blue()) == pytest.approx((120, 90, 200), abs=6)


def test_thumbnails_wait_for_the_first_image(
    qtbot: QtBot, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    request, load = Thumbnails.request, core_images.load_preview
    slow = threading.Event()

    def spy(service: Thumbnails, key: str, path: Path) -> None:
        asked.append(key)
        request(service, key, path)

    def load_late(key: str, path: Path) -> core_images.LoadedImage:
        slow.wait(10)
        return load(key, path)

    monkeypatch.setattr(Thumbnails, "request", spy)
    monkeypatch.setattr(core_images, "load_preview", load_late)
    workspace = Workspace(quick(tmp_path))
    images = ImageList(workspace)
    qtbot.addWidget(images)
    images.resize(300, 500)
    images.show()
    workspace.open_folder(folder)
    try:
        qtbot.waitUntil(lambda: images.visible_keys() == NAMES)
        images.grab()
        assert asked == []
        slow.set()
        qtbot.waitUntil(lambda: set(asked) == set(NAMES))
    finally:
        slow.set()
        workspace.close()


def test_thumbnails_begin_when_the_first_image_cannot_be_read(user: User, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(b"no image")
    Image.new("RGB", (9, 9)).save(other / "b.png")
    user.workspace.open_folder(other)

    def arrived() -> bool:
        thumbnails = user.images._thumbnails
        return thumbnails is not None and thumbnails.get("b.png") is not None

    user.qtbot.waitUntil(arrived)


def test_messages_instead_of_rows(user: User, qtbot: QtBot) -> None:
    assert user.images._message() == ""
    user.images.set_filter("zebra")
    assert "filter" in user.images._message()
    empty = user.view.viewport().grab().toImage()
    user.images.set_filter("")
    assert user.view.viewport().grab().toImage() != empty
    user.workspace.close_project()
    assert user.images._message() == "No folder is open."
    assert user.rows() == []
    assert user.progress() == ""


def test_closing_a_project_ends_the_thumbnail_thread_and_another_can_be_opened(
    user: User, tmp_path: Path
) -> None:
    user.images.set_filter("cats")
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (9, 9)).save(other / "only.png")
    user.workspace.open_folder(other)
    user.qtbot.waitUntil(lambda: user.rows() == ["only.png"])
    assert user.box.text() == ""
    user.qtbot.waitUntil(lambda: user.progress() == "0 of 1 annotated")


def test_everything_has_a_name_for_screen_readers_and_the_keyboard_reaches_it(user: User) -> None:
    for widget in (user.view, user.box, *user.chips.values()):
        assert widget.accessibleName()
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    index = user.view.model().index(0, 0)
    user.annotate("img1.png", 2)
    spoken = index.data(Qt.ItemDataRole.AccessibleTextRole)
    assert spoken.startswith("img1.png, annotated, 2 objects")
    assert "40 × 30 pixels" in index.data(Qt.ItemDataRole.ToolTipRole).splitlines()
    user.images.setFocus()
    assert QApplication.focusWidget() is user.view


def test_every_chip_says_what_it_filters(user: User) -> None:
    tips = [chip.toolTip().split(" (")[0] for chip in user.chips.values()]
    assert tips == [
        "Only untouched images",
        "Only images with proposals",
        "Only images annotated",
        "Only images reviewed",
        "Only images that need another look",
        "Only rejected images",
    ]


def test_states_differ_in_shape_alone() -> None:
    """In one colour, as a colour-blind person may see them, no two marks are alike."""
    drawn = []
    for state in STATES:
        image = QImage(24, 24, QImage.Format.Format_Grayscale8)
        image.fill(255)
        painter = QPainter(image)
        draw_state(painter, image.rect().toRectF(), state, QColor("black"))
        painter.end()
        drawn.append(bytes(image.constBits()))
    for one in range(len(drawn)):
        for other in range(one):
            pairs = zip(drawn[one], drawn[other], strict=True)
            assert sum(abs(a - b) > 128 for a, b in pairs) > 30


@pytest.mark.parametrize("colors", [LIGHT, DARK])
def test_marks_stand_out_from_the_list(colors: Colors) -> None:
    theme = palette(colors)
    base = theme.color(QPalette.ColorRole.Base)
    for state in STATES:
        assert contrast(state_color(state, theme), base) >= 3  # WCAG 2.1, 1.4.11


def contrast(one: QColor, other: QColor) -> float:
    def luminance(color: QColor) -> float:
        parts = (color.redF(), color.greenF(), color.blueF())
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_a_record_in_words() -> None:
    record = ImageRecord("a.jpg", 1, 30, 20, 1, 1, proposals=2)
    assert describe(record, ", ") == "a.jpg, annotated, 1 object, 2 proposals, 30 × 20 pixels"


# --- Many rows ---


@pytest.fixture
def many(qtbot: QtBot, tmp_path: Path) -> Iterator[tuple[Document, ImageModel]]:
    document = Document.open(tmp_path)
    model = ImageModel()
    model.set_document(document)
    yield document, model
    model.set_document(None)
    document.close()


def test_a_keystroke_over_100_000_rows_is_quick(
    qtbot: QtBot, many: tuple[Document, ImageModel]
) -> None:
    document, model = many
    document.add_images([f"scene {number // 1000}/frame {number}.jpg" for number in range(100_000)])
    model.add_images()
    qtbot.waitUntil(lambda: model.counts[ImageState.UNTOUCHED] == 100_000, timeout=30_000)
    best = 1.0
    for text in ("frame 99", "frame 999", "scene frame 9 5"):
        start = time.perf_counter()
        model.set_filter(text, ())
        best = min(best, time.perf_counter() - start)
        assert 0 < model.rowCount() < 100_000
    assert best < 0.05
    assert model.key_at(model.row_of("scene 99/frame 99995.jpg")) == "scene 99/frame 99995.jpg"


def test_rows_stay_in_order_whatever_order_they_come_in(
    qtbot: QtBot, many: tuple[Document, ImageModel]
) -> None:
    document, model = many
    keys = [f"{folder}{number}.png" for folder in ("b/", "", "a/") for number in (5, 1, 30, 2)]
    model.set_filter("", (ImageState.UNTOUCHED,))
    for key in keys:
        document.add_images([key])
        model.add_images()
    expected = sorted(keys, key=natural_path_key)
    qtbot.waitUntil(lambda: model.visible_keys() == expected)
    for row, key in enumerate(expected):
        assert model.row_of(key) == row
        assert model.neighbour(key, 1) == (expected[row + 1] if row + 1 < len(expected) else None)
    assert model.data(QModelIndex()) is None


def test_an_unknown_image_has_the_list_as_its_neighbour(
    qtbot: QtBot, many: tuple[Document, ImageModel]
) -> None:
    document, model = many
    assert model.neighbour("x", 1) is None
    document.add_images(["a.png", "b.png"])
    model.add_images()
    assert model.neighbour("x", 1) == "a.png"
    assert model.neighbour("x", -1) is None
    assert model.row_of("x") == -1
    model.touch("x")
    model.update_record("x")


def test_moving_the_pointer_over_the_rows_paints(user: User) -> None:
    before = user.view.viewport().grab().toImage()
    user.qtbot.mouseMove(user.view.viewport(), QPoint(100, 150))
    user.qtbot.waitUntil(lambda: user.view.viewport().grab().toImage() != before)
