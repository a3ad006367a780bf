"""Data to learn from: what is read, and how bad data is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.api import ModelError
from models.training.data import read
from models.training.recipe import HELD_SOURCE, PROCESSOR, settings_for, split
from models.training.sampling import Sampler
from models.training.settings import Settings
from tests.training.coloured import content, write_tar
from tests.training.shapes import HEIGHT, WIDTH, shapes, write_shapes


def spoil(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    listing = folder / "instances.json"
    coco = json.loads(listing.read_text())
    change(coco)
    listing.write_text(json.dumps(coco))
    return folder


def test_images_masks_and_boxes_are_read(tmp_path: Path) -> None:
    image, *others = shapes(tmp_path / "data", 2)

    assert len(others) == 1
    assert image.source == "shapes"
    assert image.size == image.pixels().shape[:2] == (HEIGHT, WIDTH)
    for mask, (x0, y0, x1, y1) in zip(map(image.mask, range(3)), image.boxes, strict=True):
        inside = mask[int(y0) : int(y1), int(x0) : int(x1)]
        assert inside.sum() == mask.sum() > 0
        assert image.pixels()[mask > 0].std(0).max() == 0  # of one colour


def test_a_tar_is_read_where_it_lies_and_its_images_can_be_sent_to_a_process(
    tmp_path: Path,
) -> None:
    images = read(write_tar(tmp_path / "a.tar", content()))

    sent = pickle.loads(pickle.dumps(images))

    assert len(sent) == 2
    np.testing.assert_array_equal(sent[0].pixels(), images[0].pixels())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["annotations"].clear(), "no image with an object"),
        (lambda c: c["annotations"][0].update(image_id=77), "image 77, which is not listed"),
        (lambda c: c["annotations"][0]["segmentation"].update(size=[5, 5]), "mask of 5 × 5"),
        (
            lambda c: c["annotations"][0].update(segmentation=[[900, 900, 990, 900, 950, 990]]),
            "reaches out of the image",
        ),
        (lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]]), "three x, y"),
        (lambda c: c["images"][0].update(file_name="gone.png"), "“gone.png”.*missing"),
        (lambda c: c["images"][0].pop("width"), "width.* missing or wrong"),
    ],
)
def test_bad_labels_are_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    folder = spoil(write_shapes(tmp_path / "data", 2), change)

    with pytest.raises(ModelError, match=said):
        read(folder)


@pytest.mark.parametrize("what", ["", "[]", "{"])
def test_listings_that_are_none_are_refused(tmp_path: Path, what: str) -> None:
    (tmp_path / "instances.json").write_text(what)

    with pytest.raises(ModelError, match="COCO"):
        read(tmp_path)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ModelError, match=str(path)):
            read(path)


def test_images_of_another_size_and_broken_ones_are_refused_when_they_are_seen(
    tmp_path: Path,
) -> None:
    wrong, broken, empty = shapes(tmp_path / "data", 3)
    files = [tmp_path / "data" / "images" / image.name for image in (wrong, broken, empty)]
    cv2.imwrite(str(files[0]), np.zeros((20, 30, 3), np.uint8))
    files[1].write_bytes(b"no image")
    files[2].write_bytes(b"")

    with pytest.raises(ModelError, match=f"0.png” is 30 × 20, but labelled as {WIDTH} × {HEIGHT}"):
        wrong.pixels()
    for image in (broken, empty):
        with pytest.raises(ModelError, match=f"{image.name}” is not a readable image"):
            image.pixels()


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    images = shapes(tmp_path / "data", 1)

    with pytest.raises(ModelError, match="no image has an object"):
        Sampler([], Settings())
    with pytest.raises(ModelError, match="weight 0"):
        Sampler(images, Settings(weights={"shapes": 0.0}))


def test_the_recipe_holds_back_everyday_images_alone(tmp_path: Path) -> None:
    everyday = read(write_shapes(tmp_path / "a", 9, HELD_SOURCE))
    others = read(write_shapes(tmp_path / "b", 3))

    learnt, held = split([*everyday, *others], 8)
    assert [image.name for image in held] == ["0.png", "8.png"]
    assert all(image.source == HELD_SOURCE for image in held)
    assert len(learnt) == 10

    learnt, held = split(others, 2)  # nothing everyday: of what there is
    assert (len(learnt), len(held)) == (1, 2)
    assert split(others, 0) == (others, [])
    assert split(others[:1], 1) == (others[:1], [])  # something has to be learnt from


def test_the_recipe_leaves_out_what_the_data_does_not_have(tmp_path: Path) -> None:
    images = shapes(tmp_path / "data", 1)

    settings = settings_for("cpu", images)

    assert settings.weights == {}
    assert settings.paste_sources == ()
    assert settings.rate == PROCESSOR.rate
    assert settings_for("cuda", images).parts > 1


def test_other_sources_are_drawn_as_their_weights_say(tmp_path: Path) -> None:
    often = read(write_shapes(tmp_path / "a", 2, "often"))
    seldom = read(write_shapes(tmp_path / "b", 8, "seldom"))
    settings = Settings(weights={"often": 3.0}, images=400, side=64)

    sampler = Sampler([*often, *seldom], settings)

    shares = sampler._shares
    assert shares[:2].sum() == pytest.approx(0.75)
    assert shares.sum() == pytest.approx(1.0)
