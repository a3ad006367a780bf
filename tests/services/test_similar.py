"""Finding and naming similar objects: real documents, real threads, a toy model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.services import similar as module
from annotator.services.document import Document
from annotator.services.looks import Looks
from annotator.services.settings import SettingsStore
from annotator.services.similar import Similar
from annotator.services.similar_search import SimilarSearch
from annotator.services.workspace import Workspace
from tests.models.toy_segmenter import ToyModel
from tests.services.test_everything import (
    DISKS,
    PATIENCE,
    accept_disk,
    centres,
    document,
    is_shown,
    run,
    write_scene,
)

KEYS = ("a.png", "b.png", "c.png", "d.png")


class Desk:
    """All that belongs together."""

    def __init__(self, qtbot: QtBot, folder: Path) -> None:
        self.bot = qtbot
        self.settings = SettingsStore(folder.parent / "settings.ini")
        self.settings.update(model="toy", propose_area=200)
        self.workspace = Workspace(self.settings)
        self.looks = Looks(self.workspace)
        self.search = SimilarSearch(self.workspace, self.looks)
        self.similar = Similar(self.workspace, self.settings, self.looks, self.search)
        self.workspace.open_folder(folder)
        self.until(lambda: is_shown(self.workspace, "a.png"))
        self.until(lambda: len(self.document.keys()) == len(KEYS))

    @property
    def document(self) -> Document:
        return document(self.workspace)

    def until(self, condition) -> None:
        self.bot.waitUntil(condition, timeout=PATIENCE)

    def ask(self, annotation: Annotation) -> None:
        """Find what is similar to it."""
        self.workspace.select([annotation.id])
        self.similar.ask()
        self.settle()

    def settle(self) -> None:
        self.until(
            lambda: (
                not self.similar.working
                and not self.similar._wait.isActive()
                and (not self.similar.unseen or self.similar._vector() is not None)
            )
        )

    def proposals(self, key: str) -> tuple[Annotation, ...]:
        return tuple(a for a in self.document.annotations(key) if a.proposed)

    def close(self) -> None:
        self.workspace.close()
        self.looks.close()


@pytest.fixture
def desk(qtbot: QtBot, toy: ToyModel, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in KEYS:
        write_scene(folder / name)
    desk = Desk(qtbot, folder)
    yield desk
    desk.close()


def twin(annotation: Annotation, proposals) -> Annotation:
    """The proposal that is the other grey disk."""
    (found,) = [p for p in proposals if centres((p,)) == {DISKS[2][:2]}]
    return found


def test_proposals_and_other_names_are_ranked_and_named_as_one_decision(
    qtbot: QtBot, desk: Desk
) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    blue = accept_disk(qtbot, desk.workspace, 1, "ball")
    run(qtbot, desk.workspace)
    desk.workspace.show("b.png")
    desk.until(lambda: is_shown(desk.workspace, "b.png"))
    run(qtbot, desk.workspace)
    desk.workspace.show("a.png")
    desk.ask(grey)
    hits = desk.similar.hits
    # The other grey disk here, and both of the other image; the blue one is another matter.
    assert [hit.key for hit in hits].count("b.png") == 2
    assert len(hits) == 3
    assert [h.similarity for h in hits] == sorted((h.similarity for h in hits), reverse=True)
    assert all(hit.proposed for hit in hits)
    assert hits[0].similarity > 0.99
    desk.similar.set_at_least(0.0)
    desk.settle()
    assert {grey.id} & {h.id for h in desk.similar.hits} == set()
    assert blue.id in [h.id for h in desk.similar.hits], "it has another name"
    desk.similar.set_at_least(0.8)
    desk.settle()
    with qtbot.waitSignal(desk.workspace.proposals.finished, timeout=PATIENCE) as done:
        desk.similar.name([hit.id for hit in hits[:3]])
    assert done.args is not None
    assert done.args[0].text == "Named 3 objects “coin” in 2 images."
    named = [a for key in ("a.png", "b.png") for a in desk.document.annotations(key)
             if a.category_id == grey.category_id and not a.proposed]  # fmt: skip
    assert len(named) == 4
    desk.settle()
    assert desk.similar.hits == (), "they have the name now"
    # One press takes all of it back.
    desk.workspace.proposals.take_back()
    desk.until(lambda: len(desk.proposals("b.png")) == 3)
    desk.until(lambda: len(desk.similar.hits) == 3)


def test_one_image_is_one_step(qtbot: QtBot, desk: Desk) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    run(qtbot, desk.workspace)
    desk.ask(grey)
    (hit,) = desk.similar.hits
    desk.similar.name([hit.id])
    assert desk.document.undo_text("a.png") == "Name coin"
    desk.workspace.undo()
    assert hit.id in [a.id for a in desk.proposals("a.png")]


def test_deleted_and_locked_objects_are_left_out_and_alone(qtbot: QtBot, desk: Desk) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    other = accept_disk(qtbot, desk.workspace, 2, "plate")
    desk.ask(grey)
    assert [hit.id for hit in desk.similar.hits] == [other.id]
    desk.workspace.set_flag([other.id], "locked", True)
    desk.similar.name([other.id])
    kept = next(a for a in desk.workspace.annotations if a.id == other.id)
    assert kept.category_id == other.category_id
    assert desk.document.undo_text("a.png") == "Lock"
    desk.document.edit("a.png", (grey,), "Delete")
    desk.until(lambda: desk.similar.hits == ())


def test_a_search_without_a_name(qtbot: QtBot, desk: Desk) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    run(qtbot, desk.workspace)
    desk.workspace.select([grey.id])
    desk.workspace.change("Forget", lambda a: Annotation(a.id, a.shape, None, a.origin))
    desk.ask(grey)
    (hit,) = desk.similar.hits
    with pytest.raises(UserError, match="no name"):
        desk.similar.name([hit.id])
    # As soon as it has one, it is handed on.
    desk.workspace.rename_selected(desk.document.add_category("coin").id)
    desk.settle()
    desk.similar.name([hit.id])
    assert not any(a.id == hit.id for a in desk.proposals("a.png"))


def test_what_nobody_has_looked_at_is_looked_at(qtbot: QtBot, desk: Desk) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    # As an imported object is: without a vector.
    fresh = Annotation(desk.document.new_id(), grey.shape, None)
    desk.document.edit("b.png", (fresh,), "Import")
    desk.workspace.show("b.png")
    desk.workspace.select([fresh.id])
    desk.similar.ask()
    desk.until(lambda: bool(desk.similar.hits))
    (hit,) = desk.similar.hits
    assert hit.id == grey.id
    assert hit.similarity == pytest.approx(1, abs=1e-5)


def test_exactly_one_object_has_to_be_selected(desk: Desk) -> None:
    with pytest.raises(UserError, match="one selected object"):
        desk.similar.ask()
    assert desk.similar.query is None


def test_the_limit_widens_until_those_that_are_there_are_found(
    qtbot: QtBot, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted objects that look the same do not push out those there are."""
    monkeypatch.setattr(module, "LIMIT", 1)
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    other = accept_disk(qtbot, desk.workspace, 2, "plate")
    vector = desk.document.vector(grey.id, desk.looks.space)
    assert vector is not None
    gone = [Annotation(desk.document.new_id(), grey.shape) for _ in range(9)]
    desk.document.edit("b.png", gone, "Add")
    for annotation in gone:
        desk.document.set_vector(annotation.id, desk.looks.space, vector)
    desk.document.edit("b.png", (), "Delete")
    desk.ask(grey)
    assert [hit.id for hit in desk.similar.hits] == [other.id]


# --- Objects nobody has marked ---


def search(qtbot: QtBot, desk: Desk, keys) -> str:
    with qtbot.waitSignal(desk.search.finished, timeout=PATIENCE) as finished:
        desk.similar.look_in(keys)
    assert not desk.search.running
    assert desk.workspace.everything.key is None
    return str(finished.args[0])


def test_a_folder_is_searched_and_what_is_similar_is_proposed_with_the_name(
    qtbot: QtBot, desk: Desk
) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    desk.document.set_reviewed("c.png", True)
    (desk.document.folder / "d.png").write_bytes(b"no image")
    told: list[object] = []
    desk.workspace.everything.finished.connect(lambda *args: told.append(args))
    desk.ask(grey)
    text = search(qtbot, desk, KEYS)
    assert text == (
        "Found 3 similar objects in 2 of 3 images. 1 could not be read. 1 reviewed left alone."
    )
    assert told == [], "it tells by itself how far it is"
    (here,) = desk.proposals("a.png")
    assert centres((here,)) == {DISKS[2][:2]}
    there = desk.proposals("b.png")
    assert centres(there) == {DISKS[0][:2], DISKS[2][:2]}
    for found in (here, *there):
        assert found.category_id == grey.category_id
        assert found.origin.model == "toy"
        assert found.origin.prompt is not None
    assert desk.document.annotations("c.png") == desk.document.annotations("d.png") == ()
    assert desk.document.undo_text("b.png") == "Find similar: 2 objects"
    # They are in the list now, and once more finds nothing new.
    desk.until(lambda: len(desk.similar.hits) == 3)
    assert search(qtbot, desk, ["a.png", "b.png"]) == "Found 0 similar objects in 0 of 2 images."
    assert len(desk.proposals("b.png")) == 2


def test_other_proposals_stay_and_unnamed_ones_of_the_same_object_give_way(
    qtbot: QtBot, desk: Desk
) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    desk.document.set_note("least_similarity", 0.8)
    run(qtbot, desk.workspace)
    before = desk.proposals("a.png")
    assert centres(before) == {DISKS[1][:2], DISKS[2][:2]}
    without = [Annotation(a.id, a.shape, None, a.origin, proposed=True) for a in before]
    desk.document.edit("a.png", (grey, *without), "Forget names")
    desk.ask(grey)
    assert search(qtbot, desk, ["a.png"]) == "Found 1 similar object in 1 of 1 image."
    after = desk.proposals("a.png")
    assert centres(after) == centres(before)
    assert {a.category_id for a in after} == {None, grey.category_id}
    assert without[0] in after or without[1] in after


def test_it_waits_for_the_persons_own_search_and_can_be_stopped(
    qtbot: QtBot, desk: Desk, toy: ToyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.everything.MOST_PROMPTS", 1)
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    desk.ask(grey)
    desk.workspace.propose_everything()
    with qtbot.waitSignal(desk.workspace.everything.finished, timeout=PATIENCE):
        desk.similar.look_in(KEYS)
        with pytest.raises(UserError, match="already"):
            desk.similar.look_in(KEYS)
    desk.until(lambda: desk.workspace.everything.key == "a.png")
    with qtbot.waitSignal(desk.search.finished, timeout=PATIENCE) as finished:
        desk.search.stop()
    assert finished.args == ["Stopped. Found 0 similar objects in 0 of 0 images."]
    assert desk.workspace.everything.key is None
    assert not desk.search.running


def test_closing_the_project_or_another_model_ends_it(qtbot: QtBot, desk: Desk) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    desk.ask(grey)
    desk.similar.look_in(KEYS)
    desk.settings.update(model="basic")
    assert not desk.search.running
    desk.similar.look_in(KEYS)
    desk.workspace.close_project()
    assert not desk.search.running
    assert desk.similar.query is None
    assert desk.similar.hits == ()


def test_another_image_on_the_screen_does_not_end_it(
    qtbot: QtBot, desk: Desk, toy: ToyModel
) -> None:
    """Also with a model that is encoded beforehand on another thread."""
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    desk.ask(grey)
    with qtbot.waitSignal(desk.search.finished, timeout=PATIENCE):
        desk.similar.look_in(KEYS)
        for key in ("b.png", "c.png", "d.png"):
            desk.workspace.show(key)
            desk.until(lambda k=key: is_shown(desk.workspace, k))
    assert [len(desk.proposals(key)) for key in KEYS] == [1, 2, 2, 2]


def test_objects_nobody_has_looked_at_are_looked_at_image_after_image(
    qtbot: QtBot, desk: Desk
) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    category = grey.category_id
    made = []
    for key in KEYS[1:]:
        made += [Annotation(desk.document.new_id(), grey.shape, category) for _ in range(2)]
        desk.document.edit(key, made[-2:], "Import")
    (desk.document.folder / "d.png").write_bytes(b"no image")
    steps: list[tuple[int, int]] = []
    desk.looks.progressed.connect(lambda done, total: steps.append((done, total)))
    desk.looks.describe_all()
    desk.until(lambda: not desk.looks.describing)
    assert steps == [(0, 6), (2, 6), (4, 6), (6, 6), (0, 0)]
    ids, _, vectors = desk.document.vectors(desk.looks.space)
    assert set(ids.tolist()) == {grey.id, *(a.id for a in made[:4])}
    assert np.allclose(vectors, vectors[0], atol=1e-5)


def test_an_object_nobody_has_looked_at_is_looked_at_before_the_search(
    qtbot: QtBot, desk: Desk
) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    fresh = Annotation(desk.document.new_id(), grey.shape, grey.category_id)
    desk.document.edit("a.png", (fresh,), "Import")
    desk.workspace.select([fresh.id])
    desk.similar.ask()
    assert desk.similar.unseen
    search(qtbot, desk, ["b.png"])
    assert centres(desk.proposals("b.png")) == {DISKS[0][:2], DISKS[2][:2]}


def test_why_an_object_cannot_be_looked_at_is_told(qtbot: QtBot, desk: Desk) -> None:
    grey = accept_disk(qtbot, desk.workspace, 0, "coin")
    fresh = Annotation(desk.document.new_id(), grey.shape)
    desk.document.edit("a.png", (fresh,), "Import")
    (desk.document.folder / "a.png").write_bytes(b"no image")
    desk.workspace.select([fresh.id])
    with qtbot.waitSignal(desk.workspace.reported, timeout=PATIENCE) as told:
        desk.similar.ask()
    assert told.args is not None
    assert "cannot be looked at" in told.args[0].message
    assert desk.similar.hits == ()
