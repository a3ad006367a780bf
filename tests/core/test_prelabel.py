"""Image to proposals, many of them at once, and beside what an image has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord, Origin, Source, Status
from annotator.core.errors import UserError
from annotator.core.formats.detections.values import Detections, LabelledBox
from annotator.core.images import LoadedImage
from annotator.core.mask import Mask
from annotator.core.prelabel.boxes import OTHER_SIZE, OUTSIDE, Boxes, BoxOptions
from annotator.core.prelabel.everything_mode import EverythingMode
from annotator.core.prelabel.joining import ClassNames, in_scope, is_replaceable, joined
from annotator.core.prelabel.pipeline import Failed, outcomes
from annotator.core.prelabel.proposing import (
    NO_ANSWER,
    NO_PIXELS,
    NOT_NUMBERS,
    Outcome,
    ProposalSource,
    propose,
)
from annotator.core.prelabel.results_file import RunFile
from annotator.core.prelabel.run import RefusedError, Run
from annotator.core.troubles import Trouble, Troubles
from models.api import Box, Embedding, MaskCandidate, ModelError, Point, Prompt, Segmenter
from models.everything import Options
from tests.models.toy_segmenter import ToyModel, ToySegmenter

WIDTH, HEIGHT = 60, 40


def picture(shade: int = 0) -> NDArray[np.uint8]:
    """Two squares on a dark ground."""
    pixels = np.full((HEIGHT, WIDTH, 3), 10 + shade, np.uint8)
    pixels[5:15, 5:15] = 200
    pixels[20:35, 30:50] = 120
    return pixels


@pytest.fixture
def toy() -> ToyModel:
    return ToyModel()


def boxes(*found: LabelledBox, **options: float) -> Boxes:
    return Boxes(Detections({"a.png": found}, digest="d"), BoxOptions(**options))


SQUARE = LabelledBox(Box(5, 5, 15, 15), "square", 0.7)


def test_everything_gives_masks_with_their_origin(toy: ToyModel) -> None:
    source = EverythingMode(Options(side=4, min_area=50))
    outcome = propose(picture(), "a.png", toy.spec.load(), source)
    areas = sorted(raster.area(found.mask) for found in outcome.found)
    assert areas == [100, 300, WIDTH * HEIGHT - 400]
    assert outcome.size == (WIDTH, HEIGHT)
    for found in outcome.found:
        origin = found.origin
        assert (origin.source, origin.model, origin.version) == (Source.MODEL, "toy", "1")
        assert origin.score == 0.9
        assert origin.stability == 1.0
        assert origin.prompt is not None
        assert len(origin.prompt.points) == 1
        assert np.isclose(np.linalg.norm(found.looks), 1, atol=1e-3)


def test_the_same_image_gives_the_same_proposals(toy: ToyModel) -> None:
    source = EverythingMode(Options(side=6, min_area=50))
    first, second = (propose(picture(), "a.png", toy.spec.load(), source) for _ in range(2))
    assert [(f.mask, f.origin) for f in first.found] == [(f.mask, f.origin) for f in second.found]


def test_boxes_keep_label_and_score(toy: ToyModel) -> None:
    source = boxes(SQUARE, LabelledBox(Box(0.5, 0.5, 5 / 6, 0.875), "", relative=True))
    found = propose(picture(), "a.png", toy.spec.load(), source).found
    assert [raster.box(one.mask) for one in found] == [Box(5, 5, 15, 15), Box(30, 20, 50, 35)]
    assert [(one.origin.label, one.origin.score) for one in found] == [("square", 0.7), ("", 0.9)]
    assert found[0].origin.prompt == Prompt(box=Box(5, 5, 15, 15))


def test_boxes_are_clipped_and_empty_ones_counted(toy: ToyModel) -> None:
    wide = replace(SQUARE, box=Box(30, 20, 500, 35))
    outside = replace(SQUARE, box=Box(100, 5, 110, 15))
    outcome = propose(picture(), "a.png", toy.spec.load(), boxes(wide, outside))
    assert [one.origin.prompt for one in outcome.found] == [Prompt(box=Box(30, 20, WIDTH, 35))]
    assert outcome.troubles == (Trouble(OUTSIDE, "a.png"),)


def test_boxes_of_another_size_are_not_used(toy: ToyModel) -> None:
    source = Boxes(Detections({"a.png": (SQUARE,)}, sizes={"a.png": (40, 60)}), BoxOptions())
    outcome = propose(picture(), "a.png", toy.spec.load(), source)
    assert outcome.found == ()
    assert [trouble.what for trouble in outcome.troubles] == [OTHER_SIZE]


@pytest.mark.parametrize(
    ("options", "count"),
    [({"min_score": 0.75}, 1), ({"min_area": 200}, 1), ({"min_stability": 1.0}, 2), ({}, 2)],
)
def test_which_boxes_are_kept(toy: ToyModel, options: dict[str, float], count: int) -> None:
    source = boxes(SQUARE, replace(SQUARE, box=Box(30, 20, 50, 35), score=None), **options)
    assert len(propose(picture(), "a.png", toy.spec.load(), source).found) == count


Answers = Callable[[tuple[MaskCandidate, ...]], tuple[MaskCandidate, ...]]


class Altered(ToySegmenter):
    """Answers that something was done to."""

    def __init__(self, model: ToyModel, alter: Answers) -> None:
        super().__init__(model)
        self._alter = alter

    def decode(self, embedding: Embedding, prompt: Prompt) -> tuple[MaskCandidate, ...]:
        return self._alter(super().decode(embedding, prompt))


def no_score(found: tuple[MaskCandidate, ...]) -> tuple[MaskCandidate, ...]:
    return tuple(replace(one, score=float("nan")) for one in found)


def no_logits(found: tuple[MaskCandidate, ...]) -> tuple[MaskCandidate, ...]:
    return tuple(replace(one, logits=one.logits * np.float32("nan")) for one in found)


def nothing_inside(found: tuple[MaskCandidate, ...]) -> tuple[MaskCandidate, ...]:
    return tuple(replace(one, logits=-np.abs(one.logits)) for one in found)


@pytest.mark.parametrize(
    ("alter", "by_box", "by_points"),
    [
        (lambda _: (), {NO_ANSWER: 1}, {NO_ANSWER: 4}),
        (no_score, {NOT_NUMBERS: 2}, {NOT_NUMBERS: 8}),
        (no_logits, {NOT_NUMBERS: 2}, {NOT_NUMBERS: 8}),
        (nothing_inside, {NO_PIXELS: 1}, {}),
    ],
)
def test_useless_answers_are_counted(
    toy: ToyModel, alter: Answers, by_box: dict[str, int], by_points: dict[str, int]
) -> None:
    for source, expected in ((boxes(SQUARE), by_box), (EverythingMode(Options(2)), by_points)):
        outcome = propose(picture(), "a.png", Altered(toy, alter), source)
        told = Troubles()
        told.add(outcome.troubles)
        assert outcome.found == ()
        assert told.counts == expected


def test_an_embedding_that_is_no_numbers_is_refused(toy: ToyModel) -> None:
    toy.alter = lambda array: array * np.nan
    with pytest.raises(ModelError, match="not numbers"):
        propose(picture(), "a.png", toy.spec.load(), boxes(SQUARE))


# --- Many images ---


def loaded(key: str) -> LoadedImage:
    if key == "bad.png":
        raise UserError("“bad.png” is damaged.")
    return LoadedImage(key, picture(len(key)), WIDTH, HEIGHT, orientation=6)


class EveryImage(Boxes):
    """The square in every image but those that begin with an x."""

    def __init__(self) -> None:
        super().__init__(Detections({"a.png": (SQUARE,)}), BoxOptions())

    def wants(self, key: str) -> bool:
        return not key.startswith("x")

    def ask(self, segmenter, embedding, key):  # type: ignore[no-untyped-def]
        return super().ask(segmenter, embedding, "a.png")


def test_images_come_in_their_order_and_failures_are_named(toy: ToyModel) -> None:
    keys = [*(f"{n}.png" for n in range(9)), "bad.png", "x.png", "last.png"]
    found = list(outcomes(keys, loaded, toy.spec.load(), EveryImage()))
    assert [one.key for one in found] == keys
    assert isinstance(found[9], Failed)
    assert isinstance(found[0], Outcome)
    assert (len(found[0].found), found[0].orientation) == (1, 6)
    assert found[10].size is None  # never opened
    assert len(toy.calls) == 10
    assert {name for name in toy.threads if name.startswith("encoder")} == set(toy.threads)


def test_stages_work_at_the_same_time(toy: ToyModel) -> None:
    # Each stage waits until the others are busy with other images.
    together = threading.Barrier(3)

    class Meeting(EveryImage):
        def ask(self, segmenter, embedding, key):  # type: ignore[no-untyped-def]
            if key == "0":
                together.wait(20)
            return super().ask(segmenter, embedding, key)

    def read(key: str) -> LoadedImage:
        if key == "2":
            together.wait(20)
        return loaded(key)

    def encode() -> None:
        if len(toy.calls) == 2:
            together.wait(20)

    toy.on_encode = encode
    assert len(list(outcomes("0123", read, toy.spec.load(), Meeting()))) == 4


def test_images_are_encoded_abreast_where_the_model_can(toy: ToyModel) -> None:
    together = threading.Barrier(2)
    keys = [f"{number}.png" for number in range(8)]
    one = list(outcomes(keys, loaded, toy.spec.load(), EveryImage()))
    segmenter = toy.spec.load()
    segmenter.abreast = 2  # type: ignore[attr-defined]
    toy.on_encode = lambda: together.wait(20) and None
    two = list(outcomes(keys, loaded, segmenter, EveryImage()))
    assert [found.key for found in two] == keys
    assert [found.found[0].mask for found in two] == [found.found[0].mask for found in one]


def test_only_a_few_images_are_in_memory(toy: ToyModel) -> None:
    taken: list[str] = []

    def keys() -> Iterator[str]:
        for number in range(100):
            taken.append(str(number))
            yield str(number)

    coming = outcomes(keys(), loaded, toy.spec.load(), EveryImage())
    for number, _ in enumerate(coming):
        assert len(taken) <= number + 10
        if number == 30:
            coming.close()
    assert len(taken) < 45


# --- Beside what is there ---

BY_BOX = Origin(Source.MODEL, "toy", "1", 0.7, Prompt(box=Box(0, 0, 9, 9)), label="cat")
BY_POINT = replace(BY_BOX, prompt=Prompt((Point(1, 1),)), label="")
NAMES = ClassNames([Category(1, "Cat", "#000000", synonyms=("kitten",)), Category(2, "dog", "")])


def mask(x: int, y: int, size: int = 10) -> Mask:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[y : y + size, x : x + size] = True
    return raster.from_array(pixels)


def proposal(number: int, x: int, origin: Origin = BY_BOX, category: int | None = 1) -> Annotation:
    return Annotation(number, mask(x, 5), category, origin, proposed=True)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (proposal(1, 5), True),
        (proposal(1, 5, category=2), False),
        (proposal(1, 5, category=None), False),
        (proposal(1, 5, replace(BY_BOX, label=""), None), True),
        (proposal(1, 5, replace(BY_BOX, label="")), False),
        (proposal(1, 5, replace(BY_BOX, follows=3)), False),
        (proposal(1, 5, replace(BY_BOX, label="unknown")), False),
        (proposal(1, 5, BY_POINT), False),
        (replace(proposal(1, 5), proposed=False), False),
        (replace(proposal(1, 5), locked=True), False),
        (replace(proposal(1, 5), attributes={"seen": True}), False),
    ],
)
def test_which_proposals_from_boxes_may_be_replaced(annotation: Annotation, expected: bool) -> None:
    assert is_replaceable(annotation, NAMES) == expected


def test_labels_find_their_class() -> None:
    assert [NAMES.find(name) for name in ("Cat", "cat", " CAT ", "Kitten", "cow")] == [
        1,
        1,
        1,
        1,
        None,
    ]


def test_boxes_replace_boxes_and_what_has_no_name() -> None:
    person = Annotation(1, mask(0, 20), 2)
    present = (
        person,
        proposal(2, 5),
        proposal(3, 20, category=2),
        proposal(4, 35, BY_POINT, None),
        proposal(5, 48, BY_POINT, None),
    )
    new = [
        proposal(11, 5),
        proposal(12, 20),
        proposal(13, 35),
        replace(proposal(14, 0), shape=person.shape),
    ]
    after, fresh = joined(present, new, 0.6, {"ask": "boxes"}, NAMES)
    # 3 was named by a person, 5 is something else, and 14 was accepted already.
    assert sorted(one.id for one in after) == [1, 3, 5, 11, 13]
    assert sorted(one.id for one in fresh) == [11, 13]
    assert after[0] is person


def test_everything_mode_leaves_boxes_alone() -> None:
    present = (proposal(1, 5), proposal(2, 30, BY_POINT, None))
    new = [proposal(11, 5, BY_POINT, None), proposal(12, 45, BY_POINT, None)]
    after, _ = joined(present, new, 0.6, {"ask": "everything"}, NAMES)
    assert [one.id for one in after] == [1, 12]


@pytest.mark.parametrize(
    ("record", "scopes"),
    [
        (None, {"all", "untouched", "empty"}),
        (ImageRecord("a"), {"all", "untouched", "empty"}),
        (ImageRecord("a", proposals=1), {"all", "empty"}),
        (ImageRecord("a", count=1), {"all"}),
        (ImageRecord("a", status=Status.DONE), {"all"}),
    ],
)
def test_scopes(record: ImageRecord | None, scopes: set[str]) -> None:
    assert {scope for scope in ("all", "untouched", "empty") if in_scope(record, scope)} == scopes


# --- Runs ---


def run_of(segmenter: Segmenter, source: ProposalSource) -> Run:
    return Run.of(segmenter, source, classes="add")


def test_a_run_is_only_continued_as_what_it_was(toy: ToyModel) -> None:
    before = run_of(toy.spec.load(), EverythingMode(Options(4)))
    run_of(toy.spec.load(), EverythingMode(Options(4))).check(before.settings)
    with pytest.raises(RefusedError, match="side was 4, is 5"):
        run_of(toy.spec.load(), EverythingMode(Options(5))).check(before.settings)
    toy.fingerprint = "others"
    with pytest.raises(RefusedError, match="weights was weights, is others"):
        run_of(toy.spec.load(), EverythingMode(Options(4))).check(before.settings)
    with pytest.raises(RefusedError, match="ask was everything, is boxes"):
        run_of(toy.spec.load(), boxes(SQUARE)).check(before.settings)


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "out.json.run"
    run = RunFile(path)
    assert run.header() is None
    run.begin({"settings": {"a": 1}})
    run.add("a.png", [{"score": 1}])
    run.add("b.png", [])
    run.close()
    whole = path.read_bytes()
    for cut in (1, 5, 20):
        path.write_bytes(whole[:-cut])
        again = RunFile(path)
        header = again.header()
        assert header is not None
        assert header["settings"] == {"a": 1}
        again.resume()
        assert ("a.png" in again, "b.png" in again, len(again)) == (True, False, 1)
        again.add("b.png", [])
        again.close()
        assert path.read_bytes() == whole
        assert list(again.lines(["b.png", "a.png"])) == [("b.png", []), ("a.png", [{"score": 1}])]


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.json.run"
    for content in ('{"mine": true}\n', "x"):
        path.write_text(content)
        with pytest.raises(RefusedError, match="something else"):
            RunFile(path).header()
    path.write_text('{"format":"annot')  # cut off before anything was done
    assert RunFile(path).header() is None
