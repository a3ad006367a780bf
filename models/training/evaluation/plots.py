"""Small charts as PNG, drawn with Pillow: two kinds of marks do not need a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.training.evaluation.clicks import MOST
from models.training.evaluation.report import STEPS, Report, Row, mean
from models.training.evaluation.statistics import answers_of, calibration, click_curve

WIDTH, HEIGHT = 720, 420
MARGINS = 64, 64, 16, 56
"""Left, top, right, bottom, pixels."""
SCALE = 2
"""Drawn this many times larger and shrunk: Pillow's lines are not smooth."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which colour-blind people can tell apart."""
SIDES = (8, 16, 32, 64, 128, 256, 512)
"""Borders of groups by size: roots of areas, pixels."""
FEWEST = 5
"""Objects a group by size needs for a mark."""

MARKS = "filled: box, hollow: point"

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line with marks.

    Attributes:
        points: x, y in the chart's units, by rising x.
        colour: number of the colour.
        hollow: thin, with empty marks.
    """

    points: Line
    colour: int
    hollow: bool = False


class Chart:
    """Axes with numbers, to which bars and lines are added. The y axis is 0 to 1."""

    def __init__(self, title: str, x_label: str, x_range: tuple[float, float]) -> None:
        self._image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._range = x_range
        self._next_entry: tuple[float, float] = (MARGINS[0], 32)
        self._text((WIDTH / 2, 4), title, size=15, anchor="mt")
        self._text((WIDTH / 2, HEIGHT - 4), x_label, anchor="mb")
        for step in range(0, 11, 2):
            value = step / 10
            x0, y = self._place(x_range[0], value)
            x1, _ = self._place(x_range[1], value)
            self._stroke([(x0, y), (x1, y)], "#DDDDDD" if step else "#444444", 1)
            self._text((x0 - 8, y), f"{value:.1f}", anchor="rm")

    def tick(self, x: float, text: str) -> None:
        """A label below the x axis."""
        left, bottom = self._place(x, 0)
        self._text((left, bottom + 6), text, anchor="mt")

    def bar(self, x: float, width: float, value: float, colour: int) -> None:
        """A bar from 0 to a value, with the value above it; NaN draws nothing."""
        if np.isnan(value):
            return
        (left, top), (right, bottom) = self._place(x, value), self._place(x + width, 0)
        box = [v * SCALE for v in (left, top, right, bottom)]
        self._draw.rectangle(box, fill=COLOURS[colour % len(COLOURS)])
        self._text(((left + right) / 2, top - 2), f"{value:.2f}", size=10, anchor="mb")

    def line(self, series: Series) -> None:
        """A line with a mark at every point."""
        colour = COLOURS[series.colour % len(COLOURS)]
        places = [self._place(x, y) for x, y in series.points]
        self._stroke(places, colour, 1 if series.hollow else 2)
        for x, y in places:
            box = [(x - 3.5) * SCALE, (y - 3.5) * SCALE, (x + 3.5) * SCALE, (y + 3.5) * SCALE]
            fill = "white" if series.hollow else colour
            self._draw.ellipse(box, fill=fill, outline=colour, width=2 * SCALE)

    def diagonal(self) -> None:
        """Where x and y are equal."""
        self._stroke([self._place(0, 0), self._place(1, 1)], "#888888", 1)

    def legend(self, name: str, colour: int) -> None:
        """One entry of the legend, after the entries before it."""
        length = 15 + _font(12).getlength(name) + 18
        x, y = self._next_entry
        if x > MARGINS[0] and x + length > WIDTH - MARGINS[2]:
            x, y = MARGINS[0], y + 18
        box = [v * SCALE for v in (x, y - 5, x + 10, y + 5)]
        self._draw.rectangle(box, fill=COLOURS[colour % len(COLOURS)])
        self._text((x + 15, y), name, anchor="lm")
        self._next_entry = x + length, y

    def save(self, path: Path) -> None:
        """Write a PNG file; raises OSError."""
        self._image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path, "PNG")

    def _place(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = MARGINS
        part = (x - self._range[0]) / (self._range[1] - self._range[0])
        height = HEIGHT - top - bottom
        return left + part * (WIDTH - left - right), top + (1 - min(max(y, 0.0), 1.0)) * height

    def _stroke(self, places: Line, colour: str, width: int) -> None:
        points = [(x * SCALE, y * SCALE) for x, y in places]
        self._draw.line(points, fill=colour, width=width * SCALE, joint="curve")

    def _text(
        self, place: tuple[float, float], text: str, *, size: int = 12, anchor: str = "lm"
    ) -> None:
        where = place[0] * SCALE, place[1] * SCALE
        self._draw.text(where, text, fill="#222222", font=_font(size * SCALE), anchor=anchor)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw_plots(reports: Sequence[Report], folder: Path) -> list[str]:
    """Draw everything the reports have; the names of the files. Raises OSError."""
    charts = {
        "evaluation-iou.png": _steps_chart(reports),
        "evaluation-sizes.png": _sizes_chart(reports),
        "evaluation-calibration.png": _calibration_chart(reports),
    }
    if any(row.clicks for report in reports for row in report.rows):
        charts["evaluation-clicks.png"] = _clicks_chart(reports)
    for name, chart in charts.items():
        chart.save(folder / name)
    return list(charts)


def _steps_chart(reports: Sequence[Report]) -> Chart:
    chart = Chart("Mean IoU, objects of 32 x 32 pixels and more", "prompt", (0, len(STEPS)))
    width = 0.8 / len(reports)
    for number, report in enumerate(reports):
        chart.legend(report.model, number)
        for position, value in enumerate(report.headline().values()):
            chart.bar(position + 0.1 + number * width, width * 0.94, value, number)
    for position, step in enumerate(STEPS):
        chart.tick(position + 0.5, step)
    return chart


def _sizes_chart(reports: Sequence[Report]) -> Chart:
    borders = np.log2(SIDES)
    title = "Mean IoU by size of the object"
    chart = Chart(title, f"root of the area in pixels ({MARKS})", (borders[0], borders[-1]))
    for number, report in enumerate(reports):
        chart.legend(report.model, number)
        for kind in ("box", "point"):
            points = []
            for low, high in pairwise(SIDES):
                rows = [row for row in report.rows if low**2 <= row.area < high**2]
                if len(rows) >= FEWEST:
                    points.append((float(np.log2(low) + 0.5), _iou(rows, kind)))
            if points:
                chart.line(Series(points, number, hollow=kind == "point"))
    for side, border in zip(SIDES, borders, strict=True):
        chart.tick(float(border), str(side))
    return chart


def _iou(rows: Sequence[Row], step: str) -> float:
    return mean(row.answers[step].iou for row in rows)


def _calibration_chart(reports: Sequence[Report]) -> Chart:
    chart = Chart(
        "IoU against the model's score (diagonal: calibrated)", f"score ({MARKS})", (0, 1)
    )
    chart.diagonal()
    for number, report in enumerate(reports):
        chart.legend(report.model, number)
        for kind in ("box", "point"):
            bins = calibration(answers_of(report.group(), kind)).bins
            points = [(b.score, b.iou) for b in bins if b.count >= FEWEST]
            if points:
                chart.line(Series(points, number, hollow=kind == "point"))
    _number_ticks(chart, [step / 5 for step in range(6)])
    return chart


def _clicks_chart(reports: Sequence[Report]) -> Chart:
    title = "Mean IoU after clicks on the largest error (until 0.90)"
    chart = Chart(title, "clicks", (0.5, MOST + 0.5))
    for number, report in enumerate(reports):
        chart.legend(report.model, number)
        if any(row.clicks for row in report.rows):
            points = [(float(n), iou) for n, iou in enumerate(click_curve(report.rows), 1)]
            chart.line(Series(points, number))
    _number_ticks(chart, [1, *range(5, MOST + 1, 5)])
    return chart


def _number_ticks(chart: Chart, values: Sequence[float]) -> None:
    for value in values:
        chart.tick(value, f"{value:g}")
