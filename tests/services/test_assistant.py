"""Prompts to masks on real threads; embeddings made once, found again, and made beforehand."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pytestqt.qtbot import QtBot

from annotator.core import images, raster
from annotator.core.errors import UserError
from annotator.services.answering import Answer, Encoding, Finished, Loading, Picture
from annotator.services.assistant import Assistant
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.settings import SettingsStore
from annotator.services.task_queue import TaskQueue
from annotator.services.workspace import Workspace
from models import embedding_cache, exporting
from models.api import Box, MaskCandidate, Point, Prompt
from models.crops import CropCandidate
from models.embedding_cache import default_folder
from models.encoding import EncodingStoppedError, passed
from tests.models import slow_export
from tests.models.toy_segmenter import ToyModel, register

CLICK = Prompt((Point(30.5, 25.5),))
PATIENCE = 20_000


class Gate:
    """Holds back the threads whose name begins with a word, and tells when one waits."""

    def __init__(self, thread: str = "") -> None:
        self.thread = thread
        self.open = threading.Event()
        self.reached = threading.Event()

    def __call__(self) -> None:
        if threading.current_thread().name.startswith(self.thread):
            self.reached.set()
            assert self.open.wait(PATIENCE / 1000)


class Desk:
    """An assistant with its thread, as the workspace has it."""

    def __init__(self, model: str = "toy", embeddings: Embeddings | None = None) -> None:
        self.queue = TaskQueue("models")
        self.assistant = Assistant(self.queue, embeddings=embeddings)
        self.assistant.use(model)

    def close(self) -> None:
        self.queue.close()
        self.assistant.close()


@pytest.fixture
def desks() -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(model: str = "toy", embeddings: Embeddings | None = None) -> Desk:
        made.append(Desk(model, embeddings))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def assistant(desks: Callable[..., Desk], toy: ToyModel) -> Assistant:
    return desks().assistant


def scene(width: int = 120, height: int = 90, left: int = 20) -> NDArray[np.uint8]:
    """A bright rectangle (left, 15) to (left + 40, 55) on a dark ground."""
    pixels = np.full((height, width, 3), 20, np.uint8)
    pixels[15:55, left : left + 40] = 220
    return pixels


def write(path: Path, pixels: NDArray[np.uint8]) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def picture_of(path: Path, *, complete: bool = True) -> Picture:
    image = images.load(path.name, path) if complete else images.load_preview(path.name, path, 32)
    return Picture(path.name, ImageFile(path, *image.stamp), image.pixels, image.complete)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.png", scene())


@pytest.fixture
def picture(path: Path) -> Picture:
    return picture_of(path)


def prepare(qtbot: QtBot, assistant: Assistant, picture: Picture) -> None:
    with qtbot.waitSignal(assistant.prepared, timeout=PATIENCE) as prepared:
        assistant.prepare(picture)
    assert prepared.args == [picture.key]


def ask(qtbot: QtBot, assistant: Assistant, picture: Picture, prompt: Prompt = CLICK) -> Answer:
    with qtbot.waitSignal(assistant.answered, timeout=PATIENCE) as answered:
        assistant.ask(picture, prompt)
    (answer,) = answered.args
    assert isinstance(answer, Answer)
    return answer


def finish(
    qtbot: QtBot, assistant: Assistant, picture: Picture, prompt: Prompt, choice: int = 0, known=()
) -> Finished | UserError:
    results: list[Finished | UserError] = []
    assistant.finish(picture, prompt, choice, known, results.append)
    qtbot.waitUntil(lambda: bool(results), timeout=PATIENCE)
    return results[0]


def drain(qtbot: QtBot, desk: TaskQueue) -> None:
    """Until the model thread has done and told everything submitted before."""
    done: list[None] = []
    desk.submit("drain", lambda: None, done.append, lambda _: None)
    qtbot.waitUntil(lambda: bool(done), timeout=PATIENCE)


def settle(qtbot: QtBot, toy: ToyModel, count: int) -> None:
    qtbot.waitUntil(lambda: len(toy.calls) == count, timeout=PATIENCE)


def entries() -> list[Path]:
    return [path for path in default_folder().rglob("*") if path.is_file()]


# --- Questions and answers ---


def test_an_image_is_encoded_once(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    prepare(qtbot, assistant, picture)
    prepare(qtbot, assistant, picture)
    ask(qtbot, assistant, picture)
    assert toy.calls == [("models", (120, 90))]
    assert toy.loads == 1


def looks(
    qtbot: QtBot, assistant: Assistant, picture: Picture, candidate: MaskCandidate
) -> NDArray[np.float32]:
    found: list[NDArray[np.float32] | None] = []
    assistant.describe_candidate(picture, candidate, found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=PATIENCE)
    assert found[0] is not None
    return found[0]


def test_a_question_is_answered_with_candidates_which_can_be_described(
    qtbot: QtBot, assistant: Assistant, picture: Picture
) -> None:
    answer = ask(qtbot, assistant, picture)
    assert (answer.key, answer.prompt) == ("a.png", CLICK)
    assert [candidate.score for candidate in answer.candidates] == [0.9, 0.5]
    for candidate in answer.candidates:
        vector = looks(qtbot, assistant, picture, candidate)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_new_question_needs_no_descriptions_of_earlier_answers(
    qtbot: QtBot, desks: Callable[..., Desk], picture: Picture, toy: ToyModel
) -> None:
    desk = desks()
    answer = ask(qtbot, desk.assistant, picture)
    for stop in (lambda: desk.assistant.ask(picture, CLICK), desk.assistant.forget_questions):
        desk.assistant.describe_candidate(
            picture, answer.candidates[0], lambda _: pytest.fail("described")
        )
        stop()
        drain(qtbot, desk.queue)


def test_preparing_a_model_is_announced_and_stopped_by_choosing_another(
    qtbot: QtBot,
    desks: Callable[..., Desk],
    picture: Picture,
    toy: ToyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = slow_export.install(tmp_path, monkeypatch)
    toy.spec = replace(
        toy.spec,
        load=lambda: exporting.export_once("x", tmp_path, slow_export.PROGRAM, [], "x"),
    )
    register(monkeypatch, toy)
    assistant = desks().assistant
    told: list[object] = []
    assistant.loading_changed.connect(told.append)
    assistant.failed.connect(lambda _: pytest.fail("failed"))
    assistant.ask(picture, CLICK)
    qtbot.waitUntil(begun.exists, timeout=PATIENCE)
    assistant.use("basic")
    answer = ask(qtbot, assistant, picture)
    assert answer.candidates
    assert told == [
        Loading("Toy"),
        Loading("Toy", first=True),
        None,
        Loading("Basic (no weights)"),
        None,
    ]


class Slow:
    """An encoder in two steps; the first waits at a gate. Counts those that came to the end."""

    def __init__(self, thread: str = "") -> None:
        self.gate = Gate(thread)
        self.finished = 0
        self.stopped = threading.Event()

    def __call__(self) -> None:
        try:
            self.gate()
            passed("backbone", 0.25)
        except EncodingStoppedError:
            self.stopped.set()
            raise
        passed("neck", 1.0)
        self.finished += 1


def test_a_slow_model_says_how_far_it_is(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    toy.on_encode = slow = Slow()
    slow.gate.open.set()
    told: list[object] = []
    assistant.encoding_changed.connect(told.append)
    prepare(qtbot, assistant, picture)
    assert told == [Encoding("Toy", "backbone", 0.25), Encoding("Toy", "neck", 1.0), None]


@pytest.mark.parametrize("asked", [False, True])
def test_leaving_an_image_stops_a_slow_model(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel, asked: bool
) -> None:
    toy.on_encode = slow = Slow()
    assistant.failed.connect(lambda error: pytest.fail(str(error)))
    assistant.answered.connect(lambda _: pytest.fail("answered"))
    if asked:
        assistant.ask(picture, CLICK)
    else:
        assistant.prepare(picture)
    qtbot.waitUntil(slow.gate.reached.is_set, timeout=PATIENCE)
    assistant.leave()
    slow.gate.open.set()
    qtbot.waitUntil(slow.stopped.is_set, timeout=PATIENCE)
    assistant.answered.disconnect()
    answer = ask(qtbot, assistant, picture)
    assert answer.candidates
    assert slow.finished == 1


def test_an_accepted_object_gets_its_mask_from_a_slow_model(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    toy.on_encode = slow = Slow()
    made: list[Finished | UserError] = []
    assistant.prepare(picture)
    qtbot.waitUntil(slow.gate.reached.is_set, timeout=PATIENCE)
    assistant.finish(picture, CLICK, 0, (), made.append)
    assistant.leave()
    slow.gate.open.set()
    qtbot.waitUntil(lambda: bool(made), timeout=PATIENCE)
    assert isinstance(made[0], Finished)
    assert slow.finished == 1
    assert not slow.stopped.is_set()


def test_a_part_nobody_looks_at_any_more_is_not_made(
    qtbot: QtBot, assistant: Assistant, tmp_path: Path, toy: ToyModel
) -> None:
    picture = picture_of(write(tmp_path / "large.png", scene(600, 400)))
    toy.on_encode = slow = Slow("models ahead")
    prepare(qtbot, assistant, picture)
    assistant.look_at(Box(0, 0, 100, 80))
    qtbot.waitUntil(slow.gate.reached.is_set, timeout=PATIENCE)
    assistant.leave()
    slow.gate.open.set()
    qtbot.waitUntil(slow.stopped.is_set, timeout=PATIENCE)
    assert slow.finished == 1  # the whole image


def test_only_the_newest_question_is_answered(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate()
    heard: list[tuple[str, Prompt]] = []
    assistant.answered.connect(lambda answer: heard.append(("answer", answer.prompt)))
    assistant.previewed.connect(lambda answer: heard.append(("preview", answer.prompt)))
    assistant.prepare(picture)
    qtbot.waitUntil(gate.reached.is_set, timeout=PATIENCE)
    prompts = [Prompt((Point(float(x), 25.5),)) for x in (10, 20, 30)]
    assistant.preview(picture, prompts[0])
    for prompt in prompts:
        assistant.ask(picture, prompt)
    gate.open.set()
    qtbot.waitUntil(lambda: bool(heard), timeout=PATIENCE)
    ask(qtbot, assistant, picture, CLICK)
    assert heard == [("answer", prompts[2]), ("answer", CLICK)]


def test_a_click_where_the_pointer_rests_repeats_its_preview(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel, tmp_path: Path
) -> None:
    other = picture_of(write(tmp_path / "b.png", scene()[:, ::-1]))
    prepare(qtbot, assistant, picture)
    with qtbot.waitSignal(assistant.previewed, timeout=PATIENCE) as previewed:
        assistant.preview(picture, CLICK)
    (preview,) = previewed.args
    answer = ask(qtbot, assistant, picture)
    assert toy.asked == [CLICK]
    assert answer.candidates is preview.candidates
    elsewhere = ask(qtbot, assistant, other)
    assert toy.asked == [CLICK, CLICK]
    assert not np.array_equal(elsewhere.candidates[0].logits, answer.candidates[0].logits)


def test_what_was_begun_is_answered_without_asking_again(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    assistant.previewed.connect(lambda _: pytest.fail("shown"))
    prepare(qtbot, assistant, picture)
    assistant.begin(picture, CLICK)
    qtbot.waitUntil(lambda: toy.asked == [CLICK], timeout=PATIENCE)
    answer = ask(qtbot, assistant, picture)
    assert answer.prompt == CLICK
    assert toy.asked == [CLICK]


def test_what_was_begun_in_vain_is_forgotten(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    prepare(qtbot, assistant, picture)
    assistant.begin(picture, CLICK)
    box = Prompt(box=Box(22, 17, 58, 53))
    assert ask(qtbot, assistant, picture, box).prompt == box


def test_a_forgotten_question_is_not_answered(
    qtbot: QtBot, desks: Callable[..., Desk], picture: Picture, toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate()
    desk = desks()
    desk.assistant.answered.connect(lambda _: pytest.fail("answered"))
    desk.assistant.ask(picture, CLICK)
    qtbot.waitUntil(gate.reached.is_set, timeout=PATIENCE)
    desk.assistant.forget_questions()
    gate.open.set()
    drain(qtbot, desk.queue)


def test_finish_makes_the_exact_mask(qtbot: QtBot, assistant: Assistant, picture: Picture) -> None:
    finished = finish(qtbot, assistant, picture, Prompt(box=Box(22, 17, 58, 53)))
    assert isinstance(finished, Finished)
    assert (finished.key, finished.model.id, finished.score) == ("a.png", "toy", 0.9)
    assert finished.vector is not None
    truth = scene()[..., 0] > 100
    overlap = raster.to_array(finished.mask)
    assert (overlap & truth).sum() / (overlap | truth).sum() > 0.9


def test_finish_takes_the_candidate_that_was_shown(
    qtbot: QtBot, assistant: Assistant, picture: Picture
) -> None:
    known = ask(qtbot, assistant, picture).candidates
    for choice, score in ((0, 0.9), (1, 0.5), (7, 0.5)):
        finished = finish(qtbot, assistant, picture, CLICK, choice, known)
        assert isinstance(finished, Finished)
        assert finished.score == score


def test_every_accepted_object_is_finished(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate()
    results: list[Finished | UserError] = []
    for _ in range(5):
        assistant.finish(picture, CLICK, 0, (), results.append)
    assert assistant.pending == 5
    assistant.forget_questions()
    gate.open.set()
    qtbot.waitUntil(lambda: len(results) == 5, timeout=PATIENCE)
    assert all(isinstance(result, Finished) for result in results)
    assert assistant.pending == 0


def test_an_empty_mask_is_no_object(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    (candidate, *_) = ask(qtbot, assistant, picture).candidates
    empty = type(candidate)(np.full((4, 4), -1, np.float32), candidate.extent, 0.1)
    result = finish(qtbot, assistant, picture, CLICK, 0, (empty,))
    assert isinstance(result, UserError)
    assert "found nothing" in str(result)
    assert assistant.pending == 0


def test_what_a_model_cannot_do_is_told(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    toy.alter = lambda array: array * np.nan
    with qtbot.waitSignal(assistant.failed, timeout=PATIENCE) as failed:
        assistant.ask(picture, CLICK)
    assert "not numbers" in str(failed.args[0])
    result = finish(qtbot, assistant, picture, CLICK)
    assert isinstance(result, UserError)
    assert entries() == []
    toy.alter = lambda array: array
    ask(qtbot, assistant, picture)


def test_a_bug_in_a_model_is_told_and_raised(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    def broken() -> None:
        raise RuntimeError("toy is broken")

    toy.on_encode = broken
    with (
        qtbot.captureExceptions() as raised,
        qtbot.waitSignal(assistant.failed, timeout=PATIENCE) as failed,
    ):
        assistant.ask(picture, CLICK)
    assert "RuntimeError: toy is broken" in str(failed.args[0])
    assert [str(error) for _, error, _ in raised] == ["toy is broken"]


def test_the_default_model_needs_no_disk(
    qtbot: QtBot, desks: Callable[..., Desk], tmp_path: Path
) -> None:
    pixels = scene(320, 240, 100)
    pixels[15:155, 100:240] = 220
    neighbour = write(tmp_path / "b.png", scene())
    assistant = desks("basic").assistant
    picture = picture_of(write(tmp_path / "a.png", pixels))
    prepare(qtbot, assistant, picture)
    assistant.look_ahead([neighbour])
    finished = finish(qtbot, assistant, picture, Prompt(box=Box(98, 13, 242, 157)))
    assert isinstance(finished, Finished)
    truth, found = pixels[..., 0] > 100, raster.to_array(finished.mask)
    assert (found & truth).sum() / (found | truth).sum() > 0.95
    assert assistant.resolution == ""
    assert not default_folder().exists()
    assert "models ahead" not in {thread.name for thread in threading.enumerate()}


# --- The disk ---


def test_the_next_session_finds_the_embedding(
    qtbot: QtBot, desks: Callable[..., Desk], picture: Picture, toy: ToyModel
) -> None:
    first = ask(qtbot, desks().assistant, picture)
    assert len(entries()) == 1
    second = ask(qtbot, desks().assistant, picture)
    assert len(toy.calls) == 1
    for one, other in zip(first.candidates, second.candidates, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_a_renamed_file_is_found_again(
    qtbot: QtBot, desks: Callable[..., Desk], path: Path, toy: ToyModel
) -> None:
    prepare(qtbot, desks().assistant, picture_of(path))
    prepare(qtbot, desks().assistant, picture_of(path.rename(path.with_name("b.png"))))
    assert len(toy.calls) == 1


@pytest.mark.parametrize("change", ["pixels", "weights", "damage"])
def test_what_is_no_longer_right_is_made_anew(
    qtbot: QtBot, desks: Callable[..., Desk], path: Path, toy: ToyModel, change: str
) -> None:
    prepare(qtbot, desks().assistant, picture_of(path))
    if change == "pixels":
        write(path, scene(left=60))
    elif change == "weights":
        toy.fingerprint = "other weights"
    else:
        (entry,) = entries()
        entry.write_bytes(entry.read_bytes()[:-100])
    answer = ask(qtbot, desks().assistant, picture_of(path), Prompt((Point(70, 30),)))
    assert len(toy.calls) == 2
    bright = answer.candidates[0].logits > 0
    assert (bright.mean() < 0.5) == (change == "pixels")


def test_pixels_of_a_file_that_has_changed_since_are_not_kept_for_it(
    qtbot: QtBot, desks: Callable[..., Desk], path: Path, toy: ToyModel
) -> None:
    old = picture_of(path)
    write(path, scene(left=60))
    prepare(qtbot, desks().assistant, old)
    assert entries() == []
    prepare(qtbot, desks().assistant, picture_of(path))
    assert len(toy.calls) == 2


def test_a_file_that_changes_while_it_is_hashed_is_not_mistaken(
    qtbot: QtBot, desks: Callable[..., Desk], path: Path, tmp_path: Path, toy: ToyModel, monkeypatch
) -> None:
    other = write(tmp_path / "other.png", scene(left=60))
    prepare(qtbot, desks().assistant, picture_of(other))
    real = embedding_cache.file_content

    def hashed(file: Path) -> str:
        file.write_bytes(other.read_bytes())
        return real(file)

    monkeypatch.setattr(embedding_cache, "file_content", hashed)
    prepare(qtbot, desks().assistant, picture_of(path))
    assert len(toy.calls) == 2
    assert len(entries()) == 1


def test_a_preview_can_be_asked_when_the_embedding_is_known(
    qtbot: QtBot, desks: Callable[..., Desk], tmp_path: Path, toy: ToyModel
) -> None:
    path = write(tmp_path / "a.jpg", cv2.resize(scene(), (2400, 1800)))
    complete, preview = picture_of(path), picture_of(path, complete=False)
    assert not preview.complete
    prompt = Prompt((Point(610, 510),))
    whole = ask(qtbot, desks().assistant, complete, prompt)
    assistant = desks().assistant
    prepare(qtbot, assistant, preview)
    early = ask(qtbot, assistant, preview, prompt)
    assert len(toy.calls) == 1
    for one, other in zip(whole.candidates, early.candidates, strict=True):
        assert one.extent == other.extent
        np.testing.assert_array_equal(one.logits, other.logits)
        vector = looks(qtbot, assistant, complete, one)
        assert vector @ looks(qtbot, assistant, preview, other) > 0.95


def test_a_preview_nobody_knows_is_not_answered(
    qtbot: QtBot, desks: Callable[..., Desk], tmp_path: Path, toy: ToyModel
) -> None:
    path = write(tmp_path / "a.jpg", cv2.resize(scene(), (2400, 1800)))
    desk, preview = desks(), picture_of(path, complete=False)
    for signal in (desk.assistant.prepared, desk.assistant.answered, desk.assistant.previewed):
        signal.connect(lambda _: pytest.fail("answered"))
    desk.assistant.expect(preview.key, path)
    desk.assistant.prepare(preview)
    desk.assistant.preview(preview, CLICK)
    drain(qtbot, desk.queue)
    desk.assistant.ask(preview, CLICK)
    drain(qtbot, desk.queue)
    assert toy.calls == []


def test_an_expected_image_is_prepared_without_pixels(
    qtbot: QtBot, desks: Callable[..., Desk], path: Path, tmp_path: Path, toy: ToyModel
) -> None:
    prepare(qtbot, desks().assistant, picture_of(path))
    assistant = desks().assistant
    other = picture_of(write(tmp_path / "other.png", scene(left=70)))
    prepare(qtbot, assistant, other)  # the model is loaded
    with qtbot.waitSignal(assistant.prepared, timeout=PATIENCE) as prepared:
        assistant.expect("a.png", path)
    assert prepared.args == ["a.png"]
    assert len(toy.calls) == 2


# --- Neighbours ---


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    """Images of different widths, 100 to 109."""
    return [
        write(tmp_path / f"{number}.png", scene(100 + number, left=20 + number))
        for number in range(10)
    ]


def widths(toy: ToyModel) -> list[int]:
    return [width for _, (width, _) in toy.calls]


def test_neighbours_follow_the_current_image_in_order(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    assistant.expect("3.png", folder[3])
    assistant.look_ahead([folder[4], folder[5], folder[2]])
    prepare(qtbot, assistant, picture_of(folder[3]))
    settle(qtbot, toy, 4)
    assert widths(toy) == [103, 104, 105, 102]
    assert toy.threads == ["models", *["models ahead"] * 3]
    qtbot.waitUntil(lambda: len(entries()) == 4, timeout=PATIENCE)
    prepare(qtbot, assistant, picture_of(folder[4]))
    assert len(toy.calls) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of one thread is a Linux notion")
def test_neighbours_are_encoded_at_low_priority(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    niceness: list[int] = []
    toy.on_encode = lambda: niceness.append(os.getpriority(os.PRIO_PROCESS, 0))
    prepare(qtbot, assistant, picture_of(folder[0]))
    assistant.look_ahead([folder[1]])
    qtbot.waitUntil(lambda: len(niceness) == 2, timeout=PATIENCE)
    assert niceness[1] == max(niceness[0], 10)


def test_a_click_does_not_wait_for_a_neighbour(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate("models ahead")
    prepare(qtbot, assistant, picture_of(folder[0]))
    assistant.look_ahead(folder[1:3])
    qtbot.waitUntil(gate.reached.is_set, timeout=PATIENCE)
    ask(qtbot, assistant, picture_of(folder[0]))
    assert isinstance(finish(qtbot, assistant, picture_of(folder[0]), CLICK), Finished)
    gate.open.set()


def test_a_jump_ends_looking_ahead(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate("models ahead")
    assistant.look_ahead(folder[1:4])
    prepare(qtbot, assistant, picture_of(folder[0]))
    qtbot.waitUntil(gate.reached.is_set, timeout=PATIENCE)
    assistant.expect("6.png", folder[6])
    assistant.look_ahead([folder[7]])
    prepare(qtbot, assistant, picture_of(folder[6]))
    gate.open.set()
    settle(qtbot, toy, 4)
    assert widths(toy) == [100, 101, 106, 107]


def waits(name: str) -> bool:
    """Whether a thread waits for an embedding somebody else makes."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == name]
    frame = sys._current_frames().get(thread.ident or 0)
    calls = []
    while frame is not None:
        calls.append(frame.f_code.co_name)
        frame = frame.f_back
    return "obtain" in calls and calls[0] == "wait"


def test_nothing_to_look_ahead_to_ends_looking_ahead(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate("models ahead")
    prepare(qtbot, assistant, picture_of(folder[0]))
    assistant.look_ahead(folder[1:4])
    qtbot.waitUntil(gate.reached.is_set, timeout=PATIENCE)
    assistant.look_ahead([])
    queue = assistant._ahead._queue
    assert queue is not None
    with qtbot.waitSignal(queue.busy_changed, check_params_cb=lambda busy: not busy):
        gate.open.set()
    assert widths(toy) == [100, 101]


def test_an_image_being_encoded_is_waited_for_not_encoded_again(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    toy.on_encode = gate = Gate("models ahead")
    prepare(qtbot, assistant, picture_of(folder[0]))
    assistant.look_ahead([folder[1]])
    qtbot.waitUntil(gate.reached.is_set, timeout=PATIENCE)
    assistant.expect("1.png", folder[1])
    with qtbot.waitSignal(assistant.prepared, timeout=PATIENCE):
        assistant.prepare(picture_of(folder[1]))
        qtbot.waitUntil(lambda: len(toy.calls) > 2 or waits("models"), timeout=PATIENCE)
        gate.open.set()
    assert widths(toy) == [100, 101]


def test_unreadable_neighbours_are_passed_over_in_silence(
    qtbot: QtBot, assistant: Assistant, folder: list[Path], toy: ToyModel
) -> None:
    assistant.failed.connect(lambda _: pytest.fail("told"))
    folder[1].write_bytes(b"no image")
    folder[2].unlink()
    prepare(qtbot, assistant, picture_of(folder[0]))
    assistant.look_ahead(folder[1:4])
    settle(qtbot, toy, 2)
    assert widths(toy) == [100, 103]


def test_what_is_known_is_not_encoded_beforehand(
    qtbot: QtBot, desks: Callable[..., Desk], folder: list[Path], toy: ToyModel
) -> None:
    prepare(qtbot, desks().assistant, picture_of(folder[1]))
    assistant = desks().assistant
    prepare(qtbot, assistant, picture_of(folder[0]))
    assistant.look_ahead(folder[1:3])
    settle(qtbot, toy, 3)
    assert widths(toy) == [101, 100, 102]


# --- Large images ---


@pytest.fixture
def large(tmp_path: Path) -> Picture:
    """512 x 384 (eight inputs wide): tiny squares of 3 pixels, and a band right across."""
    pixels = np.full((384, 512, 3), 20, np.uint8)
    for x, y in ((101, 81), (109, 81), (300, 200)):
        pixels[y : y + 3, x : x + 3] = 220
    pixels[90:96] = 120
    return picture_of(write(tmp_path / "large.png", pixels))


TINY = Prompt((Point(102.5, 82.5),))


def zoom_in(qtbot: QtBot, assistant: Assistant, visible: Box) -> None:
    with qtbot.waitSignal(assistant.sharpened, timeout=PATIENCE):
        assistant.look_at(visible)


def test_zoomed_in_the_visible_part_answers_exactly(
    qtbot: QtBot, assistant: Assistant, large: Picture, toy: ToyModel
) -> None:
    told: list[str] = []
    assistant.resolution_changed.connect(told.append)
    prepare(qtbot, assistant, large)
    assert assistant.resolution == "whole image 1:8"
    coarse = finish(qtbot, assistant, large, TINY)
    zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
    assert told == ["whole image 1:8", "detail 1:1"]
    assert toy.calls[-1] == ("models ahead", (64, 64))
    answer = ask(qtbot, assistant, large, TINY)
    (candidate, *_) = answer.candidates
    assert isinstance(candidate, CropCandidate)
    exact = finish(qtbot, assistant, large, TINY, 0, answer.candidates)
    again = finish(qtbot, assistant, large, TINY)
    truth = np.zeros((384, 512), bool)
    truth[81:84, 101:104] = True
    assert isinstance(coarse, Finished)
    assert isinstance(exact, Finished)
    assert isinstance(again, Finished)
    assert raster.area(coarse.mask) > 100
    np.testing.assert_array_equal(raster.to_array(exact.mask), truth)
    np.testing.assert_array_equal(raster.to_array(again.mask), truth)


def test_zoomed_out_the_whole_image_answers(
    qtbot: QtBot, assistant: Assistant, large: Picture
) -> None:
    prepare(qtbot, assistant, large)
    zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
    with qtbot.waitSignal(assistant.resolution_changed, timeout=PATIENCE) as told:
        assistant.look_at(Box(-10, -10, 520, 390))
    assert told.args == ["whole image 1:8"]
    (candidate, *_) = ask(qtbot, assistant, large, TINY).candidates
    assert not isinstance(candidate, CropCandidate)


def test_a_prompt_that_grows_keeps_its_resolution(
    qtbot: QtBot, assistant: Assistant, large: Picture
) -> None:
    prepare(qtbot, assistant, large)
    zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
    ask(qtbot, assistant, large, TINY)
    with qtbot.waitSignal(assistant.resolution_changed, timeout=PATIENCE):
        assistant.look_at(Box(0, 0, 512, 384))
    grown = Prompt((*TINY.points, Point(106.5, 82.5, False)))
    assert isinstance(ask(qtbot, assistant, large, grown).candidates[0], CropCandidate)
    assistant.forget_questions()
    assert not isinstance(ask(qtbot, assistant, large, grown).candidates[0], CropCandidate)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((Point(301.5, 201.5),)),
        Prompt((Point(102.5, 82.5), Point(301.5, 201.5, False))),
        Prompt(box=Box(95, 75, 300, 200)),
    ],
)
def test_prompts_beyond_the_visible_part_go_to_the_whole_image(
    qtbot: QtBot, assistant: Assistant, large: Picture, prompt: Prompt
) -> None:
    prepare(qtbot, assistant, large)
    zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
    assert not isinstance(ask(qtbot, assistant, large, prompt).candidates[0], CropCandidate)


def test_an_object_larger_than_the_visible_part_is_not_cut_off(
    qtbot: QtBot, assistant: Assistant, large: Picture
) -> None:
    prepare(qtbot, assistant, large)
    zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
    finished = finish(qtbot, assistant, large, Prompt((Point(105.5, 93.5),)))
    assert isinstance(finished, Finished)
    columns = raster.to_array(finished.mask).any(axis=0)
    assert columns.all()


def test_parts_are_kept(
    qtbot: QtBot, desks: Callable[..., Desk], large: Picture, toy: ToyModel
) -> None:
    for _ in range(2):
        assistant = desks().assistant
        prepare(qtbot, assistant, large)
        zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
        assert len(toy.calls) == 2
        assert len(entries()) == 2


def test_another_image_or_model_starts_with_the_whole_image(
    qtbot: QtBot, assistant: Assistant, large: Picture, picture: Picture
) -> None:
    prepare(qtbot, assistant, large)
    zoom_in(qtbot, assistant, Box(90, 70, 125, 100))
    assistant.expect(picture.key, picture.file.path)
    assert assistant.resolution == ""
    prepare(qtbot, assistant, picture)
    assert assistant.resolution == "whole image 1:1.9"
    assistant.use("basic")
    assert assistant.resolution == ""
    prepare(qtbot, assistant, picture)
    assert assistant.resolution == ""


def test_where_a_model_runs_is_told_once(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    told: list[tuple[str, str]] = []
    assistant.device_changed.connect(lambda *what: told.append(what))
    prepare(qtbot, assistant, picture)
    ask(qtbot, assistant, picture)
    assert told == [("toy", "Toy processor: auto.")]
    assert assistant.devices == {"toy": "Toy processor: auto."}


def test_a_runtime_that_gives_way_while_encoding_is_told(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    def fall_back() -> None:
        assistant._answering._segmenter.device = "Toy processor: the other one failed."

    toy.on_encode = fall_back
    prepare(qtbot, assistant, picture)
    assert assistant.devices == {"toy": "Toy processor: the other one failed."}


def test_another_device_loads_the_model_again(
    qtbot: QtBot, assistant: Assistant, picture: Picture, toy: ToyModel
) -> None:
    prepare(qtbot, assistant, picture)
    assert not assistant.use("toy", "auto")
    assert assistant.use("toy", "exact")
    prepare(qtbot, assistant, picture)
    assert toy.devices == ["auto", "exact"]
    assert assistant.devices["toy"] == "Toy processor: exact."


def test_the_look_ahead_follows_the_device(
    qtbot: QtBot, assistant: Assistant, picture: Picture, path: Path, toy: ToyModel
) -> None:
    assistant.use("toy", "processor")
    prepare(qtbot, assistant, picture)
    other = write(path.parent / "b.png", scene(left=50))
    assistant.look_ahead([other])
    qtbot.waitUntil(lambda: len(toy.calls) == 2, timeout=PATIENCE)
    assert toy.devices == ["processor", "processor"]


# --- The workspace ---


@pytest.fixture
def workspace(tmp_path: Path, toy: ToyModel) -> Iterator[Workspace]:
    settings = SettingsStore(tmp_path / "settings.ini")
    settings.update(model="toy")
    workspace = Workspace(settings)
    yield workspace
    workspace.close()


def test_the_workspace_looks_ahead_in_the_direction_of_travel(
    qtbot: QtBot, workspace: Workspace, folder: list[Path], toy: ToyModel
) -> None:
    workspace.open_folder(folder[0].parent)
    settle(qtbot, toy, 3)
    assert widths(toy) == [100, 101, 102]
    workspace.show("7.png")
    settle(qtbot, toy, 7)
    assert widths(toy)[3:] == [107, 108, 109, 106]
    workspace.step(-1)
    settle(qtbot, toy, 9)
    assert widths(toy)[7:] == [105, 104]


def test_a_known_image_is_clickable_before_it_is_complete(
    qtbot: QtBot, workspace: Workspace, tmp_path: Path, monkeypatch, toy: ToyModel
) -> None:
    home = tmp_path / "images"
    home.mkdir()
    for number in range(3):
        write(home / f"{number}.jpg", cv2.resize(scene(left=10 * number), (2400, 1800)))
    workspace.open_folder(home)
    qtbot.waitUntil(lambda: len(entries()) == 3, timeout=PATIENCE)
    workspace.close_project()
    gate, load = Gate(), images.load
    monkeypatch.setattr(images, "load", lambda *given: (gate(), load(*given))[1])
    workspace.open_folder(home)
    workspace.show("2.jpg")
    qtbot.waitUntil(lambda: workspace.image is not None, timeout=PATIENCE)
    workspace.set_draft(workspace.draft.with_point(Point(800, 500)))
    qtbot.waitUntil(lambda: bool(workspace.candidates), timeout=PATIENCE)
    assert workspace.image is not None
    assert not workspace.image.complete
    workspace.accept()  # carried out as soon as the pixels are there
    assert workspace.annotations == ()
    gate.open.set()
    qtbot.waitUntil(lambda: len(workspace.annotations) == 1, timeout=PATIENCE)
    assert len(toy.calls) == 3
