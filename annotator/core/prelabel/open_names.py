"""Names from a vocabulary for what a source finds: open-vocabulary pre-labelling.

Every object without a label is looked at by a text model and ranked against the names, joined with
the project's memory as in the window (`annotator.core.suggestions.joined`). The first name becomes
its label, unless the ranking leaves it in doubt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from annotator.core import views
from annotator.core.files import to_json
from annotator.core.prelabel.proposing import Answer, Checked, ProposalSource
from annotator.core.suggestions import Ranking, joined, rank, unsure
from annotator.core.troubles import Trouble
from models.api import Embedding, Segmenter
from models.describe import BasicDescriber
from models.naming import classifier
from models.naming.sight import LazySight

if TYPE_CHECKING:
    from annotator.core.prelabel.joining import Namer
    from models.naming.classifier import Names
    from models.naming.sight import Sight


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What objects can be called.

    Attributes:
        titles: what each class is called; the project's own spelling where it has the class.
        names: vectors of the names of the same classes.
        digest: of everything the vectors are made from.
    """

    titles: tuple[str, ...]
    names: Names
    digest: str

    @staticmethod
    def digest_of(classes: Sequence[Sequence[str]], templates: Sequence[str]) -> str:
        """For a vocabulary and the sentences its names are put into."""
        return hashlib.sha256(to_json([classes, templates])).hexdigest()[:16]


class OpenNames:
    """A source whose answers get names.

    Args:
        source: finds the objects; what it labels keeps its label.
        sight: looks at the others.
        words: what they can be called.
        namer: the classes and the memory of the project.
        min_score: the least score of a name; None: names that are not in doubt.
    """

    def __init__(
        self,
        source: ProposalSource,
        sight: Sight,
        words: Words,
        namer: Namer,
        min_score: float | None = None,
    ) -> None:
        self._source = source
        self._sight = sight
        self._words = words
        self._namer = namer
        self._min_score = min_score

    @property
    def inner(self) -> ProposalSource:
        """What finds the objects."""
        return self._source

    def around(self, source: ProposalSource) -> OpenNames:
        """The same names for what another source finds; the model is shared."""
        return OpenNames(source, self._sight, self._words, self._namer, self._min_score)

    def prepare(self, segmenter: Segmenter) -> None:
        """Load the model where it travelled as its id, so that what is missing is said at once.

        Raises:
            ModelError: its files are missing or damaged.
        """
        if isinstance(self._sight, LazySight):
            self._sight.open(segmenter)

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `ProposalSource`."""
        return {
            **self._source.settings,
            "names by": self._sight.id,
            "vocabulary": self._words.digest,
            "min name score": self._min_score,
        }

    @property
    def labels(self) -> Sequence[str]:
        """See `ProposalSource`."""
        own = (category.name for category in self._namer.categories)
        return tuple(dict.fromkeys((*self._source.labels, *self._words.titles, *own)))

    def wants(self, key: str) -> bool:
        """See `ProposalSource`."""
        return self._source.wants(key)

    def names_all(self, key: str) -> bool:
        """See `ProposalSource`: only what the source labels itself needs no look."""
        return self._source.names_all(key)

    def ask(
        self, segmenter: Checked, embedding: Embedding, key: str
    ) -> tuple[Sequence[Answer], Sequence[Trouble]]:
        """See `ProposalSource`."""
        answers, troubles = self._source.ask(segmenter, embedding, key)
        known: dict[str, Embedding] = {segmenter.spec.id: embedding}

        def embed(other: Segmenter) -> Embedding:
            if other.spec.id not in known:
                known[other.spec.id] = other.encode(segmenter.pixels)
            return known[other.spec.id]

        named = []
        for answer in answers:
            name = "" if answer.label else self._name(answer, segmenter, embed)
            named.append(replace(answer, label=name) if name else answer)
        return named, troubles

    def _name(self, answer: Answer, segmenter: Checked, embed: Any) -> str:
        """The name of an object, "" where nobody should rely on it."""
        pixels, candidate = segmenter.pixels, answer.candidate
        view = views.of_candidate(pixels, candidate, self._sight.frame)
        seen = views.of_candidate(pixels, candidate)
        if view is None or seen is None:
            return ""
        vector = self._sight.vector(view, embed)
        if not vector.any():
            return ""
        text = classifier.ranking(vector, self._words.titles, self._words.names)
        best = self._with_memory(text, seen)
        if self._min_score is None:
            return "" if unsure(best) else best[0].name
        return best[0].name if best[0].score >= self._min_score else ""

    def _with_memory(self, text: Ranking, seen: views.View) -> Ranking:
        category_ids, vectors = self._namer.memory
        if not len(category_ids):
            return text
        looks = BasicDescriber().describe(*seen)
        memory = rank(self._namer.categories, category_ids, category_ids, vectors, looks)
        return joined(memory, text, len(category_ids))
