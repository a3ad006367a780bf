"""Distillation: tiny networks with random weights go through both stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.checkpoints import load_exactly, read_checkpoint
from models.networks.edgesam import NARROW, EdgeSam
from models.networks.sam import Sam
from models.networks.sam_vit import narrow_sam
from models.training.__main__ import main
from models.training.distillation import asking, features
from models.training.distillation.asking import Prompts, corrections, in_the_loop, valid_cells
from models.training.distillation.command import STUDENT, distill, new_student
from models.training.distillation.distiller import Distiller
from models.training.distillation.features import Lessons
from models.training.distillation.pictures import read_pictures
from models.training.distillation.settings import FEATURES, PROMPTS, Settings
from models.training.distillation.teacher import Teacher, load_teacher
from models.training.running import LAST
from tests.training.shapes import HEIGHT, WIDTH, write_shapes
from tests.training.test_training_loop import full_disk

SIDE = 128
STAGE_1 = Settings(1, epochs=8, images=2, together=2, rate=1.5, floor=0.0)
STAGE_2 = Settings(2, epochs=6, images=2, together=1, rate=0.8, floor=0.0, clip=1.0, prompts=3)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return Teacher.of(narrow_sam())


@pytest.fixture(scope="module")
def lessons(teacher: Teacher, tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    folder = tmp_path_factory.mktemp("lessons")
    made = Lessons(read_pictures(write_shapes(folder / "data", 4)), teacher, folder / "teacher")
    assert made.prepare()
    return made


def a_student(teacher: Teacher) -> EdgeSam:
    torch.manual_seed(0)
    return new_student(EdgeSam(NARROW, hidden=64, side=SIDE), None, teacher)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before: dict[str, torch.Tensor], network: torch.nn.Module) -> set[str]:
    """The parts of which a parameter is another one."""
    now = dict(network.named_parameters())
    return {
        name.split(".")[0] for name, value in before.items()
        if name in now and not torch.equal(value, now[name])
    }  # fmt: skip


# --- Both stages ---


def test_the_encoder_learns_the_teachers_features(lessons: Lessons) -> None:
    student = a_student(lessons.teacher)
    before = state(student)

    losses = [step.loss for step in Distiller(student, lessons, STAGE_1).run()]

    assert len(losses) == 16
    assert fmean(losses[-2:]) < 0.8 * fmean(losses[:2])
    assert changed(before, student) == {"image_encoder"}


def test_masks_are_learnt_with_prompts_in_the_loop(lessons: Lessons) -> None:
    student = a_student(lessons.teacher)
    before = state(student)

    steps = list(Distiller(student, lessons, STAGE_2).run())

    first, last = steps[:4], steps[-4:]
    assert fmean(s.loss for s in last) < 0.9 * fmean(s.loss for s in first)
    assert len(steps[0].ious) == 2
    assert fmean(s.ious[0] for s in last) > fmean(s.ious[0] for s in first)
    assert changed(before, student) == {"image_encoder", "mask_decoder"}
    for name, value in student.state_dict().items():  # never supervised
        if "iou_prediction_head" in name:
            assert torch.equal(value, before[name])


@pytest.mark.parametrize("settings", [STAGE_1, STAGE_2], ids=["features", "prompts"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    lessons: Lessons, tmp_path: Path, settings: Settings
) -> None:
    settings = replace(settings, epochs=2)
    whole = Distiller(a_student(lessons.teacher), lessons, settings)
    losses = [step.loss for step in whole.run()]
    first = Distiller(a_student(lessons.teacher), lessons, settings)
    with closing(first.run()) as steps:
        for step in steps:
            if step.step == 3:
                break
    first.save(tmp_path / LAST)
    torch.manual_seed(99)

    other = EdgeSam(NARROW, hidden=64, side=SIDE)
    second = Distiller.resume(tmp_path / LAST, other, lessons)

    assert [step.loss for step in second.run()] == losses[3:]
    for name, value in whole.student.state_dict().items():
        assert torch.equal(value, second.student.state_dict()[name]), name


def test_a_run_leaves_a_student_under_published_keys(lessons: Lessons, tmp_path: Path) -> None:
    one = Distiller(a_student(lessons.teacher), lessons, replace(STAGE_1, epochs=1))

    assert not distill(one, tmp_path, lambda: True)
    assert one.step == 1
    assert not (tmp_path / STUDENT).exists()
    assert distill(one, tmp_path)

    # Stage 2 begins with it, and so does the exporter of EdgeSAM.
    for name in (STUDENT, LAST):
        found = new_student(EdgeSam(NARROW, hidden=64, side=SIDE), tmp_path / name, lessons.teacher)
        for key, value in one.student.state_dict().items():
            assert torch.equal(value, found.state_dict()[key])
    load_exactly(found, read_checkpoint(tmp_path / STUDENT), "EdgeSAM", STUDENT)


def test_a_loss_that_is_no_number_stops_the_run(lessons: Lessons, tmp_path: Path) -> None:
    one = Distiller(a_student(lessons.teacher), lessons, STAGE_1)
    one.save(tmp_path / LAST)
    with torch.no_grad():
        next(one.student.image_encoder.parameters()).fill_(float("nan"))

    with pytest.raises(ModelError, match=r"no longer a number at step 0.*lower --rate than 1\.5"):
        distill(one, tmp_path)

    assert Distiller.resume(tmp_path / LAST, a_student(lessons.teacher), lessons).step == 0
    assert not (tmp_path / STUDENT).exists()


# --- Details of the specification ---


def test_rates_are_the_published_ones() -> None:
    steps = 1000
    rates = [FEATURES.rate_at(step, steps) for step in range(steps)]
    assert rates[0] == pytest.approx(6.25e-8)
    assert rates[499] == pytest.approx(1.25e-2, rel=0.01)
    assert rates[500] == pytest.approx(6.25e-3, rel=0.01)  # it drops at once
    assert rates[-1] == pytest.approx(6.25e-7, rel=0.1)

    assert PROMPTS.rate_at(0, steps) == pytest.approx(1e-4)
    assert PROMPTS.rate_at(steps, steps) == pytest.approx(1e-5)


def test_clicks_are_drawn_where_masks_differ() -> None:
    right = torch.zeros(3, 32, 32, dtype=torch.bool)
    right[:, 8:16, 8:16] = True
    shown = right.clone()
    shown[0, 8:16, 8:12] = False  # something is missing
    shown[1, 20:24, 4:10] = True  # something is too much
    shown[2, 8:9, 8:17] = ~shown[2, 8:9, 8:17]  # nine pixels
    valid = torch.ones(32, 32, dtype=torch.bool)
    drawn = []

    for seed in range(40):
        coords, labels = corrections(np.random.default_rng(seed), shown, right, valid, 4)
        assert labels.tolist() == [1, 0, -2]
        assert coords[2].tolist() == [0, 0]
        assert 32 <= coords[0, 0] < 48
        assert 32 <= coords[0, 1] < 64
        assert 16 <= coords[1, 0] < 40
        assert 80 <= coords[1, 1] < 96
        assert (coords % 4 == 0).all()  # corners of pixels
        drawn.append(tuple(coords[0].tolist()))

    assert len(set(drawn)) > 15


def test_nothing_outside_the_image_is_clicked_or_learnt() -> None:
    valid = valid_cells((96, 64), SIDE, 32, torch.device("cpu"))
    assert valid.nonzero().amax(0).tolist() == [23, 15]
    right = torch.zeros(1, 32, 32, dtype=torch.bool)
    shown = ~valid[None]  # wrong in the padding alone
    rng = np.random.default_rng(0)
    assert corrections(rng, shown, right, valid, 4)[1].tolist() == [-2]

    logits = torch.randn(2, 4, 32, 32)
    targets = (torch.rand(2, 4, 32, 32) > 0.5).float()
    other = torch.where(valid, logits, torch.full_like(logits, 50.0))
    assert asking.mask_loss(other, targets, valid) == asking.mask_loss(logits, targets, valid)

    wanted = torch.randn(1, 5, 32, 32)
    found = wanted + 2.0 * valid
    assert asking.feature_loss(found, wanted, valid[None]) == pytest.approx(4.0)
    assert asking.feature_loss(wanted + 9.0 * ~valid, wanted, valid[None]) == 0


def test_the_mask_loss_is_five_times_entropy_and_five_times_dice() -> None:
    logits = torch.tensor([[[[0.0, 0.0]]]])
    targets = torch.tensor([[[[1.0, 0.0]]]])
    valid = torch.ones(1, 2, dtype=torch.bool)

    found = asking.mask_loss(logits, targets, valid)

    dice = 1 - (2 * 0.5 + 1) / (1.0 + 1.0 + 1)
    assert found == pytest.approx(5 * np.log(2) + 5 * dice)


class Recording(Sam):
    """Remembers what it is asked."""

    asked: list[tuple[int | None, torch.Tensor | None, torch.Tensor | None, int | None]]

    def decode(self, embedding, points=None, boxes=None, masks=None, num_multimask_outputs=None):  # type: ignore[no-untyped-def]
        labels = points[1] if points else None
        self.asked.append((len(embedding), boxes, labels, num_multimask_outputs))
        return super().decode(embedding, points, boxes, masks, num_multimask_outputs)


@pytest.mark.parametrize("boxed", [True, False])
def test_both_are_asked_the_same_and_again_with_a_click(teacher: Teacher, boxed: bool) -> None:
    student = a_student(teacher)
    network = narrow_sam()
    network.__class__ = Recording
    network.asked = []
    prompts = Prompts(coords=torch.full((2, 1, 2), 40.0), labels=torch.ones(2, 1))
    if boxed:
        prompts = Prompts(boxes=torch.tensor([[8.0, 8.0, 60.0, 60.0]]).repeat(2, 1))
    embeddings = torch.randn(1, *teacher.shape), torch.randn(1, *teacher.shape)
    valid = torch.ones(32, 32, dtype=torch.bool)

    loss, ious = in_the_loop(
        np.random.default_rng(0), student, Teacher(network, "x"), embeddings, prompts, valid, 3
    )

    assert torch.isfinite(loss)
    assert len(ious) == 3
    for number, (_, boxes, labels, masks) in enumerate(network.asked):
        assert masks == (1 if boxed else 4)
        assert (boxes is not None) == boxed
        count = number + (not boxed)
        assert (0 if labels is None else labels.shape[1]) == count


def test_labelled_objects_become_prompts(lessons: Lessons) -> None:
    lesson, labels = lessons.lesson(0), lessons.pictures[0].labels
    assert labels is not None
    scale = SIDE / WIDTH

    assert lesson.resized == (round(HEIGHT * scale), SIDE)
    np.testing.assert_allclose(lesson.boxes, labels.boxes * scale, rtol=0.02)
    for index, (x, y) in enumerate(lesson.points / scale):
        assert labels.mask(index)[int(y), int(x)]


def test_a_teacher_finds_objects_nobody_labelled(
    teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(self, embedding, points=None, boxes=None, masks=None, num_multimask_outputs=None):  # type: ignore[no-untyped-def]
        """Left of the middle is one object, right of it another; below 96 there is nothing."""
        x = points[0][:, 0, 0]
        logits = torch.full((len(x), 3, 32, 32), -1.0)
        logits[x < 64, 1, 4:20, 2:14] = 1.0
        logits[x >= 64, 2, 2:22, 18:30] = 1.0
        quality = torch.full((len(x), 3), 0.1)
        quality[x < 64, 1] = 0.9
        quality[x >= 64, 2] = 0.95
        return logits, quality

    monkeypatch.setattr(Sam, "decode", decode)

    boxes, points = teacher.objects(torch.zeros(1, *teacher.shape), (96, SIDE))

    assert boxes.tolist() == [[72, 8, 120, 88], [8, 16, 56, 80]]
    assert (points[0] >= 64)[0]
    assert (points[1] < 64)[0]


# --- The cache ---


def test_the_teacher_is_asked_once(
    lessons: Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    encode = Teacher.encode
    monkeypatch.setattr(
        Teacher, "encode", lambda self, pixels: asked.append(1) or encode(self, pixels)
    )
    mine = replace(lessons, folder=tmp_path / "cache")

    assert not mine.prepare(stopped=lambda: len(asked) == 3)
    assert mine.prepare()
    assert len(asked) == 4
    assert mine.lesson(2).features.dtype == np.float16
    assert len(asked) == 4

    damaged = mine._path(2)
    damaged.write_bytes(damaged.read_bytes()[:100])
    np.testing.assert_array_equal(mine.lesson(2).features, lessons.lesson(2).features)
    assert len(asked) == 5
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".npz"}


def test_a_disk_that_is_too_small_is_noticed_before_and_on_the_way(
    lessons: Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = replace(lessons, folder=tmp_path / "cache")
    with full_disk(2000), pytest.raises(ModelError, match="File too large"):
        mine.prepare()
    assert list((tmp_path / "cache").iterdir()) == []

    monkeypatch.setattr(features, "SPARE", 2**60)
    with pytest.raises(ModelError, match=r"need .* GB, but the disk of .* --cache"):
        mine.prepare()


def test_a_teacher_with_broken_weights_is_noticed(lessons: Lessons, tmp_path: Path) -> None:
    network = narrow_sam()
    with torch.no_grad():
        network.image_encoder.neck[0].weight.fill_(float("nan"))

    with pytest.raises(ModelError, match="its weights are damaged"):
        replace(lessons, teacher=Teacher.of(network), folder=tmp_path).prepare()


# --- Refusals ---


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ("sam-vit-h", "“sam-vit-h” cannot teach yet. The file “sam_vit_h_4b8939.pth”"),
        ("mobilesam", "annotator models get mobilesam"),
        ("edgesam-3x", "annotator models get edgesam-3x"),
        ("loupe", "no decoder in SAM's layout. Models that can: sam-vit-h"),
        ("nobody", "There is no model “nobody”"),
    ],
)
def test_teachers_that_are_not_here_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], teacher: str, said: str
) -> None:
    data, out = write_shapes(tmp_path / "data", 1), tmp_path / "out"

    assert (
        main(["distill", str(data), "--teacher", teacher, "--stage", "1", "--out", str(out)]) == 1
    )

    assert said in capsys.readouterr().err
    assert not out.exists()


def test_folders_without_images_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    for path in (tmp_path, tmp_path / "gone"):
        assert (
            main(["distill", str(path), "--teacher", "mobilesam", "--stage", "1", "--out", "x"])
            == 1
        )
    said = capsys.readouterr().err
    assert "holds no images (jpg" in said
    assert "does not exist" in said


def test_stage_2_needs_a_beginning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_shapes(tmp_path / "data", 1)

    assert main(["distill", str(data), "--teacher", "mobilesam", "--stage", "2", "--out", "x"]) == 1

    assert "Stage 2 goes on from stage 1" in capsys.readouterr().err


def test_images_in_folders_are_found_and_broken_ones_named(
    lessons: Lessons, tmp_path: Path
) -> None:
    write_shapes(tmp_path / "deep", 2)
    (tmp_path / "deep" / "instances.json").unlink()
    (tmp_path / "z.JPG").write_bytes(b"no image")

    found = read_pictures(tmp_path)

    assert [Path(one.name).name for one in found] == ["0.png", "1.png", "z.JPG"]
    with pytest.raises(ModelError, match=r"z\.JPG” is not a readable image"):
        replace(lessons, pictures=found, folder=tmp_path / "cache").prepare()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_student_of_another_shape_is_refused(lessons: Lessons) -> None:
    with pytest.raises(ModelError, match="cannot learn from it"):
        Distiller(EdgeSam(NARROW, hidden=64, side=256), lessons, STAGE_1)


def test_checkpoints_of_other_runs_are_refused(lessons: Lessons, tmp_path: Path) -> None:
    path = tmp_path / LAST
    Distiller(a_student(lessons.teacher), lessons, STAGE_1).save(path)

    def resume(changed: Lessons) -> None:
        Distiller.resume(path, a_student(lessons.teacher), changed)

    with pytest.raises(ModelError, match="another teacher"):
        resume(replace(lessons, teacher=Teacher.of(narrow_sam(1))))
    with pytest.raises(ModelError, match="begun with 4 images, but here are 2"):
        resume(replace(lessons, pictures=lessons.pictures[:2]))
    content = torch.load(path, weights_only=True)
    torch.save({**content, "format": "annotator-loupe-training-1"}, path)
    with pytest.raises(ModelError, match="not a checkpoint of this version"):
        resume(lessons)
    torch.save({"format": content["format"]}, path)
    with pytest.raises(ModelError, match="damaged"):
        resume(lessons)


def test_known_teachers_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The way from the registry to the network, with a small one in the place of the weights."""
    monkeypatch.setattr("models.sam_family.files.missing", lambda model: None)
    monkeypatch.setattr(
        "models.sam_family.files.present", lambda model: (tmp_path / model, "print")
    )
    monkeypatch.setattr(
        "models.sam_family.networks.load_sam", lambda model, title, path: narrow_sam()
    )

    teacher = load_teacher("sam-vit-b")

    assert teacher.fingerprint == "print"
    assert (teacher.side, teacher.shape) == (SIDE, (64, 8, 8))
    assert not any(p.requires_grad for p in teacher.network.parameters())
