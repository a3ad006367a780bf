"""Training of Open-Vocabulary SAM: tiny networks with random weights learn both halves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.naming.classifier import Names, logits
from models.networks.name_scores import NameScores
from models.networks.ovsam import OpenVocabularySam, narrow_ovsam
from models.networks.sam_vit import narrow_sam
from models.ovsam.loading import load_part, read_heads
from models.training.__main__ import main
from models.training.distillation.features import Lessons
from models.training.distillation.pictures import read_pictures
from models.training.distillation.teacher import Teacher
from models.training.evaluation.dataset import Dataset, read_dataset
from models.training.ovsam import losses
from models.training.ovsam.heads import HeadLearner, begin_heads
from models.training.ovsam.learner import Learner
from models.training.ovsam.losses import unsure_places
from models.training.ovsam.necks import NeckLearner, begin_neck
from models.training.ovsam.settings import HEADS, NECK
from models.training.ovsam.views import make_view
from models.training.running import LAST
from tests.training.shapes import write_shapes

SIDE = 128
ROWS = {1: 0, 2: 1, 3: 2, 4: 3}
COLOURS = ("yellow", "green, lime", "blue", "pink")
QUICK_NECK = replace(NECK, epochs=10, rate=3e-3, images=2)
QUICK_HEADS = replace(HEADS, epochs=2, rate=2e-3, clip=1.0, images=2, samples=256, drops=())


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_colours(folder: Path, count: int) -> Path:
    """Shapes whose class is their colour."""
    listing = write_shapes(folder, count) / "instances.json"
    coco = json.loads(listing.read_text())
    for annotation in coco["annotations"]:
        annotation["category_id"] = sum(divmod(annotation["id"], 10)) % 4 + 1
    coco["categories"] = [{"id": i, "name": name} for i, name in enumerate(COLOURS, 1)]
    listing.write_text(json.dumps(coco))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("ovsam") / "data", 4)


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder)


@pytest.fixture(scope="module")
def lessons(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    teacher = Teacher.of(narrow_sam())
    made = Lessons(read_pictures(folder), teacher, tmp_path_factory.mktemp("teacher"))
    assert made.prepare()
    return made


def some_names(count: int = 4, length: int = 24) -> Names:
    table = np.random.default_rng(0).normal(size=(count, 2, length)).astype(np.float32)
    table[0, 1] = table[0, 0]  # one class has one name
    return Names.of(table / np.linalg.norm(table, axis=2, keepdims=True))


def a_neck(lessons: Lessons, settings=QUICK_NECK) -> NeckLearner:
    network = narrow_ovsam()
    begin_neck(network, lessons.teacher)
    return NeckLearner(network, lessons, settings)


def heads(dataset: Dataset, settings=QUICK_HEADS, count: int = 4) -> HeadLearner:
    network = narrow_ovsam()
    begin_heads(network, narrow_sam())
    return HeadLearner(network, dataset.pictures[:count], ROWS, some_names(), settings)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before: dict[str, torch.Tensor], network: torch.nn.Module) -> set[str]:
    now = network.state_dict()
    return {
        name.split(".")[0] for name, value in before.items() if not torch.equal(value, now[name])
    }


# --- Both halves ---


def test_the_neck_learns_sams_embedding(lessons: Lessons) -> None:
    learner = a_neck(lessons)
    before = state(learner.network)
    positions = lessons.teacher.network.image_encoder.pos_embed

    steps = list(learner.run())

    assert len(steps) == 20
    assert fmean(s.loss for s in steps[-2:]) < 0.7 * fmean(s.loss for s in steps[:2])
    assert changed(before, learner.network) == {"neck_student"}
    assert torch.equal(learner.network.neck_student.pos_embed, positions)


def test_masks_and_names_are_learnt_together(dataset: Dataset) -> None:
    settings = replace(QUICK_HEADS, epochs=180, samples=512, zoom=(1.0, 1.0))
    learner = heads(dataset, settings, count=2)
    before = state(learner.network)

    steps = list(learner.run())

    first, last = steps[:10], steps[-10:]
    assert fmean(s.loss for s in last) < 0.3 * fmean(s.loss for s in first)
    assert fmean(s.ious[0] for s in first) < 0.1
    assert fmean(s.ious[0] for s in last) > 0.3
    assert right_names(learner, dataset) >= 0.8
    assert changed(before, learner.network) == {"mask_decoder", "fpn_neck"}
    for name, value in learner.network.mask_decoder.state_dict().items():
        if name.startswith("label_mlp"):  # multiplied by zero in the published code
            assert torch.equal(value, before[f"mask_decoder.{name}"])


def right_names(learner: HeadLearner, dataset: Dataset) -> float:
    hits = []
    for picture in dataset.pictures[:2]:
        view = make_view(np.random.default_rng(0), picture, ROWS, SIDE, (1.0, 1.0), 40)
        with torch.no_grad():
            features = learner.network.encode(torch.from_numpy(view.pixels))
            boxes = torch.from_numpy(view.boxes)
            vectors = learner.network.vectors(features.pyramid, boxes).numpy()
        hits += (logits(vectors, some_names())[:, :-1].argmax(1) == view.classes).tolist()
    return fmean(hits)


@pytest.mark.parametrize("half", ["neck", "heads"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    lessons: Lessons, dataset: Dataset, tmp_path: Path, half: str
) -> None:
    def new() -> Learner:
        if half == "neck":
            return a_neck(lessons, replace(QUICK_NECK, epochs=2))
        return heads(dataset)

    whole = new()
    whole_losses = [step.loss for step in whole.run()]
    first = new()
    with closing(first.run()) as steps:
        for step in steps:
            if step.step == 2:
                break
    first.save(tmp_path / LAST)
    torch.manual_seed(99)
    second = new()
    second.resume(tmp_path / LAST)

    assert [step.loss for step in second.run()] == whole_losses[2:]
    for name, value in whole.learnt().items():
        assert torch.equal(value, second.learnt()[name]), name


def test_checkpoints_of_other_runs_are_refused(
    lessons: Lessons, dataset: Dataset, tmp_path: Path
) -> None:
    learner = heads(dataset)
    learner.save(tmp_path / LAST)
    network = narrow_ovsam()
    other = HeadLearner(network, dataset.pictures, {1: 0, 2: 1}, some_names(2), QUICK_HEADS)
    with pytest.raises(ModelError, match="other data"):
        other.resume(tmp_path / LAST)
    with pytest.raises(ModelError, match="not a checkpoint of this version"):
        a_neck(lessons).resume(tmp_path / LAST)


def test_a_loss_that_is_no_number_ends_the_run(dataset: Dataset) -> None:
    learner = heads(dataset)
    with torch.no_grad():
        learner.network.fpn_neck.lateral_convs[0].conv.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="no longer a number at step 0"):
        list(learner.run())


def test_names_of_another_space_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ModelError, match="have 16 dimensions, but objects get 24"):
        HeadLearner(narrow_ovsam(), dataset.pictures, ROWS, some_names(length=16), QUICK_HEADS)


def test_a_teacher_of_another_shape_is_refused(lessons: Lessons) -> None:
    with torch.device("meta"):
        network = OpenVocabularySam()
    with pytest.raises(ModelError, match="cannot learn from it"):
        NeckLearner(network, lessons, QUICK_NECK)


# --- Parts ---


def test_rates_are_the_published_ones() -> None:
    assert NECK.rate_at(0, 100) == pytest.approx(1e-4)
    assert NECK.rate_at(50, 100) == pytest.approx(0.505e-4)
    assert NECK.rate_at(100, 100) == pytest.approx(1e-6)
    rates = [HEADS.rate_at(epoch * 5, 60) for epoch in range(12)]
    assert rates == pytest.approx([1e-4] * 8 + [1e-5] * 3 + [1e-6])


def test_the_decoder_begins_as_sams() -> None:
    network, sam = narrow_ovsam(5), narrow_sam(6)
    begin_heads(network, sam)
    own, theirs = network.mask_decoder, sam.mask_decoder
    assert torch.equal(own.label_token.weight, theirs.iou_token.weight)
    assert torch.equal(own.mask_decoder.mask_tokens.weight, theirs.mask_tokens.weight[:1])
    points = torch.tensor([[[30.0, 40.0]]]), torch.tensor([[1]])
    assert torch.equal(network.prompt_encoder(points)[0], sam.prompt_encoder(points)[0])


def test_scores_with_a_gradient_are_the_classifiers() -> None:
    vectors = torch.randn(5, 24, requires_grad=True)
    found = NameScores(some_names(), torch.device("cpu"))(vectors)
    np.testing.assert_allclose(
        found.detach().numpy(), logits(vectors.detach().numpy(), some_names()), atol=1e-4
    )
    found.sum().backward()
    assert vectors.grad is not None


def test_masks_are_compared_where_they_are_unsure() -> None:
    ramp = torch.linspace(-8, 8, 64).expand(2, 64, 64)  # 0 in the middle of x
    places = unsure_places(ramp, 400, torch.Generator().manual_seed(0))
    assert places.shape == (2, 400, 2)
    near = (places[..., 0] - 0.5).abs() < 0.17
    assert near.float().mean() > 0.75
    assert losses.at(ramp, torch.full((2, 1, 2), 0.5)) == pytest.approx(0, abs=1e-5)


def test_mask_loss_is_five_times_entropy_and_five_times_dice() -> None:
    logits_, masks = torch.zeros(1, 4, 4), torch.zeros(1, 8, 8)
    masks[:, :, 4:] = 1
    places = torch.tensor([[[0.25, 0.5], [0.75, 0.5]]])
    expected = 5 * np.log(2) + 5 * (1 - (2 * 0.5 + 1) / (1 + 1 + 1))
    assert losses.mask_loss(logits_, masks, places).item() == pytest.approx(expected)


def test_class_loss_knows_the_background_as_a_class() -> None:
    scores = torch.tensor([[2.0, 0.0, 0.0]])
    expected = 2 * -np.log(np.exp(2) / (np.exp(2) + 2))
    found = losses.class_loss(scores, torch.tensor([0])).item()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("zoom", [(1.0, 1.0), (0.3, 0.5), (1.8, 2.0)])
def test_views_show_objects_where_their_prompts_are(dataset: Dataset, zoom) -> None:
    boxed = mirrored = 0
    for seed in range(12):
        picture = dataset.pictures[seed % 4]
        view = make_view(np.random.default_rng(seed), picture, ROWS, SIDE, zoom, 2)
        assert view.pixels.shape == (1, 3, SIDE, SIDE)
        assert 1 <= len(view.classes) <= 2
        boxes = (view.labels[:, 0] == 2).sum()
        assert boxes == len(view.labels) // 2
        boxed += boxes
        for mask, box, coords, labels in zip(
            view.masks, view.boxes, view.coords, view.labels, strict=True
        ):
            ys, xs = np.nonzero(mask)
            assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            if labels[0] == 2:
                assert coords.ravel().tolist() == box.tolist()
            else:
                assert labels.tolist() == [1, -1]
                assert mask[int(coords[0, 1]), int(coords[0, 0])]
            # Objects are bright, all else is dark; at edges both are mixed.
            assert (view.pixels[0][:, mask > 0].max(0) > 0.3).mean() > 0.85
        other = make_view(np.random.default_rng(100 + seed), picture, ROWS, SIDE, (1, 1), 40)
        mirrored += not np.array_equal(other.masks.any(0), whole(dataset, seed % 4))
    assert boxed
    assert 0 < mirrored < 12


def whole(dataset: Dataset, index: int) -> np.ndarray:
    """All masks of an image at their place in the frame."""
    import cv2

    masks = np.stack([truth.mask() for truth in dataset.pictures[index].objects])
    small = [
        cv2.resize(m.astype(np.uint8), (128, 102), interpolation=cv2.INTER_NEAREST_EXACT)
        for m in masks
    ]
    found = np.zeros((SIDE, SIDE), bool)
    found[:102] = np.any(small, axis=0)
    return found


def test_objects_of_classes_without_a_name_are_left_out(dataset: Dataset) -> None:
    view = make_view(np.random.default_rng(0), dataset.pictures[0], {1: 0}, SIDE, (1, 1), 40)
    assert set(view.classes.tolist()) == {0}
    with pytest.raises(ModelError, match="No image has an object"):
        HeadLearner(narrow_ovsam(), dataset.pictures, {9: 0}, some_names(), QUICK_HEADS)


# --- Commands ---


def test_sam2clip_and_clip2sam_from_the_command_line(folder: Path, tmp_path: Path, capsys) -> None:
    small = ["--narrow", "--device", "cpu", "--images", "2"]
    neck, head = tmp_path / "neck", tmp_path / "head"
    assert main(["sam2clip", str(folder), "--out", str(neck), "--epochs", "1", *small]) == 0
    result = neck / "sam2clip.pth"
    arguments = ["clip2sam", str(folder), "--out", str(head), "--neck", str(result), *small]
    assert main([*arguments, "--epochs", "1", "--leave-out", "pink"]) == 0
    said = capsys.readouterr().out
    assert "sam2clip.pth" in said
    assert "3 classes" in said
    # Both are what the program itself loads.
    network = narrow_ovsam(7)
    load_part(network, "neck_student", result)
    parts = {name.split(".")[0] for name in read_heads([head / "clip2sam.pth"])}
    assert parts == {"mask_decoder", "fpn_neck"}
    # Going on takes the same data.
    again = [*arguments, "--epochs", "2", "--resume"]
    assert main([*again, "--leave-out", "pink"]) == 0
    assert main(again) == 1
    assert "other data" in capsys.readouterr().err


def test_vectors_of_names_may_come_from_a_file(folder: Path, tmp_path: Path, capsys) -> None:
    arguments = ["clip2sam", str(folder), "--narrow", "--epochs", "1", "--images", "4"]
    for count, code in ((4, 0), (5, 1)):
        torch.save(torch.randn(count, 1, 24), tmp_path / f"{count}.pth")
        given = ["--names", str(tmp_path / f"{count}.pth"), "--out", str(tmp_path / str(count))]
        assert main([*arguments, *given]) == code
    assert "vectors of 5 classes, but the data has 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--leave-out", "purple", "--narrow"], "no class “purple”"),
        ([], "trained neck"),
        (["--neck", "x.pth"], "sam_vit_h_4b8939.pth"),
        (["--neck", "nowhere.pth", "--narrow"], "nowhere.pth"),
    ],
)
def test_what_is_missing_is_named(
    folder: Path, tmp_path: Path, capsys, arguments: list[str], message: str
) -> None:
    assert main(["clip2sam", str(folder), "--out", str(tmp_path / "run"), *arguments]) == 1
    assert message in capsys.readouterr().err
