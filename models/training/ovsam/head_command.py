"""`python -m models.training clip2sam`: Open-Vocabulary SAM's masks and names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from models.api import ModelError
from models.naming.classifier import Names
from models.networks.ovsam import POOLED, OpenVocabularySam, narrow_ovsam
from models.networks.sam_vit import narrow_sam
from models.ovsam.files import TOWER
from models.ovsam.loading import load_part, read_classifier
from models.training.distillation.teacher import load_teacher
from models.training.evaluation.dataset import Dataset, read_dataset
from models.training.ovsam.heads import HeadLearner, begin_heads
from models.training.ovsam.neck_command import changed, finish, tower_network
from models.training.ovsam.settings import HEADS
from models.training.running import LAST, run_folder, say, stoppable
from models.training.train_command import add_common, chosen_device, positive, some
from models.weight_files import disk_error

RESULT = "clip2sam.pth"
TEMPLATE = "a photo of a {}."


def run(arguments: list[str]) -> int:
    """Train from the beginning, or go on.

    Returns:
        0 when it went to its end, 1 when it was stopped.

    Raises:
        ModelError: data, names, networks, folder or checkpoint cannot be used, or the run failed.
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    device = chosen_device(given.device)
    dataset = read_dataset(given.data, skip_bad=given.skip_bad)
    network = _network(given)
    run_folder(given.out, resume=given.resume)
    rows, names = _names(given, dataset)
    learner = HeadLearner(
        network, dataset.pictures, rows, names, changed(given, HEADS), device, given.pooled
    )
    if given.resume:
        learner.resume(given.out / LAST, lambda settings: changed(given, settings))
    say(f"{len(rows)} classes; {device}; after step {learner.step} of {learner.steps}")
    with stoppable() as stopped:
        return finish(learner, given.out, RESULT, stopped)


def kept_classes(categories: Mapping[int, str], left_out: frozenset[str]) -> list[int]:
    """Numbers of the classes that are learnt, in order.

    Raises:
        ModelError: a class that is to be left out does not exist.
    """
    if unknown := sorted(left_out - set(categories.values())):
        raise ModelError(f"The data has no class “{unknown[0]}” that could be left out.")
    return sorted(number for number, name in categories.items() if name not in left_out)


def _names(given: argparse.Namespace, dataset: Dataset) -> tuple[dict[int, int], Names]:
    """Row by class, and the vectors of the names of all classes that are learnt."""
    numbers = kept_classes(dataset.categories, frozenset(given.leave_out or ()))
    rows = {number: row for row, number in enumerate(numbers)}
    if given.names is not None:
        table = read_classifier(given.names)
        if len(table) != len(dataset.categories):
            raise ModelError(
                f"“{given.names.name}” has vectors of {len(table)} classes, but the data has "
                f"{len(dataset.categories)}. They have to be in the order of the classes' numbers."
            )
        order = sorted(dataset.categories)
        return rows, Names.of(table[[order.index(number) for number in numbers]])
    classes = [_synonyms(dataset.categories[number]) for number in numbers]
    if given.narrow:
        return rows, _random(classes)
    return rows, _encoded(classes, given)


def _synonyms(name: str) -> list[str]:
    found = [part.strip().lower().replace("_", " ") for part in name.split(",")]
    return [part for part in found if part] or [name]


def _encoded(classes: list[list[str]], given: argparse.Namespace) -> Names:
    from models.naming.clip import Clip
    from models.naming.texts import NameVectors
    from models.naming.towers import find_tower

    clip = Clip.open(find_tower(TOWER))
    vectors = NameVectors(given.out / "names", TOWER, _templates(given.templates))
    for left in vectors.learning([name for names in classes for name in names], clip.texts):
        say(f"{left} names left to encode")
    return vectors.table(classes)


def _templates(path: Path | None) -> list[str]:
    if path is None:
        return [TEMPLATE]
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except OSError as error:
        raise disk_error(error, path) from error
    except UnicodeDecodeError as error:
        raise ModelError(f"“{path}” is not text in UTF-8.") from error
    found = [line for line in lines if line]
    if wrong := next((line for line in found if "{}" not in line), None):
        raise ModelError(f"“{wrong}” in “{path}” has no place {{}} for a name.")
    return found


def _random(classes: list[list[str]]) -> Names:
    """Any unit vectors, for a network that knows nothing."""
    rng = np.random.default_rng(0)
    length = narrow_ovsam().sizes.clip.vectors
    table = rng.normal(size=(len(classes), 1, length)).astype(np.float32)
    return Names.of(table / np.linalg.norm(table, axis=2, keepdims=True))


def _network(given: argparse.Namespace) -> OpenVocabularySam:
    if given.narrow:
        network, sam = narrow_ovsam(given.seed or 0), narrow_sam()
    else:
        if given.neck is None:
            raise ModelError(
                "Masks and names need a trained neck. Give one with --neck: sam2clip.pth of "
                "“sam2clip”, or the published sam2clip_vith_rn50.pth."
            )
        sam = load_teacher(given.sam).network
        torch.manual_seed(given.seed or 0)
        network = tower_network()
    if given.neck is not None:
        load_part(network, "neck_student", given.neck)
    begin_heads(network, sam)
    return network


def zoom(text: str) -> tuple[float, float]:
    """Two numbers, the smaller first."""
    low, _, high = text.partition(",")
    found = positive(low), positive(high)
    if found[0] > found[1]:
        raise argparse.ArgumentTypeError("the smaller one comes first")
    return found


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training clip2sam",
        description="Teach Open-Vocabulary SAM masks and names on labelled images.",
    )
    add = parser.add_argument
    texts = {
        "data": "a COCO data set: a folder with instances.json and images, or tar archives",
        "neck": "what sam2clip made, or the published neck",
        "sam": "whose prompt encoder and mask decoder it begins with (sam-vit-h)",
        "names": "vectors of the names, (classes, names, 768), in the order of class numbers; "
        "without it they are encoded here",
        "templates": f"sentences for names, one a line (only “{TEMPLATE}”)",
        "leave_out": "classes that are not learnt, to measure on names never seen: name,name,…",
        "pooled": f"cells that are read of an object along each side ({POOLED}; COCO's had 12)",
        "zoom": "smallest and largest enlargement (0.9,2.0; LVIS had 0.1,2.0)",
        "epochs": f"how often every image is seen ({HEADS.epochs})",
        "images": f"per step ({HEADS.images})",
        "objects": f"of each image in a step, at most ({HEADS.objects})",
        "rate": f"of AdamW at the beginning ({HEADS.rate:g})",
        "skip_bad": "leave out images and objects that cannot be used",
        "narrow": "a tiny network with random weights, to try the command within seconds",
    }
    add("data", type=Path, metavar="DATA", help=texts["data"])
    add_common(parser)
    for name in ("neck", "names", "templates"):
        add(f"--{name}", type=Path, metavar="FILE", help=texts[name])
    add("--sam", default="sam-vit-h", metavar="MODEL_ID", help=texts["sam"])
    add("--leave-out", type=_listed, metavar="LIST", help=texts["leave_out"])
    add("--pooled", type=some, default=POOLED, metavar="N", help=texts["pooled"])
    add("--zoom", type=zoom, metavar="A,B", help=texts["zoom"])
    for name in ("epochs", "images", "objects"):
        add(f"--{name}", type=some, metavar="N", help=texts[name])
    add("--rate", type=positive, metavar="X", help=texts["rate"])
    add("--skip-bad", action="store_true", help=texts["skip_bad"])
    add("--narrow", action="store_true", help=texts["narrow"])
    return parser
