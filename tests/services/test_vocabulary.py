"""A project takes a whole vocabulary at once, and keeps it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from annotator.core import raster
from annotator.core.annotation import Annotation, Category
from annotator.core.errors import UserError
from annotator.core.formats.coco import read_coco
from annotator.core.vocabulary import TEMPLATES
from annotator.core.vocabulary_plan import NEW
from annotator.services.document import Document


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "a.png")
    return folder


@pytest.fixture
def document(qapp, folder):
    document = Document.open(folder)
    document.add_images(["a.png"])
    yield document
    document.close()


def reopened(document):
    document.close()
    return Document.open(document.folder)


def use(document, category, *, proposed=False):
    number = document.new_id()
    pixels = np.zeros((20, 30), bool)
    pixels[2:8, 3:9] = True
    made = Annotation(number, raster.from_array(pixels), category.id, proposed=proposed)
    document.edit("a.png", (*document.annotations("a.png"), made), "Add")


def changes(document):
    heard = []
    document.categories_changed.connect(lambda: heard.append(document.categories()))
    return heard


def test_one_step_adds_changes_orders_and_removes(document):
    dog, cat, bus = (document.add_category(name) for name in ("dog", "cat", "bus"))
    use(document, dog)
    heard = changes(document)
    wanted = (
        replace(bus, synonyms=("coach",)),
        Category(NEW, "  new\u0301 ", ""),
        replace(dog, name="hound", color="#123456", supercategory="animal"),
    )
    document.set_vocabulary(wanted, ("a {}",))
    assert len(heard) == 1
    (first, new, last) = document.categories()
    assert (first.id, first.synonyms) == (bus.id, ("coach",))
    assert (new.id, new.name) == (bus.id + 1, "neẃ")
    assert new.color not in {"", first.color, last.color}
    assert (last.id, last.name, last.supercategory) == (dog.id, "hound", "animal")
    assert document.templates() == ("a {}",)
    again = reopened(document)
    assert again.categories() == (first, new, last)
    assert again.templates() == ("a {}",)
    assert again.annotations("a.png")[0].category_id == dog.id
    assert again.add_category("cat") == cat, "it comes back with its id"
    again.close()


def test_a_new_class_with_the_name_of_a_removed_one_is_that_class(document):
    dog = document.add_category("dog", "#123456")
    use(document, dog)
    document.undo("a.png")
    document.set_vocabulary(())
    assert document.categories() == ()
    document.set_vocabulary((Category(NEW, "dog", "", synonyms=("puppy",)),))
    assert document.categories() == (replace(dog, synonyms=("puppy",)),)
    document.redo("a.png")
    assert len(document.categories()) == 1


@pytest.mark.parametrize("proposed", [False, True])
def test_a_class_in_use_cannot_be_left_out(document, proposed):
    dog, cat = document.add_category("dog"), document.add_category("cat")
    use(document, cat, proposed=proposed)
    heard = changes(document)
    with pytest.raises(UserError, match=r"1 (object|proposal) has the class “cat”"):
        document.set_vocabulary((dog,), ("b {}",))
    assert document.categories() == (dog, cat)
    assert document.templates() == TEMPLATES
    assert heard == []
    assert document.category_users(cat.id) == ("1 proposal" if proposed else "1 object")
    assert document.category_users(dog.id) == ""


def test_wrong_vocabularies_change_nothing(document):
    dog, cat = document.add_category("dog"), document.add_category("cat")
    for wanted, error in (
        ((dog, replace(cat, name="dog")), UserError),
        ((dog, cat, Category(NEW, " \u200f", "")), UserError),
        ((dog, dog), ValueError),
        ((dog, Category(99, "x", "")), ValueError),
    ):
        with pytest.raises(error):
            document.set_vocabulary(wanted)
        assert document.categories() == (dog, cat)


def test_names_are_the_same_however_their_accents_are_written(document):
    composed, apart = "caf\u00e9", "cafe\u0301"
    first = document.add_category(apart)
    assert first.name == composed
    assert document.add_category(composed) == first


def test_synonyms_reach_the_file_and_come_back(document, qtbot):
    dog = document.add_category("dog")
    document.set_vocabulary((replace(dog, synonyms=("puppy", "كلب", "🐶")),))
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    (entry,) = json.loads(document.coco_path.read_text())["categories"]
    assert entry["annotator"]["synonyms"] == ["puppy", "كلب", "🐶"]
    assert read_coco(document.coco_path).categories == document.categories()


def test_synonyms_of_a_file_join_the_project(document, tmp_path):
    path = tmp_path / "other.json"
    ours = {"color": "#010203", "synonyms": ["puppy", 3, " "]}
    categories = [{"id": 5, "name": "dog", "supercategory": "animal", "annotator": ours}]
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    document.import_coco(path)
    (dog,) = document.categories()
    assert (dog.name, dog.color, dog.supercategory) == ("dog", "#010203", "animal")
    assert dog.synonyms == ("puppy",)


def test_journals_from_before_synonyms_open(document):
    dog = document.add_category("dog")
    document.close()
    db = sqlite3.connect(document.project_dir / "journal.sqlite")
    (value,) = db.execute("SELECT value FROM categories").fetchone()
    assert "synonyms" not in json.loads(value), "written only where there are any"
    db.close()
    again = Document.open(document.folder)
    assert again.categories() == (dog,)
    again.close()


def test_twenty_thousand_classes_come_and_go(document):
    heard = changes(document)
    document.set_vocabulary([Category(NEW, f"class {i}", "") for i in range(20_000)])
    assert len(document.categories()) == 20_000
    assert document.flush(30)
    document.set_vocabulary(())
    assert document.flush(30)
    assert len(heard) == 2
    again = reopened(document)
    assert again.categories() == ()
    assert again.add_category("fresh").id == 20_001
    again.close()
