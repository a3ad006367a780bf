"""The document as its users see it, on real folders."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from annotator.core import raster
from annotator.core.annotation import Annotation, ImageState
from annotator.core.errors import UserError
from annotator.services import journal, opened_images
from annotator.services.document import DamagedJournal, Document, SaveState
from models.api import Box
from tests.core.strategies import HEIGHT, WIDTH, masks


def draw_image(path, width=WIDTH, height=HEIGHT):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), 120, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a.png", "b.png", "sub/a.png"):
        draw_image(folder / name)
    return folder


@pytest.fixture
def opened(qapp):
    """Opens documents and closes them after the test."""
    documents = []

    def open_document(folder, **options):
        document = Document.open(folder, **options)
        documents.append(document)
        return document

    yield open_document
    for document in documents:
        document.close()


@pytest.fixture
def document(opened, folder):
    document = opened(folder)
    document.add_images(["a.png", "b.png", "sub/a.png"])
    return document


def mask(x=2, y=3, w=5, h=4, hole=False):
    image = np.zeros((HEIGHT, WIDTH), bool)
    image[y : y + h, x : x + w] = True
    if hole:
        image[y + 1, x + 1] = False
    return raster.from_array(image)


def add(document, key="a.png", category=None, **place):
    """One more object; its id."""
    number = document.new_id()
    annotation = Annotation(number, mask(**place), category)
    document.edit(key, (*document.annotations(key), annotation), f"Add {number}")
    return number


def coco_file(document):
    return json.loads(document.coco_path.read_text())


def wait_for_coco(qtbot, document):
    document.save()
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)


def complaints(document):
    heard = []
    document.reported.connect(heard.append)
    return heard


# --- Editing and history ---


def test_an_edit_is_seen_at_once_and_confirmed_when_durable(qtbot, document):
    confirmed = []
    document.edit_saved.connect(confirmed.append)
    with qtbot.waitSignals([document.edit_saved, document.annotations_changed]):
        number = document.new_id()
        step = document.edit("a.png", (Annotation(number, mask()),), "Add")
        assert document.annotations("a.png")[0].id == number
        assert document.save_state == SaveState(1, True)
    assert confirmed == [step]
    db = sqlite3.connect(document.project_dir / "journal.sqlite")
    assert db.execute("SELECT count(*) FROM annotations").fetchone() == (1,)
    db.close()
    qtbot.waitUntil(lambda: document.save_state.pending == 0)


def test_an_edit_that_changes_nothing_is_no_step(document):
    add(document)
    assert document.edit("a.png", document.annotations("a.png"), "Nothing") == 0
    assert document.undo_text("a.png") == "Add 1"


def test_undo_and_redo_belong_to_an_image_and_survive_closing(opened, folder, document):
    for _ in range(3):
        add(document)
    add(document, "b.png")
    states = document.annotations("a.png")
    assert document.undo("a.png") == "Add 3"
    assert document.undo("a.png") == "Add 2"
    document.close()
    again = opened(folder)
    assert again.annotations("a.png") == states[:1]
    assert (again.undo_text("a.png"), again.redo_text("a.png")) == ("Add 1", "Add 2")
    assert again.redo("a.png") == "Add 2"
    assert again.redo("a.png") == "Add 3"
    assert again.redo("a.png") is None
    assert again.annotations("a.png") == states
    assert [again.undo("a.png") for _ in range(4)] == ["Add 3", "Add 2", "Add 1", None]
    assert again.annotations("a.png") == ()
    assert len(again.annotations("b.png")) == 1


def test_steps_replaced_by_others_are_abandoned_but_never_deleted(opened, folder, document):
    add(document)
    add(document)
    document.undo("a.png")
    add(document)
    assert document.redo_text("a.png") is None
    document.close()
    again = opened(folder)
    assert again.redo_text("a.png") is None
    assert again.undo_text("a.png") == "Add 3"
    db = sqlite3.connect(document.project_dir / "journal.sqlite")
    steps = db.execute("SELECT text, state FROM steps ORDER BY id").fetchall()
    db.close()
    assert steps == [("Add 1", 0), ("Add 2", 2), ("Add 3", 0)]


def test_ids_are_never_used_twice(opened, folder, document):
    number = add(document)
    document.undo("a.png")
    document.close()
    assert opened(folder).new_id() > number


def test_wrong_edits_are_bugs_and_change_nothing(document):
    number = add(document)
    one = document.annotations("a.png")[0]
    with pytest.raises(ValueError, match="repeated"):
        document.edit("a.png", (one, one), "Twice")
    with pytest.raises(ValueError, match="new_id"):
        document.edit("a.png", (Annotation(number + 5, mask()),), "Foreign")
    with pytest.raises(ValueError, match="category"):
        document.edit("a.png", (Annotation(number, mask(), 77),), "Class")
    with pytest.raises(KeyError):
        document.edit("nowhere.png", (), "No image")
    assert document.annotations("a.png") == (one,)


def test_the_order_of_layers_is_kept(opened, folder, document):
    for _ in range(5):
        add(document)
    layers = document.annotations("a.png")
    for order in ((4, 3, 2, 1, 0), (1, 2, 4, 0), (3, 0, 2)):
        layers = tuple(layers[i] for i in order)
        document.edit("a.png", layers, "Order")
    number = document.new_id()
    layers = (layers[0], Annotation(number, mask(8)), *layers[1:])
    document.edit("a.png", layers, "Insert")
    document.close()
    again = opened(folder)
    assert again.annotations("a.png") == layers
    while again.undo("a.png"):
        pass
    assert again.annotations("a.png") == ()


def repeat(move, key):
    """Undo or redo as often as possible; how often that was."""
    count = 0
    while move(key) is not None:
        count += 1
    return count


edits = st.lists(
    st.tuples(
        st.sampled_from(["edit", "edit", "edit", "undo", "redo"]),
        st.sampled_from(["a.png", "b.png"]),
        st.lists(st.tuples(st.integers(0, 5), masks()), max_size=4, unique_by=lambda e: e[0]),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits)
def test_any_sequence_of_edits_survives_and_can_be_undone(tmp_path_factory, qapp, sequence):
    folder = tmp_path_factory.mktemp("sequence")
    document = Document.open(folder)
    document.add_images(["a.png", "b.png"])
    ids = [document.new_id() for _ in range(6)]
    for action, key, drawn in sequence:
        if action == "edit":
            state = tuple(Annotation(ids[place], shape) for place, shape in drawn)
            document.edit(key, state, "Edit")
        else:
            getattr(document, action)(key)
    expected = {key: document.annotations(key) for key in list(document.keys())}
    texts = {
        key: (document.undo_text(key), document.redo_text(key)) for key in list(document.keys())
    }
    document.close()
    document = Document.open(folder)
    for key in ("a.png", "b.png"):
        assert document.annotations(key) == expected[key]
        assert (document.undo_text(key), document.redo_text(key)) == texts[key]
        assert document.record(key).count == len(expected[key])
        redone = repeat(document.redo, key)
        last = document.annotations(key)
        undone = repeat(document.undo, key)
        assert document.annotations(key) == ()
        assert undone >= redone
        for _ in range(undone):
            document.redo(key)
        assert document.annotations(key) == last
    document.close()


def test_memory_holds_the_images_in_use_only(monkeypatch, qtbot, opened, folder):
    monkeypatch.setattr(opened_images, "MAX_IMAGES", 4)
    monkeypatch.setattr(opened_images, "MAX_CHANGES", 2)
    document = opened(folder)
    keys = [f"{i}.png" for i in range(12)]
    document.add_images(keys)
    for key in keys:
        add(document, key)
        add(document, key)
    document.flush()
    qtbot.waitUntil(lambda: document.save_state.pending == 0)
    assert all(len(document.annotations(key)) == 2 for key in keys)
    assert len(document._opened._images) == 4
    assert len(document._opened._changes) == 2
    assert all(document.undo(key) for key in keys)
    assert all(len(document.annotations(key)) == 1 for key in keys)


# --- Images ---


def test_records_follow_the_work(qtbot, document):
    assert document.record("a.png").state is ImageState.UNTOUCHED
    with qtbot.waitSignal(document.record_changed):
        add(document)
    assert document.record("a.png").state is ImageState.ANNOTATED
    document.set_reviewed("a.png", True)
    assert document.record("a.png").state is ImageState.REVIEWED
    document.set_size("b.png", 30, 20, 6)
    record = document.record("b.png")
    assert (record.width, record.height, record.orientation) == (30, 20, 6)


def test_records_survive_closing(opened, folder, document):
    document.set_size("b.png", 30, 20, 6)
    document.set_reviewed("b.png", True)
    add(document)
    expected = [document.record(key) for key in list(document.keys())]
    document.close()
    again = opened(folder)
    assert [again.record(key) for key in list(again.keys())] == expected


def test_new_files_find_their_place_among_known_ones(qtbot, opened, folder, document):
    document.close()
    again = opened(folder)
    again.add_images(["a.png"])
    with qtbot.assertNotEmitted(again.images_changed):
        again.add_images(["b.png"])
    with qtbot.waitSignal(again.images_changed):
        again.add_images(["c.png", "sub/a.png", "sub/b.png"])
    assert again.keys() == ["a.png", "b.png", "c.png", "sub/a.png", "sub/b.png"]
    again.close()
    assert opened(folder).keys() == ["a.png", "b.png", "c.png", "sub/a.png", "sub/b.png"]


def test_an_image_opened_by_itself_takes_its_place_when_the_scan_comes(opened, folder):
    document = opened(folder)
    document.add_images(["b.png"])
    document.add_images(["a.png"])
    document.add_images(["b.png", "sub/a.png"])
    assert document.keys() == ["a.png", "b.png", "sub/a.png"]


def test_missing_files_stay_known(opened, folder, document):
    add(document)
    document.close()
    again = opened(folder)
    again.add_images(["b.png", "c.png", "sub/a.png"])
    assert sorted(again.keys()) == ["a.png", "b.png", "c.png", "sub/a.png"]
    assert again.keys().index("c.png") + 1 == again.keys().index("sub/a.png")
    assert len(again.annotations("a.png")) == 1


def test_scanning_twice_changes_nothing(qtbot, document):
    order = list(document.keys())
    with qtbot.assertNotEmitted(document.images_changed):
        document.add_images(order[:1])
        document.add_images(order[1:])
    assert document.keys() == order
    document.add_images(order[:1])
    document.add_images([order[1], "between.png", order[2]])
    assert document.keys() == [*order[:2], "between.png", order[2]]


def test_annotations_of_another_size_are_told(qtbot, document):
    add(document)
    with qtbot.waitSignal(document.reported) as told:
        document.set_size("a.png", WIDTH + 1, HEIGHT, 1)
    assert "a.png" in told.args[0].message


NAMES = ["😀.png", "שלום עולם.png", "e\u0301 ü.png", "new\nline.png", 'quote"\\.png',
         "%s {x} $HOME.png", " lead.png", "a\udcff.png", "x" * 200 + ".png"]  # fmt: skip


def test_every_name_survives_journal_and_file(qtbot, opened, folder):
    document = opened(folder)
    document.add_images(NAMES)
    for key in NAMES:
        add(document, key)
    wait_for_coco(qtbot, document)
    names = [image["file_name"] for image in coco_file(document)["images"]]
    assert sorted(names) == sorted(NAMES)
    document.close()
    again = opened(folder)
    assert again.keys() == NAMES
    assert all(len(again.annotations(key)) == 1 for key in NAMES)
    again.close()
    shutil.rmtree(again.project_dir)
    from_file = opened(folder)
    assert sorted(from_file.keys()) == sorted(NAMES)
    assert all(len(from_file.annotations(key)) == 1 for key in NAMES)


# --- Classes, vectors, notes ---


def test_classes_are_made_once_and_survive(opened, folder, document):
    cat = document.add_category("cat")
    assert document.add_category("  cat ") is cat
    dog = document.add_category("dog", "#123456")
    assert cat.color != dog.color == "#123456"
    document.move_category(dog.id, 0)
    with pytest.raises(UserError, match="cat"):
        document.change_category(type(cat)(dog.id, "cat", "#123456"))
    with pytest.raises(UserError, match="name"):
        document.add_category(" \n")
    document.change_category(type(cat)(cat.id, "Cat 😀", "#654321", "animal"))
    document.close()
    again = opened(folder)
    assert [c.name for c in again.categories()] == ["dog", "Cat 😀"]
    assert again.category(cat.id).supercategory == "animal"


def test_a_used_class_is_not_removed(opened, folder, document):
    cat = document.add_category("cat")
    add(document, category=cat.id)
    with pytest.raises(UserError, match="1 object has"):
        document.remove_category(cat.id)
    assert document.category_usage() == {cat.id: 1}
    document.close()
    again = opened(folder)
    with pytest.raises(UserError, match="cat"):
        again.remove_category(cat.id)
    again.undo("a.png")
    again.remove_category(cat.id)
    assert again.categories() == ()
    assert again.redo("a.png")
    assert again.categories() == (cat,), "the history brings it back"
    again.undo("a.png")
    again.remove_category(cat.id)
    assert again.add_category("dog").id != cat.id


def test_vectors_follow_the_names_of_their_objects(opened, folder, document):
    cat, dog = document.add_category("cat"), document.add_category("dog")
    first, second, third = (add(document, category=c) for c in (cat.id, dog.id, None))
    for number in (first, second, third):
        document.set_vector(number, "space", np.full(4, number, np.float32))

    def named(document):
        ids, classes, vectors = document.vectors("space")
        assert vectors.shape == (ids.size, 4)
        assert all(v[0] == i for v, i in zip(vectors, ids, strict=True))
        return list(zip(ids.tolist(), classes.tolist(), strict=True))

    assert named(document) == [(first, cat.id), (second, dog.id)]
    state = document.annotations("a.png")
    document.edit("a.png", (state[1], Annotation(third, mask(), cat.id)), "Change")
    assert named(document) == [(second, dog.id), (third, cat.id)]
    document.undo("a.png")
    assert named(document) == [(first, cat.id), (second, dog.id)]
    document.redo("a.png")
    document.close()
    again = opened(folder)
    assert named(again) == [(second, dog.id), (third, cat.id)]
    for number in range(200):
        again.set_vector(add(again, category=cat.id), "space", np.full(4, 100 + number, np.float32))
    assert len(again.vectors("space")[0]) == 202
    assert again.vectors("other")[0].size == 0


def test_notes_survive(opened, folder, document):
    document.set_note("view", {"zoom": 1.5, "at": [1, 2]})
    assert document.note("nothing") is None
    document.close()
    assert opened(folder).note("view") == {"zoom": 1.5, "at": [1, 2]}


# --- The COCO file ---


def test_the_coco_file_follows_by_itself(qtbot, document):
    add(document)
    assert document.save_state.coco_pending
    qtbot.waitUntil(lambda: not document.save_state.coco_pending, timeout=10_000)
    assert len(coco_file(document)["annotations"]) == 1


def test_looking_at_a_folder_writes_no_coco_file(opened, folder, document):
    document.set_note("last_image", "a.png")
    document.close()
    assert not document.coco_path.exists()


def test_the_coco_file_is_what_pycocotools_reads(qtbot, document, capsys):
    cat = document.add_category("cat")
    shapes = [mask(), mask(1, 1, 9, 9, hole=True)]
    document.edit(
        "sub/a.png",
        (
            *(Annotation(document.new_id(), shape, cat.id) for shape in shapes),
            Annotation(document.new_id(), Box(1, 2, 3, 4)),
        ),
        "Three",
    )
    document.set_reviewed("b.png", True)
    wait_for_coco(qtbot, document)
    coco = COCO(str(document.coco_path))
    capsys.readouterr()
    images = {image["file_name"]: image for image in coco.imgs.values()}
    assert set(images) == {"a.png", "b.png", "sub/a.png"}
    assert all((i["width"], i["height"]) == (WIDTH, HEIGHT) for i in images.values()), "measured"
    assert images["b.png"]["annotator"] == {"reviewed": True}
    entries = coco.imgToAnns[images["sub/a.png"]["id"]]
    for entry, shape in zip(entries, shapes, strict=False):
        assert np.array_equal(coco.annToMask(entry).astype(bool), raster.to_array(shape))
    assert coco.cats[entries[2]["category_id"]]["name"] == "unnamed"
    assert entries[2]["segmentation"] == [[1, 2, 3, 2, 3, 4, 1, 4]]


def test_a_new_journal_starts_from_the_coco_file(qtbot, opened, folder, document):
    cat = document.add_category("cat", "#123456")
    add(document, category=cat.id)
    add(document, hole=True)
    document.set_reviewed("b.png", True)
    expected = document.annotations("a.png")
    document.close()
    text = document.coco_path.read_bytes()
    shutil.rmtree(document.project_dir)
    again = opened(folder)
    assert again.categories() == (cat,)
    assert tuple(replace(a, polygons=None) for a in again.annotations("a.png")) == expected
    assert again.record("b.png").reviewed
    again.save()
    again.close()
    assert again.coco_path.read_bytes() == text


def test_a_changed_coco_file_is_never_overwritten(qtbot, opened, folder, document):
    add(document)
    wait_for_coco(qtbot, document)
    document.coco_path.write_text('{"mine": 1}')
    heard = complaints(document)
    add(document)
    wait_for_coco(qtbot, document)
    kept = list(folder.glob("annotations (changed outside *).json"))
    assert [path.read_text() for path in kept] == ['{"mine": 1}']
    assert len(coco_file(document)["annotations"]) == 2
    assert [kept[0].name in error.remedy for error in heard] == [True]
    document.close()
    document.coco_path.write_text("{}")
    again = opened(folder)
    heard = complaints(again)
    qtbot.waitUntil(lambda: bool(heard))
    assert "another program" in heard[0].message
    assert again.coco_path.read_text() == "{}", "nothing is written before there is work"
    add(again)
    again.close()
    assert len(list(folder.glob("annotations (changed outside *.json"))) == 2


def test_a_touched_coco_file_is_no_stranger(qtbot, folder, document):
    add(document)
    wait_for_coco(qtbot, document)
    document.coco_path.touch()
    add(document)
    wait_for_coco(qtbot, document)
    assert not list(folder.glob("*changed outside*"))


FOREIGN = {
    "info": {"x": 1},
    "extra": [1],
    "images": [
        {"id": 10, "file_name": "a.png", "width": WIDTH, "height": HEIGHT, "license": 3},
        {"id": 11, "file_name": "C:\\data\\b.png", "width": WIDTH, "height": HEIGHT},
        {"id": 12, "file_name": "missing.png", "width": 9, "height": 9},
    ],
    "annotations": [
        {"id": 100, "image_id": 10, "category_id": 7, "segmentation": [[1, 1, 9, 1, 9, 8, 1, 8.5]],
         "area": 1, "bbox": [0, 0, 1, 1], "iscrowd": 0, "mine": "x"},
        {"id": 101, "image_id": 11, "category_id": 7, "bbox": [1, 2, 3, 4]},
        {"id": 102, "image_id": 77, "category_id": 7, "bbox": [1, 2, 3, 4]},
    ],
    "categories": [{"id": 7, "name": "cat", "supercategory": "animal", "mine": "y"}],
}  # fmt: skip


def test_a_folder_with_a_coco_file_starts_from_it(qtbot, opened, folder):
    original = json.dumps(FOREIGN)
    (folder / "annotations.json").write_text(original)
    document = opened(folder)
    heard = complaints(document)
    assert document.keys() == ["a.png", "b.png", "missing.png"]
    assert document.record("a.png").id == 10
    assert [a.id for a in document.annotations("a.png")] == [100]
    assert document.annotations("b.png")[0].shape == Box(1, 2, 4, 6)
    assert document.new_id() == 102
    assert document.add_category("dog").id == 8
    qtbot.waitUntil(lambda: bool(heard))
    assert "id 102" in heard[0].message
    assert [p.read_text() for p in document.project_dir.glob("imported *.json")] == [original]
    wait_for_coco(qtbot, document)
    out = coco_file(document)
    assert out["extra"] == [1]
    assert out["info"]["x"] == 1
    assert out["annotations"][0]["segmentation"] == [[1, 1, 9, 1, 9, 8, 1, 8.5]]
    assert out["annotations"][0]["mine"] == "x"
    assert out["annotator"]["unreadable"]["annotations"] == [FOREIGN["annotations"][2]]
    assert out["images"][0] == FOREIGN["images"][0]
    assert out["categories"][0]["mine"] == "y"


def test_a_file_that_is_not_coco_is_left_alone(qtbot, opened, folder):
    (folder / "annotations.json").write_text("{broken")
    document = opened(folder)
    heard = complaints(document)
    qtbot.waitUntil(lambda: bool(heard))
    assert "annotations.json" in heard[0].message
    document.add_images(["a.png"])
    add(document)
    document.close()
    assert (folder / "annotations.json").read_text() == "{broken"
    assert len(json.loads((folder / "annotations-2.json").read_text())["annotations"]) == 1
    assert opened(folder).coco_path.name == "annotations-2.json"


def test_importing_adds_objects_as_steps(qtbot, document, tmp_path):
    document.add_category("cat")
    add(document)
    path = tmp_path / "more.json"
    path.write_text(json.dumps(FOREIGN))
    assert document.import_coco(path) == "Imported 2 objects in 2 images."
    assert len(document.annotations("a.png")) == 2
    assert document.record("missing.png").width == 9
    assert [c.name for c in document.categories()] == ["cat"]
    assert "already" in document.import_coco(path)
    assert len(document.annotations("a.png")) == 2
    assert document.undo("a.png") == "Import more.json"
    path.write_text("x")
    with pytest.raises(UserError, match=r"more\.json"):
        document.import_coco(path)


# --- Opening ---


def test_a_second_window_is_refused(opened, folder, document):
    with pytest.raises(UserError, match="already open") as caught:
        opened(folder)
    assert str(os.getpid()) in caught.value.message
    document.close()
    opened(folder)


def test_a_folder_that_is_not_there_is_refused(opened, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        opened(tmp_path / "nowhere")


def test_a_chosen_place_holds_everything(opened, folder, tmp_path):
    place = tmp_path / "elsewhere" / "project"
    document = opened(folder, project_dir=place)
    document.add_images(["a.png"])
    add(document)
    document.close()
    assert document.coco_path == place / "annotations.json"
    assert document.coco_path.exists()
    assert sorted(p.name for p in folder.iterdir()) == ["a.png", "b.png", "sub"]
    assert len(opened(folder, project_dir=place).annotations("a.png")) == 1


def damage(document, how):
    path = document.project_dir / "journal.sqlite"
    if how == "text":
        path.write_text("this is not a database, but it is long enough to look at" * 100)
    elif how == "foreign":
        path.unlink()
        db = sqlite3.connect(path)
        db.executescript("CREATE TABLE x(y); PRAGMA application_id=7")
        db.close()
    elif how == "holes":
        data = bytearray(path.read_bytes())
        size = int.from_bytes(data[16:18], "big")
        db = sqlite3.connect(path)
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name='steps'").fetchone()[0]
        db.close()
        data[(root - 1) * size : root * size] = b"\xff" * size
        path.write_bytes(data)
    elif how == "short":
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("how", ["text", "foreign", "holes", "short"])
def test_a_damaged_journal_is_named_and_recovered(qtbot, opened, folder, document, how):
    cat = document.add_category("cat")
    for place in range(20):
        add(document, category=cat.id, x=place % 8)
        add(document, "b.png")
    expected = {key: document.annotations(key) for key in ("a.png", "b.png")}
    document.close()
    damage(document, how)
    broken = (document.project_dir / "journal.sqlite").read_bytes()
    with pytest.raises(DamagedJournal, match=r"journal\.sqlite") as caught:
        opened(folder)
    assert caught.value.remedy
    recovered = Document.recover(folder)
    heard = complaints(recovered)
    qtbot.waitUntil(lambda: bool(heard))
    for key, annotations in expected.items():
        found = tuple(replace(a, polygons=None) for a in recovered.annotations(key))
        assert found == annotations
        assert recovered.record(key).count == 20
    assert recovered.categories() == (cat,)
    assert recovered.new_id() == 41
    add(recovered)
    recovered.close()
    kept = list(document.project_dir.glob("journal.damaged-*.sqlite"))
    assert [path.read_bytes() for path in kept] == [broken]
    assert "damaged" in heard[0].message
    assert len(opened(folder).annotations("a.png")) == 21


def test_a_journal_of_a_newer_version_is_refused(opened, folder, document):
    document.close()
    db = sqlite3.connect(document.project_dir / "journal.sqlite")
    db.execute(f"PRAGMA user_version={journal.VERSION + 1}")
    db.close()
    with pytest.raises(UserError, match="newer version") as caught:
        opened(folder)
    assert not isinstance(caught.value, DamagedJournal)


def test_a_first_opening_that_was_cut_short_is_repeated(opened, folder):
    (folder / "annotations.json").write_text(json.dumps(FOREIGN))
    (folder / ".annotator").mkdir()
    db, is_new = journal.open_journal(folder / ".annotator" / "journal.sqlite")
    db.close()
    assert is_new
    assert len(opened(folder).annotations("a.png")) == 1


READ_ONLY = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from annotator.services.document import Document
app = QCoreApplication([])
document = Document.open(Path(sys.argv[1]))
document.reported.connect(lambda error: print(error, flush=True))
document.add_images(["a.png"])
document.set_reviewed("a.png", True)
app.processEvents()
document.close()
print(document.project_dir)
print(document.coco_path)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a read-only mount or chmod")
def test_a_read_only_folder_keeps_its_project_elsewhere(folder, tmp_path, private_home):
    subprocess.run(["chmod", "-R", "a-w", str(folder)], check=True)
    mounted = subprocess.run(
        ["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True, check=False
    )
    try:
        if mounted.returncode and Path("/proc/self").stat().st_uid == 0:
            pytest.skip("root may write everywhere and may not mount")
        result = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(folder)], check=True)
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    told, project, coco = result.stdout.strip().splitlines()
    assert "read-only" in told
    assert Path(project).is_relative_to(private_home)
    assert Path(coco).parent == Path(project)
    assert json.loads(Path(coco).read_text())["images"][0]["annotator"] == {"reviewed": True}
    assert not (folder / ".annotator").exists()
