"""Labelled images in all layouts, and what is wrong with bad ones."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.api import ModelError
from models.training.evaluation import read_dataset
from tests.training.coloured import (
    HEIGHT,
    SHAPES,
    WIDTH,
    content,
    picture,
    png,
    write_folder,
    write_tar,
)

Coco = dict[str, Any]


def test_polygons_and_both_kinds_of_rle_become_the_same_masks(tmp_path: Path) -> None:
    dataset = read_dataset(write_folder(tmp_path / "shapes"))

    assert dataset.name == "shapes"
    assert dataset.object_count == 6  # crowds are no targets
    for item in dataset.pictures:
        assert np.array_equal(item.pixels(), picture())
        for truth, (colour, _) in zip(item.truths, SHAPES.items(), strict=True):
            assert np.array_equal(truth.mask(), picture()[..., 0] == colour)
            assert truth.area == (picture()[..., 0] == colour).sum()
            assert truth.crowd == (colour == 200)
    assert dataset.category(7) == "dot"


def test_tar_archives_are_read_in_place(tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", content(("x/a.png",), first=1))
    write_tar(tmp_path / "two.tar", content(("x/b.png", "c.png"), first=2))

    dataset = read_dataset(tmp_path)

    assert [item.name for item in dataset.pictures] == ["x/a.png", "x/b.png", "c.png"]
    assert all(np.array_equal(item.pixels(), picture()) for item in dataset.pictures)
    assert [item.name for item in read_dataset(tmp_path, limit=2).pictures] == [
        "x/a.png",
        "x/b.png",
    ]
    assert len(read_dataset(tmp_path / "two.tar").pictures) == 2


def test_a_project_of_annotator_is_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(png(picture()))
    (tmp_path / "annotations.json").write_text(json.dumps(content(("sub/a.png",))))

    assert read_dataset(tmp_path).pictures[0].pixels().shape == (HEIGHT, WIDTH, 3)


def test_the_images_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "labels", name="instances_val.json")
    (folder / "images").rename(tmp_path / "val2017")

    dataset = read_dataset(folder / "instances_val.json", tmp_path / "val2017")

    assert dataset.name == "instances_val"
    assert len(dataset.pictures) == 2


def test_sizes_are_those_of_the_upright_image(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, content(("a.png",)))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter to the right
    (folder / "images" / "a.png").write_bytes(png(np.rot90(picture()), exif=exif.tobytes()))

    assert np.array_equal(read_dataset(folder).pictures[0].pixels(), picture())


def first(coco: Coco) -> Coco:
    entry: Coco = coco["annotations"][0]
    return entry


BAD: dict[str, tuple[Callable[[Coco], object], str]] = {
    "no images": (lambda c: c.update(images=[], annotations=[]), "no labelled objects"),
    "no objects": (lambda c: c["annotations"].clear(), "no labelled objects"),
    "crowds only": (
        lambda c: [a.update(iscrowd=1) for a in c["annotations"]],
        "no labelled objects",
    ),
    "no list": (lambda c: c.pop("categories"), "not a COCO instances file"),
    "no size": (lambda c: c["images"][0].pop("width"), "incomplete.*width"),
    "nameless class": (lambda c: c["categories"][0].pop("name"), "class.*lacks id or name"),
    "other size": (lambda c: c["images"][0].update(width=161), r"a\.png” is 160 × 120, but.*161"),
    "missing image": (
        lambda c: c["images"].append(c["images"][0] | {"id": 9, "file_name": "gone.png"}),
        r"gone\.png” cannot be read",
    ),
    "unknown image": (lambda c: first(c).update(image_id=99), "Object 1040 .* image 99"),
    "outside": (
        lambda c: first(c).update(segmentation=[[200, 10, 260, 10, 260, 60]]),
        r"Object 1040 .*a\.png” reaches out of the image of 160 × 120",
    ),
    "just outside": (
        lambda c: first(c).update(segmentation=[[160, 10, 163, 10, 163, 60]]),
        "Object 1040 .* has no pixel inside the image",
    ),
    "mask of another size": (
        lambda c: first(c).update(segmentation={"size": [60, 80], "counts": [4700, 100]}),
        "Object 1040 .* mask of 80 × 60, but its image is 160 × 120",
    ),
    "runs": (
        lambda c: first(c).update(segmentation={"size": [120, 160], "counts": [10, 10]}),
        "Object 1040 .* runs that do not add up",
    ),
    "compressed runs": (
        lambda c: first(c).update(segmentation={"size": [120, 160], "counts": "abc"}),
        "Object 1040 .* runs that do not add up",
    ),
    "half a polygon": (
        lambda c: first(c).update(segmentation=[[1, 2, 3, 4]]),
        "Object 1040 .* polygon that is not a list of at least three",
    ),
    "no number": (
        lambda c: first(c).update(segmentation=[[1, 2, 3, 4, 5, float("nan")]]),
        "Object 1040 .* polygon",
    ),
    "no mask": (lambda c: first(c).update(segmentation=None), "Object 1040 .* has no mask"),
    "empty mask": (lambda c: first(c).update(segmentation=[]), "Object 1040 .* has no mask"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_refused_naming_what_and_where(tmp_path: Path, name: str) -> None:
    spoil, message = BAD[name]
    folder = write_folder(tmp_path)
    coco = content()
    spoil(coco)
    (folder / "instances.json").write_text(json.dumps(coco))

    with pytest.raises(ModelError, match=message) as caught:
        read_dataset(folder)

    assert re.search(r"Correct|Give|Every|need", str(caught.value))


def test_what_is_bad_can_be_left_out(tmp_path: Path) -> None:
    coco = content()
    first(coco)["segmentation"] = []
    coco["images"][1]["height"] = 5
    folder = write_folder(tmp_path, coco)

    dataset = read_dataset(folder, skip_bad=True)

    assert [item.name for item in dataset.pictures] == ["a.png"]
    assert len(dataset.pictures[0].objects) == 2
    assert len(dataset.skipped) >= 2


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "images" / "b.png").write_bytes(b"no picture")

    with pytest.raises(ModelError, match=r"b\.png” is not an image"):
        read_dataset(folder)


def test_a_cut_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    path = folder / "images" / "b.png"
    path.write_bytes(path.read_bytes()[:60])

    with pytest.raises(ModelError, match=r"b\.png"):
        read_dataset(folder).pictures[1].pixels()


def test_paths_without_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"neither instances\.json"):
        read_dataset(tmp_path)
    with pytest.raises(ModelError, match=r"gone\.json” cannot be read"):
        read_dataset(tmp_path / "gone.json")
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    with pytest.raises(ModelError, match=r"bad\.json” is not readable JSON"):
        read_dataset(bad)
    packed = tmp_path / "packed.tar"
    with tarfile.open(packed, "w:gz"):
        pass
    with pytest.raises(ModelError, match="not an uncompressed tar"):
        read_dataset(packed)


def test_parts_that_number_classes_differently_are_refused(tmp_path: Path) -> None:
    write_tar(tmp_path / "one.tar", content(("a.png",)))
    other = content(("b.png",), first=2)
    other["categories"][0]["name"] = "cat"
    write_tar(tmp_path / "two.tar", other)

    with pytest.raises(ModelError, match="Class 3 is “cat”"):
        read_dataset(tmp_path)
