"""What a model proposed and nobody accepted: where it counts, and how it is decided."""

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageState, Origin, Source
from annotator.core.errors import UserError
from annotator.services import journal
from annotator.services.document import DamagedJournal, Document
from models.api import Box, Prompt

WIDTH, HEIGHT = 24, 16
PROMPT = Prompt((), Box(1, 2, 9, 8))


@pytest.fixture
def folder(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        pixels = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def opened(qapp):
    documents = []

    def open_document(folder):
        documents.append(Document.open(folder))
        return documents[-1]

    yield open_document
    for document in documents:
        document.close()


@pytest.fixture
def document(opened, folder):
    document = opened(folder)
    document.add_images(["a.png", "b.png", "c.png"])
    return document


def mask(x=2, y=3, w=5, h=4):
    image = np.zeros((HEIGHT, WIDTH), bool)
    image[y : y + h, x : x + w] = True
    return raster.from_array(image)


def propose(document, key="a.png", category=None, score=0.5, stability=0.9, **place):
    """One more proposal; its id."""
    origin = Origin(Source.MODEL, "edgesam", "3x", score, PROMPT, stability)
    number = document.new_id()
    annotation = Annotation(number, mask(**place), category, origin, proposed=True)
    document.edit(key, (*document.annotations(key), annotation), f"Propose {number}")
    return number


def add(document, key="a.png", category=None, **place):
    """One more annotation of a person; its id."""
    number = document.new_id()
    annotation = Annotation(number, mask(**place), category)
    document.edit(key, (*document.annotations(key), annotation), f"Add {number}")
    return number


def coco_file(qtbot, document):
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    return json.loads(document.coco_path.read_text())


def counts(document, key="a.png"):
    record = document.record(key)
    return record.count, record.proposals


# --- Where proposals count ---


def test_proposals_are_counted_apart(opened, folder, document):
    cat = document.add_category("cat")
    first = propose(document, category=cat.id)
    propose(document)
    assert counts(document) == (0, 2)
    assert document.record("a.png").state is ImageState.PROPOSALS
    assert document.category_usage() == {cat.id: 0}
    add(document, category=cat.id)
    assert counts(document) == (1, 2)
    assert document.record("a.png").state is ImageState.ANNOTATED
    assert document.category_usage() == {cat.id: 1}
    before = document.annotations("a.png")
    document.close()
    again = opened(folder)
    assert counts(again) == (1, 2)
    assert again.annotations("a.png") == before
    assert again.annotations("a.png")[0].origin.stability == 0.9
    assert again.category_usage() == {cat.id: 1}
    accepted = tuple(replace(a, proposed=False) if a.id == first else a for a in before)
    again.edit("a.png", accepted, "Accept")
    assert counts(again) == (2, 1)
    assert again.category_usage() == {cat.id: 2}
    again.undo("a.png")
    assert counts(again) == (1, 2)
    assert again.category_usage() == {cat.id: 1}


def test_a_class_that_only_proposals_have_is_not_removed(opened, folder, document):
    cat = document.add_category("cat")
    propose(document, category=cat.id)
    with pytest.raises(UserError, match="1 proposal has the class “cat”"):
        document.remove_category(cat.id)
    document.close()
    again = opened(folder)
    with pytest.raises(UserError, match="1 proposal has the class “cat”"):
        again.remove_category(cat.id)
    again.undo("a.png")
    again.remove_category(cat.id)
    assert again.categories() == ()


def test_names_are_not_learnt_from_proposals(opened, folder, document):
    cat = document.add_category("cat")
    number = propose(document, category=cat.id)
    document.set_vector(number, "space", np.ones(4, np.float32))
    assert document.vectors("space")[0].size == 0
    document.close()
    again = opened(folder)
    assert again.vectors("space")[0].size == 0
    again.set_vector(number, "other", np.ones(4, np.float32))
    assert again.vectors("other")[0].size == 0
    state = again.annotations("a.png")
    again.edit("a.png", (replace(state[0], proposed=False),), "Accept")
    assert again.vectors("space")[1].tolist() == [cat.id]


def test_no_proposal_reaches_the_coco_file_and_what_is_accepted_says_where_it_is_from(
    qtbot, document
):
    cat = document.add_category("cat")
    number = propose(document, category=cat.id, score=0.75)
    propose(document, "b.png")
    content = coco_file(qtbot, document)
    assert content["annotations"] == []
    assert [entry["name"] for entry in content["categories"]] == ["cat"], "no “unnamed” either"
    (proposal,) = document.annotations("a.png")
    document.edit("a.png", (replace(proposal, proposed=False),), "Accept")
    (entry,) = coco_file(qtbot, document)["annotations"]
    assert entry["id"] == number
    assert entry["annotator"]["origin"] == {
        "source": "model",
        "model": "edgesam",
        "version": "3x",
        "score": 0.75,
        "stability": 0.9,
        "prompt": {"points": [], "box": [1.0, 2.0, 9.0, 8.0]},
    }
    assert "proposed" not in json.dumps(entry)
    document.undo("a.png")
    assert coco_file(qtbot, document)["annotations"] == []


def make_old(document):
    """The journal as version 1 of the program wrote it."""
    db = sqlite3.connect(document.project_dir / "journal.sqlite")
    db.executescript(
        "DROP INDEX annotations_proposed; ALTER TABLE annotations DROP COLUMN proposed;"
        "PRAGMA user_version=1;"
    )
    db.close()


def test_old_journals_hold_no_proposals_and_take_some(opened, folder, document):
    cat = document.add_category("cat")
    add(document, category=cat.id)
    document.close()
    make_old(document)
    again = opened(folder)
    assert [a.proposed for a in again.annotations("a.png")] == [False]
    propose(again, category=cat.id)
    assert counts(again) == (1, 1)
    again.close()
    db = sqlite3.connect(again.project_dir / "journal.sqlite")
    assert db.execute("PRAGMA user_version").fetchone() == (journal.VERSION,)
    db.close()
    third = opened(folder)
    assert counts(third) == (1, 1)
    assert third.category_usage() == {cat.id: 1}


@pytest.mark.parametrize("is_old", [False, True])
def test_proposals_come_through_the_recovery_of_a_journal(folder, document, is_old):
    cat = document.add_category("cat")
    add(document, category=cat.id)
    if not is_old:
        propose(document, category=cat.id)
    expected = document.annotations("a.png")
    document.close()
    if is_old:
        make_old(document)
    path = document.project_dir / "journal.sqlite"
    db = sqlite3.connect(path)
    db.execute("PRAGMA application_id=7")
    db.close()
    with pytest.raises(DamagedJournal):
        Document.open(folder)
    recovered = Document.recover(folder)
    assert recovered.annotations("a.png") == expected
    assert counts(recovered) == (1, 0 if is_old else 1)
    recovered.close()


def test_an_import_is_not_held_back_by_a_proposal(qtbot, document, tmp_path):
    add(document)
    coco_file(qtbot, document)
    other = tmp_path / "other.json"
    other.write_bytes(document.coco_path.read_bytes())
    document.undo("a.png")
    propose(document)
    assert document.import_coco(other) == "Imported 1 object in 1 image."
    assert counts(document) == (1, 1)
