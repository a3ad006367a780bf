"""`MessageBar`: banners that say what happened and what to do, without stopping the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import (
    QAbstractAnimation,
    QEvent,
    QObject,
    QPropertyAnimation,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QEnterEvent,
    QKeyEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QGraphicsOpacityEffect,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from annotator.core.errors import UserError
from annotator.ui.icons import icon, pixmap
from annotator.ui.theme import level_color, mixed

Action = tuple[str, Callable[[], None]]
"""Text of a button and what it does; the banner goes away after it."""

INFO_MS = 6000
"""How long good news stays, unless the pointer or the focus is on it."""
FADE_MS = 180
MAX_SHOWN = 3
"""More banners wait behind a line that counts them."""
MARGIN = 8


class Banner(QFrame):
    """One message."""

    closed = Signal(object)
    """This banner: it was dismissed, faded, or one of its actions was taken."""

    def __init__(
        self,
        text: str,
        remedy: str,
        level: str,
        actions: Sequence[Action],
        key: str,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.text = text
        self.remedy = remedy
        self.level = level
        self.key = key
        self._icon = QLabel(self)
        self._words = QLabel(self)
        self._words.setWordWrap(True)
        self._words.setTextFormat(Qt.TextFormat.RichText)
        self._words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._words.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 7, 7, 7)
        row.setSpacing(9)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1, Qt.AlignmentFlag.AlignVCenter)
        for label, act in actions:
            row.addWidget(self._button(label, act), 0, Qt.AlignmentFlag.AlignVCenter)
        # Made last, so that Tab comes to the actions first.
        close = _close_button("Dismiss (Esc)", self)
        close.clicked.connect(self.close_softly)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self.setAccessibleName(f"{level}: {text} {remedy}".strip())
        self._timer = QTimer(self, singleShot=True, interval=INFO_MS)
        self._timer.timeout.connect(self._fade)
        self._paint_words()
        self.restart()

    def _button(self, label: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(label, self)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAutoDefault(False)

        def take() -> None:
            self.close_softly()
            act()

        button.clicked.connect(take)
        return button

    def _paint_words(self) -> None:
        color = level_color(self.palette(), self.level)
        side = self.fontMetrics().height() + 2
        self._icon.setPixmap(pixmap(self.level, side, self.devicePixelRatioF(), color))
        soft = self.palette().color(QPalette.ColorRole.PlaceholderText).name()
        rest = f" <span style='color:{soft}'>{_escaped(self.remedy)}</span>" if self.remedy else ""
        self._words.setText(f"{_escaped(self.text)}{rest}")

    def set_fade_after(self, milliseconds: int) -> None:
        """Change how long this banner stays (info only)."""
        self._timer.setInterval(milliseconds)
        self.restart()

    def says(self, text: str, remedy: str, level: str) -> bool:
        """Whether this is exactly that message."""
        return (self.text, self.remedy, self.level) == (text, remedy, level)

    def restart(self) -> None:
        """Begin the time of a fading banner anew."""
        if self.level in ("info", "success"):
            self._timer.start()

    def close_softly(self) -> None:
        """Go away; the bar removes it."""
        self._timer.stop()
        self.closed.emit(self)

    def _fade(self) -> None:
        focused = QApplication.focusWidget()
        if self.underMouse() or (focused is not None and self.isAncestorOf(focused)):
            self._timer.start()
            return
        effect = QGraphicsOpacityEffect(self)
        self.setGraphicsEffect(effect)
        fading = QPropertyAnimation(effect, b"opacity", self)
        fading.setDuration(FADE_MS)
        fading.setStartValue(1.0)
        fading.setEndValue(0.0)
        fading.finished.connect(self.close_softly)
        fading.start(QAbstractAnimation.DeletionPolicy.DeleteWhenStopped)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc on one of the buttons dismisses."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_softly()
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Who reads is given time."""
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Time runs again."""
        self.restart()
        super().leaveEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._paint_words()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A card with an edge in the colour of its level."""
        color = level_color(self.palette(), self.level)
        surface = self.palette().color(QPalette.ColorRole.Base)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        card = QPainterPath()
        card.addRoundedRect(area, 6, 6)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillPath(card, mixed(color, surface, 0.07))
        painter.save()
        painter.setClipPath(card)
        painter.fillRect(QRectF(0, 0, 4.5, self.height()), color)
        painter.restore()
        painter.setPen(QPen(mixed(color, surface, 0.45), 1.0))
        painter.drawPath(card)


class MessageBar(QWidget):
    """A stack of banners, the newest on top.

    It can be put into a layout, or float over a widget (`float_over`), which does not shift what
    lies below while somebody is aiming at it. It takes no focus by itself; Tab reaches the buttons.

    Args:
        parent: Qt parent; with one, the bar floats over it.
    """

    changed = Signal()
    """Messages came or went."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._banners: list[Banner] = []
        self._host: QWidget | None = None
        self._more = QLabel(self)
        self._clear = QPushButton("Dismiss all", self)
        self._clear.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._clear.setAutoDefault(False)
        self._clear.setFlat(True)
        self._clear.clicked.connect(self.clear)
        self._footer = _Footer(self._more, self._clear, self)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(MARGIN, MARGIN, MARGIN, 0)
        self._column.setSpacing(6)
        self._column.addWidget(self._footer)
        self.setAccessibleName("Messages")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.hide()
        if parent is not None:
            self.float_over(parent)

    def float_over(self, host: QWidget) -> None:
        """Lie on top of a widget, at its upper edge, as wide as reading is comfortable."""
        if self._host is not None:
            self._host.removeEventFilter(self)
        self._host = host
        self.setParent(host)
        host.installEventFilter(self)
        self._place()

    @property
    def messages(self) -> tuple[str, ...]:
        """The texts of all banners, newest first."""
        return tuple(banner.text for banner in self._banners)

    def banner(self, key: str) -> Banner | None:
        """The banner with this key."""
        return next((banner for banner in self._banners if banner.key == key), None)

    def show_message(
        self,
        text: str,
        remedy: str = "",
        level: str = "info",
        actions: Sequence[Action] = (),
        key: str | None = None,
    ) -> Banner:
        """Show a message.

        Args:
            text: what happened, naming the thing.
            remedy: what to do.
            level: "info" and "success" fade after some seconds; "warning" and "error" stay.
            actions: buttons.
            key: a message with the same key is replaced; the text itself by default, so that the
                same message is never shown twice.
        """
        key = text if key is None else key
        known = self.banner(key)
        if known is not None and not actions and known.says(text, remedy, level):
            known.restart()
            return known
        if known is not None:
            self._remove(known)
        banner = Banner(text, remedy, level, actions, key, self)
        banner.closed.connect(self._remove)
        self._banners.insert(0, banner)
        self._column.insertWidget(0, banner)
        self._arrange()
        self._announce(banner)
        return banner

    def show_error(self, error: UserError, key: str | None = None) -> Banner:
        """Show what went wrong and what to do about it."""
        return self.show_message(error.message, error.remedy, "error", key=key)

    def dismiss(self, key: str) -> None:
        """Take the message with this key away, if it is there."""
        banner = self.banner(key)
        if banner is not None:
            self._remove(banner)

    def clear(self) -> None:
        """Take all messages away."""
        for banner in tuple(self._banners):
            self._remove(banner)

    def _remove(self, banner: Banner) -> None:
        if banner not in self._banners:
            return
        self._banners.remove(banner)
        self._column.removeWidget(banner)
        banner.hide()
        banner.deleteLater()
        self._arrange()

    def _arrange(self) -> None:
        for place, banner in enumerate(self._banners):
            banner.setVisible(place < MAX_SHOWN)
        hidden = len(self._banners) - MAX_SHOWN
        self._footer.setVisible(hidden > 0)
        self._more.setText(f"{hidden} earlier message{'s' if hidden > 1 else ''}")
        self.setVisible(bool(self._banners))
        self._place()
        self.changed.emit()

    def _announce(self, banner: Banner) -> None:
        event = QAccessibleAnnouncementEvent(banner, banner.accessibleName())
        if banner.level == "error":
            event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
        QAccessible.updateAccessibility(event)

    def _place(self) -> None:
        if self._host is None:
            return
        wide = min(self._host.width(), 52 * self.fontMetrics().height())
        high = self._column.heightForWidth(wide) if self._column.hasHeightForWidth() else -1
        high = high if high >= 0 else self.sizeHint().height()
        self.setGeometry((self._host.width() - wide) // 2, 0, wide, high)
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay at the upper edge of the widget below."""
        if watched is self._host and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def changeEvent(self, event: QEvent) -> None:
        """Another font needs another height."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._place()


class _Footer(QFrame):
    """The line that counts messages there is no room for."""

    def __init__(self, more: QLabel, clear: QPushButton, parent: QWidget) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 2, 7, 2)
        row.addWidget(more, 1)
        row.addWidget(clear)
        self.hide()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A quiet card."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1.0))
        painter.setBrush(self.palette().color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)


def _close_button(tip: str, parent: QWidget) -> QToolButton:
    button = QToolButton(parent)
    button.setIcon(icon("close"))
    side = parent.fontMetrics().height()
    button.setIconSize(QSize(side, side))
    button.setAutoRaise(True)
    button.setToolTip(tip)
    button.setAccessibleName("Dismiss")
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
