from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from annotator.services.garbage import GarbageCollector


@pytest.fixture
def collector(qtbot: QtBot) -> Iterator[GarbageCollector]:
    gc.enable()
    made = GarbageCollector()
    made.start()
    assert not gc.isenabled()
    yield made
    made.stop()
    assert gc.isenabled()
    gc.disable()


class Cycle(QObject):
    """A QObject only the cyclic collector can free; remembers which thread did."""

    freed_on: list[int] = []  # noqa: RUF012 - shared on purpose

    def __init__(self) -> None:
        super().__init__()
        self.me = self

    def __del__(self) -> None:
        Cycle.freed_on.append(threading.get_ident())


def test_qobjects_in_cycles_die_on_the_gui_thread(
    qtbot: QtBot, collector: GarbageCollector
) -> None:
    Cycle.freed_on.clear()
    for _ in range(20):
        Cycle()
    done = threading.Event()

    def allocate() -> None:
        for _ in range(50_000):
            [[], []].append([])
        done.set()

    worker = threading.Thread(target=allocate)
    worker.start()
    worker.join()
    assert Cycle.freed_on == []
    for _ in range(5000):
        _ = [[]]
    keep = [[] for _ in range(2000)]
    collector.check()
    qtbot.waitUntil(lambda: len(Cycle.freed_on) == 20)
    assert set(Cycle.freed_on) == {threading.get_ident()}
    assert keep
