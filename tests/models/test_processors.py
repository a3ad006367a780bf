"""How many processors a network gets, and which."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from models import processors
from models.onnx_session import open_session
from models.processors import apart, division, shared, thread_count, threads_each
from models.runtimes import preferred_abreast, using

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="threads have no processors of their own"
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A virtual machine with all its processors for this test."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(processors, "_virtual", lambda: True)
    division.cache_clear()
    yield monkeypatch
    division.cache_clear()


def own(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(numbers))


@linux
@pytest.mark.parametrize(
    ("owned", "asking", "helping"),
    [
        ((0, 1), {0}, {1}),
        ((3, 5, 7), {3}, {5, 7}),
        (tuple(range(16)), set(range(9)), set(range(9, 16))),
    ],
)
def test_helpers_get_processors_of_their_own(machine, owned, asking, helping):
    own(machine, *owned)
    parts = division()
    assert parts is not None
    assert (parts.asking, parts.helping) == (asking, helping)
    assert len(parts.helping) == thread_count() - 1


@linux
def test_where_nothing_is_to_divide(machine):
    own(machine, 4)
    assert division() is None


@linux
def test_batch_systems_say_how_many(machine):
    own(machine, 0, 1, 2, 3)
    machine.setenv("OMP_NUM_THREADS", "1")
    assert division() is None


@linux
def test_a_machine_of_its_own_knows_best(machine):
    machine.setattr(processors, "_virtual", lambda: False)
    assert division() is None


needs_two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="one processor only",
)


@linux
@needs_two
def test_only_the_asking_thread_moves_and_only_meanwhile(machine):
    everywhere = os.sched_getaffinity(0)
    parts = division()
    assert parts is not None
    other, done = threading.Event(), threading.Event()
    numbers: list[int] = []

    def wait() -> None:
        numbers.append(threading.get_native_id())
        other.set()
        done.wait(20)

    waiting = threading.Thread(target=wait)
    waiting.start()
    other.wait(20)
    try:
        with apart():
            assert os.sched_getaffinity(0) == parts.asking
            assert os.sched_getaffinity(numbers[0]) == everywhere
        assert os.sched_getaffinity(0) == everywhere
        with suppress(RuntimeError), apart():
            raise RuntimeError("lost")
        assert os.sched_getaffinity(0) == everywhere
    finally:
        done.set()
        waiting.join()


@linux
@needs_two
def test_helpers_of_short_runs_stay_there(machine, tmp_path):
    parts = division()
    assert parts is not None
    ones = np.ones((300, 300), np.float32)
    before = threads()
    plain = open_session(squaring(tmp_path))
    np.testing.assert_array_equal(plain.run(None, {"x": ones})[0], ones * 300)
    assert parts.helping not in [now for number, now in threads().items() if number not in before]
    short = open_session(squaring(tmp_path), short=True)
    with apart():
        np.testing.assert_array_equal(short.run(None, {"x": ones})[0], ones * 300)
    tries = 0
    while list(threads().values()).count(parts.helping) < thread_count() - 1:
        tries += 1
        assert tries < 100, "helpers move when they begin"
        time.sleep(0.05)


def test_sharers_get_fewer_threads_each(monkeypatch, tmp_path):
    monkeypatch.setattr(processors, "thread_count", lambda: 4)
    assert threads_each() == 4
    with shared(2):
        assert threads_each() == 2
    with shared(16):
        assert threads_each() == 1
    assert threads_each() == 4


def test_no_more_images_abreast_than_threads():
    assert preferred_abreast() == 1
    with using("auto", abreast=100):
        assert preferred_abreast() == thread_count()
    assert preferred_abreast() == 1


def threads() -> dict[str, set[int]]:
    """Processors of every thread of this process."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            found[task.name] = os.sched_getaffinity(int(task.name))
        except ProcessLookupError:
            continue
    return found


def squaring(folder: Path) -> Path:
    onnx = pytest.importorskip("onnx", reason="makes graphs")
    helper = onnx.helper
    shape = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", "n"])
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", "n"])
    node = helper.make_node("MatMul", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "squaring", [shape], [result])
    opset = helper.make_opsetid("", 17)
    path = folder / "squaring.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path
