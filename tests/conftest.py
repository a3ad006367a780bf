"""Fixtures for all tests: offscreen Qt, private settings and caches, leak checks."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.models.file_server import FileServer
    from tests.models.toy_segmenter import ToyModel

# A worker thread that happens to collect garbage must not destroy QObjects (see
# `annotator.services.garbage`): the collector runs between tests, on the main thread.
gc.disable()

SHARED = Path(__file__).parents[2] / "shared"

# The same examples every time, however busy the machine; HYPOTHESIS_PROFILE=explore looks for new
# ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the settings, caches or data of the person running it."""
    home = tmp_path_factory.mktemp("home")
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name))
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(autouse=True, scope="session")
def exact_numbers() -> Iterator[None]:
    """Models loaded on the main thread compute with 32 bits, whatever is installed here."""
    from models.runtimes import using

    with using("exact"):
        yield


@pytest.fixture(autouse=True, scope="module")
def garbage_is_collected_here() -> Iterator[None]:
    """All cycles of a test module go on the main thread."""
    yield
    gc.collect()
    # What is left are modules and caches: looking through them after every module takes a minute.
    gc.freeze()


def pytest_unconfigure() -> None:
    """Python cleans up at its end as it would without tests."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """A test that leaves a thread behind fails."""
    before = set(threading.enumerate())
    yield
    gc.collect(1)
    leaked = [t for t in threading.enumerate() if t not in before and t.is_alive()]
    for thread in leaked:
        thread.join(timeout=5)
    leaked = [t for t in leaked if t.is_alive()]
    assert not leaked, f"threads left behind: {leaked}"


@pytest.fixture(autouse=True)
def no_leaked_windows() -> Iterator[None]:
    """A test that leaves a window on the screen fails."""
    yield
    from PySide6.QtWidgets import QApplication

    application = QApplication.instance()
    if not isinstance(application, QApplication):
        return
    left = [window for window in application.topLevelWidgets() if window.isVisible()]
    for window in left:
        window.close()
    assert not left, f"windows left behind: {left}"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ToyModel:
    """A model the test controls, known beside the real ones."""
    from tests.models.toy_segmenter import ToyModel, register

    model = ToyModel()
    register(monkeypatch, model)
    return model


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server on this computer that no proxy stands before."""
    from tests.models.file_server import FileServer

    monkeypatch.delenv("http_proxy", raising=False)
    with FileServer() as server:
        yield server
