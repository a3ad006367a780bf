"""What a model proposed and nobody accepted: where it counts, and how it is decided."""

import json
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageState, Origin, Source, Status
from annotator.core.errors import UserError
from annotator.core.proposals import ProposalFilter
from annotator.services import journal
from annotator.services.document import DamagedJournal, Document
from annotator.services.workspace import Workspace
from models.api import Box, Prompt
from models.describe import BasicDescriber
from tests.preferences import quick

WIDTH, HEIGHT = 24, 16
KEYS = ("a.png", "b.png", "c.png")
PROMPT = Prompt((), Box(1, 2, 9, 8))


@pytest.fixture
def folder(tmp_path):
    for name in KEYS:
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
    document.add_images(KEYS)
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
        "ALTER TABLE images DROP COLUMN comment; DROP TABLE parts;"
        "DROP TABLE class_steps; DROP INDEX steps_part;"
        "ALTER TABLE steps DROP COLUMN parent; ALTER TABLE steps DROP COLUMN part;"
        "ALTER TABLE steps DROP COLUMN origin;"
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


# --- Decisions ---


@pytest.fixture
def workspace(folder, tmp_path, qtbot):
    workspace = Workspace(quick(tmp_path))
    workspace.open_folder(folder)
    qtbot.waitUntil(lambda: workspace.image is not None and workspace.image.complete)
    qtbot.waitUntil(lambda: len(workspace.document.keys()) == 3)
    yield workspace
    workspace.close()


def open_ids(workspace, key="a.png"):
    return [a.id for a in workspace.document.annotations(key) if a.proposed]


def test_accepting_keeps_everything_but_the_mark_and_is_one_step(workspace):
    document = workspace.document
    cat = document.add_category("cat")
    add(document, x=12)
    first = propose(document, category=cat.id)
    second = propose(document, x=9)
    before = document.annotations("a.png")
    workspace.proposals.decide([first], accept=True)
    after = document.annotations("a.png")
    assert after == (before[0], replace(before[1], proposed=False), before[2])
    assert document.undo_text("a.png") == "Accept cat"
    workspace.proposals.decide([first, second, 999], accept=False)
    assert document.annotations("a.png") == after[:2], "what is accepted is not rejected any more"
    assert document.undo_text("a.png") == "Reject proposal"
    workspace.undo()
    workspace.undo()
    assert document.annotations("a.png") == before


def test_deciding_on_nothing_is_no_step(workspace):
    add(workspace.document)
    step = workspace.document.last_step("a.png")
    workspace.proposals.decide_shown(accept=True)
    workspace.proposals.decide([1], accept=False)
    assert workspace.document.last_step("a.png") == step


def test_what_the_filter_holds_back_is_not_decided_on(workspace, qtbot):
    document, proposals = workspace.document, workspace.proposals
    weak, strong = propose(document, score=0.3), propose(document, x=12, score=0.9)
    workspace.select([weak, strong])
    state = document.annotations("a.png")
    with qtbot.waitSignal(proposals.filter_changed):
        proposals.set_filter(ProposalFilter(score=0.5))
    assert document.annotations("a.png") is state, "looking changes nothing"
    assert [a.id for a in workspace.visible] == [strong]
    assert workspace.selection == {strong}, "what is not seen is not selected"
    workspace.select_all()
    assert workspace.selection == {strong}
    workspace.select_step(1)
    assert workspace.selection == {strong}
    proposals.decide_shown(accept=True)
    assert document.undo_text("a.png") == "Accept proposal"
    assert open_ids(workspace) == [weak]
    proposals.set_filter(ProposalFilter(score=0.2))
    proposals.decide_shown(accept=False)
    assert [a.id for a in workspace.annotations] == [strong]


def test_hidden_and_locked_proposals_are_left_alone(workspace):
    document = workspace.document
    hidden, locked, plain = (propose(document, x=x) for x in (0, 7, 14))
    workspace.set_flag([hidden], "hidden", True)
    workspace.set_flag([locked], "locked", True)
    workspace.proposals.decide_shown(accept=False)
    assert open_ids(workspace) == [hidden, locked]
    workspace.undo()
    workspace.proposals.decide_shown(accept=True)
    assert open_ids(workspace) == [hidden, locked]
    assert document.annotations("a.png")[2].id == plain


def test_all_of_a_class_are_decided_on_in_one_step(workspace):
    document = workspace.document
    cat, dog = document.add_category("cat"), document.add_category("dog")
    for x, category in ((0, cat), (6, cat), (12, dog), (18, None)):
        propose(document, category=category and category.id, x=x)
    workspace.proposals.decide_shown(accept=True, categories=frozenset({cat.id}))
    assert [a.proposed for a in workspace.annotations] == [False, False, True, True]
    assert document.undo_text("a.png") == "Accept 2 proposals of “cat”"
    workspace.proposals.decide_shown(accept=False, categories=frozenset({None}))
    assert [a.category_id for a in workspace.annotations] == [cat.id, cat.id, dog.id]


def test_one_decision_hands_on_to_the_next_proposal_shown(workspace):
    document, proposals = workspace.document, workspace.proposals
    revealed = []
    proposals.revealed.connect(revealed.append)
    first, second, third = (propose(document, x=x, score=0.8) for x in (0, 7, 14))
    propose(document, x=19, w=3, score=0.1)
    proposals.set_filter(ProposalFilter(score=0.5))
    workspace.select([second])
    proposals.decide_selected(accept=True)
    assert workspace.selection == {third}
    proposals.decide_selected(accept=False)
    assert workspace.selection == {first}, "round the end"
    workspace.delete_selected()
    assert document.undo_text("a.png") == "Reject proposal"
    assert workspace.selection == frozenset(), "none left that is shown"
    assert revealed == [third, first]
    assert [a.id for a in workspace.annotations if not a.proposed] == [second]


def test_walking_through_the_proposals_skips_the_rest(workspace):
    document, proposals = workspace.document, workspace.proposals
    heard = []
    workspace.noticed.connect(heard.append)
    proposals.select_step(1)
    assert heard == ["No proposals are shown in this image."]
    first = propose(document)
    plain = add(document, x=12)
    last = propose(document, x=18)
    walk = []
    for step in (1, 1, 1, -1, -1):
        proposals.select_step(step)
        walk += workspace.selection
    assert walk == [first, last, first, last, first]
    workspace.select([plain])
    proposals.select_step(-1)
    assert workspace.selection == {first}


def test_naming_does_not_accept_but_correcting_the_shape_does(workspace):
    document = workspace.document
    cat = document.add_category("cat")
    number = propose(document)
    workspace.select([number])
    workspace.choose_category(cat.id)
    (named,) = workspace.annotations
    assert (named.category_id, named.proposed) == (cat.id, True)
    workspace.move_selected(2, 0)
    (moved,) = workspace.annotations
    assert not moved.proposed
    assert moved.origin == replace(named.origin, edited=True)
    workspace.undo()
    assert workspace.annotations == (named,)
    workspace.copy()
    workspace.paste()
    assert [a.proposed for a in workspace.annotations] == [True, False], "a copy is a person's"


def test_enter_accepts_under_the_active_class_and_asks_where_there_is_none(workspace, qtbot):
    document = workspace.document
    number = propose(document)
    workspace.select([number])
    with qtbot.waitSignal(workspace.name_wanted):
        workspace.accept_or_ask()
    assert open_ids(workspace) == [number]
    cat, dog = document.add_category("cat"), document.add_category("dog")
    named = propose(document, category=dog.id, x=12)
    workspace.set_active_category(cat.id)
    workspace.select([number, named])
    workspace.accept_or_ask()
    assert [(a.category_id, a.proposed) for a in workspace.annotations] == [
        (cat.id, False),
        (dog.id, False),
    ]
    assert document.undo_text("a.png") == "Accept 2 proposals"


def test_the_filter_belongs_to_the_project(workspace, folder, tmp_path):
    which = ProposalFilter(0.5, 0.25, 10, 500, 0.9)
    workspace.proposals.set_filter(which)
    workspace.close_project()
    workspace.open_folder(folder)
    assert workspace.proposals.filter == which
    workspace.document.set_note("proposal_filter", {"score": "many", "largest": None})
    workspace.close_project()
    workspace.open_folder(folder)
    assert workspace.proposals.filter == ProposalFilter()
    other = tmp_path / "other"
    other.mkdir()
    workspace.open_folder(other)
    assert workspace.proposals.filter == ProposalFilter()


def test_the_next_image_with_proposals_and_the_next_untouched_one(workspace):
    document, heard = workspace.document, []
    workspace.noticed.connect(heard.append)
    add(document, "b.png")
    propose(document, "c.png")
    workspace.show_next_untouched()
    assert workspace.key == "c.png", "a model's proposals are nobody's work"
    workspace.show("a.png")
    workspace.show_next_proposals()
    assert workspace.key == "c.png"
    workspace.show_next_proposals()
    assert heard == ["No image with proposals further down the list."]


def test_reviewing_an_image_with_open_proposals_says_so(workspace):
    heard = []
    workspace.noticed.connect(heard.append)
    propose(workspace.document)
    workspace.set_status(Status.DONE)
    assert workspace.document.record("a.png").state is ImageState.REVIEWED
    assert "1 proposal is still undecided" in heard[0]


# --- The whole folder ---


def everywhere(qtbot, workspace, **options):
    with qtbot.waitSignal(workspace.proposals.finished) as caught:
        workspace.proposals.decide_everywhere(**options)
    return caught.args[0]


def test_a_decision_for_the_folder_is_one_step_per_image(workspace, qtbot):
    document = workspace.document
    for key in ("a.png", "c.png"):
        propose(document, key, score=0.9)
        propose(document, key, x=12, score=0.2)
    add(document, "b.png")
    before = {key: document.annotations(key) for key in KEYS}
    workspace.proposals.set_filter(ProposalFilter(score=0.5))
    progress = []
    workspace.proposals.progressed.connect(lambda done, total: progress.append((done, total)))
    done = everywhere(qtbot, workspace, accept=True)
    assert done.text == "Accepted 2 proposals in 2 images."
    assert progress[-1] == (2, 2)
    for key in ("a.png", "c.png"):
        assert [a.proposed for a in document.annotations(key)] == [False, True]
        assert document.undo_text(key) == "Accept proposal"
    workspace.proposals.take_back()
    qtbot.waitUntil(lambda: not workspace.proposals.running)
    assert {key: document.annotations(key) for key in KEYS} == before
    assert workspace.proposals.last is None


def test_taking_a_decision_back_leaves_images_that_changed_since(workspace, qtbot):
    document, heard = workspace.document, []
    workspace.noticed.connect(heard.append)
    for key in ("a.png", "b.png"):
        propose(document, key)
    assert everywhere(qtbot, workspace, accept=False).text == "Rejected 2 proposals in 2 images."
    add(document, "b.png")
    workspace.proposals.take_back()
    qtbot.waitUntil(lambda: bool(heard))
    assert heard == [
        "Undone: Reject proposals in the whole folder, in 1 image."
        " 1 image has newer steps and stays: b.png."
    ]
    assert (counts(document, "a.png"), counts(document, "b.png")) == ((0, 1), (1, 0))


def test_a_decision_for_the_folder_can_be_stopped_and_what_is_done_stays(
    workspace, qtbot, monkeypatch
):
    document = workspace.document
    for key in KEYS:
        propose(document, key)
    # A slice is over as soon as it begins: one image each time.
    monkeypatch.setattr("annotator.services.proposals.SLICE", 0.0)
    finished = []
    workspace.proposals.finished.connect(finished.append)
    workspace.proposals.progressed.connect(lambda done, _: done == 1 and workspace.proposals.stop())
    workspace.proposals.decide_everywhere(accept=True)
    qtbot.waitUntil(lambda: bool(finished))
    assert finished[0].left == 2
    assert finished[0].text == "Accepted 1 proposal in 1 image. Stopped: 2 images left."
    assert sum(counts(document, key)[1] for key in KEYS) == 2


def test_a_folder_without_proposals_is_finished_at_once(workspace, qtbot):
    assert everywhere(qtbot, workspace, accept=True).text == "Accepted 0 proposals in 0 images."


def test_a_decision_for_the_folder_ends_with_the_project(workspace, folder):
    for key in KEYS:
        propose(workspace.document, key)
    workspace.proposals.decide_everywhere(accept=True)
    workspace.close_project()
    assert not workspace.proposals.running
    workspace.open_folder(folder)
    left = sum(counts(workspace.document, key)[1] for key in KEYS)
    assert left == 3, "it had not begun"


def test_names_are_ranked_by_how_the_selected_proposal_looks(workspace):
    document, space = workspace.document, BasicDescriber().id
    rng = np.random.default_rng(1)
    looks = rng.normal(size=(2, 32)).astype(np.float32)
    for category, vector in zip(("cat", "dog"), looks, strict=True):
        number = add(document, category=document.add_category(category).id, x=9)
        document.set_vector(number, space, vector)
    number = propose(document)
    for vector, name in ((looks[0], "cat"), (looks[1], "dog")):
        document.set_vector(number, space, vector)
        workspace.select([])
        workspace.select([number])
        assert workspace.suggestions()[0].name == name
    assert document.vectors(space)[0].size == 2, "it teaches nothing itself"
    assert document.vector(999, space) is None
