"""OMG-Seg and RAP-SAM behind `models.labelling`; importing this module imports torch.

Everything is fused at the size the network saw (a megapixel at most), and candidates are enlarged
one by one: fusing 300 queries at 12 megapixels took 37 seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch  # noqa: TID253

from models.api import Box, MaskCandidate, ModelError
from models.encoding import passed
from models.everything import stability
from models.labelling import LabelledMask
from models.networks.name_scores import NameScores
from models.networks.omgseg import Framing, OmgSeg
from models.networks.omgseg.ensemble import seen_classes, with_clip
from models.networks.omgseg.found import STRIDE
from models.networks.omgseg.fusion import Instance, Rules, fuse_instances, fuse_panoptic
from models.omgseg.network_files import spared
from models.omgseg.pictures import LONGEST, encoded, framed
from models.omgseg.trained_names import TRAINED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from models.labelling import LabellerSpec, Name
    from models.networks.omgseg import ClipFeatures, Found
    from models.networks.omgseg.fusion import Panoptic
    from models.omgseg.network_files import OpenedNetwork
    from models.omgseg.words import Words

    Floats = NDArray[np.float32]

Kind = Literal["panoptic", "instances"]

WEAK = 0.1
"""Queries less sure of their class than this do not even compete."""
FEW = 20
"""A vocabulary with fewer classes is filled up: among few names every object looks like one."""
_EDGE = 0.5
"""Logit beside the edge where another segment ends a mask."""


class OpenLabeller:
    """Finds everything that has one of the names it is given.

    Names of a short vocabulary compete with those the network was trained with; what looks more
    like one of these is nothing.

    Args:
        spec: the description this instance is made for.
        opened: the network.
        words: turns names into vectors.
        kind: "panoptic": things and stuff, every pixel belongs to one at most; "instances": things
            that may overlap.
        trained: the names the network knows from its training.
        longest: pixels of the longer side in the network.
    """

    def __init__(
        self,
        spec: LabellerSpec,
        opened: OpenedNetwork,
        words: Words,
        kind: Kind,
        trained: Sequence[str] = TRAINED,
        longest: int = LONGEST,
    ) -> None:
        self._spec = spec
        self._opened = opened
        self._words = words
        self._kind = kind
        self._trained = tuple(trained)
        self._longest = longest
        self._known: tuple[tuple[Name, ...], _Classes] | None = None

    @property
    def spec(self) -> LabellerSpec:
        """See `models.labelling.Labeller`."""
        return self._spec

    @property
    def fingerprint(self) -> str:
        """See `models.labelling.Labeller`."""
        return f"{self._opened.fingerprint}-{self._kind}-{self._longest}"

    @property
    def device(self) -> str:
        """Where it runs, and why; sentences for people."""
        return self._opened.where

    def label(self, image: NDArray[np.uint8], names: Sequence[Name]) -> Sequence[LabelledMask]:
        """See `models.labelling.Labeller`."""
        if not names:
            raise ModelError(
                f"{self._spec.title} finds what has a name: give it one, or add classes to the "
                "project (Ctrl+Shift+L)."
            )
        with spared(self._spec.title), torch.inference_mode():
            classes = self._classes(tuple(names))
            framing = Framing.fitting(image.shape[0], image.shape[1], self._longest)
            network = self._opened.network
            pixels = framed((image,), framing).to(self._opened.device)
            features = encoded(network, pixels, 0.8)
            found = network.decode(features)
            if not torch.isfinite(found.masks).all() or not torch.isfinite(found.vectors).all():
                raise ModelError(
                    f"{self._spec.title} returned values that are not numbers: its weights may be "
                    "damaged. Check them in Settings, Model."
                )
            passed("query decoder", 0.9)
            logits = self._scores(classes, features, found)
            fused = self._panoptic if self._kind == "panoptic" else self._instances
            return fused(classes, logits, found.masks[:, 0], framing)

    def _classes(self, names: tuple[Name, ...]) -> _Classes:
        if self._known is None or self._known[0] != names:
            others = self._trained if len(names) < FEW else ()
            classes = _Classes(names, others, self._trained)
            # Half of the work, if there are any: nobody knows how long an image takes.
            table = self._words.table(classes.texts, lambda part, share: passed(part, share / 2))
            classes.scores = NameScores(table, self._opened.device)
            self._known = names, classes
        return self._known[1]

    def _scores(self, classes: _Classes, features: ClipFeatures, found: Found) -> Tensor:
        """Logits (N, C + 1); frozen CLIP has a say where names are new to the network."""
        own: Tensor = classes.scores(found.vectors)
        network = self._opened.network
        if isinstance(network, OmgSeg) and not all(classes.seen):
            sums, counts = network.clip_sums(features, found.masks)
            clip = classes.scores(network.clip_vectors(sums, counts))
            return with_clip(own, clip, counts, classes.seen)
        return own

    def _panoptic(
        self, classes: _Classes, logits: Tensor, masks: Tensor, framing: Framing
    ) -> list[LabelledMask]:
        seen = Framing(framing.resized, framing.resized, framing.padded)
        fused = fuse_panoptic(logits, masks, seen, classes.things, Rules(score=WEAK))
        passed("fusion", 1.0)
        return [
            LabelledMask(
                _segment(fused, number, masks[one.query], framing, one.score),
                classes.names[one.label].name,
                classes.names[one.label].is_thing,
                stability(_inside(masks[one.query], framing)) if one.label < classes.things
                else None,
            )
            for number, one in enumerate(fused.segments, 1)
            if one.label in classes.names and one.area
        ]  # fmt: skip

    def _instances(
        self, classes: _Classes, logits: Tensor, masks: Tensor, framing: Framing
    ) -> list[LabelledMask]:
        seen = Framing(framing.resized, framing.resized, framing.padded)
        found = fuse_instances(logits, masks, seen, classes.things, once=True)
        passed("fusion", 1.0)
        return [
            LabelledMask(
                _instance(one, masks[one.query], framing),
                classes.names[one.label].name,
                True,
                stability(_inside(masks[one.query], framing)),
            )
            for one in found
            if one.label in classes.names and one.area and one.score >= WEAK
        ]


class _Classes:
    """A vocabulary as the network counts: things first, then stuff, each wanted or a rival.

    Attributes:
        texts: the names of every class.
        things: how many classes are things.
        names: those that are wanted, by class.
        seen: whether each class was trained.
        scores: of vectors; set when the names are learnt.
    """

    scores: NameScores

    def __init__(
        self,
        names: Sequence[Name],
        rivals: Sequence[str],
        trained: Sequence[str],
    ) -> None:
        ordered = [one for one in names if one.is_thing]
        self.things = len(ordered)
        stuff = [one for one in names if not one.is_thing]
        asked = {text.casefold() for one in names for text in (one.name, *one.synonyms)}
        others = [(one,) for one in rivals if one.casefold() not in asked]
        # Rivals are counted as things: they are dropped, so only that they do not merge matters.
        self.names = dict(enumerate(ordered))
        self.names |= {self.things + len(others) + i: one for i, one in enumerate(stuff)}
        self.texts = [
            *((one.name, *one.synonyms) for one in ordered),
            *others,
            *((one.name, *one.synonyms) for one in stuff),
        ]
        self.things += len(others)
        self.seen = seen_classes(self.texts, trained)


def _segment(
    fused: Panoptic, number: int, own: Tensor, framing: Framing, score: float
) -> MaskCandidate:
    """One segment of a map; its edges are the network's own where no other segment cuts it."""
    inside = fused.map == number
    rows, columns = (torch.nonzero(inside.any(axis))[:, 0] for axis in (1, 0))
    height, width = framing.resized
    # One row of the outside around it, so that its edge is an edge.
    y0, y1 = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, height)
    x0, x1 = max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 2, width)
    seen = Framing(framing.resized, framing.resized, framing.padded)
    large = seen.full_size(own[None])[0, y0:y1, x0:x1]
    part = inside[y0:y1, x0:x1]
    logits = torch.where(part, large.clamp_min(_EDGE), large.clamp_max(-_EDGE))
    zoom_x, zoom_y = framing.original[1] / width, framing.original[0] / height
    extent = Box(x0 * zoom_x, y0 * zoom_y, x1 * zoom_x, y1 * zoom_y)
    return MaskCandidate(logits.float().cpu().numpy(), extent, score)


def _instance(one: Instance, own: Tensor, framing: Framing) -> MaskCandidate:
    """One object: the cells around its box, as the network gave them."""
    x0, y0, x1, y1 = one.box
    left, top = max(x0 // STRIDE - 1, 0), max(y0 // STRIDE - 1, 0)
    right = min(-(-x1 // STRIDE) + 1, own.shape[1])
    bottom = min(-(-y1 // STRIDE) + 1, own.shape[0])
    zoom_x = STRIDE * framing.original[1] / framing.resized[1]
    zoom_y = STRIDE * framing.original[0] / framing.resized[0]
    extent = Box(left * zoom_x, top * zoom_y, right * zoom_x, bottom * zoom_y)
    logits = own[top:bottom, left:right].float().cpu().numpy()
    return MaskCandidate(np.ascontiguousarray(logits), extent, one.score)


def _inside(own: Tensor, framing: Framing) -> Floats:
    """The cells of a mask that show the image."""
    height, width = (-(-side // STRIDE) for side in framing.resized)
    cells: Floats = own[:height, :width].float().cpu().numpy()
    return cells
