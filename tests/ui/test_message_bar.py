import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.ui import message_bar
from annotator.ui.message_bar import MessageBar
from annotator.ui.theme import DARK, LIGHT, palette


@pytest.fixture
def host(qtbot):
    host = QWidget()
    host.resize(800, 600)
    column = QVBoxLayout(host)
    host.line = QLineEdit()
    column.addWidget(host.line)
    column.addStretch()
    host.bar = MessageBar(host)
    qtbot.addWidget(host)
    host.show()
    host.activateWindow()
    host.line.setFocus()
    qtbot.waitUntil(host.line.hasFocus)
    return host


@pytest.fixture
def bar(host):
    return host.bar


def shown(bar):
    return [text for text in bar.messages if bar.banner(text).isVisible()]


def button(widget, text):
    return next(b for b in widget.findChildren(QPushButton) if b.text() == text)


def test_an_empty_bar_takes_no_room(bar):
    assert not bar.isVisible()
    assert bar.messages == ()


def test_messages_are_stacked_newest_first(bar):
    bar.show_message("first")
    bar.show_message("second", level="warning")
    assert shown(bar) == ["second", "first"]
    assert bar.banner("second").y() < bar.banner("first").y() or bar.layout().activate()


def test_an_error_names_the_thing_and_the_remedy(bar):
    banner = bar.show_error(UserError("“a.jpg” is cut off.", "Copy it again."))
    assert banner.level == "error"
    assert banner.accessibleName() == "error: “a.jpg” is cut off. Copy it again."


def test_it_never_takes_the_focus(host, bar):
    for level in ("info", "success", "warning", "error"):
        bar.show_message(level, level=level, actions=[("Do it", lambda: None)])
    QApplication.processEvents()
    assert host.line.hasFocus()
    QTest.keyClicks(host.line, "typed on")
    assert host.line.text() == "typed on"


def test_the_same_key_replaces(bar):
    bar.show_message("1 object is not saved", key="saving", level="warning")
    bar.show_message("other")
    bar.show_message("2 objects are not saved", key="saving", level="error")
    assert bar.messages == ("2 objects are not saved", "other")


def test_the_same_message_is_not_shown_twice(bar):
    first = bar.show_error(UserError("The disk is full."))
    assert bar.show_error(UserError("The disk is full.")) is first
    assert bar.messages == ("The disk is full.",)


def test_dismissing(qtbot, bar):
    bar.show_message("gone", level="error")
    (close,) = bar.banner("gone").findChildren(QToolButton)
    with qtbot.waitSignal(bar.changed):
        qtbot.mouseClick(close, Qt.MouseButton.LeftButton)
    assert bar.messages == ()
    assert not bar.isVisible()
    bar.dismiss("never shown")


def test_the_keyboard_reaches_the_buttons(qtbot, host, bar):
    done = []
    bar.show_message("x", level="error", actions=[("Try again", lambda: done.append(1))])
    qtbot.keyClick(host.line, Qt.Key.Key_Tab)
    assert button(bar, "Try again").hasFocus()
    qtbot.keyClick(button(bar, "Try again"), Qt.Key.Key_Space)
    assert done == [1]
    assert bar.messages == ()


def test_escape_on_a_button_dismisses(qtbot, host, bar):
    bar.show_message("x", level="error")
    qtbot.keyClick(host.line, Qt.Key.Key_Tab)
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Escape)
    assert bar.messages == ()


def test_an_action_runs_after_its_banner_is_gone(bar):
    seen = []
    bar.show_message("x", actions=[("Look", lambda: seen.append(bar.messages))])
    button(bar, "Look").click()
    assert seen == [()]


@pytest.mark.parametrize("level", ["info", "success"])
def test_good_news_fades(qtbot, bar, level):
    banner = bar.show_message("good", level=level)
    with qtbot.waitSignal(bar.changed, timeout=3000):
        banner.set_fade_after(1)
    assert bar.messages == ()


@pytest.mark.parametrize("level", ["warning", "error"])
def test_bad_news_stays(bar, level):
    banner = bar.show_message("bad", level=level)
    banner.set_fade_after(1)
    assert not banner._timer.isActive()


def test_who_reads_is_given_time(bar):
    banner = bar.show_message("long")
    assert banner._timer.isActive()
    inside = banner.rect().center().toPointF()
    from PySide6.QtGui import QEnterEvent

    QApplication.sendEvent(banner, QEnterEvent(inside, inside, inside))
    assert not banner._timer.isActive()
    QApplication.sendEvent(banner, QEvent(QEvent.Type.Leave))
    assert banner._timer.isActive()


def test_a_flood_is_counted(bar):
    for number in range(200):
        bar.show_error(UserError(f"“{number}.jpg” cannot be read."))
    assert len(shown(bar)) == message_bar.MAX_SHOWN
    assert f"{200 - message_bar.MAX_SHOWN} earlier messages" in [
        label.text() for label in bar.findChildren(type(bar._more)) if label.isVisible()
    ]
    button(bar, "Dismiss all").click()
    assert bar.messages == ()
    assert not bar.isVisible()


def test_floating_lies_at_the_upper_edge_and_follows_the_size(qtbot, host, bar):
    bar.show_error(UserError("word " * 60))
    wide = bar.geometry()
    assert wide.top() == 0
    assert wide.width() <= 800
    host.resize(420, 600)
    qtbot.waitUntil(lambda: bar.width() <= 420)
    assert bar.height() > wide.height()


def test_floating_does_not_move_what_lies_below(host, bar):
    before = host.line.geometry()
    bar.show_error(UserError("x"))
    QApplication.processEvents()
    assert host.line.geometry() == before


def test_it_also_works_in_a_layout(qtbot):
    host = QWidget()
    column = QVBoxLayout(host)
    bar = MessageBar()
    column.addWidget(bar)
    qtbot.addWidget(host)
    host.show()
    bar.show_message("x")
    assert bar.isVisible()


def test_text_is_shown_as_written(bar):
    banner = bar.show_message("<b>a & b</b>.jpg", "1 < 2")
    assert "&lt;b>a &amp; b" in banner._words.text()


def test_banners_follow_the_theme(qtbot, qapp, bar):
    before = qapp.palette()
    try:
        qapp.setPalette(palette(LIGHT))
        banner = bar.show_message("x", "soft", level="error")
        qtbot.waitUntil(lambda: LIGHT.soft in banner._words.text())
        qapp.setPalette(palette(DARK))
        qtbot.waitUntil(lambda: DARK.soft in banner._words.text())
    finally:
        qapp.setPalette(before)


def test_banners_are_deleted(qtbot, bar):
    for number in range(5):
        bar.show_message(str(number))
    bar.clear()
    qtbot.waitUntil(lambda: not bar.findChildren(message_bar.Banner))


def test_a_signal_with_an_error_can_be_connected(qtbot, bar):
    action = QAction()
    action.triggered.connect(lambda: bar.show_error(UserError("x")))
    action.trigger()
    assert bar.messages == ("x",)
