"""Key sequences drawn as little key caps, for lists."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPalette, QPen

from annotator.keymaps import native
from annotator.ui.theme import mixed, soft_text

GAP = 3.0
SEQUENCE_GAP = 9.0


def caps(keys: str) -> tuple[str, ...]:
    """The caps of one key sequence: "Ctrl+Shift++" to "Ctrl", "Shift", "+"."""
    text = native(keys)
    parts = text[:-1].split("+") if text.endswith("+") else text.split("+")
    if text.endswith("+"):
        parts = [*(part for part in parts if part), "+"]
    return tuple(part for part in parts if part)


def width(sequences: Sequence[str], font: QFont) -> float:
    """Space that `paint` takes, in device-independent pixels."""
    metrics = QFontMetricsF(font)
    total = 0.0
    for keys in sequences:
        total += sum(_cap_width(cap, metrics) + GAP for cap in caps(keys)) - GAP + SEQUENCE_GAP
    return max(total - SEQUENCE_GAP, 0.0)


def paint(
    painter: QPainter,
    area: QRectF,
    sequences: Sequence[str],
    palette: QPalette,
    *,
    selected: bool = False,
    alert: QColor | None = None,
    right: bool = False,
) -> None:
    """Draw key sequences side by side, vertically centred in `area`.

    Args:
        painter: its font is used.
        area: where; what does not fit is cut off.
        sequences: portable text.
        palette: colours.
        selected: on a highlighted row.
        alert: draw frames and text in this colour.
        right: align to the right edge.
    """
    metrics = QFontMetricsF(painter.font())
    ink = palette.color(QPalette.ColorRole.HighlightedText) if selected else soft_text(palette)
    ink = alert if alert is not None and not selected else ink
    surface = palette.color(QPalette.ColorRole.Highlight if selected else QPalette.ColorRole.Base)
    height = metrics.height() + 3
    x = area.right() - width(sequences, painter.font()) if right else area.left()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setClipRect(area)
    for keys in sequences:
        for cap in caps(keys):
            box = QRectF(x, area.center().y() - height / 2, _cap_width(cap, metrics), height)
            painter.setPen(QPen(mixed(ink, surface, 0.45), 1.0))
            painter.setBrush(mixed(ink, surface, 0.07))
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 3.5, 3.5)
            painter.setPen(ink)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, cap)
            x += box.width() + GAP
        x += SEQUENCE_GAP - GAP
    painter.restore()


def _cap_width(cap: str, metrics: QFontMetricsF) -> float:
    return max(metrics.horizontalAdvance(cap) + 9, metrics.height() + 3)
