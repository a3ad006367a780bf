"""`python -m models.training evaluate`: models side by side on labelled images."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from models.api import ModelError, SegmenterSpec
from models.labelling import Labeller, labeller_spec
from models.registry import DEFAULT_SEGMENTER, segmenter_spec
from models.training.evaluation.dataset import Dataset, read_dataset
from models.training.evaluation.detections import read_detections
from models.training.evaluation.labelling import labeller_numbers
from models.training.evaluation.measuring import Options, evaluate
from models.training.evaluation.plots import draw_plots
from models.training.evaluation.report import Report
from models.training.evaluation.results import as_table, panoptic_numbers, video_numbers
from models.training.evaluation.tables import as_json, as_markdown


def run(arguments: list[str]) -> int:
    """Measure, then print the tables or write them with JSON and plots into a folder.

    Returns:
        0.

    Raises:
        ModelError: data, a model or the folder for the results cannot be used.
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    if given.panoptic or given.video:
        return _written_results(given)
    specs = [_usable(model) for model in dict.fromkeys(given.model or [DEFAULT_SEGMENTER])]
    dataset = read_dataset(given.dataset, given.images, limit=given.limit, skip_bad=given.skip_bad)
    for sentence in dataset.skipped:
        sys.stderr.write(f"Left out: {sentence}\n")
    if given.labeller:
        numbers = labeller_numbers(_labeller(given.labeller), dataset, ProgressLine(given.labeller))
        sys.stdout.write(as_table(given.labeller, numbers))
        return 0
    options = Options(
        limit=given.limit,
        min_area=given.min_area,
        seed=given.seed,
        clicks=given.clicks or given.click_objects is not None,
        click_objects=given.click_objects,
        detections=read_detections(given.detections, dataset) if given.detections else {},
    )
    if given.out:
        _writable(given.out)
    reports = [_measured(spec, dataset, options) for spec in specs]
    if given.out:
        written = write_reports(reports, given.out)
        sys.stdout.write("".join(f"{path}\n" for path in written))
    else:
        sys.stdout.write(as_markdown(reports))
    return 0


def _written_results(given: argparse.Namespace) -> int:
    if given.panoptic:
        sys.stdout.write(as_table("panoptic", panoptic_numbers(given.dataset, given.panoptic)))
    if given.video:
        sys.stdout.write(as_table("sequences", video_numbers(given.dataset, given.video)))
    return 0


def write_reports(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Write `evaluation.md`, `evaluation.json` and plots into a folder; the paths.

    Raises:
        ModelError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plots = draw_plots(reports, folder)
        texts = {
            "evaluation.md": as_markdown(reports, plots),
            "evaluation.json": as_json(reports),
        }
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return [folder / name for name in (*texts, *plots)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training evaluate",
        description="Measure models on labelled images: boxes, points, corrections, clicks.",
    )
    add = parser.add_argument
    texts = {
        "dataset": "folder with instances.json and images/, a COCO file, or tar archives with both",
        "images": "where the images lie, if not in images/ beside the COCO file",
        "model": f"a model of the registry, several times for several ({DEFAULT_SEGMENTER})",
        "out": "write Markdown, JSON and plots here instead of printing the tables",
        "limit": "the first N images only",
        "min_area": "smallest mask in pixels (0)",
        "seed": "of the corrective points (0)",
        "clicks": "also count the clicks until IoU 0.85 and 0.90; takes several times as long",
        "click_objects": "count them for N objects only",
        "detections": "COCO results of a detector: its boxes become prompts, for COCO AP",
        "panoptic": "instead: panoptic quality of results (JSON); DATASET is COCO's panoptic JSON",
        "video": "instead: J&F of results (folder); DATASET is a folder in DAVIS' layout",
        "labeller": "instead: mask AP of a model that labels images by itself (annotator prelabel "
        "x --labeller list)",
        "skip_bad": "leave out what is wrong with the data instead of refusing it",
    }
    add("dataset", type=Path, metavar="DATASET", help=texts["dataset"])
    add("--images", type=Path, metavar="DIR", help=texts["images"])
    add("--model", action="append", metavar="ID", help=texts["model"])
    add("--out", type=Path, metavar="DIR", help=texts["out"])
    add("--limit", type=_count, metavar="N", help=texts["limit"])
    add("--min-area", type=_count, default=0, metavar="N", help=texts["min_area"])
    add("--seed", type=_count, default=0, metavar="N", help=texts["seed"])
    add("--clicks", action="store_true", help=texts["clicks"])
    add("--click-objects", type=_count, metavar="N", help=texts["click_objects"])
    add("--detections", type=Path, metavar="FILE", help=texts["detections"])
    instead = parser.add_mutually_exclusive_group().add_argument
    instead("--panoptic", type=Path, metavar="FILE", help=texts["panoptic"])
    instead("--video", type=Path, metavar="DIR", help=texts["video"])
    instead("--labeller", metavar="ID", help=texts["labeller"])
    add("--skip-bad", action="store_true", help=texts["skip_bad"])
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def _usable(model: str) -> SegmenterSpec:
    spec = segmenter_spec(model)
    missing = spec.available()
    if missing:
        raise ModelError(f"“{model}” cannot be measured: {missing}")
    return spec


def _labeller(labeller_id: str) -> Labeller:
    spec = labeller_spec(labeller_id)
    if missing := spec.available():
        raise ModelError(f"“{labeller_id}” cannot be measured: {missing}")
    return spec.load()


def _writable(folder: Path) -> None:
    """Fails before hours of work rather than after them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / "evaluation.md.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> ModelError:
    reason = error.strerror or str(error)
    return ModelError(
        f"The results cannot be written to “{folder}” ({reason}). Choose another folder with --out."
    )


def _measured(spec: SegmenterSpec, dataset: Dataset, options: Options) -> Report:
    report = evaluate(spec.load(), dataset, options, ProgressLine(spec.id))
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return report


class ProgressLine:
    """One line on a terminal, a line for every tenth of the work elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._said = -1

    def __call__(self, done: int, total: int) -> None:
        """Say that so many images of so many are done."""
        passed = time.monotonic() - self._began
        left = _clock(passed / done * (total - done)) if done else "?"
        text = f"{self._title}: {done} of {total} images, {_clock(passed)} passed, {left} left"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{text}   ")
        elif 10 * done // total > self._said:
            sys.stderr.write(f"{text}\n")
            self._said = 10 * done // total
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
