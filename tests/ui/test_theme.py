import dataclasses
import re
from importlib.resources import files
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QCheckBox, QPushButton, QRadioButton, QToolButton

from annotator.menus import COMMANDS
from annotator.ui import icons, theme
from annotator.ui.theme import DARK, LIGHT, Colors, Theme


@pytest.fixture(autouse=True)
def _restore_palette(qapp):
    palette = QApplication.palette()
    yield
    qapp.setPalette(palette)


def luminance(color: str) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    c = QColor(color)
    return 0.2126 * linear(c.redF()) + 0.7152 * linear(c.greenF()) + 0.0722 * linear(c.blueF())


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_in_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("text", ["text", "soft", "link"])
@pytest.mark.parametrize("behind", ["window", "base", "raised", "button"])
def test_text_is_readable_everywhere(colors: Colors, text, behind):
    assert contrast(getattr(colors, text), getattr(colors, behind)) >= 4.5


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_selected_text_is_readable_and_disabled_text_can_be_seen(colors: Colors):
    assert contrast(colors.on_accent, colors.accent) >= 4.5
    assert contrast(colors.disabled, colors.window) >= 2.2


@pytest.mark.parametrize(("dark", "colors"), [(False, LIGHT), (True, DARK)])
@pytest.mark.parametrize("level", ["info", "warning", "error", "success"])
def test_message_colours_are_readable(dark, colors: Colors, level):
    color = theme.LEVEL_COLORS[dark][level]
    assert contrast(color, colors.window) >= 4.5
    assert contrast(color, colors.base) >= 4.5


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_greys_have_no_tint(colors: Colors):
    for name in ("window", "base", "raised", "button", "line"):
        c = QColor(getattr(colors, name))
        assert c.red() == c.green() == c.blue(), name


def test_the_two_palettes_differ_in_every_grey():
    for spec in dataclasses.fields(Colors):
        if spec.name != "on_accent":
            assert getattr(LIGHT, spec.name) != getattr(DARK, spec.name)


def test_applying_a_theme_reaches_widgets_and_says_so(qapp, qtbot):
    shown = Theme(qapp)
    heard: list[bool] = []
    shown.changed.connect(heard.append)
    button = QPushButton("x")
    qtbot.addWidget(button)
    button.show()

    def window_color() -> str:
        return button.palette().color(QPalette.ColorRole.Window).name()

    shown.apply("dark")
    qtbot.waitUntil(lambda: window_color() == DARK.window)
    assert shown.dark
    shown.apply("dark")
    shown.apply("light")
    qtbot.waitUntil(lambda: window_color() == LIGHT.window)
    assert heard == [True, False]
    assert not shown.dark
    assert qapp.style().objectName() == "fusion"


def test_system_follows_the_desktop(qapp, qtbot):
    shown = Theme(qapp)
    shown.apply("system")
    hints = qapp.styleHints()
    hints.colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert shown.dark
    hints.colorSchemeChanged.emit(Qt.ColorScheme.Light)
    assert not shown.dark


def test_a_chosen_theme_does_not_follow_the_desktop(qapp):
    shown = Theme(qapp)
    shown.apply("light")
    qapp.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert not shown.dark


def test_is_dark_reads_any_palette(qapp):
    assert theme.is_dark(theme.palette(DARK))
    assert not theme.is_dark(theme.palette(LIGHT))


def drawings() -> list[str]:
    folder = files("resources") / "icons"
    return sorted(p.name.removesuffix(".svg") for p in folder.iterdir() if p.name.endswith(".svg"))


def test_every_command_icon_exists():
    assert {row.icon for row in COMMANDS if row.icon} <= set(drawings())


@pytest.mark.parametrize("name", drawings())
def test_drawings_share_one_style(name):
    text = (files("resources") / "icons" / f"{name}.svg").read_text("utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    if name != "annotator":
        assert root.get("viewBox") == "0 0 24 24"
        assert root.get("stroke") == "currentColor"
        assert root.get("stroke-width") == "1.7"
        assert not re.search(r"#[0-9a-fA-F]{3,6}", text)


def ink(pixmap: QPixmap) -> set[str]:
    image = pixmap.toImage()
    return {
        image.pixelColor(x, y).name()
        for x in range(image.width())
        for y in range(image.height())
        if image.pixelColor(x, y).alpha() == 255
    }


@pytest.mark.parametrize("name", drawings())
def test_drawings_draw_something(qapp, name):
    image = icons.icon(name).pixmap(QSize(24, 24), 2.0).toImage()
    seen = sum(image.pixelColor(x, y).alpha() > 60 for x in range(48) for y in range(48))
    assert 20 < seen < 48 * 48 * 0.9


def test_icons_take_the_text_colour_of_the_theme(qapp):
    shown = Theme(qapp)
    folder = icons.icon("folder")
    for choice, colors in (("light", LIGHT), ("dark", DARK), ("light", LIGHT)):
        shown.apply(choice)
        assert ink(folder.pixmap(24, 24)) == {colors.text}
        assert ink(folder.pixmap(QSize(24, 24), QIcon.Mode.Disabled)) == {colors.disabled}
        on = folder.pixmap(QSize(24, 24), QIcon.Mode.Normal, QIcon.State.On)
        assert ink(on) == {colors.link}


def test_icons_are_sharp_on_dense_screens(qapp):
    pixmap = icons.icon("folder").pixmap(QSize(20, 20), 2.5)
    assert pixmap.size() == QSize(50, 50)
    assert pixmap.devicePixelRatio() == 2.5


def test_an_icon_survives_copies_and_its_widget(qapp, qtbot):
    button = QToolButton()
    qtbot.addWidget(button)
    button.setIcon(QIcon(icons.icon("save")))
    before = button.grab().toImage()
    button.setIcon(QIcon())
    assert button.grab().toImage() != before


def test_the_app_icon_keeps_its_own_colours(qapp):
    shown = Theme(qapp)
    shown.apply("dark")
    dark = icons.app_icon().pixmap(64, 64).toImage()
    shown.apply("light")
    assert icons.app_icon().pixmap(64, 64).toImage() == dark
    assert dark.pixelColor(12, 30).blue() > dark.pixelColor(12, 30).red()


def test_a_missing_drawing_is_a_bug(qapp):
    with pytest.raises(FileNotFoundError):
        icons.render("no-such-icon", QSize(8, 8), 1.0)


@pytest.mark.parametrize(("choice", "colors"), [("light", LIGHT), ("dark", DARK)])
@pytest.mark.parametrize("kind", [QCheckBox, QRadioButton])
def test_indicators_can_be_seen(qapp, qtbot, choice, colors: Colors, kind):
    Theme(qapp).apply(choice)
    box = kind("x")
    qtbot.addWidget(box)
    box.resize(60, 30)
    qtbot.waitUntil(lambda: box.palette().color(QPalette.ColorRole.Window).name() == colors.window)

    def indicator() -> set[str]:
        image = box.grab().toImage()
        return {image.pixelColor(x, y).name() for x in range(16) for y in range(30)}

    best = max(contrast(color, colors.window) for color in indicator())
    assert best >= 3.0
    assert colors.accent not in indicator()
    box.setChecked(True)
    assert colors.accent in indicator()
