"""The trainer: deterministic, exactly resumable, and never leaving half a checkpoint behind."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch  # noqa: TID253

from models.api import ModelError
from models.networks.loupe import Loupe
from models.training import checkpoints, loop
from models.training.data import LabelledImage
from models.training.export import export, load_weights, save_weights
from models.training.loop import Trainer
from models.training.recipe import NARROW
from models.training.settings import Settings
from tests.training.shapes import shapes

SHORT = Settings(
    steps=3, decay=1, warm_up=2, images=2, objects=2, side=64, passes=2, paste_share=0.5
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledImage]:
    return shapes(tmp_path_factory.mktemp("data") / "shapes", 3)


@contextlib.contextmanager
def full_disk(most: int = 20_000) -> Iterator[None]:
    """Files cannot become larger than this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def a_trainer(settings: Settings = SHORT) -> Trainer:
    torch.manual_seed(settings.seed)
    return Trainer(Loupe(NARROW), settings)


def done(trainer: Trainer, images: list[LabelledImage], workers: int = 0) -> dict[str, object]:
    for _ in trainer.run(images, workers):
        pass
    return state(trainer)


def state(trainer: Trainer) -> dict[str, object]:
    averaged = {f"averaged.{k}": v.clone() for k, v in trainer.averaged.state_dict().items()}
    return averaged | {k: v.clone() for k, v in trainer.network.state_dict().items()}


def equal(one: dict[str, object], two: dict[str, object]) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(one[key], two[key]) for key in one)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(images: list[LabelledImage]) -> dict[str, object]:
    """Three steps, uninterrupted."""
    return done(a_trainer(), images)


def test_two_runs_give_equal_weights_and_another_seed_others(images, trained) -> None:
    assert equal(done(a_trainer(), images), trained)
    assert not equal(done(a_trainer(replace(SHORT, seed=1)), images), trained)


def test_a_resumed_run_equals_an_uninterrupted_one(images, trained, tmp_path: Path) -> None:
    first = a_trainer()
    with contextlib.closing(first.run(images)) as steps:
        for progress in steps:
            if progress.step == 2:
                break
    first.save(tmp_path / "last.pt")

    second = Trainer.resume(tmp_path / "last.pt")

    assert second.step == 2
    assert second.settings == SHORT
    assert equal(done(second, images), trained)


def test_processes_make_the_same_scenes_as_a_thread(images) -> None:
    settings = replace(SHORT, steps=2, parts=2)

    assert equal(done(a_trainer(settings), images, workers=3), done(a_trainer(settings), images))


def test_several_parts_are_one_larger_batch(images) -> None:
    """The gradient is the mean over the parts: doubling the data of one part changes nothing."""
    whole, halves = (a_trainer(replace(SHORT, parts=parts)) for parts in (1, 2))
    talks = [loop.from_thread(loop.Sampler(images, SHORT), SHORT, 0) for _ in range(3)]
    first, *two = (next(steps)[0] for steps in talks)

    whole._prepare()
    halves._prepare()
    loss, ious = whole._learn([first])
    other, others = halves._learn(two)

    # Not exactly: batch norms of the decoder look at what they saw before.
    assert other == pytest.approx(loss, rel=0.01)
    assert others == pytest.approx(ious, rel=0.1)
    one, two_ = (
        torch.cat([p.grad.flatten() for p in trainer.network.parameters()])
        for trainer in (whole, halves)
    )
    torch.testing.assert_close(one.norm(), two_.norm(), rtol=0.1, atol=0)
    assert torch.nn.functional.cosine_similarity(one, two_, dim=0) > 0.98
    for steps in talks:
        steps.close()


def test_an_error_of_a_worker_arrives(images, tmp_path: Path) -> None:
    broken = shapes(tmp_path / "data", 1)
    (tmp_path / "data" / "images" / "0.png").write_bytes(b"no image")

    for workers in (0, 1):
        with pytest.raises(ModelError, match=r"0\.png” is not a readable image"):
            done(a_trainer(), broken, workers)


def test_short_numbers_only_where_the_processor_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, wanted in ((True, torch.bfloat16), (False, torch.float32), (None, torch.float32)):
        monkeypatch.setattr(loop, "bfloat16_instructions", lambda able=able: able)
        with loop.short_numbers("cpu"):
            found = torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype
        assert found == wanted


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(images, tmp_path: Path) -> None:
    trainer = a_trainer(replace(SHORT, steps=9))
    trainer.save(tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()
    steps = trainer.run(images)
    next(steps)
    with torch.no_grad():
        next(trainer.network.decoder.parameters()).fill_(float("inf"))

    with pytest.raises(ModelError, match=r"no longer a number at step 1\. .* lower --rate"):
        next(steps)

    assert (tmp_path / "last.pt").read_bytes() == before
    assert Trainer.resume(tmp_path / "last.pt").step == 0


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    trainer = a_trainer()
    path = tmp_path / "last.pt"
    trainer.save(path)
    before = path.read_bytes()

    with full_disk(), pytest.raises(ModelError, match=r"cannot be written.*--resume.*unharmed"):
        trainer.save(path)

    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_disk_that_refuses_at_the_last_moment_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = a_trainer()
    trainer.save(tmp_path / "last.pt")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "put_in_place", refuse)
    with pytest.raises(ModelError, match=r"\(No space left on device\)"):
        trainer.save(tmp_path / "last.pt")

    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_other_files_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with pytest.raises(ModelError, match="no checkpoint"):
        Trainer.resume(path)
    cases = {
        "another version.*annotator-loupe-training-0": {"format": "annotator-loupe-training-0"},
        "not a checkpoint of this version": [1, 2],
        "damaged: it lacks": {"format": loop.FORMAT},
    }
    for said, content in cases.items():
        torch.save(content, path)
        with pytest.raises(ModelError, match=said.split("*")[-1].lstrip(".")):
            Trainer.resume(path)
    path.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ModelError, match="damaged"):
        Trainer.resume(path)


def test_a_cut_checkpoint_and_one_of_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    a_trainer().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        Trainer.resume(path)

    path.write_bytes(whole)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "settings": {**content["settings"], "unheard_of": 1}}, path)
    with pytest.raises(ModelError, match=r"another version of the training.*unheard_of"):
        Trainer.resume(path)

    torch.save({**content, "network": {}}, path)
    with pytest.raises(ModelError, match="parts do not fit"):
        Trainer.resume(path)


def test_a_checkpoint_from_before_parts_is_read(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    a_trainer().save(path)
    content = torch.load(path, weights_only=True)
    del content["settings"]["parts"]
    torch.save(content, path)

    assert Trainer.resume(path).settings == SHORT


def test_an_export_on_a_full_disk_leaves_no_half_of_a_model(tmp_path: Path) -> None:
    network, folder = Loupe(NARROW), tmp_path / "model"
    export(network, folder)
    (folder / "MODEL_CARD.md").write_text("stays")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    with full_disk(), pytest.raises(ModelError, match=r"cannot be written to .*model”"):
        export(network, folder)

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_weights_are_read_again_from_files_of_both_kinds(tmp_path: Path) -> None:
    trainer = a_trainer()
    save_weights(trainer.averaged, tmp_path / "weights.pt")
    trainer.save(tmp_path / "last.pt")

    for name in ("weights.pt", "last.pt"):
        found = load_weights(tmp_path / name)
        assert found.config == NARROW
        for one, two in zip(found.parameters(), trainer.averaged.parameters(), strict=True):
            torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-6)

    with torch.no_grad():
        next(trainer.averaged.parameters()).fill_(float("nan"))
    save_weights(trainer.averaged, tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="not numbers"):
        load_weights(tmp_path / "weights.pt")
