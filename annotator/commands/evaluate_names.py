"""`annotator evaluate-names DATA`: how often the right name is suggested, and how soon."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from models.api import Describer, ModelError

if TYPE_CHECKING:
    import numpy as np

    from annotator.core.naming_trial import Floats, Method, Named, Trial
    from annotator.core.suggestions import Ranking
    from models.training.evaluation import Dataset

PLACES = 1, 5
TITLES = {1: "top-1", 5: "top-5"}


def run(arguments: list[str]) -> int:
    """Run `annotator evaluate-names` with these arguments.

    Returns:
        0 when it was measured, 1 when the data or a model cannot be used.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    try:
        trials = _measure(given)
        if given.out:
            for path in _write(trials, given.out):
                sys.stdout.write(f"{path}\n")
        else:
            sys.stdout.write(as_markdown(trials))
    except (ModelError, UserError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def as_markdown(trials: Sequence[Trial]) -> str:
    """A table, and the number of objects."""
    lines = ["| ranking | top-1 | top-5 |", "|---|---|---|"]
    lines += [
        f"| {t.method} | " + " | ".join(f"{t.top(places):.3f}" for places in PLACES) + " |"
        for t in trials
    ]
    count = trials[0].ranks.size if trials else 0
    return "\n".join([f"{count} objects, named one after the other.", "", *lines, ""])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotator evaluate-names",
        description="Measure how often the right name is suggested, by simulated labelling: "
        "images in order, each object is named once the place of its name was recorded.",
    )
    add = parser.add_argument
    add(
        "data",
        type=Path,
        metavar="DATA",
        help="folder with instances.json and images/, or a COCO file",
    )
    add("--min-area", type=int, default=0, metavar="N", help="smallest mask, pixels (0)")
    add("--shuffle", action="store_true", help="the objects of an image in any order")
    add("--limit", type=int, metavar="N", help="the first N images only")
    add(
        "--model",
        action="append",
        metavar="ID",
        help="a text model; by default every one whose weights are on this computer",
    )
    add("--out", type=Path, metavar="DIR", help="write a table, JSON and plots here")
    return parser


def _measure(given: argparse.Namespace) -> list[Trial]:
    import numpy as np

    from annotator.core import naming_trial as trial
    from models.describe import BasicDescriber
    from models.naming.towers import TOWERS, find_tower
    from models.training.evaluation import read_dataset

    dataset = read_dataset(given.data, limit=given.limit)
    chosen = [find_tower(name) for name in given.model or ()]
    towers = chosen or [tower for tower in TOWERS if tower.available() is None]
    basic = BasicDescriber()
    describers: list[Describer] = [basic]
    methods: dict[str, Method] = {
        "most frequent": trial.by_frequency,
        "last used": trial.by_last_use,
        "memory": trial.by_memory(basic.id),
    }
    names = list(dict.fromkeys(dataset.categories.values()))
    for tower in towers:
        describer, rank = _text_model(tower.id, names)
        describers.append(describer)
        methods[tower.title] = trial.by_text(describer.id, rank)
        methods[f"{tower.title} and memory"] = trial.by_both(describer.id, rank)
    order = np.random.default_rng(0) if given.shuffle else None
    objects = list(read_objects(dataset, describers, given.min_area, order))
    if not objects:
        raise UserError(f"“{given.data}” has no objects to name.", "Choose other data.")
    ranks: dict[str, list[int]] = {method: [] for method in methods}
    for _, found in trial.run(objects, methods):
        for method, place in found.items():
            ranks[method].append(place)
    return [trial.Trial(method, np.array(places)) for method, places in ranks.items()]


def _text_model(
    tower_id: str, names: Sequence[str]
) -> tuple[Describer, Callable[[Floats], Ranking]]:
    from annotator.core.vocabulary import TEMPLATES
    from models.naming import classifier
    from models.naming.clip import Clip
    from models.naming.describer import ClipDescriber
    from models.naming.texts import NameVectors, default_folder
    from models.naming.towers import find_tower

    tower = find_tower(tower_id)
    clip = Clip.open(tower)
    vectors = NameVectors(default_folder(), tower.id, TEMPLATES)
    for left in vectors.learning(names, clip.texts):
        sys.stderr.write(f"\r{tower.title}: {left} names left ")
    table = vectors.table([(name,) for name in names])

    return ClipDescriber(tower, clip), partial(classifier.ranking, titles=names, names=table)


def read_objects(
    dataset: Dataset,
    describers: Sequence[Describer],
    min_area: int,
    order: np.random.Generator | None,
) -> Iterator[Named]:
    """All objects in the order of the images; COCO lists those of an image by class.

    Args:
        dataset: labelled images.
        describers: of every one each object gets a vector.
        min_area: smallest mask, pixels.
        order: shuffles the objects of an image.
    """
    from annotator.core import raster, views
    from annotator.core.naming_trial import Named

    for picture in dataset.pictures:
        pixels = picture.pixels()
        truths = picture.objects
        for place in order.permutation(len(truths)) if order else range(len(truths)):
            truth = truths[place]
            if truth.area < max(min_area, 1):
                continue
            mask = raster.from_array(truth.mask())
            vectors = {
                d.id: d.describe(*view)
                for d in describers
                if (view := views.of_mask(pixels, mask, d.frame)) is not None
            }
            yield Named(dataset.categories[truth.category_id], vectors)


def _write(trials: Sequence[Trial], folder: Path) -> list[Path]:
    """Table, JSON and plots; their paths.

    Raises:
        UserError: the folder cannot be written.
    """
    content: Mapping[str, object] = {
        trial.method: {
            "top1": trial.top(1),
            "top5": trial.top(5),
            "ranks": trial.ranks.tolist(),
        }
        for trial in trials
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "names.md").write_text(as_markdown(trials), encoding="utf-8")
        (folder / "names.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
        plots = [_plot(trials, places, folder) for places in PLACES]
    except OSError as error:
        raise UserError(
            f"“{folder}” cannot be written: {error.strerror}.", "Choose another folder."
        ) from error
    return [folder / "names.md", folder / "names.json", *plots]


def _plot(trials: Sequence[Trial], places: int, folder: Path) -> Path:
    from annotator.core.naming_trial import WINDOW
    from models.training.evaluation.plots import Chart, Series

    count = trials[0].ranks.size
    title = f"Right name among the suggestions: {TITLES[places]}"
    chart = Chart(title, f"objects named so far (mean of the last {WINDOW})", (0, count))
    for number, trial in enumerate(trials):
        chart.legend(trial.method, number)
        chart.line(Series(trial.curve(places), number))
    for step in range(5):
        chart.tick(count * step / 4, str(count * step // 4))
    path = folder / f"names-{TITLES[places]}.png"
    chart.save(path)
    return path
