"""The plots of a project's statistics, drawn with Pillow in the colours of the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from annotator.core.statistics import GRID, Statistics

WIDTH, HEIGHT = 640, 400
SCALE = 2
"""Drawn so many times larger: sharp on dense screens, smooth on others."""
MOST_BARS = 18
"""Classes with a bar of their own; the table has all of them."""
WIDEST = 90
"""Room for one bar: a single day does not fill the sheet."""
LEFT, TOP, RIGHT, BOTTOM = 56, 44, 20, 48


@dataclass(frozen=True, slots=True)
class Colors:
    """Of paper, text, lines and bars ("#rrggbb"); the map goes from `line` to `bar`."""

    paper: str = "#ffffff"
    ink: str = "#222222"
    soft: str = "#767676"
    line: str = "#dddddd"
    bar: str = "#0072b2"
    second: str = "#d55e00"


LIGHT = Colors()
DARK = Colors("#1e1f22", "#e6e6e6", "#9a9a9a", "#3a3b3f", "#56b4e9", "#e69f00")
NAMES = ("classes", "sizes", "positions", "progress")


def plots(found: Statistics, colors: Colors = LIGHT) -> dict[str, Image.Image]:
    """All of them by name, RGB of twice `WIDTH` x `HEIGHT`."""
    return {
        "classes": _classes(found, colors),
        "sizes": _sizes(found, colors),
        "positions": _positions(found, colors),
        "progress": _progress(found, colors),
    }


def write_png(found: Statistics, folder: Path) -> list[Path]:
    """The plots on white; raises OSError."""
    written = []
    for name, image in plots(found).items():
        path = folder / f"{name}.png"
        image.save(path)
        written.append(path)
    return written


class _Sheet:
    """A picture with a title; lengths are in points of `WIDTH` x `HEIGHT`."""

    def __init__(self, title: str, colors: Colors) -> None:
        self.colors = colors
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), colors.paper)
        self._draw = ImageDraw.Draw(self.image)
        self.text(WIDTH / 2, 22, title, size=15, anchor="mm")

    def text(self, x: float, y: float, text: str, *, size: int = 11, anchor: str = "lm",
             soft: bool = False, width: float = 0) -> None:  # fmt: skip
        """A line of text, cut short where it is wider than `width` (0: never)."""
        font = _font(size)
        while width and len(text) > 1 and font.getlength(text) > width * SCALE:
            text = text.removesuffix("…")[:-1] + "…"
        fill = self.colors.soft if soft else self.colors.ink
        self._draw.text((x * SCALE, y * SCALE), text, fill, font, anchor=anchor)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: str) -> None:
        """A filled rectangle."""
        if x1 > x0 and y1 > y0:
            self._draw.rectangle([x0 * SCALE, y0 * SCALE, x1 * SCALE - 1, y1 * SCALE - 1], fill)

    def line(self, points: Sequence[tuple[float, float]], fill: str, width: float = 1) -> None:
        """A line."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(scaled, fill, round(width * SCALE), joint="curve")

    def nothing(self, text: str) -> Image.Image:
        """The picture, saying that there is nothing to see."""
        self.text(WIDTH / 2, HEIGHT / 2, text, anchor="mm", soft=True)
        return self.image


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)


def _classes(found: Statistics, colors: Colors) -> Image.Image:
    shown = [one for one in found.classes if one.objects][:MOST_BARS]
    more = sum(1 for one in found.classes if one.objects) - len(shown)
    title = f"{found.objects:,} objects by class"
    sheet = _Sheet(title + (f" ({more:,} more classes in the table)" if more else ""), colors)
    if not shown:
        return sheet.nothing("No objects yet")
    room, left = (HEIGHT - TOP - 16) / max(len(shown), 8), 160
    most = max(one.objects for one in shown)
    for place, one in enumerate(shown):
        y = TOP + (place + 0.5) * room
        length = (WIDTH - left - 70) * one.objects / most
        sheet.text(left - 8, y, one.name, anchor="rm", width=left - 20)
        sheet.box(left, y - room * 0.34, left + max(length, 1), y + room * 0.34, colors.bar)
        sheet.text(left + length + 6, y, f"{one.objects:,}", soft=True)
    return sheet.image


def _axis(sheet: _Sheet, most: float) -> float:
    """Lines with numbers from 0 to a round number above `most`, which is returned."""
    step = 10 ** np.floor(np.log10(max(most, 1)))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if most / s <= 6)
    step = max(float(step), 1.0)
    top = max(float(np.ceil(most / step)) * step, step)
    for value in np.arange(0, top + step / 2, step):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
        sheet.line([(LEFT, y), (WIDTH - RIGHT, y)], sheet.colors.line)
        sheet.text(LEFT - 6, y, f"{value:,.0f}", anchor="rm", soft=True)
    return top


def _bars(sheet: _Sheet, values: Sequence[int], labels: Sequence[str], below: str,
          colors: Sequence[str]) -> None:  # fmt: skip
    top = _axis(sheet, max(values))
    room = min((WIDTH - LEFT - RIGHT) / len(values), WIDEST)
    every = -(-len(labels) // 10)
    for place, value in enumerate(values):
        x = LEFT + place * room
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top
        sheet.box(x + room * 0.1, y, x + room * 0.9, HEIGHT - BOTTOM, colors[place % len(colors)])
        if place % every == 0:
            sheet.text(x + room / 2, HEIGHT - BOTTOM + 12, labels[place], anchor="mm")
    sheet.text(WIDTH / 2, HEIGHT - 14, below, anchor="mm", soft=True)


def _sizes(found: Statistics, colors: Colors) -> Image.Image:
    sheet = _Sheet("Sizes of objects", colors)
    if not found.objects:
        return sheet.nothing("No objects yet")
    labels = [f"{low:.0f}-{high:.0f}" for low, high in
              zip(found.sides[:-1], found.sides[1:], strict=True)]  # fmt: skip
    _bars(sheet, found.sizes.tolist(), labels, "root of the area, pixels", [colors.bar])
    return sheet.image


def _positions(found: Statistics, colors: Colors) -> Image.Image:
    sheet = _Sheet("Where objects are in their image", colors)
    most = int(found.places.max(initial=0))
    if not most:
        return sheet.nothing("No objects yet")
    side = HEIGHT - TOP - 40
    left = (WIDTH - side) / 2
    low, high = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)], np.float64)
                 for c in (colors.line, colors.bar))  # fmt: skip
    share = (found.places / most)[..., None] ** 0.6
    cells = np.round(low + (high - low) * share).astype(np.uint8)
    size = (round(side * SCALE), round(side * SCALE))
    picture = Image.fromarray(cells).resize(size, Image.Resampling.NEAREST)
    sheet.image.paste(picture, (round(left * SCALE), TOP * SCALE))
    sheet.text(left - 10, TOP + side / 2, "left", anchor="rm", soft=True)
    sheet.text(left + side + 10, TOP + side / 2, "right", anchor="lm", soft=True)
    text = f"{GRID} x {GRID} cells; at most {most:,} objects in one"
    sheet.text(WIDTH / 2, HEIGHT - 18, text, anchor="mm", soft=True)
    return sheet.image


def _progress(found: Statistics, colors: Colors) -> Image.Image:
    sheet = _Sheet("Images worked on per day", colors)
    days = found.days[-60:]
    if not days:
        return sheet.nothing("Nothing was done yet")
    labels = [day.day[5:] for day in days]
    edits = sum(day.steps for day in days)
    below = f"{edits:,} edit{'s' * (edits != 1)} on {len(days)} day{'s' * (len(days) != 1)}"
    _bars(sheet, [day.images for day in days], labels, below, [colors.second])
    return sheet.image
