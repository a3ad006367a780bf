"""Measuring a network on its way, as the program will run it, and keeping the best one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from models.adapted import WEIGHTS
from models.loupe.segmenter import LoupeSegmenter
from models.networks.loupe import Loupe
from models.segmenters.loupe import SPEC
from models.training.curves import Curve
from models.training.data import LabelledImage
from models.training.evaluation import STEPS, Dataset, evaluate
from models.training.evaluation.dataset import Picture, Truth
from models.training.evaluation.report import mean_answer
from models.training.export import export, save_weights
from models.training.running import say
from models.weight_files import disk_error, read_record, write_record

BEST = "best"
RECORD = "evaluation.json"


def as_dataset(images: Sequence[LabelledImage], name: str = "held out") -> Dataset:
    """Training images in the form the evaluation takes; classes do not matter."""
    return Dataset(name, tuple(_picture(i, image) for i, image in enumerate(images)), {0: "object"})


def _picture(number: int, image: LabelledImage) -> Picture:
    height, width = image.size
    truths = tuple(
        Truth(index, 0, False, int(image.mask(index).sum()), rle)
        for index, rle in enumerate(image.masks)
    )

    def read() -> bytes:
        try:
            return image.load()
        except OSError as error:
            raise disk_error(error, Path(image.name)) from error

    return Picture(number, image.name, image.name, width, height, truths, read)


def measure(network: Loupe, dataset: Dataset) -> dict[str, float]:
    """Mean IoU for every step of the protocol and their mean, through the graphs that ship.

    Raises:
        ModelError: an image cannot be read, or the graphs cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="annotator-") as made:
        export(network, Path(made))
        report = evaluate(LoupeSegmenter(SPEC, Path(made)), dataset)
    rows = report.group() or report.rows
    values = {step: mean_answer(rows, step) for step in STEPS}
    return {**values, "mean": fmean(values.values())}


class Examiner:
    """Measures the averaged weights of a run and keeps the best ones in `best` of its folder.

    Args:
        network: the averaged weights, which change while the run goes on.
        step: asked for the step of the run.
        images: what is never trained on.
        folder: of the run.
    """

    def __init__(
        self, network: Loupe, step: Callable[[], int], images: Sequence[LabelledImage], folder: Path
    ) -> None:
        self._network, self._step = network, step
        self._dataset = as_dataset(images)
        self._folder = folder / BEST
        self._best = float(read_record(self._folder / RECORD).get("mean", -1.0))
        self._measured = -1

    def __call__(self, curve: Curve) -> None:
        """Measure, write it down, and keep the network if it is the best so far.

        Raises:
            ModelError: an image cannot be read, or the disk is full.
        """
        step = self._step()
        if step == self._measured:
            return
        self._measured = step
        start = time.monotonic()
        values = measure(self._network, self._dataset)
        rounded = {name: round(value, 4) for name, value in values.items()}
        curve.write(step, {f"held out, {name}": value for name, value in rounded.items()})
        best = values["mean"] > self._best
        if best:
            self._keep({"step": step, **rounded})
            self._best = values["mean"]
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in values.items())
        took = time.monotonic() - start
        say(f"held out after step {step}: {numbers} ({took:.0f} s){'; the best' if best else ''}")

    def _keep(self, record: dict[str, float]) -> None:
        # First the record goes and last it comes: without it, nothing here counts as the best.
        try:
            (self._folder / RECORD).unlink(missing_ok=True)
            export(self._network, self._folder)
            save_weights(self._network, self._folder / WEIGHTS)
            write_record(self._folder / RECORD, record)
        except OSError as error:
            raise disk_error(error, self._folder) from error
