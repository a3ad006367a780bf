"""Line icons drawn from SVG in the colour of the text, only when they are first painted."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QPainter,
    QPalette,
    QPixmap,
    QPixmapCache,
)


@cache
def _source(name: str) -> str:
    return (files("resources") / "icons" / f"{name}.svg").read_text("utf-8")


def render(name: str, size: QSize, ratio: float, color: QColor | None = None) -> QPixmap:
    """A drawing from resources/icons as a pixmap.

    Args:
        name: file name without ".svg".
        size: in device-independent pixels.
        ratio: device pixels per device-independent pixel.
        color: replaces `currentColor`; None keeps the colours of the file.

    Raises:
        FileNotFoundError: no such drawing.
    """
    tint = color.name() if color is not None else "own"
    key = f"annotator/{name}/{size.width()}x{size.height()}@{ratio}/{tint}"
    pixmap = QPixmap()
    if QPixmapCache.find(key, pixmap):
        return pixmap
    from PySide6.QtSvg import QSvgRenderer

    source = _source(name)
    if color is not None:
        source = source.replace("currentColor", color.name())
    pixmap = QPixmap(size * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    side = min(size.width(), size.height())
    target = QRectF((size.width() - side) / 2, (size.height() - side) / 2, side, side)
    painter = QPainter(pixmap)
    QSvgRenderer(source.encode("utf-8")).render(painter, target)
    painter.end()
    QPixmapCache.insert(key, pixmap)
    return pixmap


class _Engine(QIconEngine):
    """Renders on demand in the application's current text colour, so themes need no reload."""

    def __init__(self, name: str, tinted: bool) -> None:
        super().__init__()
        self._name = name
        self._tinted = tinted

    def clone(self) -> QIconEngine:
        """Qt copies an icon before it changes it."""
        return _Engine(self._name, self._tinted)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw into a rectangle of a painter."""
        ratio = painter.device().devicePixelRatioF()
        painter.drawPixmap(rect, self.scaledPixmap(rect.size(), mode, state, ratio))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """A pixmap for screens of ratio 1."""
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(
        self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float
    ) -> QPixmap:
        """A pixmap for screens of any ratio."""
        if size.isEmpty():
            return QPixmap()
        return render(self._name, size, scale, self._color(mode, state) if self._tinted else None)

    def _color(self, mode: QIcon.Mode, state: QIcon.State) -> QColor:
        palette, role = QGuiApplication.palette(), QPalette.ColorRole
        if mode == QIcon.Mode.Disabled:
            return palette.color(QPalette.ColorGroup.Disabled, role.ButtonText)
        if mode == QIcon.Mode.Selected:
            return palette.color(role.HighlightedText)
        # What is on shows in the accent as well, not only as a pressed-in frame.
        return palette.color(role.Link if state == QIcon.State.On else role.ButtonText)


def icon(name: str) -> QIcon:
    """The icon of this name; costs next to nothing until it is painted."""
    return QIcon(_Engine(name, tinted=True))


def app_icon() -> QIcon:
    """The program's own icon, in its own colours."""
    return QIcon(_Engine("annotator", tinted=False))


def pixmap(name: str, side: int, ratio: float, color: QColor) -> QPixmap:
    """A square drawing in a given colour, `side` device-independent pixels."""
    return render(name, QSize(side, side), ratio, color)


def draw(painter: QPainter, name: str, corner: QPoint, side: int, color: QColor) -> None:
    """Paint a square drawing at a corner, for delegates."""
    painter.drawPixmap(corner, pixmap(name, side, painter.device().devicePixelRatioF(), color))
