"""OMG-Seg and RAP-SAM as models that label, and as models that answer clicks; narrow ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import BatchSegmenter, Box, ModelError, Point, Prompt, SegmenterSpec
from models.catalog import NEEDS
from models.encoding import EncodingStoppedError, Passed, watched
from models.labelling import Name, Unasked, labelled, labellers
from models.networks.omgseg import narrow_omgseg
from models.networks.rapsam import narrow_rapsam
from models.omgseg import network_files
from models.omgseg.labelling import FEW, OpenLabeller
from models.omgseg.prompted import PromptedSegmenter
from models.omgseg.trained_names import TRAINED
from models.registry import segmenter_spec
from tests.models import omgseg_narrow as narrow

NAMES = (Name("cat", ("kitten",)), Name("sky", is_thing=False), Name("dog"))
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 255, (90, 120, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(network: str, tmp_path: Path, kind="panoptic", trained=(), longest=128) -> OpenLabeller:
    built = narrow_omgseg(4) if network == "omgseg" else narrow_rapsam(8)
    return narrow.labeller(built, tmp_path, kind, trained, longest)


def segmenter(network: str = "omgseg") -> PromptedSegmenter:
    built = narrow_omgseg(3) if network == "omgseg" else narrow_rapsam(4)
    spec = SegmenterSpec("narrow", "Narrow", "1", "", "", load=lambda: made)
    made = PromptedSegmenter(spec, narrow.opened(built), 128)
    return made


@pytest.mark.parametrize("network", ["omgseg", "rapsam"])
def test_pixels_of_a_panoptic_answer_belong_to_one_segment(network: str, tmp_path: Path) -> None:
    model = Unasked(made(network, tmp_path), NAMES)
    embedding = model.encode(PICTURE)
    found = labelled(embedding)
    assert found
    assert {one.label for one in found} <= {"cat", "sky", "dog"}
    assert all(one.is_thing == (one.label != "sky") for one in found)
    assert sum(one.label == "sky" for one in found) <= 1
    masks = [model.render(embedding, one.candidate) for one in found]
    assert np.sum(masks, axis=0).max() == 1
    assert all(mask.any() for mask in masks)


def test_instances_are_things_and_may_overlap(tmp_path: Path) -> None:
    model = Unasked(made("omgseg", tmp_path, "instances"), NAMES)
    found = labelled(model.encode(PICTURE))
    assert found
    assert {one.label for one in found} <= {"cat", "dog"}
    scores = [one.candidate.score for one in found]
    assert min(scores) >= 0.1
    assert all(one.stability is not None for one in found)


def test_answers_are_a_function_of_the_image_and_name_order_is_free(tmp_path: Path) -> None:
    one = made("omgseg", tmp_path).label(PICTURE, NAMES)
    again = made("omgseg", tmp_path).label(PICTURE, NAMES[::-1])
    key = lambda m: (m.label, round(m.candidate.score, 5), m.candidate.extent.x0)  # noqa: E731
    assert sorted(map(key, one)) == sorted(map(key, again))


def test_a_short_vocabulary_has_rivals_that_are_never_answers(tmp_path: Path) -> None:
    def found(names: tuple[Name, ...], *trained: str) -> dict[str, int]:
        model = made("omgseg", tmp_path, "instances", trained)
        labels = [one.label for one in model.label(PICTURE, names)]
        return {label: labels.count(label) for label in labels}

    only = (Name("cat"),)
    alone, rivalled = found(only)["cat"], found(only, *TRAINED).get("cat", 0)
    assert rivalled < alone
    # A synonym is no rival, whatever the case of its letters.
    assert found((Name("cat", ("dog",)),), "Dog", "cat") == found((Name("cat", ("dog",)),))
    many = tuple(Name(f"name{i}") for i in range(FEW))
    assert found(many, *TRAINED) == found(many)


def test_twenty_thousand_names(tmp_path: Path) -> None:
    names = tuple(Name(f"w{number}", is_thing=number % 3 > 0) for number in range(20_000))
    model = made("omgseg", tmp_path)
    found = model.label(PICTURE, names)
    # Among so many random names none is probable: that is an answer, too.
    assert all(one.label.startswith("w") for one in found)


@pytest.mark.parametrize("shape", [(1, 1), (200, 20_000), (20_000, 200), (1, 500)])
def test_odd_sizes(shape: tuple[int, int], tmp_path: Path) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[: shape[0] // 2] = 200
    model = Unasked(made("omgseg", tmp_path), NAMES)
    embedding = model.encode(picture)
    for one in labelled(embedding):
        assert model.render(embedding, one.candidate).shape == shape
    asked = segmenter()
    clicked = asked.encode(picture)
    (first, *_) = asked.decode(clicked, Prompt((Point(shape[1] / 2, shape[0] / 2),)))
    assert asked.render(clicked, first).shape == shape


def test_no_names_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    model = made("omgseg", tmp_path)
    with pytest.raises(ModelError, match="add classes"):
        model.label(PICTURE, ())
    network = narrow_omgseg(4)
    network.panoptic_head.query_feat.weight.data[:] = torch.nan
    with pytest.raises(ModelError, match="not numbers"):
        narrow.labeller(network, tmp_path).label(PICTURE, NAMES)


def test_every_part_is_told_and_any_can_be_the_last(tmp_path: Path) -> None:
    told: list[Passed] = []
    with watched(told.append, lambda: False):
        made("omgseg", tmp_path).label(PICTURE, NAMES)
    parts = [one.part for one in told]
    assert parts[0].startswith("text model")
    assert {"backbone", "pixel decoder", "query decoder", "fusion"} <= set(parts)
    assert told[-1].share == 1.0
    for last in range(len(told)):
        seen: list[Passed] = []
        fresh = tmp_path / str(last)
        with (
            watched(seen.append, lambda seen=seen, last=last: len(seen) > last),
            pytest.raises(EncodingStoppedError),
        ):
            made("omgseg", fresh).label(PICTURE, NAMES)
        assert len(seen) == last + 1


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = narrow_omgseg(4)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "decode", fail)
    with pytest.raises(ModelError, match="too little memory"):
        narrow.labeller(network, tmp_path).label(PICTURE, NAMES)


@pytest.mark.parametrize("network", ["omgseg", "rapsam"])
def test_candidates_go_from_part_to_whole(network: str) -> None:
    model = segmenter(network)
    assert isinstance(model, BatchSegmenter)
    embedding = model.encode(PICTURE)
    several = 0
    for x, y in ((20, 20), (60, 45), (110, 80)):
        found = model.decode(embedding, Prompt((Point(x, y),)))
        areas = [int(model.render(embedding, one).sum()) for one in found]
        assert 1 <= len(found) <= 4
        assert areas[1:] == sorted(areas[1:])
        # What was found there unasked holds the click, in its cell of four pixels.
        row, column = int(y * 96 / 90) // 4, int(x * 128 / 120) // 4
        assert sum(one.logits[row, column] > 0 for one in found) >= len(found) - 1
        several += len(found) > 1
    assert several


def test_boxes_several_clicks_and_batches() -> None:
    model = segmenter()
    embedding = model.encode(PICTURE)
    prompts = (
        Prompt(box=Box(10, 10, 60, 60)),
        Prompt((Point(30, 30), Point(60, 40))),
        Prompt((Point(30, 30), Point(60, 40, positive=False))),
        Prompt(),
    )
    found = model.decode_many(embedding, prompts)
    assert [len(one) >= 1 for one in found] == [True, True, True, False]
    for prompt, candidates in zip(prompts[:3], found[:3], strict=True):
        alone = model.decode(embedding, prompt)
        assert len(alone) == len(candidates)
        for a, b in zip(alone, candidates, strict=True):
            np.testing.assert_allclose(a.logits, b.logits, atol=1e-3)
    # A click that does not belong puts masks that hold it behind the others.
    first = found[2][0]
    if any(not model.render(embedding, one)[40, 60] for one in found[2]):
        assert not model.render(embedding, first)[40, 60]
    stored = model.complete(
        type(embedding)("narrow", 120, 90, {k: v.astype(np.float16) for k, v in
                                            embedding.arrays.items()})
    )  # fmt: skip
    half = model.decode(stored, prompts[0])[0]
    np.testing.assert_allclose(half.logits, found[0][0].logits, atol=0.2)


def test_without_weights_it_says_what_to_get(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    reason = labellers()["omgseg-panoptic"].available()
    assert reason is not None
    for part in ("omg_seg_convl.pth", "1.4 GB", "MIT", "annotator models get omgseg"):
        assert part in reason
    assert segmenter_spec("omgseg").available() == reason
    own = labellers()["rapsam-r50-instances"].available()
    assert own is not None
    assert "import" in own
    with pytest.raises(ModelError, match="needs"):
        network_files.opened("omgseg")
    assert {"omgseg", "rapsam-r50"} <= NEEDS.keys()


def test_other_head_sizes_are_refused_by_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    network = narrow_rapsam(0)
    torch.save(network.state_dict(), tmp_path / "rapsam_r50_12e.pth")
    (tmp_path / "convnext_large_d_320.bin").write_bytes(b"only looked at when names are wanted")
    with pytest.raises(ModelError, match=r"rapsam_r50_12e.pth.*of another shape"):
        network_files.opened("rapsam-r50")


def test_a_network_is_loaded_once_and_goes_with_its_last_user(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    for name in ("rapsam_r50_12e.pth", "convnext_large_d_320.bin"):
        (tmp_path / name).write_bytes(b"there")
    made: list[int] = []
    monkeypatch.setattr(network_files, "_load", lambda *_: made.append(1) or narrow_rapsam(0))
    one = network_files.opened("rapsam-r50")
    assert network_files.opened("rapsam-r50") is one
    assert len(made) == 1
    del one
    network_files.opened("rapsam-r50")
    assert len(made) == 2


def test_a_network_that_does_not_fit_into_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = network_files.free_memory()
    assert free is None or 2**20 < free < 2**50
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    for name in ("rapsam_r50_12e.pth", "convnext_large_d_320.bin"):
        (tmp_path / name).write_bytes(b"there")
    monkeypatch.setattr(network_files, "free_memory", lambda: 700 << 20)
    with pytest.raises(ModelError, match=r"2 GB of memory, and only 0\.7 GB are free"):
        network_files.opened("rapsam-r50")


def test_names_are_learnt_once_and_kept(tmp_path: Path) -> None:
    words = narrow.words(tmp_path)
    classes = (("cat", "kitten"), ("sky",))
    assert words.missing(classes) == 3
    first = words.table(classes)
    assert narrow.words(tmp_path).missing(classes) == 0
    np.testing.assert_array_equal(narrow.words(tmp_path).table(classes).rows, first.rows)
    assert first.starts.tolist() == [0, 2]
