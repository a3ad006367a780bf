"""`annotator prelabel --vocabulary`: the names a run gives to what has none."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Protocol

from annotator.commands import prelabel_options as options
from annotator.commands.progress import say
from annotator.services.prelabel_names import NamesWanted
from annotator.services.prelabel_names import named as with_names

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.open_names import OpenNames
    from annotator.core.prelabel.proposing import ProposalSource
    from models.api import Segmenter


class KnowsNames(Protocol):
    """A `Target`, or the project of a cluster's run."""

    def namer(self, *, resume: bool) -> Namer:
        """See `annotator.services.prelabelling.Target`."""

    @property
    def templates(self) -> tuple[str, ...]:
        """See `annotator.services.prelabelling.Target`."""


def named(
    given: argparse.Namespace, source: ProposalSource, target: KnowsNames, segmenter: Segmenter
) -> OpenNames:
    """The source with names for what it does not name itself.

    Raises:
        RefusedError: the list cannot be read, or there is no model for names.
        ModelError: the model's files are missing or damaged.
    """
    model = given.names_model or options.settings().names
    wanted = NamesWanted(given.vocabulary, model, given.min_name_score)
    namer = target.namer(resume=given.resume)
    return with_names(source, wanted, namer, target.templates, segmenter, say)
