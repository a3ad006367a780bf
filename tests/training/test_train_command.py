"""`python -m models.training train` and `export`: long runs, stops, curves, the best one kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from types import ModuleType

import numpy as np
import pytest
import torch  # noqa: TID253

from models.api import Box, ModelError, Prompt
from models.loupe.segmenter import LoupeSegmenter
from models.networks.loupe import Loupe
from models.segmenters.loupe import SPEC
from models.training import running, training
from models.training.__main__ import main
from models.training.curves import Curve, rows_of
from models.training.data import LabelledImage, read
from models.training.examining import Examiner, as_dataset
from models.training.export import load_weights
from models.training.loop import Progress, Trainer
from models.training.recipe import NARROW
from models.training.running import LAST, drive, stoppable
from models.training.settings import Settings
from models.training.training import train, within
from models.training.tuning import held_ious
from tests.conftest import SHARED
from tests.training.shapes import shapes, write_shapes
from tests.training.test_training_loop import SHORT, a_trainer, full_disk

ROOT = Path(__file__).parents[2]
QUICK = [
    "--narrow", "--images", "2", "--objects", "2", "--side", "64", "--device", "cpu",
    "--hold-out", "0",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def some_images(folder: Path) -> list[LabelledImage]:
    """Shapes, and photographs where they are."""
    images = shapes(folder)
    archive = SHARED / "data" / "train" / "train-0.tar"
    if archive.exists():
        images += [image for image in read(archive) if image.source == "ecssd"][:2]
    return images


def test_training_lowers_the_loss_and_finds_objects_better(tmp_path: Path) -> None:
    """The smoke run: sixty steps of a tiny network on a handful of images."""
    images = some_images(tmp_path / "data")
    settings = Settings(
        steps=60, decay=15, warm_up=5, rate=5e-3, images=4, objects=4, side=96, passes=2,
        average=0.9, weights={"shapes": 4.0},
    )  # fmt: skip
    torch.manual_seed(0)
    trainer = Trainer(Loupe(NARROW), settings)
    before = held_ious(trainer.averaged, images, settings)
    folder = tmp_path / "run"
    folder.mkdir()

    assert train(trainer, images, images[:2], folder, evaluate_minutes=0)

    first, *_, last = (row["loss"] for row in rows_of(folder / "curve.jsonl") if "loss" in row)
    assert last < 0.7 * first
    after = held_ious(trainer.averaged, images, settings)
    assert fmean(after) > fmean(before) + 0.2
    # What comes out is what the program runs, and was measured with it.
    segmenter = LoupeSegmenter(SPEC, folder / "model")
    embedding = segmenter.encode(images[0].pixels())
    found = segmenter.decode(embedding, Prompt(box=Box(0, 0, 60, 60)))[0]
    assert np.isfinite(found.logits).all()
    record = json.loads((folder / "best" / "evaluation.json").read_text())
    (measured,) = (row for row in rows_of(folder / "curve.jsonl") if "held out, mean" in row)
    assert record["step"] == measured["step"] == 60
    assert record["mean"] == measured["held out, mean"] > 0


def test_the_command_trains_goes_on_and_exports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_shapes(tmp_path / "data", 2), tmp_path / "new" / "run"
    command = ["train", str(data), "--out", str(out), *QUICK]

    assert main([*command, "--steps", "2"]) == 0
    first = {path.name for path in (out / "model").iterdir()}
    assert main([*command, "--steps", "3", "--resume", "--rate", "0.0001"]) == 0

    assert first == {"encoder.onnx", "decoder.onnx", "weights.pt"}
    resumed = Trainer.resume(out / LAST)
    assert (resumed.step, resumed.steps, resumed.settings.rate) == (3, 3, 0.0001)
    assert "after step 2 of 3" in capsys.readouterr().out
    assert main(["export", str(out / LAST), str(tmp_path / "graphs")]) == 0
    assert (tmp_path / "graphs" / "encoder.onnx").read_bytes() == (
        out / "model" / "encoder.onnx"
    ).read_bytes()
    newest = tmp_path / "newest"
    assert main(["export", str(out / LAST), str(newest), "--weights", "--newest"]) == 0
    stored = load_weights(newest / "weights.pt").state_dict()
    for name, value in resumed.network.state_dict().items():
        torch.testing.assert_close(stored[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resume"], "holds no run to go on with"),
        (["--weights", "dogs=2"], "no source “dogs”. It has: shapes"),
        (["--device", "cuda"], "no graphics processor"),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a graphics processor")
    data = write_shapes(tmp_path / "data", 1)

    assert main(["train", str(data), "--out", str(tmp_path / "run"), "--narrow", *options]) == 1

    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / LAST).exists()


def test_a_folder_that_holds_a_run_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_shapes(tmp_path / "data", 1), tmp_path / "run"
    out.mkdir()
    (out / LAST).write_bytes(b"hours of work")

    assert main(["train", str(data), "--out", str(out), *QUICK]) == 1

    assert "holds a run already" in capsys.readouterr().err
    assert (out / LAST).read_bytes() == b"hours of work"


@pytest.mark.parametrize(
    "options",
    [["--weights", "a"], ["--weights", "a=-1"], ["--side", "100"], ["--steps", "0"],
     ["--rate", "0"]],
)  # fmt: skip
def test_bad_options_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["train", "data", "--out", "run", *options])
    assert error.value.code == 2


def test_a_killed_run_leaves_a_checkpoint_and_says_so(tmp_path: Path) -> None:
    data, out = write_shapes(tmp_path / "data", 2), tmp_path / "run"
    command = [sys.executable, "-m", "models.training", "train", str(data), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    with subprocess.Popen(
        [*command, *QUICK, "--steps", "100000"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "TensorBoard" in line)  # it has begun
        process.send_signal(signal.SIGTERM)
        said, errors = process.communicate(timeout=60)

    assert process.returncode == 1, errors
    assert "Go on with the same command and --resume" in said
    assert errors == ""
    assert Trainer.resume(out / LAST).step >= 1
    assert not (out / "model").exists()


def test_checkpoints_are_written_on_the_way(tmp_path: Path) -> None:
    trainer = a_trainer()
    images = shapes(tmp_path / "data", 1)
    seen = []

    def stopped() -> bool:
        path = tmp_path / LAST
        seen.append(Trainer.resume(path).step if path.exists() else None)
        return False

    assert drive(trainer, trainer.run(images), tmp_path, stopped=stopped, save_seconds=0)
    assert seen == [None, 1, 2]
    assert Trainer.resume(tmp_path / LAST).step == 3


def test_a_stop_ends_the_run_after_its_step(tmp_path: Path) -> None:
    trainer = a_trainer()
    before = signal.getsignal(signal.SIGINT)

    with stoppable() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)  # somebody is impatient
        steps = trainer.run(shapes(tmp_path / "data", 1))
        assert not drive(trainer, steps, tmp_path, stopped=stopped)

    assert Trainer.resume(tmp_path / LAST).step == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_on_a_full_disk_ends_with_its_last_checkpoint(tmp_path: Path) -> None:
    trainer = a_trainer()
    trainer.save(tmp_path / LAST)
    steps = trainer.run(shapes(tmp_path / "data", 1))

    with full_disk(), pytest.raises(ModelError, match="cannot be written"):
        drive(trainer, steps, tmp_path, save_seconds=0)

    assert Trainer.resume(tmp_path / LAST).step == 0


def progress(step: int) -> Progress:
    return Progress(step, 1.0 / step, (0.5, 0.25), 0.1, 0.01)


def test_a_curve_goes_on_from_the_checkpoint(tmp_path: Path) -> None:
    with Curve(tmp_path) as curve:
        for step in range(1, 50):
            curve.add(progress(step))
        curve.write(49, {"held out, box": 0.5})
    with (tmp_path / "curve.jsonl").open("a") as file:
        file.write('{"step": 5')  # the power went

    with Curve(tmp_path, 30) as curve:
        for step in range(31, 41):
            curve.add(progress(step))

    rows = rows_of(curve.path)
    assert [row["step"] for row in rows] == [20, 40]
    assert rows[0]["loss"] == pytest.approx(fmean(1.0 / step for step in range(1, 21)))
    assert rows[1]["ious"] == [0.5, 0.25]


def test_a_curve_on_a_full_disk_says_so(tmp_path: Path) -> None:
    curve = Curve(tmp_path)
    with full_disk(100), pytest.raises(ModelError, match=r"curve\.jsonl"), curve:
        curve.write(1, {"loss": list(range(99))})


def test_tensorboard_gets_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            written.append((folder, 0, 0))

        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

        def close(self) -> None:
            written.append(("closed", 0, 0))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)

    with running.opened(tmp_path, 0) as curve:
        curve.write(7, {"loss": 0.5, "ious": [0.25, 0.75]})

    assert written == [
        (str(tmp_path / "tensorboard"), 0, 0),
        ("loss", 0.5, 7),
        ("ious/0", 0.25, 7),
        ("ious/1", 0.75, 7),
        ("closed", 0, 0),
    ]


def test_without_tensorboard_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with running.opened(tmp_path, 0) as curve:
        curve.write(1, {"loss": 0.5})

    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "annotator[train]" in said


def test_only_a_better_network_becomes_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, network, step = shapes(tmp_path / "data", 1), Loupe(NARROW), iter(range(9))
    marks = iter([0.5, 0.4, 0.6])
    monkeypatch.setattr(
        "models.training.examining.measure",
        lambda *_: dict.fromkeys(("box", "mean"), next(marks)),
    )

    def best() -> dict[str, float]:
        record: dict[str, float] = json.loads((tmp_path / "best" / "evaluation.json").read_text())
        return record

    with Curve(tmp_path) as curve:
        examiner = Examiner(network, lambda: next(step), images, tmp_path)
        examiner(curve)
        assert best() == {"step": 0, "box": 0.5, "mean": 0.5}
        examiner(curve)
        assert best()["step"] == 0
        resumed = Examiner(network, lambda: next(step), images, tmp_path)
        assert resumed._best == 0.5
        with full_disk(), pytest.raises(ModelError, match="cannot be written"):
            resumed(curve)

    # Half of a new best one never counts.
    assert not (tmp_path / "best" / "evaluation.json").exists()
    assert [row["held out, box"] for row in rows_of(curve.path)] == [0.5, 0.4, 0.6]


def test_training_images_can_be_measured(tmp_path: Path) -> None:
    (image,) = shapes(tmp_path / "data", 1)

    (picture,) = as_dataset([image]).pictures

    np.testing.assert_array_equal(picture.pixels(), image.pixels())
    assert [truth.area for truth in picture.objects] == [
        int(image.mask(index).sum()) for index in range(3)
    ]


def test_a_run_bound_by_time_ends_in_time_with_a_rate_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))  # every look at it takes a second, so does every step
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
    trainer = a_trainer()
    monkeypatch.setattr(trainer, "_learn", lambda talks: (1.0, (0.5,)))

    rates = [step.rate for step in within(trainer, shapes(tmp_path / "data", 1), 0, 100)]

    assert 95 <= len(rates) <= 101
    assert trainer.step == trainer.steps == len(rates)
    assert rates[60] == SHORT.rate
    assert rates[-1] < 0.1 * SHORT.rate
    assert 15 <= trainer.settings.decay <= 21
