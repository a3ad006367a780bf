"""`annotator prelabel --boxes FILE --as-is`: masks from elsewhere, bit for bit, without a model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from annotator.app import main
from annotator.core import raster
from annotator.core.annotation import Origin, Source
from annotator.core.formats.detections.masks import CROWD, NO_MASK
from annotator.core.formats.detections.values import BAD_SCORE, NO_IMAGE
from annotator.core.mask import Mask
from annotator.core.prelabel.as_is import DAMAGED, NO_PIXELS, OTHER_SIZE
from annotator.core.proposals import accepted
from tests.models.toy_segmenter import ToyModel
from tests.test_prelabel_command import (  # noqa: F401
    HEIGHT,
    KEYS,
    WIDTH,
    application,
    call,
    folder,
    opened,
    read_until,
    started,
    state,
    summary,
)


def copied(folder: Path, name: str) -> Path:  # noqa: F811
    other = folder.parent / name
    for key in KEYS:
        (other / key).parent.mkdir(parents=True, exist_ok=True)
        (other / key).write_bytes((folder / key).read_bytes())
    return other


def as_is(folder: Path, results: Path, *arguments: str) -> int:  # noqa: F811
    return main(["prelabel", str(folder), "--boxes", str(results), "--as-is", *arguments])


def rle(x: int, y: int, side: int, width: int = WIDTH, height: int = HEIGHT) -> dict[str, Any]:
    pixels = np.zeros((height, width), np.uint8)
    pixels[y : y + side, x : x + side] = 1
    found = coco_mask.encode(np.asfortranarray(pixels))
    return {"size": found["size"], "counts": found["counts"].decode()}


def entry(key: str, segmentation: Any, **others: Any) -> dict[str, Any]:
    return {"file_name": key, "category": "cup", "score": 0.5, "segmentation": segmentation,
            **others}  # fmt: skip


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("kind", ["everything", "boxes"])
def test_results_of_one_folder_are_the_same_proposals_in_another(
    kind: str,
    folder: Path,  # noqa: F811
    toy: ToyModel,
    tmp_path: Path,
) -> None:
    asked: tuple[str, ...] = ("--side", "8", "--min-area", "50")
    if kind == "boxes":
        boxes = [{"file_name": key, "bbox": [4, 4, 20, 20], "category": "tile", "score": 0.7}
                 for key in KEYS]  # fmt: skip
        asked = ("--boxes", str(written(tmp_path / "boxes.json", boxes)))
    direct, later, out = copied(folder, "direct"), copied(folder, "later"), tmp_path / "out.json"
    assert main(["prelabel", str(direct), "--model", "toy", *asked]) == 0
    assert main(["prelabel", str(folder), "--model", "toy", *asked, "--out", str(out)]) == 0
    toy.calls.clear()
    assert as_is(later, out) == 0
    assert not toy.calls
    assert state(later) == state(direct)
    assert sum(len(found) for found in state(later).values()) >= len(KEYS)


def test_results_again_as_they_are_are_the_same_file(
    folder: Path,  # noqa: F811
    toy: ToyModel,
    tmp_path: Path,
) -> None:
    out, again = tmp_path / "out.json", tmp_path / "again.json"
    assert call(folder, "--out", str(out)) == 0
    assert as_is(folder, out, "--out", str(again)) == 0
    assert again.read_bytes() == out.read_bytes()


def test_what_is_there_already_is_not_proposed_again(
    folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = written(tmp_path / "r.json", [entry(KEYS[0], rle(6, 6, 10)),
                                            entry(KEYS[0], rle(30, 10, 16))])  # fmt: skip
    assert as_is(folder, results) == 0
    with opened(folder) as document:
        (first, second) = document.annotations(KEYS[0])
        assert document.category(first.category_id or 0).name == "cup"
        assert first.origin == Origin(Source.IMPORT, "import", score=0.5, label="cup")
        document.edit(KEYS[0], (accepted(first), second), "Accept")
    capsys.readouterr()
    assert as_is(folder, results, "--json") == 0
    told = summary(capsys)
    # The other one was replaced by itself: nobody had touched it.
    assert (told["proposals"], told["known"]) == (1, 1)
    with opened(folder) as document:
        assert sorted(a.proposed for a in document.annotations(KEYS[0])) == [False, True]
        assert first.id in {a.id for a in document.annotations(KEYS[0]) if not a.proposed}


def test_a_coco_file_with_polygons_and_a_model(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    rings = [[10, 10, 30, 10, 30, 30, 10, 30]]
    content = {
        "info": {"model": "detector 7"},
        "images": [{"id": 1, "file_name": KEYS[1], "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 3, "name": "plate"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": rings}],
    }
    assert as_is(folder, written(tmp_path / "c.json", content)) == 0
    ((shape, name, origin, proposed),) = state(folder)[KEYS[1]]
    assert shape == raster.from_polygons(rings, WIDTH, HEIGHT)
    assert (name, origin.model, origin.score, proposed) == ("plate", "detector 7", None, True)


def test_everything_that_is_wrong_is_told_and_the_rest_taken(
    folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / KEYS[2]).write_bytes(b"no image")
    results = written(
        tmp_path / "r.json",
        [
            entry(KEYS[0], rle(6, 6, 10)),
            entry(KEYS[0], rle(6, 6, 10, 100, 80)),
            entry(KEYS[0], {"size": [HEIGHT, WIDTH], "counts": "not run lengths"}),
            entry(KEYS[0], [[1, 1, 5, float("nan"), 5, 5]]),
            entry(KEYS[0], rle(0, 0, 0)),
            entry(KEYS[0], rle(20, 20, 5), iscrowd=1),
            entry(KEYS[0], None, bbox=[1, 1, 5, 5]),
            entry(KEYS[1], rle(1, 1, 9), score=float("nan")),
            entry(KEYS[2], rle(6, 6, 10)),
            entry("elsewhere.png", rle(6, 6, 10)),
            "nonsense",
        ],
    )
    assert as_is(folder, results, "--json") == 1
    told = summary(capsys)
    assert list(told["failed"]) == [KEYS[2]]
    counts = {one["what"]: one["count"] for one in told["troubles"]}
    assert counts == {
        NO_MASK: 2, CROWD: 1, BAD_SCORE: 1, NO_IMAGE: 1, OTHER_SIZE: 1, DAMAGED: 2, NO_PIXELS: 1,
    }  # fmt: skip
    found = state(folder)
    assert {key: len(found[key]) for key in KEYS[:3]} == {KEYS[0]: 1, KEYS[1]: 1, KEYS[2]: 0}
    shape = found[KEYS[0]][0][0]
    assert isinstance(shape, Mask)
    assert raster.area(shape) == 100
    assert found[KEYS[1]][0][2].score is None


def test_an_image_that_was_replaced_by_another_size_keeps_what_is_accepted(
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    results = written(tmp_path / "r.json", [entry(KEYS[0], rle(6, 6, 10))])
    assert as_is(folder, results) == 0
    before = state(folder)
    assert cv2.imwrite(str(folder / KEYS[0]), np.zeros((20, 20, 3), np.uint8))
    assert as_is(folder, written(tmp_path / "s.json", [entry(KEYS[0], rle(1, 1, 5, 20, 20))])) == 1
    assert state(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--boxes", "{0}", "--model", "toy"),
        ("--boxes", "{0}", "--vocabulary", "coco"),
        ("--boxes", "{0}", "--engine", "ray", "--out", "o.json"),
    ],
)
def test_options_that_do_not_go_with_it(
    arguments: tuple[str, ...],
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = written(tmp_path / "r.json", [])
    with pytest.raises(SystemExit) as raised:
        main(["prelabel", str(folder), "--as-is", *(a.format(file) for a in arguments)])
    assert raised.value.code == 2


def test_classes_nobody_knows(
    folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nameless = {name: value for name, value in entry(KEYS[1], rle(6, 6, 10)).items()
                if name != "category"}  # fmt: skip
    results = written(tmp_path / "r.json", [entry(KEYS[0], rle(6, 6, 10)),
                                            {**nameless, "category_id": 41}])  # fmt: skip
    assert as_is(folder, results, "--classes", "existing", "--json") == 0
    told = summary(capsys)
    assert told["skipped"] == {"cup": 1, "class 41": 1}
    assert (told["proposals"], told["classes"]) == (0, [])
    assert as_is(folder, results, "--json") == 0
    told = summary(capsys)
    assert told["classes"] == ["cup", "class 41"]
    assert [one["first"] for one in told["troubles"]] == [["class 41"]]


def many(tmp_path: Path) -> Path:
    """Ten masks an image."""
    places = [(6 * (n % 8), 6 * (n // 8)) for n in range(10)]
    return written(tmp_path / "r.json", [entry(k, rle(*p, 5)) for k in KEYS for p in places])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit for the size of files")
@pytest.mark.parametrize("into", ["project", "file"])
def test_a_disk_that_fills_in_the_middle(
    into: str,
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    results, out = many(tmp_path), tmp_path / "out.json"
    asked = [str(folder), "--boxes", str(results), "--as-is"]
    if into == "file":
        asked += ["--out", str(out)]
    else:
        assert main(["prelabel", *asked, "--limit", "1"]) == 0
        asked += ["--resume"]
    process = started(*asked, limit=4000 if into == "file" else 30_000)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert ("the disk is full" if into == "file" else "journal.sqlite") in error
    assert "Traceback" not in error
    assert main(["prelabel", *asked, *(["--resume"] if into == "file" else [])]) == 0
    if into == "file":
        assert len(json.loads(out.read_bytes())) == 50
    else:
        assert [len(found) for found in state(folder).values()] == [10] * 5


def test_killed_and_gone_on(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    results, alone = many(tmp_path), copied(folder, "alone")
    process = started(folder, "--boxes", results, "--as-is")
    read_until(process, "2 of ")
    process.kill()
    process.communicate(timeout=30)
    assert as_is(folder, results, "--resume") == 0
    assert as_is(alone, results) == 0
    assert state(folder) == state(alone)
