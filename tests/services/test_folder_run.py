"""Pre-labelling an open project: real documents, real threads, a toy model."""

# ruff: noqa: F811

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from annotator.app import main
from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.pace import Pace
from annotator.core.prompting import PromptDraft
from annotator.services.document import Document
from annotator.services.folder_run import FolderRun, Problem, Progress, Report
from annotator.services.prelabel_sources import KINDS, kind_of, names_options, problem_of
from annotator.services.run_preparing import Order
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from models.api import Point
from models.labelling import LabellerSpec
from tests.models.toy_segmenter import ToyModel
from tests.test_prelabel_kinds import bright  # noqa: F401
from tests.test_prelabel_names import clip, words  # noqa: F401

WIDTH, HEIGHT, COUNT, PATIENCE = 64, 48, 6, 60_000
KEYS = [f"{number}.png" for number in range(COUNT)]
FAST = {"side": 8, "min_score": -1.0, "min_stability": -1.0, "max_overlap": 0.6, "min_area": 50}
EVERYTHING = Order("everything", FAST, "toy")


def draw(path: Path, shift: int) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for x, y, side, brightness in ((6, 6, 10, 200), (30, 10, 16, 90), (50, 30, 8, 150)):
        pixels[y + shift : y + shift + side, x : x + side] = brightness
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, key in enumerate(KEYS):
        draw(folder / key, number)
    return folder


class Desk:
    """A person in front of an open project."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.bot = qtbot
        self.settings = SettingsStore(folder.parent / "settings.ini")
        self.settings.update(model="toy")
        self.workspace = Workspace(self.settings)
        self.run = FolderRun(self.workspace, self.settings)
        self.reports: list[Report] = []
        self.problems: list[Problem] = []
        self.progress: list[Progress] = []
        self.failures: list[UserError] = []
        self.run.finished.connect(self.reports.append)
        self.run.problem_found.connect(self.problems.append)
        self.run.progressed.connect(self.progress.append)
        self.run.failed.connect(self.failures.append)
        self.workspace.open_folder(folder)
        self.until(lambda: self.workspace.image is not None and self.workspace.image.complete)
        self.until(lambda: len(self.document.keys()) >= COUNT)

    @property
    def document(self) -> Document:
        document = self.workspace.document
        assert document is not None
        return document

    def until(self, condition: Callable[[], bool]) -> None:
        self.bot.waitUntil(condition, timeout=PATIENCE)

    def finishes(self) -> Report:
        self.until(lambda: bool(self.reports))
        return self.reports.pop()

    def close(self) -> None:
        self.workspace.close()
        self.run.close()


@pytest.fixture
def opened(qtbot: QtBot, toy: ToyModel) -> Iterator[Callable[[Path], Desk]]:
    desks: list[Desk] = []

    def open_desk(folder: Path) -> Desk:
        desks.append(Desk(qtbot, folder))
        return desks[-1]

    yield open_desk
    for desk in desks:
        desk.close()


def state(document: Document) -> dict[str, list[tuple[Any, ...]]]:
    names = {category.id: category.name for category in document.categories()}
    return {
        key: [(a.shape, names.get(a.category_id or 0), a.origin, a.proposed)
              for a in document.annotations(key)]
        for key in document.keys()  # noqa: SIM118
    }  # fmt: skip


def by_command(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the command line proposes in the same images."""
    other = folder.parent / "other"
    other.mkdir()
    for key in KEYS:
        (other / key).write_bytes((folder / key).read_bytes())
    model = ("--model", "toy", "--side", "8", "--min-area", "50")
    assert main(["prelabel", str(other), *model]) == 0
    document = Document.open(other)
    found = state(document)
    document.close()
    return found


def defaults(source: str) -> dict[str, Any]:
    kind = kind_of(source)
    assert kind is not None
    settings = SettingsStore(Path("nowhere.ini")).settings
    return {option.name: option.default for option in (*kind.options(settings), *names_options())}


def encoder() -> bool:
    return threading.current_thread().name.startswith("encoder")


def test_a_click_is_answered_while_the_run_is_in_the_middle_of_an_image(
    opened: Callable[[Path], Desk], folder: Path, toy: ToyModel
) -> None:
    desk = opened(folder)
    began, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        if encoder():
            began.set()
            assert go_on.wait(PATIENCE / 1000)

    toy.on_encode = hold
    try:
        desk.run.start(EVERYTHING, KEYS)
        desk.until(began.is_set)
        desk.workspace.set_draft(PromptDraft().with_point(Point(10, 10)))
        desk.until(lambda: bool(desk.workspace.candidates))
        assert not go_on.is_set()
        assert desk.progress[-1].done == 0, "the image of the run is still unfinished"
    finally:
        go_on.set()
    draft = desk.workspace.draft
    assert desk.finishes().made == COUNT
    assert desk.workspace.draft == draft, "proposals that arrive leave an open prompt alone"
    assert desk.document.record(KEYS[0]).proposals == 4


def test_the_same_proposals_as_on_the_command_line_also_when_paused_and_resumed(
    opened: Callable[[Path], Desk], folder: Path
) -> None:
    wanted = by_command(folder)
    desk = opened(folder)
    desk.run.progressed.connect(lambda p: desk.run.pause() if p.done == 2 else None)
    desk.run.start(EVERYTHING, KEYS)
    desk.until(lambda: desk.run.paused)
    done = desk.progress[-1].done
    assert desk.run.unfinished() is None, "it is not interrupted, but under way"
    desk.close()  # in the middle of it

    again = opened(folder)
    assert again.run.unfinished() == (done, COUNT)
    again.run.resume()
    report = again.finishes()
    assert (report.before, report.made, report.stopped) == (done, COUNT - done, False)
    assert again.run.unfinished() is None
    assert state(again.document) == wanted


def test_a_paused_run_stands_still_and_goes_on(
    opened: Callable[[Path], Desk], folder: Path, toy: ToyModel
) -> None:
    desk = opened(folder)

    def pause(progress: Progress) -> None:
        if progress.done == 1 and progress.state == "running":
            desk.run.progressed.disconnect(pause)
            desk.run.pause()

    desk.run.progressed.connect(pause)
    desk.run.start(EVERYTHING, KEYS)
    desk.until(lambda: desk.run.paused)
    assert desk.progress[-1].state == "paused"
    desk.run.go_on()
    assert desk.finishes().made == COUNT
    assert desk.progress[-1].rate is not None


def test_what_a_person_accepts_meanwhile_stays(
    opened: Callable[[Path], Desk], folder: Path
) -> None:
    desk = opened(folder)
    category = desk.document.add_category("gem")
    mine: list[Annotation] = []

    def accept(progress: Progress) -> None:
        """In an image that was done, and in one that is still to come."""
        if progress.done == 2 and not mine:
            key = KEYS[-1]
            shape = desk.document.annotations(KEYS[0])[0].shape
            one = Annotation(desk.document.new_id(), shape, category.id)
            mine.append(one)
            desk.document.edit(key, (one,), "Add")
            desk.document.undo(KEYS[0])

    desk.run.progressed.connect(accept)
    desk.run.start(EVERYTHING, KEYS)
    report = desk.finishes()
    assert mine[0] in desk.document.annotations(KEYS[-1])
    assert desk.document.record(KEYS[-1]).proposals
    # The whole run is taken back, but for what was changed since.
    desk.document.set_reviewed(KEYS[1], True)
    desk.document.history.take_back(report.group)
    desk.until(lambda: not any(desk.document.record(k).proposals for k in KEYS))
    assert desk.document.annotations(KEYS[-1]) == (mine[0],)


def test_broken_images_and_numbers_are_named_and_tried_again(
    opened: Callable[[Path], Desk], folder: Path, toy: ToyModel
) -> None:
    good = (folder / KEYS[1]).read_bytes()
    (folder / KEYS[1]).write_bytes(b"nothing")
    (folder / KEYS[2]).unlink()
    (folder / KEYS[2]).write_bytes(good[:60])
    seen: list[int] = []

    def spoil(array: np.ndarray) -> np.ndarray:
        if encoder():
            seen.append(1)
            if len(seen) == 3:
                return np.full_like(array, np.nan)
        return array

    toy.alter = spoil
    desk = opened(folder)
    desk.run.start(EVERYTHING, KEYS)
    report = desk.finishes()
    assert (report.made, report.failed, report.stopped) == (COUNT - 3, 3, False)
    failed = {p.key: p.reason for p in desk.problems if p.failed}
    assert set(failed) == {KEYS[1], KEYS[2], KEYS[4]}
    assert KEYS[1] in failed[KEYS[1]]
    assert "number" in failed[KEYS[4]]
    for key in KEYS[1:3]:
        (folder / key).write_bytes(good)
    toy.alter = lambda array: array
    desk.run.resume()
    report = desk.finishes()
    assert (report.before, report.made, report.failed) == (COUNT - 3, 3, 0)
    # Taking back means all of the run, also what it did before it went on.
    assert all(desk.document.record(key).proposals for key in KEYS)
    desk.document.history.take_back(report.group)
    desk.until(lambda: not any(desk.document.record(key).proposals for key in KEYS))


def test_a_model_that_answers_nothing(
    opened: Callable[[Path], Desk], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.models import toy_segmenter

    monkeypatch.setattr(toy_segmenter.ToySegmenter, "decode", lambda *_: ())
    desk = opened(folder)
    desk.run.start(EVERYTHING, KEYS[:2])
    report = desk.finishes()
    assert (report.made, report.tally.new, report.problems) == (2, 0, 2)
    assert desk.problems[0].reason == "64 prompts the model did not answer"


def test_images_with_some_answers_that_are_no_numbers_are_tried_again(
    opened: Callable[[Path], Desk], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.models import toy_segmenter

    decode, spoilt = toy_segmenter.ToySegmenter.decode, [True]

    def partly(self: Any, embedding: Any, prompt: Any) -> Any:
        found = decode(self, embedding, prompt)
        if spoilt[0] and prompt.points[0].x > WIDTH / 2:
            return tuple(replace(one, score=float("nan")) for one in found)
        return found

    monkeypatch.setattr(toy_segmenter.ToySegmenter, "decode", partly)
    desk = opened(folder)
    desk.run.start(EVERYTHING, KEYS[:3])
    report = desk.finishes()
    assert (report.made, report.failed, report.doubtful) == (3, 0, 3)
    assert desk.problems[0].reason == "64 answers of the model that were not numbers"
    before = state(desk.document)
    spoilt[0] = False
    desk.run.resume()
    report = desk.finishes()
    assert (report.before, report.made) == (3, 0), "without being asked nothing is done again"
    desk.run.resume(doubtful=True)
    report = desk.finishes()
    assert (report.before, report.made, report.doubtful) == (0, 3, 0)
    found = state(desk.document)
    assert all(len(found[key]) > len(before[key]) for key in KEYS[:3])
    assert found[KEYS[0]] == by_command(folder)[KEYS[0]]


def test_masks_of_a_file_need_no_model(
    opened: Callable[[Path], Desk], folder: Path, tmp_path: Path, toy: ToyModel
) -> None:
    out = tmp_path / "out.json"
    model = ("--model", "toy", "--side", "8", "--min-area", "50")
    assert main(["prelabel", str(folder), *model, "--out", str(out)]) == 0
    expected = by_command(folder)
    desk = opened(folder)
    toy.calls.clear()
    loaded: list[int] = []
    load = toy.spec.load

    def counted() -> Any:
        if threading.current_thread().name == "prelabel":
            loaded.append(1)
        return load()

    object.__setattr__(toy.spec, "load", counted)
    desk.run.start(Order("masks", defaults("masks") | {"path": str(out)}, "toy"), KEYS)
    report = desk.finishes()
    assert (report.made, report.failed, report.problems) == (COUNT, 0, 0)
    assert not loaded
    assert state(desk.document) == expected


def test_a_labeller_and_names_from_a_vocabulary(
    opened: Callable[[Path], Desk],
    folder: Path,
    bright: LabellerSpec,
    clip: None,
    words: str,
) -> None:
    desk = opened(folder)
    desk.run.start(Order("labeller", defaults("labeller"), ""), KEYS)
    desk.until(lambda: bool(desk.failures))
    assert "looks for the classes of the project" in desk.failures[0].message
    desk.document.add_category("coin")
    desk.run.start(Order("labeller", defaults("labeller"), ""), KEYS)
    assert desk.finishes().made == COUNT
    assert {name for found in state(desk.document).values() for _, name, *_ in found} == {"coin"}
    named = {"vocabulary": "file", "vocabulary_file": words, "min_name_score": 0.0}
    desk.run.start(Order("everything", FAST | named, "toy"), KEYS)
    assert desk.finishes().made == COUNT
    found = {name for every in state(desk.document).values() for _, name, *_ in every}
    assert "coin" in found
    assert found & {"cat", "dog", "apple"}


def test_names_need_a_model_for_names_and_a_list(tmp_path: Path) -> None:
    settings = SettingsStore(tmp_path / "settings.ini").settings
    everything = kind_of("everything")
    assert everything is not None
    values = defaults("everything")
    assert problem_of(everything, values, settings) == ""
    told = problem_of(everything, values | {"vocabulary": "coco"}, settings)
    assert "model for names" in told
    assert "Settings → Names" in told
    told = problem_of(everything, values | {"vocabulary": "file"}, settings)
    assert told == "Choose the file with the list of names."


def test_a_full_disk_pauses_it_until_there_is_room(
    opened: Callable[[Path], Desk], folder: Path
) -> None:
    for number in range(COUNT, 80):
        draw(folder / f"{number}.png", number % 6)
    desk = opened(folder)
    desk.until(lambda: len(desk.document.keys()) == 80)
    desk.document.flush()
    db = desk.document._saving.store._db
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count={pages}")
    desk.run.start(EVERYTHING, list(desk.document.keys()))
    desk.until(lambda: bool(desk.progress) and desk.progress[-1].state == "waiting")
    done = desk.progress[-1].done
    assert done < 80
    assert not desk.failures
    db.execute("PRAGMA max_page_count=1000000")
    report = desk.finishes()
    assert (report.made, report.failed) == (80, 0)
    assert desk.document.flush(10)


def test_a_class_that_is_removed_meanwhile_comes_back_with_its_boxes(
    opened: Callable[[Path], Desk], folder: Path, tmp_path: Path
) -> None:
    desk = opened(folder)
    gem = desk.document.add_category("gem")
    labels = tmp_path / "boxes.json"
    entries = [f'{{"file_name": "{k}", "bbox": [30, {10 + n}, 16, 16], "category": "gem"}}'
               for n, k in enumerate(KEYS)]  # fmt: skip
    labels.write_text(f"[{', '.join(entries)}]")

    def remove(progress: Progress) -> None:
        if progress.done == 1 and progress.state == "running":
            desk.document.undo(KEYS[0])
            desk.document.remove_category(gem.id)

    desk.run.progressed.connect(remove)
    kind = kind_of("boxes")
    assert kind is not None
    values = {o.name: o.default for o in kind.options(desk.settings.settings)}
    values["path"] = str(labels)
    assert kind.problem(values) == ""
    desk.run.start(Order("boxes", values, "toy"), KEYS)
    assert desk.finishes().made == COUNT
    for key in KEYS[1:]:
        (found,) = desk.document.annotations(key)
        assert found.category_id is not None
        assert desk.document.category(found.category_id).name == "gem"
        assert isinstance(found.shape, Mask)


def test_what_cannot_begin_is_said_and_leaves_nothing_behind(
    opened: Callable[[Path], Desk], folder: Path, tmp_path: Path
) -> None:
    desk = opened(folder)
    with pytest.raises(UserError, match="no run to go on with"):
        desk.run.resume()
    values = {"path": str(tmp_path / "nothing.json"), "names": "", "classes": "add",
              "min_score": 0.0, "min_stability": 0.0, "min_area": 1}  # fmt: skip
    desk.run.start(Order("boxes", values, "toy"), KEYS)
    with pytest.raises(UserError, match="already"):
        desk.run.start(EVERYTHING, KEYS)
    desk.until(lambda: bool(desk.failures))
    assert "nothing.json" in str(desk.failures[0])
    assert not desk.run.running
    desk.run.start(Order("everything", FAST, "no such model"), KEYS)
    desk.until(lambda: len(desk.failures) == 2)
    assert "no such model" in str(desk.failures[1])
    assert desk.run.unfinished() is None
    assert not any(desk.document.record(key).proposals for key in KEYS)


def test_a_run_with_other_boxes_is_not_continued(
    opened: Callable[[Path], Desk], folder: Path, tmp_path: Path
) -> None:
    desk = opened(folder)
    boxes = tmp_path / "boxes.json"
    boxes.write_text('[{"file_name": "0.png", "bbox": [6, 6, 10, 10], "category": "a"}]')
    values = {"path": str(boxes), "names": "", "classes": "add",
              "min_score": 0.0, "min_stability": 0.0, "min_area": 1}  # fmt: skip
    desk.run.start(Order("boxes", values, "toy"), KEYS)
    assert desk.finishes().total == 1, "images without boxes are left alone"
    boxes.write_text('[{"file_name": "1.png", "bbox": [6, 7, 10, 10], "category": "a"}]')
    desk.run.resume()
    desk.until(lambda: bool(desk.failures))
    assert "boxes was" in desk.failures[0].message
    assert "new run" in desk.failures[0].remedy


def test_every_kind_can_be_made_from_its_defaults(toy: ToyModel, tmp_path: Path) -> None:
    settings = SettingsStore(tmp_path / "settings.ini").settings
    for kind in KINDS:
        options = kind.options(settings)
        values = {option.name: option.default for option in options}
        assert len(values) == len(options), kind.id
        assert kind.title
        assert kind.hint
        kind.problem(values)


def test_a_pace_leaves_pauses_out() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.rate is None
    pace.go()
    pace.count()
    now[0] = 2.0
    assert pace.rate is None, "one says nothing yet"
    pace.count()
    assert pace.rate == 1.0
    pace.rest()
    now[0] = 100.0
    assert pace.rate == 1.0
    pace.go()
    now[0] = 102.0
    assert pace.rate == 0.5
