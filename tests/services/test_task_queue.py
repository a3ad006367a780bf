from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QCoreApplication
from pytestqt.qtbot import QtBot

from annotator.services.task_queue import TaskQueue


@pytest.fixture
def queue(qtbot: QtBot) -> Iterator[TaskQueue]:
    made = TaskQueue("test")
    yield made
    made.close()


def never(error: Exception) -> None:
    raise AssertionError(error)


def test_the_answer_comes_back_on_the_callers_thread(qtbot: QtBot, queue: TaskQueue) -> None:
    here, answers = threading.current_thread(), []
    queue.submit(
        "a",
        lambda: threading.current_thread(),
        lambda worker: answers.append((worker, threading.current_thread())),
        never,
    )
    qtbot.waitUntil(lambda: bool(answers))
    worker, caller = answers[0]
    assert worker is not here
    assert caller is here


def test_running_work_says_something_before_its_result(qtbot: QtBot, queue: TaskQueue) -> None:
    here, heard = threading.current_thread(), []

    def work() -> str:
        queue.tell(lambda: heard.append(threading.current_thread()))
        return "result"

    queue.submit("a", work, heard.append, never)
    qtbot.waitUntil(lambda: len(heard) == 2)
    assert heard == [here, "result"]


def test_closing_leaves_alone_what_takes_too_long(qtbot: QtBot) -> None:
    queue, gate, started = TaskQueue("test"), threading.Event(), threading.Event()

    def blocking() -> None:
        started.set()
        gate.wait(5)
        queue.tell(lambda: pytest.fail("told"))

    queue.submit("a", blocking, lambda _: pytest.fail("delivered"), never)
    assert started.wait(5)
    begin = time.monotonic()
    queue.close(patience=0.01)
    assert time.monotonic() - begin < 2
    assert not gate.is_set()
    gate.set()
    queue.close()
    QCoreApplication.processEvents()


def test_the_newest_request_of_a_slot_wins(qtbot: QtBot, queue: TaskQueue) -> None:
    gate, started, answers = threading.Event(), threading.Event(), []

    def blocking() -> str:
        started.set()
        gate.wait(5)
        return "first"

    queue.submit("a", blocking, answers.append, never)
    assert started.wait(5)
    queue.submit("a", lambda: "second", answers.append, never)
    queue.submit("a", lambda: "third", answers.append, never)
    queue.submit("b", lambda: "other slot", answers.append, never)
    gate.set()
    qtbot.waitUntil(lambda: "other slot" in answers)
    assert answers == ["first", "third", "other slot"]


def test_a_cancelled_slot_is_silent_even_when_its_work_is_running(
    qtbot: QtBot, queue: TaskQueue
) -> None:
    gate, started, answers = threading.Event(), threading.Event(), []

    def blocking() -> str:
        started.set()
        gate.wait(5)
        return "unwanted"

    queue.submit("a", blocking, answers.append, never)
    assert started.wait(5)
    queue.cancel("a")
    gate.set()
    queue.submit("b", lambda: "wanted", answers.append, never)
    qtbot.waitUntil(lambda: bool(answers))
    assert answers == ["wanted"]


def test_an_answer_on_its_way_is_silent_once_its_slot_is_cancelled(
    qtbot: QtBot, queue: TaskQueue
) -> None:
    finished, answers = threading.Event(), []
    queue.submit("a", lambda: "unwanted", answers.append, never)
    queue.submit("b", finished.set, lambda _: None, never)
    assert finished.wait(5)  # the answer of "a" is in the event queue now
    queue.cancel("a")
    queue.submit("a", lambda: "wanted", answers.append, never)
    qtbot.waitUntil(lambda: bool(answers))
    assert answers == ["wanted"]


def test_a_fast_stream_waits_for_the_event_loop(qtbot: QtBot, queue: TaskQueue) -> None:
    made, seen = [], []

    def steps() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    def look(number: int) -> None:
        seen.append(len(made) - number)

    ended: list[bool] = []
    queue.stream("s", steps, look, lambda: ended.append(True), never)
    qtbot.waitUntil(lambda: bool(ended))
    assert seen == [1] * 50


def test_a_foreground_task_waits_for_at_most_one_step_of_a_stream(
    qtbot: QtBot, queue: TaskQueue
) -> None:
    order: list[object] = []
    reached, go_on = threading.Event(), threading.Event()

    def steps() -> Iterator[int]:
        for number in range(4):
            if number == 1:
                reached.set()
                go_on.wait(5)
            yield number

    ended: list[bool] = []
    queue.stream("s", steps, order.append, lambda: ended.append(True), never)
    qtbot.waitUntil(reached.is_set)
    queue.submit("a", lambda: "task", order.append, never)
    go_on.set()
    qtbot.waitUntil(lambda: bool(ended))
    assert order == [0, 1, "task", 2, 3]


@pytest.mark.parametrize("where", ["task", "stream"])
def test_an_error_reaches_its_caller_and_the_thread_lives_on(
    qtbot: QtBot, queue: TaskQueue, where: str
) -> None:
    errors: list[Exception] = []

    def broken() -> Iterator[int]:
        raise ValueError("no")
        yield 1

    if where == "task":
        queue.submit("a", lambda: next(broken()), lambda _: None, errors.append)
    else:
        queue.stream("a", broken, lambda _: None, lambda: None, errors.append)
    qtbot.waitUntil(lambda: bool(errors))
    assert isinstance(errors[0], ValueError)
    answers: list[int] = []
    queue.submit("a", lambda: 1, answers.append, never)
    qtbot.waitUntil(lambda: answers == [1])


def test_busy_goes_up_and_down(qtbot: QtBot, queue: TaskQueue) -> None:
    states: list[bool] = []
    queue.busy_changed.connect(states.append)
    wait_for: Callable[[], bool] = lambda: states[-2:] == [True, False]  # noqa: E731
    queue.submit("a", lambda: 1, lambda _: None, never)
    qtbot.waitUntil(wait_for)


def test_close_ends_the_thread_and_drops_what_waits(qtbot: QtBot) -> None:
    queue, gate, started, answers = TaskQueue("t"), threading.Event(), threading.Event(), []

    def blocking() -> int:
        started.set()
        gate.wait(5)
        return 1

    queue.submit("a", blocking, answers.append, never)
    assert started.wait(5)
    queue.submit("b", lambda: 2, answers.append, never)
    threading.Timer(0.05, gate.set).start()
    queue.close()
    qtbot.wait(20)
    assert answers == []


def test_a_cancelled_generator_is_closed_on_the_thread(qtbot: QtBot) -> None:
    queue = TaskQueue("worker")
    ended: list[str] = []
    stepped: list[int] = []

    def steps() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            ended.append(threading.current_thread().name)

    def begin() -> None:
        queue.stream("s", steps, stepped.append, lambda: None, never)

    begin()
    qtbot.waitUntil(lambda: len(stepped) > 2)
    queue.cancel("s")
    qtbot.waitUntil(lambda: ended == ["worker"])
    stepped.clear()
    begin()
    qtbot.waitUntil(lambda: len(stepped) > 2)
    queue.close()
    assert ended == ["worker", "worker"]
