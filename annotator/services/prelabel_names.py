"""Names from a vocabulary for a run: which list, which model, and their vectors.

For the window and the command line; nothing here knows either. May take seconds: never on the GUI
thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.errors import UserError
from annotator.core.vocabulary_files import read_vocabulary, shipped
from models.api import ModelError, Segmenter

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.open_names import OpenNames
    from annotator.core.prelabel.proposing import ProposalSource

    Classes = tuple[tuple[str, ...], ...]

LISTS = {"coco": "coco.txt", "lvis": "lvis-v1.txt"}
PROJECT = "project"


@dataclass(frozen=True, slots=True)
class NamesWanted:
    """What was asked for.

    Attributes:
        vocabulary: `PROJECT`, one of `LISTS`, or the path of a file.
        model: id of the model for names; "" for the first that is here.
        min_score: the least score of a name; None: names that are not in doubt.
    """

    vocabulary: str
    model: str = ""
    min_score: float | None = None


def missing_model(model: str) -> tuple[str, UserError | None]:
    """The model that is meant, and why it cannot be used. Quick, without loading anything."""
    from models.naming.sight import SEGMENTERS, space
    from models.naming.towers import TOWERS
    from models.registry import segmenter_spec

    if not model:
        model = next((tower.id for tower in TOWERS if tower.available() is None), TOWERS[0].id)
    try:
        space(model)
    except ModelError as error:
        return model, UserError(str(error), "Choose another model for names.")
    if model in SEGMENTERS:
        problem, weight = segmenter_spec(model).available(), ""
    else:
        tower = next(tower for tower in TOWERS if tower.id == model)
        problem, weight = tower.available(), tower.weight
    if problem is None:
        return model, None
    get = f"Get it with: annotator models get {weight}" if weight else "Get its files first."
    return model, UserError(f"A vocabulary needs a model for names. {problem}", get)


def named(
    source: ProposalSource,
    wanted: NamesWanted,
    namer: Namer,
    templates: tuple[str, ...],
    segmenter: Segmenter,
    tell: Callable[[str], object],
) -> OpenNames:
    """The source with names for what it does not name itself.

    Args:
        source: finds the objects.
        wanted: what was asked for.
        namer: classes and memory of the project.
        templates: the sentences names are put into.
        segmenter: the one that is loaded.
        tell: is told what takes long.

    Raises:
        RefusedError: the list cannot be read, or there is no model for names.
        ModelError: the model's files are damaged.
    """
    from annotator.core.prelabel.open_names import OpenNames, Words
    from annotator.core.prelabel.run import RefusedError
    from models.naming.sight import LazySight, opened_clip, text_tower
    from models.naming.texts import NameVectors, default_folder

    model, problem = missing_model(wanted.model)
    try:
        if problem is not None:
            raise problem
        classes = _classes(wanted.vocabulary, namer)
    except UserError as error:
        raise RefusedError(error.message, error.remedy) from error
    clip = opened_clip()
    tower = text_tower(model)
    vectors = NameVectors(default_folder(), tower, templates)
    every = [name for names in classes for name in names]
    if missing := vectors.missing(every):
        tell(f"Learning {len(missing)} names …")
        for _ in vectors.learning(every, lambda texts: clip(tower).texts(texts)):
            pass
    titles = tuple(names[0] for names in classes)
    words = Words(titles, vectors.table(classes), Words.digest_of(classes, templates))
    sight = LazySight(model)
    sight.open(segmenter, clip)
    return OpenNames(source, sight, words, namer, wanted.min_score)


def _classes(vocabulary: str, namer: Namer) -> Classes:
    """The names of every class, the one it is called first, as the project spells it.

    Raises:
        UserError: there is no such list, or it has no class.
    """
    if vocabulary == PROJECT:
        if not namer.categories:
            raise UserError("The project has no classes.", "Choose a list, or add classes.")
        return tuple((one.name, *one.synonyms) for one in namer.categories)
    if vocabulary in LISTS:
        file = next(one for one in shipped() if one.name == LISTS[vocabulary])
        entries = file.read().entries
    else:
        entries = read_vocabulary(Path(vocabulary)).entries
    own = {one.id: one.name for one in namer.categories}
    classes: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        known = namer.names.find(entry.name)
        title = entry.name if known is None else own[known]
        classes.setdefault(title, tuple(dict.fromkeys((title, entry.name, *entry.synonyms))))
    return tuple(classes.values())
