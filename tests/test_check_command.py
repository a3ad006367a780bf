"""Checks find what was put wrong, and nothing else; repairs are one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator import commands
from annotator.core import raster
from annotator.core.annotation import Annotation, Status
from annotator.core.checks.project import look_alikes, picture_hash
from annotator.services.document import Document
from models.api import Box
from models.describe import BasicDescriber

SIZE = (120, 100)


def mask(*boxes: tuple[int, int, int, int], without: tuple[int, int, int, int] | None = None):
    pixels = np.zeros((SIZE[1], SIZE[0]), bool)
    for x0, y0, x1, y1 in boxes:
        pixels[y0:y1, x0:x1] = True
    if without is not None:
        x0, y0, x1, y1 = without
        pixels[y0:y1, x0:x1] = False
    return raster.from_array(pixels)


WRONG = {
    "empty.png": [mask()],
    "tiny.png": [mask((1, 1, 4, 4))],
    "specks.png": [mask((10, 10, 60, 60), (80, 80, 83, 83), (90, 5, 100, 15))],
    "holes.png": [mask((10, 10, 60, 60), without=(20, 20, 22, 22))],
    "duplicate.png": [mask((10, 10, 60, 60)), mask((10, 10, 60, 61))],
    "overlap.png": [mask((10, 10, 60, 60)), mask((40, 40, 90, 90))],
    "outside.png": [Box(100.0, 50.0, 130.0, 80.0)],
}


@pytest.fixture
def folder(tmp_path: Path, qapp: object) -> Path:
    """One wrong thing in every image, and one image where all is well."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(0)
    for key in [*WRONG, "fine.png", "unnamed.png"]:
        pixels = random.integers(0, 255, (10, 12, 3), np.uint8)
        Image.fromarray(pixels).resize(SIZE).save(folder / key)
    Image.open(folder / "fine.png").resize((240, 200)).save(folder / "fine again.jpg")
    document = Document.open(folder)
    document.add_images([*WRONG, "fine.png", "unnamed.png", "fine again.jpg"])
    thing = document.add_category("thing").id
    shapes = {**WRONG, "fine.png": [mask((5, 5, 50, 50)), mask((60, 5, 110, 50))]}
    for key, objects in shapes.items():
        document.set_size(key, *SIZE, 1)
        made = tuple(Annotation(document.new_id(), shape, thing) for shape in objects)
        document.edit(key, made, "Add")
    lost = Annotation(document.new_id(), mask((5, 5, 50, 50)), None)
    document.edit("unnamed.png", (lost,), "Add")
    document.close()
    return folder


def found(capsys: pytest.CaptureFixture, folder: Path, *options: str) -> list[dict]:
    commands.run(["check", str(folder), "--json", *options])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_wrong_thing_is_found_and_nothing_else(folder: Path, capsys) -> None:
    rows = found(capsys, folder)
    where = {(row["image"], row["check"]) for row in rows if row["check"] != "outlier"}
    wrong = {(key, key.removesuffix(".png")) for key in WRONG}
    assert where == wrong | {("unnamed.png", "unnamed"), ("fine again.jpg", "alike")}
    texts = {row["check"]: row["text"] for row in rows}
    assert texts["specks"] == "1 speck of 9 pixels"
    assert texts["holes"] == "1 hole of 4 pixels"
    assert texts["overlap"] == "400 pixels of two objects"
    assert texts["alike"].startswith("looks like “fine.png”")


def test_repairs_leave_what_only_people_can_decide_and_are_one_step(folder: Path, capsys) -> None:
    assert commands.run(["check", str(folder), "--fix", "all"]) == 1
    assert "8 repaired in 7 images" in capsys.readouterr().err
    left = {row["check"] for row in found(capsys, folder)} - {"outlier"}
    assert left == {"unnamed", "alike"}
    document = Document.open(folder)
    counts = {key: document.record(key).count for key in document.keys()}  # noqa: SIM118
    assert (counts["empty.png"], counts["tiny.png"], counts["duplicate.png"]) == (0, 0, 1)
    low, high = document.annotations("overlap.png")
    assert raster.area(high.shape) == 2500
    assert raster.area(low.shape) == 2100
    (speckled,) = document.annotations("specks.png")
    assert raster.area(speckled.shape) == 2600, "a piece of a hundred pixels is no speck"
    (filled,) = document.annotations("holes.png")
    assert raster.area(filled.shape) == 2500
    (inside,) = document.annotations("outside.png")
    assert inside.shape == Box(100.0, 50.0, 120.0, 80.0)
    row = document.history.newest()
    assert (row.kind, row.text) == ("repair", "Repair what checks found")
    document.close()


def test_only_query_and_limits(folder: Path, capsys) -> None:
    assert {r["check"] for r in found(capsys, folder, "--only", "tiny,specks")} == {
        "tiny",
        "specks",
    }
    assert found(capsys, folder, "--only", "specks", "--pixels", "5") == []
    rows = found(capsys, folder, "--query", "name:overlap")
    assert {row["image"] for row in rows} == {"overlap.png"}
    assert commands.run(["check", str(folder), "--only", "tiny", "--fix", "tiny"]) == 0
    with pytest.raises(SystemExit):
        commands.run(["check", str(folder), "--fix", "alike"])


def test_locked_objects_and_proposals_are_left_alone(folder: Path, capsys) -> None:
    document = Document.open(folder)
    from dataclasses import replace

    (tiny,) = document.annotations("tiny.png")
    document.edit("tiny.png", (replace(tiny, locked=True),), "Lock")
    (speckled,) = document.annotations("specks.png")
    document.edit("specks.png", (replace(speckled, proposed=True),), "Propose")
    document.close()
    assert commands.run(["check", str(folder), "--only", "tiny,specks", "--fix", "all"]) == 1
    assert "tiny.png: tiny" in capsys.readouterr().out


def test_unusual_sizes_need_enough_of_a_class(tmp_path: Path, qapp: object, capsys) -> None:
    folder = tmp_path / "sizes"
    folder.mkdir()
    document = Document.open(folder)
    document.add_images(["a.png"])
    cat = document.add_category("cat").id
    sides = [20, 21, 19, 20, 22, 20, 18, 21, 20, 19, 90]
    shapes = [raster.from_box(Box(0, 0, side, side), 100, 100) for side in sides]
    made = tuple(Annotation(document.new_id(), shape, cat) for shape in shapes)
    document.edit("a.png", made, "Add")
    document.close()
    (row,) = found(capsys, folder, "--only", "outlier")
    assert row["objects"] == [made[-1].id]
    assert "20.3 times larger than usual for “cat”" in row["text"]
    assert commands.run(["check", str(folder), "--fix", "outlier"]) == 1, "a person looks at it"
    assert "1 repaired in 1 image" in capsys.readouterr().err
    document = Document.open(folder)
    marks = [a.status for a in document.annotations("a.png")]
    assert marks == [Status.TODO] * 10 + [Status.LOOK]
    row = document.history.newest()
    assert (row.kind, row.text) == ("repair", "Repair: unusual size for the class")
    document.close()
    commands.run(["check", str(folder), "--fix", "outlier"])
    assert "0 repaired" in capsys.readouterr().err


def test_only_names_that_leave_no_doubt_are_given(tmp_path: Path, qapp: object, capsys) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    document = Document.open(folder)
    document.add_images(["a.png"])
    cat, dog = document.add_category("cat").id, document.add_category("dog").id
    random = np.random.default_rng(0)
    looks = {cat: random.normal(size=32), dog: random.normal(size=32)}
    made = []

    def add(category: int | None, vector: np.ndarray | None) -> None:
        made.append(Annotation(document.new_id(), mask((5, 5, 50, 50)), category))
        if vector is not None:
            document.set_vector(made[-1].id, BasicDescriber().id, vector.astype(np.float32))

    for number in range(40):
        add((cat, dog)[number % 2], looks[(cat, dog)[number % 2]] + random.normal(size=32) / 50)
    add(None, looks[cat])
    add(None, looks[cat] + looks[dog])
    add(None, None)
    document.edit("a.png", tuple(made), "Add")
    document.close()
    assert commands.run(["check", str(folder), "--only", "unnamed", "--fix", "unnamed"]) == 1
    assert "1 repaired in 1 image" in capsys.readouterr().err
    document = Document.open(folder)
    assert [a.category_id for a in document.annotations("a.png")[-3:]] == [cat, None, None]
    document.undo("a.png")
    assert document.annotations("a.png") == tuple(made)
    document.close()


def test_look_alikes_are_found_however_few_bits_differ() -> None:
    random = np.random.default_rng(1)
    base = int(random.integers(0, 2**63))
    for bits in range(7):
        flips = sum(1 << int(place) for place in random.permutation(64)[:bits])
        same = list(look_alikes({"a": base, "b": base ^ flips}, 4))
        assert same == ([("b", "a", bits)] if bits <= 4 else [])


def test_brightness_and_size_do_not_matter_to_look_alikes() -> None:
    random = np.random.default_rng(2)
    small = random.integers(0, 120, (8, 9, 3), np.uint8)
    one = np.asarray(Image.fromarray(small).resize((180, 160), Image.Resampling.BICUBIC))
    other = np.asarray(Image.fromarray(one + 60).resize((90, 80)))
    assert (picture_hash(one) ^ picture_hash(other)).bit_count() <= 4
    different = random.integers(0, 255, (80, 90, 3), np.uint8)
    assert (picture_hash(one) ^ picture_hash(different)).bit_count() > 12


def test_hundreds_of_objects_in_one_image_are_compared(
    tmp_path: Path, qapp: object, capsys
) -> None:
    document = Document.open(tmp_path)
    document.add_images(["a.png"])
    places = [(x, y) for y in range(0, 400, 20) for x in range(0, 400, 20)]
    shapes = [raster.from_box(Box(x, y, x + 15, y + 15), 400, 400) for x, y in places]
    shapes.append(shapes[37])
    name = document.add_category("dot").id
    made = tuple(Annotation(document.new_id(), shape, name) for shape in shapes)
    document.edit("a.png", made, "Add")
    document.close()
    (row,) = found(capsys, tmp_path, "--only", "duplicate,overlap")
    assert row["objects"] == [made[-1].id, made[37].id]
