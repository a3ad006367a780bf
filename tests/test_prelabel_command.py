"""`annotator prelabel`: what a person or a script sees and gets."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from PySide6.QtWidgets import QApplication

from annotator.app import main
from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations
from annotator.core.mask import Mask
from annotator.core.proposals import accepted
from annotator.core.troubles import NOT_USABLE
from annotator.services.document import Document
from annotator.services.project_folder import lock_project
from models.api import Box, Embedding, Prompt
from tests.models.toy_segmenter import ToyModel, ToySegmenter, register

ROOT = Path(__file__).parents[1]
WIDTH, HEIGHT = 64, 48  # what the toy segmenter sees as it is
SQUARES = ((6, 6, 10, 200), (30, 10, 16, 90), (50, 30, 8, 150))
"""x, y, side and brightness."""
FAST = ("--model", "toy", "--side", "8", "--min-area", "50")


@pytest.fixture(autouse=True)
def application(qapp: QApplication) -> QApplication:
    return qapp


def draw(path: Path, shift: int = 0) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for x, y, side, brightness in SQUARES:
        pixels[y + shift : y + shift + side, x : x + side] = brightness
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images, with the same squares at other places."""
    folder = tmp_path / "images"
    (folder / "inner").mkdir(parents=True)
    for number in range(5):
        draw(folder / ("inner" if number > 2 else "") / f"{number}.png", number)
    return folder


KEYS = ["0.png", "1.png", "2.png", "inner/3.png", "inner/4.png"]


def square(number: int, shift: int = 0) -> Box:
    x, y, side, _ = SQUARES[number]
    return Box(x, y + shift, min(x + side, WIDTH), min(y + shift + side, HEIGHT))


@contextmanager
def opened(folder: Path) -> Iterator[Document]:
    document = Document.open(folder)
    try:
        yield document
    finally:
        document.close()


def state(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything about the objects of a project but their ids."""
    with opened(folder) as document:
        names = {category.id: category.name for category in document.categories()}
        return {
            key: [
                (a.shape, names.get(a.category_id or 0), a.origin, a.proposed)
                for a in document.annotations(key)
            ]
            for key in document.keys()  # noqa: SIM118
        }


def boxes_of(annotations: Annotations) -> list[Box]:
    return [raster.box(a.shape) for a in annotations if isinstance(a.shape, Mask)]


def call(folder: Path, *arguments: str) -> int:
    return main(["prelabel", str(folder), *FAST, *arguments])


def by_boxes(folder: Path, *arguments: str) -> int:
    return main(["prelabel", str(folder), "--model", "toy", *arguments])


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def detections(path: Path, *entries: dict[str, Any]) -> str:
    path.write_text(json.dumps(entries))
    return str(path)


def detection(key: str, box: Box, label: str = "thing", score: float = 0.6) -> dict[str, Any]:
    bbox = [box.x0, box.y0, box.width, box.height]
    return {"file_name": key, "bbox": bbox, "category": label, "score": score}


# --- Into the project ---


def test_every_object_is_proposed(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder) == 0
    output = capsys.readouterr()
    assert "5 of 5 images done: 20 proposals by Toy in" in output.out
    assert "5 of 5 images" in output.err
    with opened(folder) as document:
        assert list(document.keys()) == KEYS
        for shift, key in enumerate(KEYS):
            found = document.annotations(key)
            assert all(annotation.proposed for annotation in found)
            assert {square(0, shift), square(1, shift), square(2, shift)} < set(boxes_of(found))
            record = document.record(key)
            assert (record.count, record.proposals, record.width) == (0, 4, WIDTH)
    written = json.loads((folder / "annotations.json").read_text())
    assert written["annotations"] == []


def test_each_image_is_one_step_to_undo(folder: Path, toy: ToyModel) -> None:
    assert call(folder) == 0
    with opened(folder) as document:
        assert document.undo_text("0.png") == "Pre-label: 4 objects"
        document.undo("0.png")
        assert document.annotations("0.png") == ()


def keep(document: Document, key: str, box: Box, name: str) -> Annotation:
    """Accept what was proposed there."""
    present = document.annotations(key)
    chosen = next(a for a in present if isinstance(a.shape, Mask) and raster.box(a.shape) == box)
    after = accepted(chosen, document.add_category(name).id)
    document.edit(key, tuple(after if a is chosen else a for a in present), "Accept")
    return after


def test_what_a_person_did_stays(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder) == 0
    with opened(folder) as document:
        mine = keep(document, "0.png", square(0), "gem")
        others = [a.id for a in document.annotations("0.png") if a != mine]
        (last,) = [a for a in document.annotations("1.png") if boxes_of((a,)) == [square(1, 1)]]
        locked = replace(last, locked=True)
        rest = [a for a in document.annotations("1.png") if a != last]
        document.edit("1.png", (*rest, locked), "Lock")
    capsys.readouterr()
    assert call(folder, "--json") == 0
    assert (value := summary(capsys))["proposals"] == 18
    assert value["known"] == 2
    with opened(folder) as document:
        after = document.annotations("0.png")
        assert mine in after
        assert len(after) == 4
        assert not {a.id for a in after} & set(others)
        assert locked in document.annotations("1.png")
        assert len(document.annotations("1.png")) == 4


def test_names_come_from_what_was_named_before(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder) == 0
    with opened(folder) as document:
        for shift, key in enumerate(KEYS[:3]):
            keep(document, key, square(0, shift), "gem")
    capsys.readouterr()
    assert call(folder, "--scope", "empty", "--json") == 0
    assert (value := summary(capsys))["images"] == 2
    assert value["named"] >= 2
    named = state(folder)["inner/3.png"]
    assert square(0, 3) in [raster.box(shape) for shape, name, *_ in named if name == "gem"]


def test_the_scope_and_the_limit(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, "--limit", "2", "--json") == 0
    assert summary(capsys)["images"] == 2
    with opened(folder) as document:
        document.set_reviewed("inner/3.png", True)
        keep(document, "0.png", square(0), "gem")
    for scope, count in (("untouched", 2), ("empty", 3)):
        assert call(folder, "--scope", scope, "--json") == 0
        assert summary(capsys)["images"] == count
        with opened(folder) as document:
            document.undo("2.png")
            document.undo("inner/4.png")


def test_a_scope_without_images_is_told(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder) == 0
    capsys.readouterr()
    assert call(folder, "--scope", "untouched") == 0
    assert "0 of 0 images done: 0 proposals" in capsys.readouterr().out


# --- Into a file ---


def test_results_of_their_own(folder: Path, toy: ToyModel, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    before = sorted(folder.rglob("*"))
    assert call(folder, "--out", str(out)) == 0
    assert sorted(folder.rglob("*")) == before
    entries = json.loads(out.read_text())
    assert [entry["file_name"] for entry in entries[::4]] == KEYS
    assert [entry["image_id"] for entry in entries[::4]] == [1, 2, 3, 4, 5]
    assert entries[0]["annotator"]["origin"]["model"] == "toy"
    coco = COCO()
    images = [{"id": n + 1, "file_name": k, "width": WIDTH, "height": HEIGHT}
              for n, k in enumerate(KEYS)]  # fmt: skip
    coco.dataset = {"info": {}, "images": images, "annotations": [], "categories": []}
    coco.createIndex()
    loaded = coco.loadRes(str(out))
    assert len(loaded.getAnnIds()) == 20
    masks = loaded.loadAnns(loaded.getAnnIds(imgIds=[1]))
    assert square(0) in [Box(x, y, x + w, y + h) for x, y, w, h in (m["bbox"] for m in masks)]
    assert loaded.annToMask(masks[0]).sum() == json.loads(out.read_text())[0]["area"]


def test_results_have_the_numbers_of_the_project(folder: Path, toy: ToyModel) -> None:
    with opened(folder) as document:
        document.add_images(reversed(KEYS))
        document.add_category("first")
        thing = document.add_category("Thing").id
        ids = {key: document.record(key).id for key in KEYS}
        journal = document.project_dir / "journal.sqlite"
    before = journal.read_bytes()
    path = detections(
        folder / "d.json",
        detection("1.png", square(0, 1)),
        detection("2.png", square(1, 2), "new"),
    )
    out = folder / "out.json"
    assert by_boxes(folder, "--boxes", path, "--out", str(out)) == 0
    assert journal.read_bytes() == before
    first, second = json.loads(out.read_text())
    assert (first["image_id"], first["category_id"]) == (ids["1.png"], thing)
    assert (first["category"], first["score"]) == ("Thing", 0.6)
    assert (second["image_id"], second["category"]) == (ids["2.png"], "new")
    assert second["category_id"] > thing


def test_results_have_the_numbers_of_the_file_that_explains_the_boxes(
    folder: Path, toy: ToyModel, tmp_path: Path
) -> None:
    names = tmp_path / "names.json"
    lists = {
        "images": [{"id": 70, "file_name": "1.png"}],
        "categories": [{"id": 8, "name": "cat"}],
    }
    names.write_text(json.dumps(lists))
    entry = {"image_id": 70, "category_id": 8, "bbox": [6, 7, 10, 10], "score": 0.25}
    path, out = detections(tmp_path / "d.json", entry), tmp_path / "out.json"
    assert by_boxes(folder, "--boxes", path, "--names", str(names), "--out", str(out)) == 0
    (found,) = json.loads(out.read_text())
    assert {**found, **entry} == found


# --- Boxes ---


def test_boxes_become_proposals_with_classes(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(folder) as document:
        document.add_category("Gem")
    path = detections(
        tmp_path / "d.json",
        detection("0.png", square(0), "gem", 0.3),
        detection("0.png", square(1), "stone", 0.9),
        detection("0.png", Box(500, 500, 510, 510)),
        detection("3.png", square(2, 3), "stone", float("nan")),
        detection("nowhere.png", square(2)),
    )
    assert by_boxes(folder, "--boxes", path, "--json") == 0
    value = summary(capsys)
    assert (value["proposals"], value["classes"]) == (3, ["stone"])
    told = {trouble["what"]: trouble["first"] for trouble in value["troubles"]}
    assert told == {
        "files or entries for images that are not in the folder": ["nowhere.png"],
        "scores that are not between 0 and 1; the model's own is taken": ["entry 4"],
        "boxes with no area in their image": ["0.png"],
    }
    found = state(folder)
    assert [(raster.box(s), n, o.score, p) for s, n, o, p in found["0.png"]] == [
        (square(1), "stone", 0.9, True),
        (square(0), "Gem", 0.3, True),
    ]
    assert [(name, origin.score) for _, name, origin, _ in found["inner/3.png"]] == [("stone", 0.9)]
    assert len(toy.calls) == 2  # images without boxes are not even opened


def test_boxes_of_no_class_can_be_left_out(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(folder) as document:
        document.add_category("gem")
    path = detections(
        tmp_path / "d.json",
        detection("0.png", square(0), "gem"),
        detection("0.png", square(1), "stone"),
    )
    assert by_boxes(folder, "--boxes", path, "--classes", "existing") == 0
    assert "no such class: stone (1)." in capsys.readouterr().out
    with opened(folder) as document:
        assert [category.name for category in document.categories()] == ["gem"]
        assert boxes_of(document.annotations("0.png")) == [square(0)]


def test_boxes_again_replace_what_nobody_touched(
    folder: Path, toy: ToyModel, tmp_path: Path
) -> None:
    assert call(folder) == 0
    path = detections(
        tmp_path / "d.json",
        detection("0.png", square(0), "gem"),
        detection("0.png", square(1), "gem"),
    )
    assert by_boxes(folder, "--boxes", path) == 0
    with opened(folder) as document:
        found = document.annotations("0.png")
        assert len(found) == 4  # the other two of everything mode are left
        stone = document.add_category("stone").id
        named = next(a for a in found if boxes_of((a,)) == [square(1)])
        after = tuple(replace(a, category_id=stone) if a is named else a for a in found)
        document.edit("0.png", after, "Name")
    detections(tmp_path / "d.json", detection("0.png", square(1), "gem"))
    assert by_boxes(folder, "--boxes", path) == 0
    names = [(raster.box(shape), name) for shape, name, *_ in state(folder)["0.png"]]
    assert (square(1), "stone") in names
    assert square(0) not in [box for box, _ in names]
    assert len(names) == 3


# --- Stopping and going on ---

# A process of its own, with a model that waits at an image.
PROGRAM = textwrap.dedent(
    """
    import resource, sys
    import pytest
    from annotator.app import main
    from annotator.services import prelabelling, saving
    from tests.models.toy_segmenter import ToyModel, register

    wait_at, limit = map(int, sys.argv[1:3])
    model = ToyModel()

    def wait():
        if len(model.calls) == wait_at:
            sys.stdin.readline()

    model.on_encode = wait
    register(pytest.MonkeyPatch(), model)
    prelabelling.PATIENCE = saving.CLOSING = 0.3
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv[1:] = ["prelabel", *sys.argv[3:]]
    sys.exit(main())
    """
)


def started(*arguments: object, wait_at: int = 0, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, wait_at, limit, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*map(str, command)], stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT
    )
    if wait_at:
        read_until(process, f"{wait_at - 1} of ")
    return process


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    while not (line := process.stderr.readline()).startswith(words):
        assert line


def end(process: subprocess.Popen[str], sent: signal.Signals) -> tuple[str, str]:
    process.send_signal(sent)
    out, error = process.communicate("go on\n", timeout=30)
    assert "Traceback" not in error
    return out, error


def clean(folder: Path) -> None:
    """Back to images only."""
    (folder / "annotations.json").unlink()
    shutil.rmtree(folder / ".annotator")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_project_is_as_if_nothing_had_stopped_the_run(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str], sent: signal.Signals
) -> None:
    process = started(folder, *FAST, wait_at=4)
    out, error = end(process, sent)
    if sent == signal.SIGINT:
        assert process.returncode == 1
        assert any(f"{count} of 5 images done" in out for count in (3, 4))
        assert "the same command with --resume goes on" in error
    with opened(folder) as document:
        done = [key for key in KEYS if document.annotations(key)]
    # What was on its way to the disk when it was killed may be there or not.
    assert len(done) in (3, 4) if sent == signal.SIGINT else len(done) <= 3
    assert call(folder, "--resume", "--json") == 0
    value = summary(capsys)
    assert (value["images"], value["resumed"], value["made"]) == (5, len(done), 5 - len(done))
    found = state(folder)
    clean(folder)
    assert call(folder) == 0
    assert state(folder) == found
    assert sum(map(len, found.values())) == 20


def test_the_second_interrupt_waits_for_nothing(folder: Path, toy: ToyModel) -> None:
    process = started(folder, *FAST, wait_at=4)
    process.send_signal(signal.SIGINT)
    read_until(process, "Stopping after this image")
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    # Nobody tells the model to go on.
    assert process.wait(timeout=30) == 1
    end(process, signal.SIGCONT)
    assert call(folder, "--resume") == 0
    assert [len(found) for found in state(folder).values()] == [4] * 5


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_file_is_as_if_nothing_had_stopped_the_run(
    folder: Path, toy: ToyModel, tmp_path: Path, sent: signal.Signals
) -> None:
    out, other = tmp_path / "out.json", tmp_path / "other.json"
    process = started(folder, *FAST, "--out", out, wait_at=4)
    end(process, sent)
    assert not out.exists()
    toy.calls.clear()
    assert call(folder, "--out", str(out), "--resume") == 0
    assert len(toy.calls) in ((1, 2) if sent == signal.SIGINT else (2,))
    assert call(folder, "--out", str(other)) == 0
    assert out.read_bytes() == other.read_bytes()


def test_what_was_proposed_is_durable_together_with_that_it_was(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, "--limit", "2") == 0
    with opened(folder) as document:
        assert document.note("prelabel 0") == [document.record(key).id for key in KEYS[:2]]
        before = document.annotations("0.png")
        document.undo("1.png")
    assert call(folder, "--resume") == 0
    with opened(folder) as document:
        # Neither the first nor the second image is done again, whatever a person made of it.
        assert document.annotations("0.png") == before
        assert document.annotations("1.png") == ()
        assert len(document.annotations("2.png")) == 4


@pytest.mark.parametrize("into", ["project", "file"])
def test_another_run_is_not_continued(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], into: str
) -> None:
    rest = ["--out", str(tmp_path / "out.json")] if into == "file" else []
    assert call(folder, *rest, "--limit", "1") == 0
    capsys.readouterr()
    assert call(folder, *rest, "--resume", "--min-score", "0.8") == 2
    assert "min_score was none, is 0.8" in capsys.readouterr().err
    path = detections(tmp_path / "d.json", detection("0.png", square(0)))
    assert by_boxes(folder, *rest, "--boxes", path, "--resume") == 2
    assert "ask was everything, is boxes" in capsys.readouterr().err
    assert call(folder, *rest, "--resume") == 0


def test_numbers_of_classes_mean_what_they_meant_when_the_run_began(
    folder: Path, toy: ToyModel, tmp_path: Path
) -> None:
    # The run itself makes “class 2” the class with the number 1, and “class 1” that with 2.
    entries = [
        {"file_name": key, "bbox": [6, 6 + shift, 10, 10], "category_id": number}
        for shift, (key, number) in enumerate(zip(KEYS, (2, 1, 2, 1, 2), strict=True))
    ]
    path = detections(tmp_path / "d.json", *entries)
    assert by_boxes(folder, "--boxes", path, "--limit", "2") == 0
    assert by_boxes(folder, "--boxes", path, "--resume") == 0
    names = [name for key in KEYS for _, name, *_ in state(folder)[key]]
    assert names == ["class 2", "class 1", "class 2", "class 1", "class 2"]


# --- Two at once ---


def test_two_runs_do_not_collide(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    for rest, words in (([], "already open"), (["--out", str(out)], "Another run writes")):
        process = started(folder, *FAST, *rest, wait_at=2)
        assert call(folder, *rest) == 1
        assert words in capsys.readouterr().err
        end(process, signal.SIGCONT)
        assert process.returncode == 0
    assert len(json.loads(out.read_text())) == 20


def test_a_project_in_a_window_is_told_and_can_be_read(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder) == 0
    lock = lock_project(folder / ".annotator")
    assert call(folder) == 1
    assert "This project is already open" in capsys.readouterr().err
    assert call(folder, "--out", str(tmp_path / "out.json"), "--scope", "empty") == 0
    lock.unlock()


# --- What goes wrong ---


def test_images_that_cannot_be_read_are_named_and_tried_again(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "1.png").write_bytes(b"no image")
    assert call(folder, "--json") == 1
    output = capsys.readouterr()
    value = json.loads(output.out)
    assert (list(value["failed"]), value["made"]) == (["1.png"], 4)
    assert "1.png" in output.err
    draw(folder / "1.png", 1)
    toy.calls.clear()
    assert call(folder, "--resume") == 0
    assert len(toy.calls) == 1
    assert [len(found) for found in state(folder).values()] == [4] * 5


def test_a_model_without_numbers_fails_image_by_image(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.alter = lambda array: array * np.nan
    assert call(folder, "--json") == 1
    value = summary(capsys)
    assert list(value["failed"]) == KEYS
    assert all("not numbers" in reason for reason in value["failed"].values())
    assert state(folder) == {key: [] for key in KEYS}


@pytest.mark.parametrize("kind", ["nothing", "some not numbers"])
def test_answers_nobody_can_use_are_counted_and_the_run_goes_on(
    kind: str,
    folder: Path,
    toy: ToyModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with opened(folder) as document:
        document.add_images(KEYS)
        shape = raster.from_box(square(2), WIDTH, HEIGHT)
        mine = Annotation(document.new_id(), shape, document.add_category("gem").id)
        document.edit(KEYS[0], (mine,), "Draw")
    decode = ToySegmenter.decode

    def poor(self: ToySegmenter, embedding: Embedding, prompt: Prompt) -> Any:
        if kind == "nothing":
            return ()
        found = decode(self, embedding, prompt)
        right = prompt.points[0].x > WIDTH / 2
        return tuple(replace(one, score=math.nan) for one in found) if right else found

    monkeypatch.setattr(ToySegmenter, "decode", poor)
    assert call(folder, "--json") == 0
    told = summary(capsys)
    ((what, count),) = [(one["what"], one["count"]) for one in told["troubles"]]
    assert what in NOT_USABLE
    assert count == 64 * 5
    assert bool(told["proposals"]) == (kind != "nothing")
    with opened(folder) as document:
        assert mine in document.annotations(KEYS[0])


def test_an_image_that_is_no_longer_the_one_its_objects_were_made_for(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(folder, "--limit", "1") == 0
    with opened(folder) as document:
        mine = keep(document, "0.png", square(0), "gem")
    assert cv2.imwrite(str(folder / "0.png"), np.zeros((30, 30, 3), np.uint8))
    capsys.readouterr()
    assert call(folder, "--json") == 1
    value = summary(capsys)
    assert list(value["failed"]) == ["0.png"]
    assert "64 × 48" in value["failed"]["0.png"]
    with opened(folder) as document:
        assert mine in document.annotations("0.png")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit for the size of files")
def test_a_full_disk_ends_a_run_that_can_go_on(folder: Path, toy: ToyModel, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    process = started(folder, *FAST, "--out", out, limit=4000)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the disk is full" in error
    assert "Traceback" not in error
    assert not out.exists()
    toy.calls.clear()
    assert call(folder, "--out", str(out), "--resume") == 0
    assert 0 < len(toy.calls) < 5
    assert len(json.loads(out.read_text())) == 20


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit for the size of files")
def test_a_full_disk_loses_nothing_of_a_project(folder: Path, toy: ToyModel) -> None:
    assert call(folder, "--limit", "1") == 0
    with opened(folder) as document:
        mine = keep(document, "0.png", square(0), "gem")
    process = started(folder, *FAST, "--resume", limit=30_000)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "journal.sqlite" in error
    assert "Traceback" not in error
    assert call(folder, "--resume") == 0
    with opened(folder) as document:
        assert mine in document.annotations("0.png")
        assert [len(document.annotations(key)) for key in KEYS] == [4] * 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["FOLDER/missing"], "is not a folder"),
        (["FOLDER", "--model", "nonsense"], "no model “nonsense”"),
        (["FOLDER", "--boxes", "FOLDER/missing"], "does not exist"),
        (["FOLDER", "--names", "FOLDER/0.png"], "say something about --boxes"),
        (["FOLDER", "--boxes", "FOLDER", "--side", "3"], "--boxes replaces"),
        (["FOLDER", "--side", "65"], "from 1 to 64"),
        (["FOLDER", "--min-score", "nan"], "from 0 to 1"),
        (["FOLDER", "--limit", "0"], "from 1 on"),
        (["FOLDER", "--out", "FOLDER/missing/out.json"], "in a folder that exists"),
        (["FOLDER", "--out", "FOLDER/0.png"], "holds no results"),
        ([], "required"),
    ],
)
def test_bad_arguments(
    folder: Path,
    toy: ToyModel,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["prelabel", *(word.replace("FOLDER", str(folder)) for word in arguments)])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert not (folder / ".annotator").exists()


def test_boxes_that_are_none(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.json").write_text("nonsense")
    assert by_boxes(folder, "--boxes", str(tmp_path / "d.json")) == 2
    assert "not readable JSON" in capsys.readouterr().err


def test_missing_weights_and_images(
    folder: Path, toy: ToyModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert call(tmp_path / "empty") == 1
    assert "no images" in capsys.readouterr().err
    toy.spec = replace(toy.spec, available=lambda: "The file “toy.pth” is missing.")
    with pytest.MonkeyPatch.context() as patch:
        register(patch, toy)
        assert call(folder) == 1
    assert "“toy.pth” is missing" in capsys.readouterr().err
    assert not (folder / ".annotator").exists()
