"""Any sequence of edits, batch steps and changes of classes, undone completely, leaves nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QEventLoop

from annotator.core import raster
from annotator.core.annotation import Annotation, Status
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.services import history_journal, operations
from annotator.services.class_merging import ClassMerging
from annotator.services.document import Document
from annotator.services.history_steps import Past
from tests.core.strategies import masks
from tests.services.test_document import add
from tests.services.test_project_history import finish, state_of

KEYS = ("a.png", "b.png", "c.png")

actions = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "add",
                "paint",
                "delete",
                "raise",
                "batch",
                "class",
                "rename",
                "sort",
                "remove",
                "merge",
                "import",
                "judge",
                "undo",
                "back and again",
            ]
        ),
        st.sampled_from(KEYS),
        masks(),
        st.integers(0, 5),
    ),
    max_size=16,
)


def act(document: Document, action: str, key: str, shape: Any, number: int) -> None:
    """One thing a person does."""
    state, classes = document.annotations(key), document.categories()
    name = classes[number % len(classes)].id if classes and number else None
    if action == "add":
        document.edit(key, (*state, Annotation(document.new_id(), shape, name)), "Add")
    elif action == "batch":
        group = document.history.begin("accept", "Batch")
        for other in KEYS:
            with document.history.inside(group):
                act(document, "add", other, shape, number)
    elif action == "class":
        document.add_category(f"class {number}")
    elif action == "rename" and classes:
        chosen = classes[number % len(classes)]
        document.change_category(replace(chosen, supercategory=f"group {number}"))
    elif action == "sort" and classes:
        document.move_category(classes[number % len(classes)].id, 0)
    elif action == "merge" and len(classes) > 1:
        merge(document, classes[number % len(classes)].id, classes[number % len(classes) - 1].id)
    elif action == "import":
        bring(document, key, shape, number)
    elif action == "undo":
        document.undo(key)
    elif action == "back and again" and (group := document.history.newest()) is not None:
        take_back_and_do_again(document, group.id)
    elif action == "judge":
        status = list(Status)[number % len(Status)]
        judged = tuple(replace(a, status=status, comment=f"{number}") for a in state)
        document.edit(key, judged, "Status")
    elif action == "remove" and classes:
        chosen = classes[number % len(classes)]
        if not document.category_users(chosen.id):
            document.remove_category(chosen.id)
    elif state and action in ("paint", "delete", "raise"):
        place = number % len(state)
        rest = (*state[:place], *state[place + 1 :])
        painted = replace(state[place], shape=shape)
        after = {
            "paint": (*state[:place], painted, *state[place + 1 :]),
            "delete": rest,
            "raise": (*rest, state[place]),
        }[action]
        document.edit(key, after, action)


def merge(document: Document, old: int, new: int) -> None:
    """As in the window, with its thread."""
    merging, ended = ClassMerging(document), list[object]()
    merging.finished.connect(ended.append)
    merging.failed.connect(ended.append)
    merging.merge(old, new)
    deadline = time.monotonic() + 20
    while not ended and time.monotonic() < deadline:
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 50)
    assert len(ended) == 1
    assert isinstance(ended[0], int)
    merging.close()


def bring(document: Document, key: str, shape: Mask, number: int) -> None:
    """An import of one object with a class that may be new."""
    width, height = shape.width, shape.height
    entry = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": raster.area(shape),
             "bbox": [0, 0, width, height], "segmentation": shape.to_coco()}  # fmt: skip
    image = {"id": 1, "file_name": key, "width": width, "height": height}
    name = {"id": 1, "name": f"foreign {number}"}
    value = {"images": [image], "annotations": [entry], "categories": [name]}
    path = document.folder / "foreign.json"
    path.write_text(json.dumps(value))
    document.import_coco(path)


def take_back_and_do_again(document: Document, group: int) -> None:
    """Where nothing newer is in the way, the state is the same afterwards."""
    before = state_of(document)
    back = finish(document.history.taking_back(group))
    again = finish(document.history.doing_again(group))
    # What an image alone had undone of it before is done again, too.
    was_whole = back.images == again.images
    if was_whole and not (back.left or again.left or again.classes):
        assert state_of(document) == before


def undo_newest(document: Document) -> bool:
    """Take back what was done last, in an image or as a group; False if there is nothing."""
    group = document.history.newest()
    steps = {document.last_step(key): key for key in KEYS}
    # Of a group, the newest step counts: it was begun before its steps.
    newest = max(steps)
    if group is not None and (newest < group.id or part_of(document, newest) == group.id):
        result = finish(document.history.taking_back(group.id))
        assert not result.left
        return True
    if not newest:
        return False
    document.undo(steps[newest])
    return True


def part_of(document: Document, step: int) -> int:
    document.flush()
    db = document.reader().connection()
    row = db.execute("SELECT part FROM steps WHERE id=?", (step,)).fetchone()
    db.close()
    return int(row[0]) if row else 0


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions, st.booleans())
def test_undone_completely_is_the_first_state(
    tmp_path_factory: pytest.TempPathFactory, qapp: object, sequence: list[Any], reopen: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    document = Document.open(folder)
    document.add_images(KEYS)
    document.add_category("first")
    document.add_category("second")
    base = document.history.newest()
    assert base is not None
    first = state_of(document)
    for action in sequence:
        act(document, *action)
    last = state_of(document)
    if reopen:
        document.close()
        document = Document.open(folder)
        assert state_of(document) == last
    while (group := document.history.newest()) is not None and (
        group.id > base.id or any(map(document.last_step, KEYS))
    ):
        assert undo_newest(document)
    assert state_of(document) == first
    document.close()
    document = Document.open(folder)
    assert state_of(document) == first
    # Everything is still there.
    db = document.reader().connection()
    for key in KEYS:
        past = Past(db, key, document.record(key).id)
        for row in past.rows:
            past.state(row.id)
    document.close()


lines = st.lists(
    st.tuples(
        st.sampled_from(["edit", "edit", "undo", "redo", "jump"]), st.integers(0, 20), masks()
    ),
    max_size=20,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines)
def test_every_state_there_ever_was_can_be_reached(
    tmp_path_factory: pytest.TempPathFactory, qapp: object, sequence: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    document = Document.open(folder)
    document.add_images(KEYS)
    key = "a.png"
    states = {0: document.annotations(key)}
    ids = [document.new_id() for _ in range(4)]
    for action, number, shape in sequence:
        if action == "edit":
            other = Annotation(ids[number % 4], shape)
            kept = tuple(a for a in document.annotations(key) if a.id != other.id)
            step = document.edit(key, (*kept, other), "Edit")
            states[step or document.last_step(key)] = document.annotations(key)
        elif action == "jump":
            document.flush()
            past = Past(document.reader().connection(), key, document.record(key).id)
            chosen = sorted(states)[number % len(states)]
            target = past.target(chosen)
            assert target.annotations == states[chosen]
            document.jump(key, target.annotations, target.done, target.undone)
        else:
            getattr(document, action)(key)
        assert document.annotations(key) == states[document.last_step(key)]
    last = document.annotations(key), document.undo_text(key), document.redo_text(key)
    document.close()
    document = Document.open(folder)
    assert (document.annotations(key), document.undo_text(key), document.redo_text(key)) == last
    past = Past(document.reader().connection(), key, document.record(key).id)
    assert {row.id for row in past.rows} == states.keys() - {0}
    for step, state in states.items():
        assert past.state(step) == state
    document.close()


def test_a_clock_that_jumps_changes_no_order(
    tmp_path: Path, qapp: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([5e9, 10.0, 4e9, -5.0, 3e9, 20.0, 1e9, 1.0] * 4)
    monkeypatch.setattr(operations.time, "time", lambda: next(times))
    monkeypatch.setattr(history_journal.time, "time", lambda: next(times))
    document = Document.open(tmp_path)
    document.add_images(["a.png"])
    shapes = []
    for place in range(5):
        add(document, x=place)
        shapes.append(document.annotations("a.png"))
    document.close()
    document = Document.open(tmp_path)
    for state in reversed(shapes[:-1]):
        document.undo("a.png")
        assert document.annotations("a.png") == state
    document.close()


class Gone:
    """A connection whose files are on a share that went away."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self.is_away = db, False

    def execute(self, *arguments: Any) -> Any:
        if self.is_away:
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def test_a_share_that_goes_away_loses_no_group_step(qtbot: Any, tmp_path: Path) -> None:
    document = Document.open(tmp_path)
    document.add_images(KEYS)
    document.flush()
    share = Gone(document._saving.store._db)
    document._saving.store._db = share  # type: ignore[assignment]
    share.is_away = True
    group = document.history.begin("accept", "Batch")

    for key in KEYS:
        with document.history.inside(group):
            add(document, key)
    document.add_category("cat")
    qtbot.waitUntil(lambda: document.save_state.error is not None)
    assert document.save_state.pending == 4
    assert finish(document.history.taking_back(group)).images == 3, "work goes on in memory"
    assert finish(document.history.doing_again(group)).images == 3
    share.is_away = False
    qtbot.waitUntil(lambda: document.save_state.pending == 0, timeout=10_000)
    expected = state_of(document)
    document.close()
    document = Document.open(tmp_path)
    assert state_of(document) == expected
    row = document.history.newest("accept")
    assert row is not None
    assert finish(document.history.taking_back(row.id)).images == 3
    document.close()


def test_a_step_that_does_not_fit_is_told(tmp_path: Path, qapp: object) -> None:
    document = Document.open(tmp_path)
    document.add_images(["a.png"])

    add(document)
    add(document)
    document.close()
    db = sqlite3.connect(tmp_path / ".annotator" / "journal.sqlite")
    db.execute("UPDATE steps SET parent = 77 WHERE id = (SELECT max(id) FROM steps)")
    db.commit()
    db.close()
    document = Document.open(tmp_path)
    past = Past(document.reader().connection(), "a.png", document.record("a.png").id)
    with pytest.raises(UserError, match="trimmed"):
        past.state(past.rows[0].id)
    document.close()
