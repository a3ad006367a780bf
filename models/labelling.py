"""Models that answer without being asked: an image in, labelled masks out.

Instance and panoptic networks and those that take any vocabulary speak this one protocol. Each is
one file in `models.labellers` with a `SPEC` or `SPECS`. `Unasked` makes a labeller look like a
segmenter whose embedding is what it found, so that whatever encodes folders (threads, progress,
cancelling through `models.encoding`, a cluster) runs it too.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

from models.api import Box, Embedding, MaskCandidate, ModelError, Prompt, SegmenterSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Name:
    """A class a labeller may use.

    Attributes:
        name: the label of its masks.
        synonyms: other names of the same thing.
        is_thing: it can be counted; else it is stuff (sky, grass), of which an image has at most
            one mask.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    is_thing: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMask:
    """One instance, or all pixels of one stuff.

    Attributes:
        candidate: its pixels and its score. Masks may overlap; panoptic models give none that do.
        label: one of the names it was given, or of its own (`LabellerSpec.names`); "" for
            something without a name.
        is_thing: see `Name`.
        stability: see `models.everything.stability`; None where the mask has no logits.
    """

    candidate: MaskCandidate
    label: str = ""
    is_thing: bool = True
    stability: float | None = None


class Labeller(Protocol):
    """Finds and names what is in an image."""

    @property
    def spec(self) -> LabellerSpec:
        """The description this instance was made from."""

    @property
    def fingerprint(self) -> str:
        """Names weights, preprocessing and arithmetic: another one may answer otherwise."""

    def label(self, image: NDArray[np.uint8], names: Sequence[Name]) -> Sequence[LabelledMask]:
        """Everything it finds, in any order; a function of its arguments.

        One that takes long calls `models.encoding.passed` after each of its steps.

        Args:
            image: (H, W, 3) uint8 RGB, upright.
            names: the vocabulary; () for a model that has its own.

        Raises:
            ModelError: it cannot be done.
        """


@dataclass(frozen=True, slots=True)
class LabellerSpec:
    """What a module in `models.labellers` says about itself without loading anything heavy.

    Attributes:
        id: stable key used in settings, commands and provenance.
        title: what people read.
        version: changes whenever results change.
        summary: one sentence: what it is good for.
        licence: SPDX identifier or name of the licence of code and weights.
        load: makes the labeller; may take seconds.
        available: returns None when the model can run now, else a sentence saying what is missing.
        takes_names: it looks for any names it is given.
        names: those it knows by itself, if it takes none; () for one that gives no names.
        effort: what people should know before they start: how long an image takes; "" for little.
    """

    id: str
    title: str
    version: str
    summary: str
    licence: str
    load: Callable[[], Labeller] = field(repr=False, compare=False)
    available: Callable[[], str | None] = field(default=lambda: None, repr=False, compare=False)
    takes_names: bool = False
    names: tuple[Name, ...] = ()
    effort: str = ""


@cache
def labellers() -> dict[str, LabellerSpec]:
    """All labellers by id; importing must stay cheap."""
    import models.labellers

    found: dict[str, LabellerSpec] = {}
    for module in sorted(entry.name for entry in pkgutil.iter_modules(models.labellers.__path__)):
        one = importlib.import_module(f"models.labellers.{module}")
        specs = (*getattr(one, "SPECS", ()), *filter(None, [getattr(one, "SPEC", None)]))
        found |= {spec.id: spec for spec in specs}
    return found


def labeller_spec(labeller_id: str) -> LabellerSpec:
    """The spec with this id; that of a network means its panoptic one.

    Raises:
        ModelError: no such labeller.
    """
    known = labellers()
    if labeller_id not in known:
        if (panoptic := known.get(f"{labeller_id}-panoptic")) is not None:
            return panoptic
        listed = ", ".join(known)
        raise ModelError(f"No model “{labeller_id}” labels images by itself. Known: {listed}.")
    return known[labeller_id]


_HARD = 8.0
"""Logit of a pixel inside a mask that comes without logits."""


def hard_candidate(mask: NDArray[np.bool_], score: float) -> MaskCandidate | None:
    """A mask (H, W) of the whole image, as it is; None for an empty one."""
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    # One row of the outside around it, so that its edge is an edge.
    top, bottom = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, mask.shape[0])
    left, right = max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 2, mask.shape[1])
    part = mask[top:bottom, left:right]
    logits = np.where(part, np.float32(_HARD), np.float32(-_HARD))
    return MaskCandidate(logits, Box(left, top, right, bottom), score)


def unasked(spec: LabellerSpec, names: Sequence[Name]) -> SegmenterSpec:
    """The spec of the segmenter that a labeller with a vocabulary is; see `Unasked`."""
    return SegmenterSpec(
        spec.id, spec.title, spec.version, spec.summary, spec.licence,
        load=lambda: Unasked(spec.load(), names), available=spec.available,
        least_score=0.0, least_stability=0.0,
    )  # fmt: skip


class Unasked:
    """A labeller as a `models.api.Segmenter`: its embedding of an image is what it found there.

    Args:
        labeller: finds it.
        names: its vocabulary.
    """

    def __init__(self, labeller: Labeller, names: Sequence[Name] = ()) -> None:
        self._labeller = labeller
        self._names = tuple(names) if labeller.spec.takes_names else ()

    @property
    def spec(self) -> SegmenterSpec:
        """That of the labeller."""
        return unasked(self._labeller.spec, self._names)

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and with the vocabulary."""
        names = hashlib.sha256(repr(self._names).encode()).hexdigest()[:16]
        return f"{self._labeller.fingerprint} {names}"

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""
        return str(getattr(self._labeller, "device", ""))

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Let it find everything in (H, W, 3) uint8 RGB.

        Raises:
            ModelError: as `Labeller.label`.
        """
        import numpy as np

        height, width = image.shape[:2]
        found = self._labeller.label(image, self._names)
        extents = [one.candidate.extent for one in found]
        arrays: dict[str, NDArray[np.generic]] = {
            "extents": np.array([(e.x0, e.y0, e.x1, e.y1) for e in extents], np.float64).reshape(
                -1, 4
            ),
            "scores": np.array([one.candidate.score for one in found], np.float64),
            "labels": np.array([one.label for one in found], np.str_),
            "things": np.array([one.is_thing for one in found], np.bool_),
            # No stability is a negative one: every number in an embedding has to be finite.
            "stabilities": np.array(
                [-1.0 if one.stability is None else one.stability for one in found], np.float64
            ),
        }
        for place, one in enumerate(found):
            arrays[f"logits {place}"] = one.candidate.logits
        return Embedding(self._labeller.spec.id, width, height, arrays)

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        """What was found at the positive clicks and in the box, the surest first."""
        found = [one.candidate for one in labelled(embedding) if _meant(one.candidate, prompt)]
        return tuple(sorted(found, key=lambda one: -one.score))

    def render(self, embedding: Embedding, candidate: MaskCandidate) -> NDArray[np.bool_]:
        """See `models.api.Segmenter`."""
        from models.candidates import rendered

        return rendered(candidate, embedding.width, embedding.height)


def labelled(embedding: Embedding) -> tuple[LabelledMask, ...]:
    """What a labeller found, from the embedding of `Unasked`."""
    import numpy as np

    arrays = embedding.arrays
    found = []
    rows = zip(arrays["extents"], arrays["scores"], arrays["labels"], arrays["things"],
               arrays["stabilities"], strict=True)  # fmt: skip
    for place, (extent, score, label, thing, stability) in enumerate(rows):
        logits = np.asarray(arrays[f"logits {place}"], np.float32)
        candidate = MaskCandidate(logits, Box(*map(float, extent)), float(score))
        known = None if stability < 0 else float(stability)
        found.append(LabelledMask(candidate, str(label), bool(thing), known))
    return tuple(found)


def _meant(candidate: MaskCandidate, prompt: Prompt) -> bool:
    extent, (rows, columns) = candidate.extent, candidate.logits.shape
    for point in prompt.points:
        x = int((point.x - extent.x0) / extent.width * columns)
        y = int((point.y - extent.y0) / extent.height * rows)
        inside = 0 <= x < columns and 0 <= y < rows and bool(candidate.logits[y, x] > 0)
        if inside != point.positive:
            return False
    box = prompt.box
    return box is None or (
        extent.x0 < box.x1 and box.x0 < extent.x1 and extent.y0 < box.y1 and box.y0 < extent.y1
    )
