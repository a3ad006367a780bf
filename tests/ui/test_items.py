from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter, QTransform
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.cv import cv2
from annotator.core.mask import Mask
from annotator.core.palette import COLORS
from annotator.ui import canvas_pixels, items
from annotator.ui.items import AnnotationItem, CandidateItem
from models.api import Box, MaskCandidate

SIDE = 64
WHOLE = Box(0, 0, SIDE, SIDE)


@pytest.fixture(autouse=True)
def application(qtbot: QtBot) -> None:
    """Painting text needs one."""


def ring() -> np.ndarray:
    """A ring with a second part."""
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - 30, y - 30)
    pixels = (distance < 20) & (distance > 10)
    pixels[56:62, 50:60] = True
    return pixels


def item(pixels: np.ndarray, **changes: object) -> AnnotationItem:
    return AnnotationItem(Annotation(1, raster.from_array(pixels), 1, **changes), "#00ff00")


def painted(drawn: AnnotationItem, zoom: float, kind: str = "object") -> np.ndarray:
    """(h, w) alpha of an object drawn at a zoom."""
    size = round(SIDE * zoom)
    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(0)
    with QPainter(image) as painter:
        painter.setTransform(QTransform.fromScale(zoom, zoom))
        drawn.paint(painter, WHOLE, 1 / zoom, 0.5, kind)
    flat = np.frombuffer(image.constBits(), np.uint8).reshape(size, size, 4)
    return flat[..., 3].copy()


def test_hits_follow_the_pixels() -> None:
    drawn, pixels = item(ring()), ring()
    for x, y in ((30, 30), (30, 15), (49, 31), (55, 58), (63, 63), (45, 45)):
        assert drawn.hit(x + 0.5, y + 0.5) == bool(pixels[y, x])
    assert not drawn.hit(-1, 5)


def test_very_small_objects_can_be_hit_beside() -> None:
    pixels = np.zeros((SIDE, SIDE), bool)
    pixels[20, 20] = True
    assert not item(pixels).hit(22.5, 20.5)
    assert item(pixels).hit(22.5, 20.5, slack=2)
    assert not item(ring()).hit(30, 30, slack=2)


@pytest.mark.parametrize("zoom", [0.25, 0.5, 1.0, 2.5, 4.0, 9.0])
@pytest.mark.parametrize("kind", ["object", "dense", "selected"])
def test_what_is_painted_is_the_mask(zoom: float, kind: str) -> None:
    alpha = painted(item(ring()), zoom, kind)
    at = (np.arange(alpha.shape[0]) + 0.5) / zoom
    inside = ring()[np.ix_(at.astype(int), at.astype(int))]
    # Outlines reach a few pixels to both sides.
    reach = 4
    grown = np.array(
        [np.roll(inside, (i, j), (0, 1)) for i in range(-reach, reach + 1)
         for j in range(-reach, reach + 1)]
    )  # fmt: skip
    assert (alpha[grown.all(axis=0)] > 60).all()
    assert (alpha[~grown.any(axis=0)] == 0).all()


def test_outlines_are_exact_when_near() -> None:
    """The fill covers exactly the pixels: compare without the strokes."""
    zoom = 10
    alpha = painted(item(ring()), zoom)
    middles = alpha[zoom // 2 :: zoom, zoom // 2 :: zoom]
    assert np.array_equal(middles > 0, ring())
    edges = canvas_pixels.piece_edges(raster.crop(raster.from_array(ring())))
    length = (edges.horizontal[:, 2] - edges.horizontal[:, 1]).sum()
    padded = np.pad(ring(), 1)
    assert length == (padded[1:] != padded[:-1]).sum()


def test_a_part_is_painted_like_the_whole() -> None:
    for zoom in (1.0, 8.0):
        size = round(SIDE * zoom)
        whole = painted(item(ring()), zoom)
        image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(0)
        with QPainter(image) as painter:
            for x0, x1 in ((0, 23), (23, SIDE)):
                painter.save()
                painter.setClipRect(QRectF(x0 * zoom, 0, (x1 - x0) * zoom, size))
                painter.setTransform(QTransform.fromScale(zoom, zoom))
                item(ring()).paint(painter, Box(x0, 0, x1, SIDE), 1 / zoom, 0.5)
                painter.restore()
        parts = np.frombuffer(image.constBits(), np.uint8).reshape(size, size, 4)[..., 3]
        # Two edges that meet at the cut may round differently.
        assert np.abs(parts.astype(int) - whole).max() <= 2


def test_tiny_objects_stay_visible() -> None:
    pixels = np.zeros((SIDE, SIDE), bool)
    pixels[30:32, 30:32] = True
    alpha = painted(item(pixels), 0.5)
    assert (alpha > 100).sum() >= 9


def test_thin_objects_stay_visible_from_afar() -> None:
    thin = np.zeros((SIDE * 8, SIDE * 8), bool)
    rows = np.arange(SIDE * 8)
    thin[rows, rows] = True
    drawn = item(thin)
    assert drawn.prepare(16.0)
    assert not drawn.prepare(16.0)
    assert not drawn._paths[8].isEmpty()


def test_specks_get_thin_lines_and_detailed_objects_do_not(monkeypatch) -> None:
    looks = []
    monkeypatch.setattr(items, "draw_path", lambda _, path, look: looks.append((path, look)))
    noise = np.random.default_rng(0).random((400, 400))
    comb = np.zeros((400, 400), bool)
    comb[100:300, 1:398:4] = comb[200] = True
    for pixels, thin in ((noise > 0.5, True), (comb, False)):
        painted(item(pixels), 1.0)
        path, look = looks.pop()
        assert path.elementCount() > 300
        assert all(stroke.isCosmetic() == thin for stroke in look.strokes)


def test_huge_objects_are_traced_where_they_are_seen() -> None:
    side = 2000
    pixels = np.zeros((side, side), bool)
    pixels[10:-10, 10:-10] = True
    drawn = item(pixels)
    assert not drawn.prepare(1.0)
    image = QImage(100, 100, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(0)
    with QPainter(image) as painter:
        painter.translate(-500, -500)
        drawn.paint(painter, Box(500, 500, 600, 600), 1.0, 0.5)
    alpha = np.frombuffer(image.constBits(), np.uint8).reshape(100, 100, 4)[..., 3]
    assert len(np.unique(alpha)) == 1  # no outline where the seen part ends
    assert alpha[0, 0] > 60
    assert not drawn._paths
    assert drawn.prepare(4.0)


def test_boxes_are_painted_as_frames() -> None:
    drawn = AnnotationItem(Annotation(1, Box(10, 10, 50, 50), 1), "#00ff00")
    alpha = painted(drawn, 2.0)
    assert alpha[20, 60] > 150
    assert 0 < alpha[60, 60] < 60
    assert alpha[5, 5] == 0
    assert drawn.hit(30, 30)


def test_candidates_are_traced_between_the_cells() -> None:
    y, x = np.mgrid[:64, :64] + 0.5
    logits = (20.3 - np.hypot(x - 31.7, y - 30.1)).astype(np.float32)
    drawn = CandidateItem(MaskCandidate(logits, Box(100, 50, 740, 690), 0.9))
    for angle in np.linspace(0, 6.28, 40):
        for radius, inside in ((19.9, True), (20.8, False)):
            at = QPointF(
                100 + 10 * (31.7 + radius * np.cos(angle)),
                50 + 10 * (30.1 + radius * np.sin(angle)),
            )
            assert drawn.path.contains(at) == inside


def test_candidates_keep_their_holes_and_may_be_empty() -> None:
    logits = np.where(ring(), 3.0, -3.0).astype(np.float32)
    drawn = CandidateItem(MaskCandidate(logits, WHOLE, 0.9))
    assert drawn.path.contains(QPointF(30.5, 15.5))
    assert not drawn.path.contains(QPointF(30.5, 30.5))
    assert CandidateItem(MaskCandidate(np.full((9, 9), -1.0, np.float32), WHOLE, 0)).path.isEmpty()


@pytest.mark.parametrize("color", [*COLORS, ""])
def test_every_outline_has_a_contrasting_casing(color: str) -> None:
    look = items.style(color, "object", 0.45, 1.0)
    casing, line = (pen.color() for pen in look.strokes)
    assert abs(items.luminance(casing) - items.luminance(line)) > 0.25


@pytest.mark.parametrize("color", COLORS)
def test_candidates_are_bright(color: str) -> None:
    assert items.brightened(QColor(color)).valueF() > 0.94


def test_tags_stay_in_the_viewport() -> None:
    for corner in (QPointF(-50, -50), QPointF(500, 500), QPointF(95, 3)):
        image = QImage(100, 60, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(0)
        with QPainter(image) as painter:
            items.draw_tag(painter, "cat", "#E69F00", corner, QRectF(0, 0, 100, 60))
        alpha = np.frombuffer(image.constBits(), np.uint8).reshape(60, 100, 4)[..., 3]
        assert (alpha > 200).sum() > 200
        assert alpha[0].max() == 0
        assert alpha[-1].max() == 0


def test_positive_and_negative_marks_differ_in_shape() -> None:
    shapes = []
    for positive in (True, False):
        image = QImage(40, 40, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(0)
        with QPainter(image) as painter:
            items.draw_point(painter, QPointF(20, 20), positive=positive, hovered=False)
        shapes.append(np.frombuffer(image.constBits(), np.uint8).reshape(40, 40, 4)[..., 3] > 128)
    assert (shapes[0] != shapes[1]).sum() > 30


def _speckled() -> Mask:
    """Many pieces: an outline of more corners than `INTRICATE`."""
    y, x = np.mgrid[:512, :512]
    return raster.from_array(((x // 8 + y // 8) % 2 == 0) & (x > 40) & (y < 480))


@pytest.mark.parametrize("zoom", [0.4, 1.0])
def test_an_intricate_outline_is_drawn_in_parts_that_fit(zoom: float, monkeypatch) -> None:
    def drawn(tile: int) -> np.ndarray:
        whole = AnnotationItem(Annotation(1, _speckled(), 1), "#00ff00")
        size = round(512 * zoom)
        image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(0)
        with QPainter(image) as painter:
            for top in range(0, size, tile):
                for left in range(0, size, tile):
                    painter.setTransform(QTransform(zoom, 0, 0, zoom, 0, 0))
                    corner = QRectF(left / zoom, top / zoom, tile / zoom, tile / zoom)
                    painter.setClipRect(corner)
                    area = Box(corner.left(), corner.top(), corner.right(), corner.bottom())
                    whole.paint(painter, area, 1 / zoom, 0.5)
        flat = np.frombuffer(image.constBits(), np.uint8).reshape(size, size, 4)
        return flat.astype(int)

    parts = drawn(64)
    monkeypatch.setattr(items, "INTRICATE", 1 << 30)
    assert np.abs(parts - drawn(1024)).mean() < 3


@pytest.mark.parametrize("kind", ["spot", "border", "pieces", "all", "nothing"])
@pytest.mark.parametrize("side", [64, 256])
def test_contours_are_those_of_the_whole_frame(kind: str, side: int) -> None:
    y, x = np.mgrid[:side, :side] / side
    spot = 0.15 - np.hypot(x - 0.6, y - 0.4)
    logits = {
        "spot": spot,
        "border": np.maximum(spot, 0.1 - np.hypot(x - 1, y)),
        "pieces": np.sin(25 * x) * np.sin(31 * y) - 0.3,
        "all": np.ones_like(x),
        "nothing": -np.ones_like(x),
    }[kind].astype(np.float32)
    found = canvas_pixels.candidate_rings(MaskCandidate(logits, Box(10, 20, 810, 420), 0.5))
    factor = min(canvas_pixels.CONTOUR_GRID // side, 4)
    size = (side * factor, side * factor)
    inside = cv2.resize(logits, size, interpolation=cv2.INTER_LINEAR) > 0
    steps = 800 / size[0], 400 / size[1]
    expected = canvas_pixels._traced(inside, 10, 20, *steps, tolerance=0.6)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
