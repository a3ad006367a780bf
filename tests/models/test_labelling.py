"""Models that label images by themselves, behind the interface of segmenters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.annotation import Category
from annotator.core.prelabel.instances import InstanceOptions, Instances, vocabulary
from annotator.core.prelabel.proposing import propose
from models.api import Box, MaskCandidate, ModelError, Point, Prompt, Segmenter
from models.candidates import rendered
from models.encoding import Passed, watched
from models.labellers.fastsam import FastSamLabeller
from models.labelling import (
    LabelledMask,
    LabellerSpec,
    Name,
    Unasked,
    hard_candidate,
    labelled,
    labeller_spec,
    labellers,
)
from models.registry import segmenter_spec, segmenters
from models.sam_family.fast import FastSamSegmenter

PIXELS = np.zeros((40, 60, 3), np.uint8)
SPEC = LabellerSpec(
    "fake", "Fake", "2", "Tests.", "Apache-2.0", load=lambda: Fake(()), takes_names=True
)


@dataclass
class Fake:
    """Answers what it was made with."""

    found: Sequence[LabelledMask]
    spec: LabellerSpec = SPEC
    fingerprint: str = "f"
    asked: tuple[Name, ...] = ()

    def label(self, image: NDArray[np.uint8], names: Sequence[Name]) -> Sequence[LabelledMask]:
        self.asked = tuple(names)
        return self.found


def mask(x: int, y: int, wide: int, high: int) -> NDArray[np.bool_]:
    pixels = np.zeros(PIXELS.shape[:2], bool)
    pixels[y : y + high, x : x + wide] = True
    return pixels


def thing(pixels: NDArray[np.bool_], score: float = 0.9, label: str = "cat") -> LabelledMask:
    candidate = hard_candidate(pixels, score)
    assert candidate is not None
    return LabelledMask(candidate, label)


def proposals(
    *found: LabelledMask, options: InstanceOptions | None = None
) -> list[tuple[str, Box]]:
    source = Instances((Name("cat"), Name("sky")), options or InstanceOptions(min_area=4))
    outcome = propose(PIXELS, "a.png", Unasked(Fake(found)), source)
    return [(one.origin.label, raster.box(one.mask)) for one in outcome.found]


@pytest.mark.parametrize("place", [(10, 5, 20, 10), (0, 0, 60, 40), (59, 39, 1, 1), (0, 7, 60, 1)])
def test_masks_without_logits_come_back_exactly(place: tuple[int, int, int, int]) -> None:
    pixels = mask(*place)
    candidate = hard_candidate(pixels, 0.5)
    assert candidate is not None
    assert np.array_equal(rendered(candidate, 60, 40), pixels)
    assert hard_candidate(np.zeros_like(pixels), 0.5) is None


def test_what_was_found_goes_through_the_embedding() -> None:
    logits = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    soft = LabelledMask(MaskCandidate(logits, Box(-3, 0, 9, 9), 0.25), "Straße", False, 0.75)
    hard = thing(mask(1, 1, 9, 9))
    labeller = Fake((soft, hard))
    model = Unasked(labeller, (Name("cat", ("kitten",)),))
    assert isinstance(model, Segmenter)
    back = labelled(model.encode(PIXELS))
    assert [(one.label, one.is_thing, one.stability) for one in back] == [
        ("Straße", False, 0.75),
        ("cat", True, None),
    ]
    assert back[0].candidate.extent == soft.candidate.extent
    assert np.array_equal(back[0].candidate.logits, logits)
    assert labeller.asked == (Name("cat", ("kitten",)),)
    assert labelled(Unasked(Fake(())).encode(PIXELS)) == ()


def test_a_prompt_means_what_lies_there() -> None:
    model = Unasked(Fake((thing(mask(0, 0, 9, 9), 0.5), thing(mask(5, 5, 9, 9), 0.8))))
    embedding = model.encode(PIXELS)

    def scores(prompt: Prompt) -> list[float]:
        return [one.score for one in model.decode(embedding, prompt)]

    assert scores(Prompt((Point(6, 6),))) == [0.8, 0.5]
    assert scores(Prompt((Point(6, 6), Point(12, 12, positive=False)))) == [0.5]
    assert scores(Prompt(box=Box(30, 30, 40, 40))) == []


def test_the_vocabulary_is_part_of_the_run() -> None:
    prints = {Unasked(Fake(()), names).fingerprint for names in ((), (Name("a"),), (Name("b"),))}
    assert len(prints) == 3
    own = replace(SPEC, takes_names=False)
    assert Unasked(Fake((), own), (Name("a"),)).fingerprint == Unasked(Fake((), own)).fingerprint


def test_stuff_is_what_coco_says() -> None:
    classes = (
        Category(1, "cat", "", synonyms=("kitten",)),
        Category(2, "sky", "", extra={"isthing": 0}),
    )
    assert vocabulary(classes) == (Name("cat", ("kitten",)), Name("sky", is_thing=False))


def test_overlapping_things_of_one_name_are_one() -> None:
    first, second = mask(5, 5, 20, 20), mask(6, 5, 20, 20)
    assert proposals(thing(second, 0.6), thing(first, 0.9)) == [("cat", Box(5, 5, 25, 25))]
    assert len(proposals(thing(first), thing(second, label="sky"))) == 2


def test_unsure_small_and_huge_ones_are_left_out() -> None:
    assert proposals(thing(mask(5, 5, 9, 9), 0.2)) == []
    assert proposals(thing(mask(5, 5, 1, 2))) == []
    everywhere = mask(0, 0, 60, 40)
    assert proposals(thing(everywhere)) == []
    stuff = replace(thing(everywhere, label="sky"), is_thing=False)
    assert proposals(stuff) == [("sky", Box(0, 0, 60, 40))]


def test_crumbs_are_dropped_and_parts_stay() -> None:
    pixels = mask(5, 5, 20, 20) | mask(40, 30, 2, 2) | mask(40, 5, 10, 10)
    assert proposals(thing(pixels)) == [("cat", Box(5, 5, 50, 25))]
    whole = proposals(thing(pixels), options=InstanceOptions(crumbs=0.0))
    assert whole == [("cat", Box(5, 5, 50, 32))]


def test_numbers_that_are_none_are_refused() -> None:
    broken = MaskCandidate(np.full((3, 3), np.nan, np.float32), Box(0, 0, 9, 9), 0.9)
    with pytest.raises(ModelError, match="not numbers"):
        proposals(LabelledMask(broken, "cat"))


def test_proposals_say_which_model_and_have_no_prompt() -> None:
    source = Instances((Name("cat"),), InstanceOptions(min_area=4))
    model = Unasked(Fake((thing(mask(5, 5, 9, 9)),)))
    (found,) = propose(PIXELS, "a.png", model, source).found
    origin = found.origin
    assert (origin.model, origin.version, origin.score, origin.prompt) == ("fake", "2", 0.9, None)
    assert origin.stability is None


# --- FastSAM ---


class Runtime:
    """Two objects: bands of the prototypes' first and second plane."""

    device = "Nowhere."

    def frame(self, width: int, height: int) -> tuple[int, int]:
        return 64, 96

    def run(self, pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        planes = np.full((2, 16, 24), -1, np.float32)
        planes[0, 2:8, 2:8] = 1
        planes[1, 10:14, 10:20] = 1
        # Centre, size, confidence and weights; pixels of the frame.
        places = np.array(
            [[20, 20, 32, 32, 0.9, 1, 0], [60, 48, 44, 20, 0.8, 0, 1], [9, 9, 9, 9, 0.1, 1, 0]]
        )
        return places.T.astype(np.float32), planes


def test_fastsam_gives_all_instances_at_once() -> None:
    spec = labeller_spec("fastsam-s-all")
    segmenter = FastSamSegmenter(segmenter_spec("fastsam-s"), Runtime(), "print")
    model = Unasked(FastSamLabeller(spec, segmenter))
    source = Instances(spec.names, InstanceOptions())
    outcome = propose(PIXELS, "a.png", model, source)
    assert [one.origin.score for one in outcome.found] == pytest.approx([0.9, 0.8])
    assert [raster.box(one.mask) for one in outcome.found] == [
        Box(5, 5, 20, 20),
        Box(25, 25, 50, 35),
    ]
    assert all(one.looks is not None and not one.origin.label for one in outcome.found)
    assert model.fingerprint.startswith("print")


def test_every_labeller_says_what_it_is_without_loading() -> None:
    assert "fastsam-s-all" in labellers()
    assert not labellers().keys() & segmenters().keys()
    for labeller_id, spec in labellers().items():
        assert labeller_id == spec.id
        assert spec.summary.endswith(".")
        assert spec.licence
    with pytest.raises(ModelError, match="fastsam-s-all"):
        labeller_spec("nothing")


def test_slow_labellers_can_be_stopped() -> None:
    from models.encoding import EncodingStoppedError, passed

    class Slow(Fake):
        def label(self, image: NDArray[np.uint8], names: Sequence[Name]) -> Sequence[LabelledMask]:
            passed("backbone", 0.5)
            return ()

    heard: list[Passed] = []
    model = Unasked(Slow(()))
    with watched(heard.append, lambda: True), pytest.raises(EncodingStoppedError):
        model.encode(PIXELS)
    assert [one.share for one in heard] == [0.5]
