"""Everything mode as a source of proposals: every object the model sees, without names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from annotator.core.prelabel.proposing import Answer, Checked
from annotator.core.troubles import Trouble
from models import everything
from models.api import Embedding

BATCH = everything.MOST_PROMPTS
"""Points asked at once. Fixed, so that an image has the same proposals on any machine."""


class EverythingMode:
    """A grid of points.

    Args:
        options: what is asked and what is kept.
    """

    def __init__(self, options: everything.Options) -> None:
        self._options = options

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `ProposalSource`."""
        return {"ask": "everything", **asdict(self._options)}

    @property
    def labels(self) -> Sequence[str]:
        """See `ProposalSource`."""
        return ()

    def wants(self, key: str) -> bool:
        """See `ProposalSource`."""
        return True

    def names_all(self, key: str) -> bool:
        """See `ProposalSource`."""
        return False

    def ask(
        self, segmenter: Checked, embedding: Embedding, key: str
    ) -> tuple[Sequence[Answer], Sequence[Trouble]]:
        """See `ProposalSource`."""
        found: tuple[everything.Proposal, ...] = ()
        for step in everything.steps(segmenter, embedding, self._options, BATCH):
            found = step.found
        return [Answer(p.candidate, p.prompt, p.candidate.score, p.stability) for p in found], ()
