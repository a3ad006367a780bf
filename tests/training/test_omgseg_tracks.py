"""“Track through” with real predictions: a narrow OMG-Seg that was taught for a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from annotator.services.tracking_run import Order
from models import tracking
from models.networks.omgseg import OmgSeg
from models.omgseg.tracker import QueryTracker
from models.tracking import TrackerSpec
from tests.models import omgseg_narrow as narrow
from tests.models.moving import write
from tests.models.toy_segmenter import ToyModel, register
from tests.services.test_tracking_run import FRAMES, KEYS, Desk
from tests.training.omgseg_scenes import SIZE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def frame(time: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels, a disk that goes right, and a square that goes left."""
    height, width = SIZE
    ys, xs = np.mgrid[:height, :width] + 0.5
    pixels = np.zeros((height, width, 3), np.float32)
    pixels[: height // 2], pixels[height // 2 :] = (140, 190, 250), (70, 140, 50)
    disk = (xs - (30 + 4 * time)) ** 2 + (ys - (30 + time)) ** 2 < 14**2
    square = (abs(xs - (95 - 3 * time)) < 12) & (abs(ys - 72) < 12)
    pixels[disk], pixels[square] = (200, 40, 40), (240, 220, 60)
    pixels += np.random.default_rng(time).normal(0, 4, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), disk, square


@pytest.fixture
def desk(
    qtbot: QtBot, taught: OmgSeg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    register(monkeypatch, ToyModel())
    spec = TrackerSpec(
        "omgseg", "Narrow", "1", "", "Apache-2.0", finds=True, clip=2,
        load=lambda _: QueryTracker(spec, narrow.opened(taught), (SIZE[1], SIZE[0])),
    )  # fmt: skip
    monkeypatch.setattr(tracking, "trackers", lambda: {"omgseg": spec})
    for time, key in enumerate(KEYS):
        write(tmp_path / "images" / key, frame(time)[0])
    desk = Desk(qtbot, tmp_path / "images")
    yield desk
    desk.close()


def j(annotation: Annotation, truth: np.ndarray) -> float:
    assert isinstance(annotation.shape, Mask)
    return raster.iou(annotation.shape, raster.from_array(truth))


def test_accepted_masks_go_on_under_their_numbers_and_strange_ones_are_refused(desk: Desk) -> None:
    _, disk, square = frame(0)
    strange = np.zeros(SIZE, bool)
    strange[40:56, 60:64] = True
    marked = tuple(
        Annotation(desk.document.new_id(), raster.from_array(mask), desk.thing)
        for mask in (disk, square, strange)
    )
    desk.document.edit(KEYS[0], marked, "Mark")
    report = desk.track(Order("omgseg", KEYS[0]))
    assert (report.refused, report.images, report.unsure) == (1, FRAMES - 1, ())
    scores = []
    for time in range(1, FRAMES):
        found = {a.track: a for a in desk.at(time)}
        assert set(found) == {marked[0].id, marked[1].id}
        scores += [j(found[marked[0].id], frame(time)[1]), j(found[marked[1].id], frame(time)[2])]
    assert np.mean(scores) > 0.75


def test_from_nothing_it_finds_both_and_keeps_their_numbers(desk: Desk) -> None:
    desk.track(Order("omgseg", KEYS[0], find=True))
    for which in (1, 2):
        best = [max(desk.at(time), key=lambda a, t=time: j(a, frame(t)[which]))
                for time in range(1, FRAMES)]  # fmt: skip
        assert len({a.track for a in best}) == 1
        assert np.mean([j(a, frame(t)[which]) for t, a in enumerate(best, 1)]) > 0.75
