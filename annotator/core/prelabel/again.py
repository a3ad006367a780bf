"""The same object again: what looks like accepted, named objects of other images of a project.

Every known object is looked for as it looks (`models.likeness`), the segmenter is asked at the
places found, and an answer is kept if it looks like an object of that name: its description is as
close to that of one as the project's own objects of one name are across images. It finds what is
nearly the same (series, shelves, conveyor belts, films), not other members of a class.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from annotator.core import raster, views
from annotator.core.mask import Mask
from annotator.core.paths import natural_path_key
from annotator.core.prelabel.proposing import Answer, Checked
from annotator.core.similar import closest
from annotator.core.troubles import Trouble
from models import likeness
from models.api import Embedding, MaskCandidate, Prompt
from models.describe import BasicDescriber
from models.everything import Footprint, footprint, overlap, stability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.likeness import Place, Template

BATCH = 16
"""Places asked at once, fixed."""
MOST_KNOWN = 32
"""Objects that are looked for in an image, those of the nearest images first."""
MOST_OF_NAME = 8
"""Of those, objects of one name."""
PLACES = 3
"""Places where the same object is looked for again."""
LEAST_LIKE = 0.3
"""Places that look less like the object are not asked about."""
SAME_PLACE = 0.8
"""Boxes of one name that overlap more are asked about once."""
USUAL = 0.9
"""How alike two descriptions (cosine) of the same object have to be where a project does not say.
On machine-made series 9 of 10 proposals at or above it were right."""
LIMITS = 0.86, 0.96
"""A project's own objects can move that within these: they say nothing about backgrounds."""
RIGHT = 0.9
"""The share of a project's objects that would have got their own name above the limit."""
ENOUGH = 20
"""Objects in at least two images, to learn that limit from."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An accepted object with a name.

    Attributes:
        id: of the annotation.
        key: of its image.
        label: its name.
        looks: (d,) vector of `models.describe.BasicDescriber`.
        template: its picture; None if it is too small to be looked for.
    """

    id: int
    key: str
    label: str
    looks: NDArray[np.float32]
    template: Template | None


@dataclass(frozen=True, slots=True)
class AgainOptions:
    """What is kept.

    Attributes:
        min_score: the least cosine with an object of that name; None as the project suggests.
        min_stability: the least stability of a mask.
        min_area: of a mask, image pixels at the model's resolution.
        max_overlap: of two masks that overlap more, the one that looks more alike stays.
    """

    min_score: float | None = None
    min_stability: float = 0.0
    min_area: float = 64.0
    max_overlap: float = 0.6


def examples_of(
    key: str, pixels: NDArray[np.uint8], objects: Iterable[tuple[int, str, Mask]]
) -> list[Example]:
    """The objects of one image as they look.

    Args:
        key: of the image.
        pixels: (H, W, 3) uint8 RGB, upright.
        objects: id, name and mask of each; those of another size than the image are left out.
    """
    height, width = pixels.shape[:2]
    small, share, describer = likeness.working(pixels), likeness.factor(width, height), None
    found = []
    for number, label, mask in objects:
        view = views.of_mask(pixels, mask)
        if view is None:
            continue
        describer = describer or BasicDescriber()
        piece = raster.crop(mask)
        template = likeness.template(small, piece.pixels, raster.box(mask), share)
        found.append(Example(number, key, label, describer.describe(*view), template))
    return found


def learned_limit(examples: Sequence[Example]) -> float:
    """The least cosine at which the closest object of other images nearly always has the name."""
    keys = np.array([one.key for one in examples])
    labels = np.array([one.label for one in examples])
    if len(examples) < ENOUGH or len(set(keys.tolist())) < 2:
        return USUAL
    units = np.stack([one.looks for one in examples])
    best, right = np.full(len(units), -1.0), np.zeros(len(units), bool)
    for row, looks in enumerate(units):
        others = np.flatnonzero(keys != keys[row])
        place, cosine = closest(units[others], looks, 1)
        if place.size:
            best[row], right[row] = cosine[0], labels[others[place[0]]] == labels[row]
    order = np.argsort(-best, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(shares >= RIGHT)
    limit = best[order[good[-1]]] if good.size else LIMITS[1]
    return round(float(np.clip(limit, *LIMITS)), 4)


class Again:
    """Accepted objects as a source of proposals.

    Args:
        examples: named objects, at least one; never changed.
        options: what is kept.
    """

    def __init__(self, examples: Sequence[Example], options: AgainOptions) -> None:
        self._examples = tuple(sorted(examples, key=lambda one: one.id))
        self._options = options
        given = options.min_score
        self._limit = learned_limit(self._examples) if given is None else given
        self._images = sorted({one.key for one in self._examples}, key=natural_path_key)
        self._looks = np.stack([one.looks for one in self._examples])
        self._digest = _digest(self._examples)

    @property
    def settings(self) -> Mapping[str, Any]:
        """See `ProposalSource`."""
        chosen = asdict(self._options) | {"min_score": self._limit}
        return {"ask": "again", "objects": self._digest, **chosen}

    @property
    def labels(self) -> Sequence[str]:
        """See `ProposalSource`."""
        return tuple(dict.fromkeys(one.label for one in self._examples))

    def wants(self, key: str) -> bool:
        """See `ProposalSource`."""
        return any(one.key != key for one in self._examples)

    def names_all(self, key: str) -> bool:
        """See `ProposalSource`; what it names it has looked at."""
        return False

    def ask(
        self, segmenter: Checked, embedding: Embedding, key: str
    ) -> tuple[Sequence[Answer], Sequence[Trouble]]:
        """See `ProposalSource`."""
        wanted = self._places(segmenter.pixels, key)
        found: list[tuple[Answer, Footprint]] = []
        for first in range(0, len(wanted), BATCH):
            part = wanted[first : first + BATCH]
            prompts = [Prompt(box=place.box) for place, _ in part]
            for (place, example), prompt, candidates in zip(
                part, prompts, segmenter.decode_many(embedding, prompts), strict=True
            ):
                one = self._judged(segmenter, embedding, key, place, example, prompt, candidates)
                found += [one] if one is not None else []
        found.sort(key=lambda one: -(one[0].score or 0.0))
        kept: list[tuple[Answer, Footprint]] = []
        for answer, area in found:
            if all(overlap(area, other) <= self._options.max_overlap for _, other in kept):
                kept.append((answer, area))
        return [answer for answer, _ in kept], ()

    def known(self, key: str) -> list[Example]:
        """The objects that are looked for in an image: of the images next to it in the folder."""
        order = {image: place for place, image in enumerate(self._images)}
        here = sum(natural_path_key(image) < natural_path_key(key) for image in self._images) - 0.5
        near = sorted(
            (one for one in self._examples if one.key != key and one.template is not None),
            # Of two as near, the earlier image, and in it the object that was made last.
            key=lambda one: (abs(order[one.key] - here), order[one.key], -one.id),
        )
        chosen, counts = [], Counter[str]()
        for one in near:
            counts[one.label] += 1
            if counts[one.label] <= MOST_OF_NAME:
                chosen.append(one)
        return chosen[:MOST_KNOWN]

    def _places(self, pixels: NDArray[np.uint8], key: str) -> list[tuple[Place, Example]]:
        """Where objects may be, the likeliest first; every place once for a name."""
        height, width = pixels.shape[:2]
        small, share = likeness.working(pixels), likeness.factor(width, height)
        found = []
        for example in self.known(key):
            assert example.template is not None
            places = likeness.places(small, example.template, share, PLACES)
            found += [
                (place.within(width, height), example)
                for place in places
                if place.likeness >= LEAST_LIKE
            ]
        found.sort(key=lambda one: -one[0].likeness)
        kept: list[tuple[Place, Example]] = []
        for place, example in found:
            if not any(
                example.label == other.label and likeness.overlap(place.box, there.box) > SAME_PLACE
                for there, other in kept
            ):
                kept.append((place, example))
        return kept

    def _judged(
        self,
        segmenter: Checked,
        embedding: Embedding,
        key: str,
        place: Place,
        example: Example,
        prompt: Prompt,
        candidates: Sequence[MaskCandidate],
    ) -> tuple[Answer, Footprint] | None:
        """What the model sees at a place, if it looks like an object of that name."""
        size = embedding.width, embedding.height
        areas = [(one, footprint(one, *size)) for one in candidates]
        seen = [(one, area) for one, area in areas if area is not None]
        if not seen:
            return None
        best, area = max(seen, key=lambda one: likeness.overlap(one[1].box, place.box))
        stable = stability(best.logits)
        if stable < self._options.min_stability or area.area < self._options.min_area:
            return None
        view = views.of_candidate(segmenter.pixels, best)
        if view is None:
            return None
        number, cosine = self._closest(BasicDescriber().describe(*view), key)
        model = self._examples[number]
        if cosine < self._limit or model.label != example.label:
            return None
        return Answer(best, prompt, cosine, stable, model.label, model.id), area

    def _closest(self, looks: NDArray[np.float32], key: str) -> tuple[int, float]:
        """The most similar object of another image, and the cosine with it."""
        places, cosines = closest(self._looks, looks, len(self._examples))
        for place, cosine in zip(places.tolist(), cosines.tolist(), strict=True):
            if self._examples[place].key != key:
                return place, cosine
        return 0, -1.0


def _digest(examples: Sequence[Example]) -> str:
    """What all answers depend on."""
    digest = hashlib.sha256()
    for one in examples:
        digest.update(f"{one.id}\0{one.key}\0{one.label}\0".encode(errors="surrogatepass"))
        digest.update(one.looks.tobytes())
        if one.template is not None:
            digest.update(one.template.pixels.tobytes() + one.template.mask.tobytes())
    return digest.hexdigest()[:16]
