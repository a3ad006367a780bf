"""Group steps: made in many images or to the classes, taken back as one, also after a restart."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from annotator.core.annotation import Annotation
from annotator.services.history_journal import DONE, UNDONE
from tests.services.test_document import add, document, folder, mask, opened  # noqa: F401

PROJECTS = Path(__file__).parent / "projects"


def finish(work):
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def decide(document, text="Accept everything", kind="accept"):  # noqa: F811
    """A group step with an object in every image."""
    group = document.history.begin(kind, text)
    for key in tuple(document.keys()):
        with document.history.inside(group):
            add(document, key)
    return group


def state_of(document):  # noqa: F811
    return {key: document.annotations(key) for key in document.keys()}, document.categories()  # noqa: SIM118


def test_a_group_step_is_taken_back_and_done_again_after_a_restart(opened, folder, document):  # noqa: F811
    add(document, "b.png")
    before = state_of(document)
    group = decide(document)
    after = state_of(document)
    document.close()
    again = opened(folder)
    row = again.history.newest()
    assert (row.id, row.kind, row.text) == (group, "accept", "Accept everything")
    result = finish(again.history.taking_back(group))
    assert (result.images, result.left) == (3, ())
    assert state_of(again) == before
    assert again.history.newest() is None
    again.close()
    third = opened(folder)
    assert third.history.newest_undone().id == group
    assert finish(third.history.doing_again(group)).images == 3
    assert state_of(third) == after
    assert third.history.newest().id == group


def test_images_with_newer_steps_are_left_and_named(document):  # noqa: F811
    group = decide(document)
    add(document, "b.png")
    document.undo("a.png")
    result = finish(document.history.taking_back(group))
    assert (result.images, result.left) == (1, ("b.png",)), "a.png was taken back by hand"
    assert len(document.annotations("b.png")) == 2
    assert "b.png" in result.text
    assert "1 image has newer steps" in result.text


def test_an_interrupted_taking_back_goes_on(opened, folder, document):  # noqa: F811
    before = state_of(document)
    group = decide(document)
    work = document.history.taking_back(group)
    next(work)
    work.close()
    document.close()
    again = opened(folder)
    assert again.history.newest().id == group
    assert finish(again.history.taking_back(group)).images == 2
    assert state_of(again) == before


def test_a_group_step_without_steps_is_never_written(opened, folder, document):  # noqa: F811
    document.history.begin("accept", "Nothing")
    document.close()
    assert list(opened(folder).history.groups()) == []


def test_the_window_takes_a_group_back_in_slices(qtbot, document):  # noqa: F811
    group = decide(document)
    with qtbot.waitSignal(document.history.finished) as told:
        document.history.take_back(group)
    assert told.args[0].images == 3
    assert told.args[0].group.state == UNDONE
    with qtbot.waitSignal(document.history.finished):
        document.history.do_again(group)
    assert document.history.newest().state == DONE


def test_changes_of_classes_are_steps_that_survive(opened, folder, document):  # noqa: F811
    cat = document.add_category("cat")
    dog = document.add_category("dog")
    first = document.categories()
    document.change_category(replace(cat, name="Cat"))
    document.move_category(dog.id, 0)
    document.remove_category(cat.id)
    document.close()
    again = opened(folder)
    texts = [row.text for row in again.history.groups()]
    assert texts == ["Add class cat", "Add class dog", "Rename cat to Cat", "Sort classes",
                     "Remove class Cat"]  # fmt: skip
    for _ in range(3):
        finish(again.history.taking_back(again.history.newest().id))
    assert again.categories() == first
    for _ in range(2):
        finish(again.history.taking_back(again.history.newest().id))
    assert again.categories() == ()
    while (row := again.history.newest_undone()) is not None:
        finish(again.history.doing_again(row.id))
    assert again.categories() == (dog,)


def test_a_class_in_use_stays_and_is_named(document):  # noqa: F811
    cat = document.add_category("cat")
    add(document, category=cat.id)
    result = finish(document.history.taking_back(document.history.newest().id))
    assert document.categories() == (cat,)
    assert "“cat” stays: it has 1 object." in result.text


def test_a_class_that_was_changed_since_stays(document):  # noqa: F811
    cat = document.add_category("cat")
    document.change_category(replace(cat, name="Cat"))
    renamed = document.history.newest().id
    document.change_category(replace(cat, name="tiger"))
    result = finish(document.history.taking_back(renamed))
    assert [c.name for c in document.categories()] == ["tiger"]
    assert result.classes


def test_a_removed_class_does_not_take_a_name_back_that_is_given(document):  # noqa: F811
    cat = document.add_category("cat")
    other = document.add_category("other")
    document.remove_category(cat.id)
    removed = document.history.newest().id
    document.change_category(replace(other, name="cat"))
    finish(document.history.taking_back(removed))
    assert [c.id for c in document.categories()] == [other.id]


@pytest.fixture
def old_project(tmp_path):
    folder = tmp_path / "old"  # noqa: F811
    (folder / ".annotator").mkdir(parents=True)
    journal = folder / ".annotator" / "journal.sqlite"
    with gzip.open(PROJECTS / "version2.sqlite.gz") as packed, journal.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return folder


def test_a_project_of_version_2_keeps_everything(opened, old_project):  # noqa: F811
    document = opened(old_project)  # noqa: F811
    assert [a.id for a in document.annotations("a.png")] == [1, 4]
    assert (document.undo_text("a.png"), document.redo_text("a.png")) == ("Add 4", "Add 5")
    assert document.record("b.png").reviewed
    assert document.vectors("space")[0].tolist() == [1]
    assert [c.name for c in document.categories()] == ["cat", "dog", "bird"]
    document.redo("a.png")
    assert len(document.annotations("a.png")) == 3
    row = document.history.newest()
    assert (row.kind, row.text) == ("import", "Import more.json")
    assert finish(document.history.taking_back(row.id)).images == 1
    assert document.annotations("sub/a.png") == ()
    assert [c.name for c in document.categories()] == ["cat", "dog"]
    document.edit("a.png", (Annotation(document.new_id(), mask()),), "New")
    document.close()
    again = opened(old_project)
    assert len(again.annotations("a.png")) == 1
    assert [again.undo("a.png") for _ in range(5)] == ["New", "Add 5", "Add 4", "Add 1", None]
