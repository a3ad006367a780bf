"""Downloads in the background: signals on the GUI thread, nothing blocks, nothing stays behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest
import shiboken6
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from annotator.core.errors import UserError
from annotator.services.downloads import Downloads
from models.weight_files import Progress
from models.weights import State, Weight, WeightStore
from tests.models.file_server import Answer, FileServer, body_of, weight_of

BODY = body_of(1_500_000)
OTHER = body_of(1_500_000, seed=2)


@pytest.fixture
def weight(server: FileServer) -> Weight:
    server.answers["/tiny"] = Answer(BODY)
    return weight_of(BODY, f"{server.address}/tiny")


@pytest.fixture
def downloads(qtbot: QtBot, weight: Weight, tmp_path: Path) -> Iterator[Downloads]:
    known = MappingProxyType({weight.id: weight})
    downloads = Downloads(WeightStore(tmp_path / "models"), known)
    yield downloads
    downloads.close()
    # Here and now: Python may collect it on any thread, and Qt crashes when that is not this one.
    shiboken6.delete(downloads)


def test_looking_starts_no_thread(downloads: Downloads, weight: Weight) -> None:
    before = threading.active_count()
    assert downloads.state(weight) is State.MISSING
    assert downloads.progress(weight) is None
    assert threading.active_count() == before


def test_a_download_tells_how_far_it_is(
    qtbot: QtBot, downloads: Downloads, weight: Weight, server: FileServer
) -> None:
    server.answers["/tiny"] = Answer(BODY, pace=0.03)
    seen: list[tuple[str, Progress, bool]] = []
    gui = threading.current_thread()
    downloads.progressed.connect(
        lambda name, step: seen.append((name, step, threading.current_thread() is gui))
    )
    assert downloads.agree(weight)
    with qtbot.waitSignal(downloads.finished, timeout=10_000) as finished:
        downloads.download(weight)
        assert downloads.busy
    assert finished.args == ["tiny"]
    assert downloads.state(weight) is State.READY
    assert downloads.progress(weight) is None
    assert not downloads.busy
    counts = [step.done for _, step, _ in seen if step.phase == "downloading"]
    assert counts == sorted(counts)
    assert 0 < counts[0] < len(BODY)
    assert all(name == "tiny" and on_gui for name, _, on_gui in seen)


def test_without_agreement_nothing_is_fetched(
    qtbot: QtBot, downloads: Downloads, weight: Weight, server: FileServer
) -> None:
    with qtbot.waitSignal(downloads.failed, timeout=5000) as failed:
        downloads.download(weight)
    name, error = failed.args
    assert name == "tiny"
    assert isinstance(error, UserError)
    assert "has not been agreed" in error.message
    assert server.seen == []


def test_stop_is_quick_and_a_second_start_goes_on(
    qtbot: QtBot, downloads: Downloads, weight: Weight, server: FileServer
) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[-400_000])
    downloads.agree(weight)
    downloads.download(weight)

    def some_came() -> bool:
        step = downloads.progress(weight)
        return step is not None and step.done >= 400_000

    qtbot.waitUntil(some_came, timeout=5000)
    began = time.monotonic()
    with qtbot.assertNotEmitted(downloads.failed), qtbot.waitSignal(downloads.state_changed):
        downloads.stop(weight)
    assert time.monotonic() - began < 1
    assert downloads.state(weight) is State.PARTIAL
    server.released.set()
    with qtbot.waitSignal(downloads.finished, timeout=5000):
        downloads.download(weight)
    assert server.ranges == [None, "bytes=400000-"]


def test_two_clicks_are_one_download(
    qtbot: QtBot, downloads: Downloads, weight: Weight, server: FileServer
) -> None:
    downloads.agree(weight)
    with qtbot.waitSignal(downloads.finished, timeout=5000):
        downloads.download(weight)
        downloads.download(weight)
    assert len(server.seen) == 1


def test_an_import_does_not_wait_for_a_download(
    qtbot: QtBot, downloads: Downloads, weight: Weight, server: FileServer, tmp_path: Path
) -> None:
    server.answers["/tiny"] = Answer(BODY, send=[-400_000])
    other = weight_of(OTHER, id="other", file_name="other.pth")
    downloads.weights = MappingProxyType({"tiny": weight, "other": other})
    file = tmp_path / "mine"
    file.write_bytes(OTHER)
    downloads.agree(weight)
    downloads.download(weight)
    with qtbot.waitSignal(downloads.imported, timeout=5000) as imported:
        downloads.import_file(file)
    assert imported.args == [other]
    assert downloads.state(other) is State.READY
    assert downloads.progress(weight) is not None
    assert file.read_bytes() == OTHER


def test_an_unknown_file_is_refused(qtbot: QtBot, downloads: Downloads, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_bytes(OTHER)
    with qtbot.waitSignal(downloads.failed, timeout=5000) as failed:
        downloads.import_file(file)
    assert failed.args[0] == ""
    assert "none of the known files" in failed.args[1].message


def test_check_and_remove(qtbot: QtBot, downloads: Downloads, weight: Weight) -> None:
    store = downloads.store
    store.folder.mkdir(parents=True)
    store.path(weight).write_bytes(OTHER)
    downloads.check(weight)
    qtbot.waitUntil(lambda: downloads.state(weight) is State.WRONG, timeout=5000)
    qtbot.waitUntil(lambda: not downloads.busy)
    with qtbot.waitSignal(downloads.failed, timeout=5000) as failed:
        downloads.remove(weight)
    assert "is yours and stays" in failed.args[1].message
    store.path(weight).write_bytes(BODY)
    downloads.remove(weight)
    qtbot.waitUntil(lambda: downloads.state(weight) is State.MISSING, timeout=5000)
    qtbot.waitUntil(lambda: not downloads.busy)


def test_closing_in_the_middle_keeps_what_came(
    qtbot: QtBot, downloads: Downloads, weight: Weight, server: FileServer
) -> None:
    server.answers["/tiny"] = Answer(BODY, pace=0.05)
    downloads.agree(weight)
    with qtbot.waitSignal(
        downloads.progressed, check_params_cb=lambda _, step: step.done > 300_000
    ):
        downloads.download(weight)
    downloads.close()
    assert downloads.state(weight) is State.PARTIAL
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("weights")]


def test_a_window_has_one_and_takes_its_threads_with_it(
    qtbot: QtBot, weight: Weight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path))
    window = QObject()
    downloads = Downloads.of(window)
    assert Downloads.of(window) is downloads
    file = tmp_path / "mine"
    file.write_bytes(b"?")
    with qtbot.waitSignal(downloads.failed, timeout=5000):
        downloads.import_file(file)
    threads = [thread for thread in threading.enumerate() if thread.name == "weights disk"]
    assert len(threads) == 1
    shiboken6.delete(window)
    qtbot.waitUntil(lambda: not threads[0].is_alive(), timeout=5000)
