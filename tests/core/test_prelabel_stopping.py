"""Stopping a run in the middle of an image, with a model that takes long; and its time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from annotator.core.durations import duration
from annotator.core.pace import Pace
from annotator.core.prelabel.instances import InstanceOptions, Instances
from annotator.core.prelabel.pipeline import Failed, outcomes
from annotator.core.prelabel.reading import reader
from models.encoding import EncodingStoppedError, passed
from models.labelling import LabelledMask, LabellerSpec, Name, Unasked

NAMES = (Name("cat"),)


class Endless:
    """Works at the first image until it is stopped."""

    fingerprint = "endless"

    def __init__(self) -> None:
        self.steps = 0
        self.began = threading.Event()

    @property
    def spec(self) -> LabellerSpec:
        return LabellerSpec("endless", "", "1", "", "", load=lambda: self, takes_names=True)

    def label(self, image: np.ndarray, names: Sequence[Name]) -> Sequence[LabelledMask]:
        while True:
            passed("backbone", 0.5)
            self.steps += 1
            self.began.set()


def test_a_slow_model_stops_after_its_step(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    endless, stopped = Endless(), threading.Event()
    model, source = Unasked(endless, NAMES), Instances(NAMES, InstanceOptions())
    read = reader(tmp_path, model, source)
    threading.Thread(target=lambda: (endless.began.wait(), stopped.set()), daemon=True).start()
    (found,) = outcomes(("a.png",), read, model, source, stopped.is_set)
    assert isinstance(found, Failed)
    assert isinstance(found.error, EncodingStoppedError)
    assert endless.steps >= 1


def test_one_long_piece_says_how_long_the_rest_takes() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    pace.go()
    now[0] = 1.0
    pace.count()
    assert pace.rate is None
    now[0] = 35.0
    assert pace.rate == 1 / 35
    assert duration(312 * 35) == "about 3 hours"
    assert duration(300) == "about 5 minutes"
