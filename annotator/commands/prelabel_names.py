"""The names `annotator prelabel --vocabulary` gives: which list, which model, and their vectors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.commands import prelabel_options as options
from annotator.commands.progress import say
from annotator.core.errors import UserError
from annotator.core.vocabulary_files import read_vocabulary, shipped
from models.api import ModelError, Segmenter

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.open_names import OpenNames
    from annotator.core.prelabel.proposing import ProposalSource
    from annotator.services.prelabelling import Target
    from models.naming.clip import Clip

    Classes = tuple[tuple[str, ...], ...]

LISTS = {"coco": "coco.txt", "lvis": "lvis-v1.txt"}
PROJECT = "project"


def named(
    given: argparse.Namespace, source: ProposalSource, target: Target, segmenter: Segmenter
) -> OpenNames:
    """The source with names for what it does not name itself.

    Raises:
        RefusedError: the list cannot be read, or there is no model for names.
        ModelError: the model's files are missing or damaged.
    """
    from annotator.core.prelabel.open_names import OpenNames, Words
    from annotator.core.prelabel.run import RefusedError
    from models.naming.sight import open_sight, text_tower
    from models.naming.texts import NameVectors, default_folder

    model = _model(given)
    namer = target.namer(resume=given.resume)
    try:
        classes = _classes(given.vocabulary, namer)
    except UserError as error:
        raise RefusedError(error.message, error.remedy) from error
    opened: dict[str, Clip] = {}

    def clip(tower: str) -> Clip:
        if tower not in opened:
            from models.naming.clip import Clip
            from models.naming.towers import find_tower

            opened[tower] = Clip.open(find_tower(tower))
        return opened[tower]

    tower = text_tower(model)
    vectors = NameVectors(default_folder(), tower, target.templates)
    every = [name for names in classes for name in names]
    if vectors.missing(every):
        say(f"Learning {len(vectors.missing(every))} names …")
        for _ in vectors.learning(every, lambda texts: clip(tower).texts(texts)):
            pass
    words = Words(
        tuple(names[0] for names in classes),
        vectors.table(classes),
        Words.digest_of(classes, target.templates),
    )
    sight = open_sight(model, clip, segmenter)
    return OpenNames(source, sight, words, namer, given.min_name_score)


def _model(given: argparse.Namespace) -> str:
    """The model for names: the one asked for, the window's, or the first that is here.

    Raises:
        RefusedError: there is none.
    """
    from annotator.core.prelabel.run import RefusedError
    from models.naming.sight import SEGMENTERS, space
    from models.naming.towers import TOWERS
    from models.registry import segmenter_spec

    model = given.names_model or options.settings().names
    if not model:
        model = next((tower.id for tower in TOWERS if tower.available() is None), TOWERS[0].id)
    try:
        space(model)
    except ModelError as error:
        raise RefusedError(str(error), "Say another one with --names-model.") from error
    if model in SEGMENTERS:
        problem, weight = segmenter_spec(model).available(), ""
    else:
        tower = next(tower for tower in TOWERS if tower.id == model)
        problem, weight = tower.available(), tower.weight
    if problem is not None:
        get = f"Get it with: annotator models get {weight}" if weight else "Get its files first."
        raise RefusedError(f"--vocabulary needs a model for names. {problem}", get)
    return model


def _classes(vocabulary: str, namer: Namer) -> Classes:
    """The names of every class, the one it is called first, as the project spells it.

    Raises:
        UserError: there is no such list, or it has no class.
    """
    if vocabulary == PROJECT:
        if not namer.categories:
            raise UserError("The project has no classes.", "Name a list with --vocabulary.")
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
