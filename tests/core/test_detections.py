"""Boxes of detectors: what becomes of good files, odd ones and bad ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from annotator.core import raster
from annotator.core.errors import UserError
from annotator.core.formats.detections.reading import format_of, read_boxes
from annotator.core.formats.detections.values import (
    AMBIGUOUS,
    BAD_SCORE,
    NO_BOX,
    NO_IMAGE,
    UNLISTED,
    Detections,
    Known,
)
from annotator.core.formats.detections.voc import NOT_XML
from models.api import Box

KEYS = ("a.jpg", "b/c.jpg", "d/c.jpg", "b/e.png")
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}],
    "categories": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}],
}


def counts(found: Detections) -> dict[str, int]:
    number: dict[str, int] = {}
    for trouble in found.troubles:
        number[trouble.what] = number.get(trouble.what, 0) + 1
    return number


def written(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def entry(**values: object) -> dict[str, object]:
    return {"image_id": 7, "category_id": 5, "bbox": [1, 2, 10, 20], "score": 0.5, **values}


def test_results_with_a_coco_file_that_explains_them(tmp_path: Path) -> None:
    path = written(tmp_path / "results.json", [entry(), entry(category_id=1, score=1)])
    found = read_boxes(path, KEYS, names=written(tmp_path / "names.json", COCO))
    first, second = found.boxes["a.jpg"]
    assert (first.box, first.label, first.score) == (Box(1, 2, 11, 22), "dog", 0.5)
    assert (second.label, second.score) == ("cat", 1.0)
    assert found.labels == ("cat", "dog")
    assert found.troubles == ()


def test_results_of_the_project_and_entries_that_name_themselves(tmp_path: Path) -> None:
    known = Known({3: "b/e.png"}, {5: "dog"})
    entries = [entry(image_id=3), entry(image_id="e"), entry(file_name="b/e.png", category="cow")]
    found = read_boxes(written(tmp_path / "r.json", entries), KEYS, known=known)
    assert [one.label for one in found.boxes["b/e.png"]] == ["dog", "dog", "cow"]


def test_a_whole_coco_file_gives_its_boxes(tmp_path: Path) -> None:
    path = written(tmp_path / "gt.json", {**COCO, "annotations": [entry()]})
    found = read_boxes(path, KEYS, known=Known({7: "b/e.png"}, {5: "wrong"}))
    assert [one.label for one in found.boxes["a.jpg"]] == ["dog"]
    assert found.sizes == {"a.jpg": (40, 30)}


def test_what_is_wrong_in_results_is_counted(tmp_path: Path) -> None:
    names = written(tmp_path / "names.json", COCO)
    entries = [
        entry(image_id=8),
        entry(file_name="nowhere.jpg"),
        entry(file_name="x/c.jpg"),
        entry(bbox=[1, 2, math.nan, 4]),
        entry(bbox=[1, 2, -3, 4]),
        entry(bbox=None),
        "nonsense",
        entry(score=math.nan),
        entry(score=2),
        entry(category_id=99),
        entry(category_id=99),
    ]
    found = read_boxes(written(tmp_path / "r.json", entries), KEYS, names=names)
    assert counts(found) == {NO_IMAGE: 2, AMBIGUOUS: 1, NO_BOX: 4, BAD_SCORE: 2, UNLISTED: 1}
    kept = [(one.label, one.score) for one in found.boxes["a.jpg"]]
    assert kept == [("dog", None), ("dog", None), ("class 99", 0.5), ("class 99", 0.5)]
    assert list(found.boxes) == ["a.jpg"]


def test_the_box_is_taken_from_the_mask_where_there_is_none(tmp_path: Path) -> None:
    mask = raster.from_box(Box(3, 4, 10, 20), 40, 30)
    masks = [
        {"size": [30, 40], "counts": mask.counts.decode()},
        {"size": [30, 40], "counts": raster.runs(mask).tolist()},
        [[3, 4, 10, 4, 10, 20, 3, 20], [5, 5, 6, 6, 5, 6]],
        {"size": [30, 40], "counts": "damaged"},
        {"size": [30, 40], "counts": [1200]},
        [[3, 4, None, 5]],
        [],
        "mask",
    ]
    entries = [{"image_id": 7, "category_id": 5, "segmentation": one} for one in masks]
    names = written(tmp_path / "names.json", {"categories": COCO["categories"]})
    known = [{**one, "file_name": "a.jpg"} for one in entries]
    found = read_boxes(written(tmp_path / "r.json", known), KEYS, names=names)
    assert [one.box for one in found.boxes["a.jpg"]] == [Box(3, 4, 10, 20)] * 3
    assert {(one.label, one.score) for one in found.boxes["a.jpg"]} == {("dog", None)}
    assert found.sizes == {"a.jpg": (40, 30)}
    assert counts(found) == {NO_BOX: 5}


@pytest.mark.parametrize("content", ["no json", "7", '{"images": []}'])
def test_files_that_are_no_results(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"r\.json"):
        read_boxes(path, KEYS)


def test_yolo_with_names_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    (folder / "b").mkdir(parents=True)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (folder / "a.txt").write_text("1 0.5 0.5 0.5 1.0 0.75\n0 0.1 0.2 0.3 0.2 0.3 0.6\n\n")
    (folder / "b" / "c.txt").write_text("7 0.5 0.5 1 1")
    (folder / "c.txt").write_text("0 0.5 0.5 1 1")
    (folder / "z.txt").write_text("0 0.5 0.5 1 1")
    (folder / "e.txt").write_text("x 0.5 0.5 1 1\n0 0.5 0.5\n0 nan 0 1 1\n1 0.5 0.5 0.2 0.2 5")
    found = read_boxes(folder, KEYS)
    first, outline = found.boxes["a.jpg"]
    assert (first.label, first.score) == ("dog", 0.75)
    assert first.in_image(40, 20) == Box(10, 0, 30, 20)
    assert outline.in_image(10, 10) == Box(1, 2, 3, 6)
    assert (outline.label, outline.score) == ("cat", None)
    assert found.boxes["b/c.jpg"][0].label == "class 7"
    assert counts(found) == {UNLISTED: 1, AMBIGUOUS: 1, NO_IMAGE: 1, NO_BOX: 3, BAD_SCORE: 1}
    assert found.labels == ("cat", "dog", "class 7")


@pytest.mark.parametrize(
    "content",
    ["names: [cat, dog]", "path: x\nnames:\n  1: dog\n  0: cat\n", '{"names": ["cat", "dog"]}'],
)
def test_yolo_with_the_file_of_a_training(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "labels" / "train"
    folder.mkdir(parents=True)
    (tmp_path / "data.yaml").write_text(content)
    (folder / "a.txt").write_text("1 0.5 0.5 0.5 1.0\n")
    assert [one.label for one in read_boxes(folder, KEYS).boxes["a.jpg"]] == ["dog"]
    other = tmp_path / "other.yml"
    other.write_text("names: [ape, bee]")
    assert read_boxes(folder, KEYS, names=other).boxes["a.jpg"][0].label == "bee"
    for bad in ("names: [", "nc: 3", "- cat", "!!python/object/apply:os.getcwd []"):
        other.write_text(bad)
        with pytest.raises(UserError, match=r"other\.yml"):
            read_boxes(folder, KEYS, names=other)


def voc(filename: str, *boxes: tuple[str, object, object, object, object]) -> str:
    things = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in boxes
    )
    size = "<size><width>40</width><height>30</height></size>"
    return f"<annotation><filename>{filename}</filename>{size}{things}</annotation>"


def test_voc_counts_pixels_from_one(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(voc("other.jpg", ("cat", 1, 1, 2, 2), ("cat", 5, 5, 4, 9)))
    (tmp_path / "0001.xml").write_text(voc("e.png", ("dog", "x", 1, 2, 2), ("dog", 3, 4, 5, 6)))
    (tmp_path / "bad.xml").write_text("<annotation>")
    (tmp_path / "z.xml").write_text(voc("z.jpg"))
    found = read_boxes(tmp_path, KEYS)
    assert [one.box for one in found.boxes["a.jpg"]] == [Box(0, 0, 2, 2)]
    assert [(one.label, one.box) for one in found.boxes["b/e.png"]] == [("dog", Box(2, 3, 5, 6))]
    assert found.sizes == {"a.jpg": (40, 30), "b/e.png": (40, 30)}
    assert counts(found) == {NO_BOX: 2, NOT_XML: 1, NO_IMAGE: 1}


def test_formats_are_recognised(tmp_path: Path) -> None:
    assert format_of(tmp_path / "r.JSON") == "coco"
    with pytest.raises(UserError, match="no file of boxes"):
        format_of(tmp_path)
    (tmp_path / "a.txt").touch()
    assert format_of(tmp_path) == "yolo"
    (tmp_path / "a.xml").touch()
    assert format_of(tmp_path) == "voc"


def test_another_content_is_another_digest(tmp_path: Path) -> None:
    path, names = tmp_path / "r.json", written(tmp_path / "names.json", COCO)
    first = read_boxes(written(path, [entry()]), KEYS, names=names).digest
    assert read_boxes(path, KEYS, names=names).digest == first
    assert read_boxes(path, KEYS).digest != first
    assert read_boxes(written(path, [entry(score=0.4)]), KEYS, names=names).digest != first
