"""Where objects are, asked from another thread, with edits still on their way to the journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

from annotator.core.annotation import Annotation
from annotator.services import whereabouts
from annotator.services.document import Document
from annotator.services.whereabouts import Place
from models.api import Box

BOX = Box(1, 1, 5, 5)


@pytest.fixture
def document(tmp_path: Path, qtbot: QtBot) -> Iterator[Document]:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)
    document = Document.open(tmp_path)
    document.add_images(["a.png", "b.png"])
    yield document
    document.close()


def add(document: Document, key: str, category: int | None = None, proposed: bool = False) -> int:
    annotation = Annotation(document.new_id(), BOX, category, proposed=proposed)
    document.edit(key, (*document.annotations(key), annotation), "Add")
    return annotation.id


def on_a_thread(action):
    found = []
    thread = threading.Thread(target=lambda: found.append(action()))
    thread.start()
    thread.join(timeout=20)
    return found[0]


def test_edits_made_a_moment_ago_are_seen(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whereabouts, "CHUNK", 2)
    where = document.whereabouts()
    dog = document.add_category("dog").id
    first, second = add(document, "a.png", dog), add(document, "b.png", None, proposed=True)
    third = add(document, "b.png")
    gone = add(document, "a.png")
    document.undo("a.png")
    asked = [first, second, third, gone, 999]
    truth = {
        first: Place("a.png", dog, False),
        second: Place("b.png", None, True),
        third: Place("b.png", None, False),
    }
    assert on_a_thread(lambda: where.find(asked)) == truth
    renamed = replace(document.annotations("a.png")[0], category_id=None)
    document.edit("a.png", (renamed,), "Name")
    assert on_a_thread(lambda: where.find([first])) == {first: Place("a.png", None, False)}
    where.close()
    assert where.find([first]) == {}


def test_objects_nobody_has_looked_at(document: Document) -> None:
    where = document.whereabouts()
    first, second = add(document, "a.png"), add(document, "b.png")
    add(document, "b.png", proposed=True)
    document.set_vector(second, "one", np.ones(3, np.float32))
    assert on_a_thread(lambda: where.undescribed("one")) == [("a.png", first)]
    assert on_a_thread(lambda: where.undescribed("other")) == [("a.png", first), ("b.png", second)]
    where.close()


def test_every_vector_has_deleted_objects_and_proposals(document: Document) -> None:
    ids = [add(document, "a.png"), add(document, "a.png", proposed=True)]
    for place, number in enumerate(ids):
        document.set_vector(number, "s", np.full(3, place, np.float32))
    document.edit("a.png", (), "Delete")
    found, vectors = document.every_vector("s")
    assert found.tolist() == ids
    assert vectors.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert document.vectors("s")[0].size == 0
