"""What a new run would change: the comparison itself, and `annotator prelabel --compare`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations
from annotator.core.mask import Mask
from annotator.core.prelabel.difference import compare
from models.api import Box
from tests.models.toy_segmenter import ToyModel
from tests.test_prelabel_command import (  # noqa: F401
    application,
    by_boxes,
    call,
    detection,
    detections,
    folder,
    keep,
    opened,
    square,
    state,
    summary,
)


def made(number: int, x0: int, x1: int, category: int | None = None) -> Annotation:
    """An object 10 pixels high."""
    return Annotation(number, raster.from_box(Box(x0, 0, x1, 10), 100, 20), category)


def named(annotation: Annotation) -> str:
    return "" if annotation.category_id is None else f"class {annotation.category_id}"


def told(accepted: Annotations, found: Annotations) -> list[tuple[object, ...]]:
    return [
        (
            one.kind,
            one.accepted and one.accepted.id,
            one.found and one.found.id,
            one.reshaped,
            one.renamed,
        )
        for one in compare(accepted, found, named).differences
    ]


def test_objects_are_paired_by_the_greatest_overlap() -> None:
    mine = (made(1, 0, 20, 7), made(2, 30, 50, 7), made(3, 60, 80, 7), made(4, 85, 95))
    found = (
        made(-1, 0, 20, 7),  # the same
        made(-2, 30, 44, 7),  # smaller
        made(-3, 62, 80, 8),  # nearly the same shape, another name
        made(-4, 3, 22, 7),  # 1 is taken already
        made(-5, 88, 100, 7),  # overlaps 4 too little
    )
    assert compare(mine, found, named).same == 1
    assert told(mine, found) == [
        ("changed", 2, -2, True, False),
        ("changed", 3, -3, False, True),
        ("missing", 4, None, False, False),
        ("added", None, -4, False, False),
        ("added", None, -5, False, False),
    ]
    assert told(mine, tuple(reversed(found)))[:3] == told(mine, found)[:3]


def test_no_name_is_no_other_name_and_boxes_are_compared_too() -> None:
    mine = (made(1, 0, 20, 7), Annotation(2, Box(30, 0, 50, 10)))
    found = (made(-1, 0, 20), made(-2, 30, 50, 7))
    assert compare(mine, found, named).same == 2
    assert told((), found) == [("added", None, -1, False, False), ("added", None, -2, False, False)]
    assert [kind for kind, *_ in told(mine, ())] == ["missing", "missing"]
    assert told((), ()) == []


def prepare(folder: Path) -> None:  # noqa: F811
    """Accepted in the first image: a square, one that is half as large, and one of nothing."""
    assert call(folder) == 0
    with opened(folder) as document:
        keep(document, "0.png", square(0), "gem")
        document.edit(
            "0.png", tuple(a for a in document.annotations("0.png") if not a.proposed), "Keep"
        )
        (whole,) = document.annotations("0.png")
        x, y, side = 30, 10, 16
        part = raster.from_box(Box(x, y, x + 10, y + side), 64, 48)
        nothing = raster.from_box(Box(2, 38, 8, 44), 64, 48)
        others = (
            replace(whole, id=document.new_id(), shape=part),
            replace(whole, id=document.new_id(), shape=nothing),
        )
        document.edit("0.png", (whole, *others), "Draw")


def test_a_comparison_is_told_and_changes_nothing(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(folder)
    before = state(folder)
    files = {path: path.read_bytes() for path in folder.rglob("*.json")}
    capsys.readouterr()
    boxes = detections(
        tmp_path / "boxes.json",
        detection("0.png", square(0), "gem"),
        detection("0.png", square(1), "ring"),
        detection("0.png", square(2), "gem"),
        detection("1.png", square(0, 1), "gem"),
    )
    assert by_boxes(folder, "--boxes", boxes, "--compare", "--json") == 0
    value = summary(capsys)
    compared = value["compared"]
    assert compared["total"] == {"same": 1, "changed": 1, "missing": 1, "added": 2}
    changed, missing, added = compared["images"]["0.png"]["differences"]
    assert changed["kind"] == "changed"
    assert (changed["renamed"], changed["reshaped"]) == (True, True)
    assert changed["iou"] == pytest.approx(10 / 16, abs=1e-4)
    assert (changed["accepted"]["name"], changed["found"]["name"]) == ("gem", "ring")
    assert missing["accepted"]["bbox"] == [2, 38, 6, 6]
    assert added["found"] == {"name": "gem", "bbox": [50, 30, 8, 8], "score": 0.6}
    assert state(folder) == before
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == files
    capsys.readouterr()
    with opened(folder):  # a window has it
        assert by_boxes(folder, "--boxes", boxes, "--compare") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["same", "changed", "missing", "added", "image"],
        ["1", "1", "1", "1", "0.png"],
        ["0", "0", "0", "1", "1.png"],
        ["1", "1", "1", "2", "5", "images"],
    ]
    assert "nothing was written" in lines[-1]


def test_a_comparison_needs_a_project_and_no_place_to_write_to(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(folder, "--compare") == 1
    assert "is no project" in capsys.readouterr().err
    assert not (folder / ".annotator").exists()
    with pytest.raises(SystemExit) as left:
        call(folder, "--compare", "--resume")
    assert left.value.code == 2


def test_an_image_of_another_size_fails_alone(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(folder)
    with opened(folder) as document:
        (first, *_) = document.annotations("0.png")
        assert isinstance(first.shape, Mask)
        other = raster.from_box(Box(0, 0, 5, 5), 20, 20)
        document.edit("0.png", (replace(first, shape=other),), "Import")
    capsys.readouterr()
    assert call(folder, "--compare", "--json") == 1
    value = summary(capsys)
    assert list(value["failed"]) == ["0.png"]
    assert len(value["compared"]["images"]) == 4
