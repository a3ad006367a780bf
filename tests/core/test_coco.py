"""COCO files against the real pycocotools."""

import contextlib
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord, Origin, Source
from annotator.core.codec import annotation_to_json
from annotator.core.errors import UserError
from annotator.core.formats.coco import Dataset, Entry, read_coco, write_coco
from annotator.core.mask import Mask
from models.api import Box
from tests.core.strategies import HEIGHT, WIDTH, annotations

RING = [10.5, 10.25, 30.0, 10.25, 30.0, 25.5, 10.5, 25.5]


def coco(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def minimal(**changes):
    """A correct file with one polygon."""
    annotation = {"id": 7, "image_id": 3, "category_id": 5, "segmentation": [RING], "area": 1.0,
                  "bbox": [0, 0, 1, 1], "iscrowd": 0} | changes  # fmt: skip
    return {
        "images": [{"id": 3, "file_name": "a/b.jpg", "width": 60, "height": 40}],
        "annotations": [{k: v for k, v in annotation.items() if v is not ...}],
        "categories": [{"id": 5, "name": "cat"}],
    }


@pytest.fixture
def read(tmp_path):
    def read(content, **options):
        path = tmp_path / "in.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_coco(path, **options)

    return read


@pytest.fixture
def rewrite(tmp_path, read):
    """Read, write, and the JSON of the result."""

    def rewrite(content):
        path = tmp_path / "out.json"
        write_coco(path, read(content))
        coco(path)
        return json.loads(path.read_text())

    return rewrite


def write(path, annotations, width=WIDTH, height=HEIGHT):
    image = ImageRecord("sub folder/ü.png", 1, width, height, count=len(annotations))
    used = sorted({a.category_id for a in annotations} - {None})
    dataset = Dataset(
        (image, ImageRecord("empty.png", 2, 5, 5)),
        tuple(Category(i, f"class {i}", "#112233") for i in used),
        tuple(Entry(1, annotation_to_json(a)) for a in annotations),
    )
    write_coco(path, dataset)


@settings(max_examples=60, deadline=None)
@given(st.lists(annotations(categories=st.none() | st.integers(1, 5)), max_size=4,
                unique_by=lambda a: a.id))  # fmt: skip
def test_what_is_written_is_exact_for_pycocotools_and_comes_back(tmp_path_factory, drawn):
    path = tmp_path_factory.getbasetemp() / "exact.json"
    write(path, drawn)
    reference = coco(path)
    drawn = [annotation for annotation in drawn if not annotation.proposed]
    assert set(reference.anns) == {annotation.id for annotation in drawn}, "no proposals"
    for annotation in drawn:
        entry = reference.anns[annotation.id]
        assert type(entry["iscrowd"]) is int
        assert entry["iscrowd"] == annotation.is_crowd
        assert entry["category_id"] in reference.cats
        pixels = reference.annToMask(entry).astype(bool)
        if isinstance(annotation.shape, Mask):
            assert np.array_equal(pixels, raster.to_array(annotation.shape))
            bounds = raster.box(annotation.shape)
            assert entry["area"] == pixels.sum()
        else:
            bounds = annotation.shape
            assert entry["area"] == bounds.width * bounds.height
        assert entry["bbox"] == [bounds.x0, bounds.y0, bounds.width, bounds.height]
        assert isinstance(entry["segmentation"], dict if annotation.is_crowd else (dict, list))
    again = read_coco(path)
    assert not again.problems
    back = {entry.value["id"]: entry.annotation() for entry in again.entries}
    assert back.keys() == {a.id for a in drawn}
    for annotation in drawn:
        assert replace(back[annotation.id], polygons=None) == annotation
    assert [image.key for image in again.images] == ["sub folder/ü.png", "empty.png"]
    assert all(category.name != "unnamed" for category in again.categories)


def test_a_mask_is_written_as_polygons_only_where_they_say_the_same(tmp_path):
    square = np.zeros((40, 60), bool)
    square[5:20, 10:30] = True
    ring = square.copy()
    ring[10, 15] = False
    shapes = [raster.from_array(image) for image in (square, ring)]
    path = tmp_path / "a.json"
    write(path, [Annotation(1, shapes[0], 1), Annotation(2, shapes[1], 1)], 60, 40)
    first, second = json.loads(path.read_text())["annotations"]
    assert first["segmentation"] == [[10, 5, 30, 5, 30, 20, 10, 20]]
    assert second["segmentation"] == shapes[1].to_coco()
    assert second["iscrowd"] == 0


def test_dust_is_written_as_rle_quickly(tmp_path):
    dust = np.zeros((2000, 2000), bool)
    dust[::4, ::4] = True
    write(tmp_path / "a.json", [Annotation(1, raster.from_array(dust), 1)], 2000, 2000)
    entry = json.loads((tmp_path / "a.json").read_text())["annotations"][0]
    assert isinstance(entry["segmentation"], dict)


def test_a_mask_of_another_size_than_its_image_is_written_as_rle(tmp_path):
    square = np.zeros((40, 60), bool)
    square[5:20, 10:30] = True
    write(tmp_path / "a.json", [Annotation(1, raster.from_array(square), 1)], 61, 40)
    entry = json.loads((tmp_path / "a.json").read_text())["annotations"][0]
    assert entry["segmentation"]["size"] == [40, 60]


def test_the_file_evaluated_against_itself_is_perfect(tmp_path):
    rng = np.random.default_rng(4)
    drawn = []
    for number in range(1, 13):
        image = np.zeros((120, 160), bool)
        y, x = rng.integers(0, 60), rng.integers(0, 80)
        image[y : y + rng.integers(20, 60), x : x + rng.integers(20, 80)] = True
        image &= rng.random(image.shape) > (0.1 if number % 2 else 0)
        drawn.append(Annotation(number, raster.from_array(image), 1 + number % 3))
    path = tmp_path / "a.json"
    write(path, drawn, 160, 120)
    truth = coco(path)
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "score": 1.0,
         "segmentation": truth.annToRLE(a)}
        for a in truth.anns.values()
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)


def test_an_untouched_file_comes_back_with_everything_in_it(rewrite):
    content = minimal(extra_key={"a": [1, None]}, attributes={"occluded": True, "deep": {"x": 1}})
    content |= {
        "info": {"description": "mine", "contributor": "me", "unknown": [1]},
        "licenses": [{"id": 4, "name": "CC", "url": "https://x"}],
        "videos": [{"id": 1}],
    }
    empty = {"id": 9, "file_name": "a/empty.jpg", "width": 5, "height": 6}
    content["images"].append(empty | {"license": 4, "coco_url": "https://y", "date": "2013"})
    content["categories"][0] |= {"supercategory": "animal", "keypoints": ["nose"]}
    out = rewrite(content)
    own = out["info"].pop("annotator")
    assert "upright" in own["convention"]
    assert out["categories"][0].pop("annotator")["color"].startswith("#")
    annotation, original = out["annotations"][0], content["annotations"][0]
    mask = raster.from_polygons([RING], 60, 40)
    bounds = raster.box(mask)
    assert annotation.pop("area") == raster.area(mask)
    assert annotation.pop("bbox") == [bounds.x0, bounds.y0, bounds.width, bounds.height]
    del original["area"], original["bbox"]
    assert out == content


def test_rle_of_a_file_stays_rle(rewrite):
    mask = raster.from_polygons([[10, 10, 30, 10, 30, 25, 10, 25]], 60, 40)
    out = rewrite(minimal(segmentation=mask.to_coco()))
    assert out["annotations"][0]["segmentation"] == mask.to_coco()


def test_our_own_file_does_not_change_by_reading_and_writing(tmp_path):
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    square = np.zeros((HEIGHT, WIDTH), bool)
    square[2:5, 3:9] = True
    origin = Origin(Source.MODEL, "edgesam", "1", 0.75)
    write(
        first,
        [
            Annotation(1, raster.from_array(square), 3, origin, hidden=True, locked=True),
            Annotation(2, Box(1.5, 2, 3, 4.25), None, is_crowd=True, attributes={"a": 1.5}),
        ],
    )
    write_coco(second, read_coco(first))
    assert second.read_bytes() == first.read_bytes()
    entries = json.loads(first.read_text())["annotations"]
    assert entries[0]["annotator"]["origin"]["model"] == "edgesam"
    assert entries[1]["annotator"]["shape"] == "box"


# --- What others write ---


def shape(dataset, index=0):
    return dataset.entries[index].annotation().shape


def test_several_rings_are_one_object(read):
    second = [40, 5, 50, 5, 50, 15, 40, 15]
    dataset = read(minimal(segmentation=[RING, second]))
    assert shape(dataset) == raster.from_polygons([RING, second], 60, 40)
    assert dataset.entries[0].annotation().polygons == (tuple(RING), tuple(map(float, second)))


def test_one_flat_ring_is_understood(read):
    assert shape(read(minimal(segmentation=RING))) == raster.from_polygons([RING], 60, 40)


@pytest.mark.parametrize("crowd", [0, 1])
def test_both_kinds_of_rle_are_read(read, crowd):
    image = np.zeros((40, 60), bool)
    image[5:9, 10:20] = True
    mask = raster.from_array(image)
    runs = {"size": [40, 60], "counts": raster.runs(mask).tolist()}
    for segmentation in (runs, mask.to_coco()):
        dataset = read(minimal(segmentation=segmentation, iscrowd=crowd))
        assert shape(dataset) == mask
        assert dataset.entries[0].annotation().is_crowd == bool(crowd)


@pytest.mark.parametrize("segmentation", [[], None, ...])
def test_a_box_alone_is_a_box(read, segmentation):
    dataset = read(minimal(segmentation=segmentation, bbox=[1.5, 2, 10, 20.25]))
    assert shape(dataset) == Box(1.5, 2, 11.5, 22.25)


@pytest.mark.parametrize(("value", "crowd"), [(True, True), (False, False), (1, True), ("1", True),
                                              (0, False), (None, False), (..., False)])  # fmt: skip
def test_crowd_flags_of_all_kinds(read, value, crowd):
    assert read(minimal(iscrowd=value)).entries[0].annotation().is_crowd is crowd


def test_ids_as_text_and_floats_are_numbers(rewrite):
    content = minimal(id="7", image_id=3.0, category_id="5")
    content["images"][0]["id"] = "3"
    out = rewrite(content)
    entry = out["annotations"][0]
    assert (entry["id"], entry["image_id"], entry["category_id"]) == (7, 3, 5)
    assert all(type(entry[name]) is int for name in ("id", "image_id", "category_id"))


def test_ids_that_are_names_get_numbers(read):
    content = minimal(id="x", image_id="img", category_id="c")
    content["images"][0]["id"], content["categories"][0]["id"] = "img", "c"
    dataset = read(content)
    assert len(dataset.entries) == 1
    assert (dataset.images[0].id, dataset.categories[0].id, dataset.entries[0].value["id"]) == (
        1, 1, 1,
    )  # fmt: skip
    assert dataset.problems


def test_repeated_ids_get_new_ones_and_are_told(read):
    content = minimal()
    content["annotations"] += [
        {**content["annotations"][0]},
        {**content["annotations"][0], "id": 0},
    ]
    dataset = read(content)
    assert [entry.value["id"] for entry in dataset.entries] == [7, 8, 9]
    assert "2 objects got a new id" in dataset.problems[0]


def test_category_id_zero_is_kept(rewrite):
    content = minimal(category_id=0)
    content["categories"][0]["id"] = 0
    out = rewrite(content)
    assert out["categories"][0]["id"] == out["annotations"][0]["category_id"] == 0


def test_an_image_listed_twice_becomes_one(read):
    content = minimal(image_id=4)
    content["images"].append({**content["images"][0], "id": 4})
    dataset = read(content)
    assert [image.id for image in dataset.images] == [3]
    assert dataset.entries[0].image_id == 3
    assert dataset.problems


def test_same_names_in_different_folders_never_collide(read):
    content = minimal()
    content["images"].append({"id": 4, "file_name": "c/b.jpg", "width": 1, "height": 1})
    assert [image.key for image in read(content).images] == ["a/b.jpg", "c/b.jpg"]


def test_classes_that_are_used_but_not_listed_get_a_name(read):
    content = minimal()
    content["categories"] = []
    dataset = read(content)
    assert [(c.id, c.name) for c in dataset.categories] == [(5, "class 5")]
    assert dataset.problems


def test_classes_of_the_same_name_stay_apart(read):
    content = minimal()
    content["categories"].append({"id": 6, "name": "cat"})
    names = [category.name for category in read(content).categories]
    assert names == ["cat", "cat (6)"]


def test_scores_are_the_origin_s_and_come_back(read, rewrite):
    assert read(minimal(score=0.5)).entries[0].annotation().origin == Origin(
        Source.IMPORT, score=0.5
    )
    assert rewrite(minimal(score=0.5))["annotations"][0]["score"] == 0.5


def test_attributes_of_cvat(read):
    annotation = read(minimal(attributes={"occluded": False, "n": 3, "t": "x"})).entries[0]
    assert annotation.annotation().attributes == {"occluded": False, "n": 3, "t": "x"}


def test_missing_sizes_are_measured(read):
    content = minimal()
    del content["images"][0]["width"], content["images"][0]["height"]
    dataset = read(content, measure=lambda key: (60, 40) if key == "a/b.jpg" else (0, 0))
    assert shape(dataset) == raster.from_polygons([RING], 60, 40)
    assert not read(content).entries, "nobody knows the size"


def test_names_lead_to_images_through_the_folder(read):
    dataset = read(minimal(), resolve=lambda name: {"a/b.jpg": "found/b.jpg"}[name])
    assert dataset.images[0].key == "found/b.jpg"


BAD = {
    "no image": {"image_id": 99},
    "image is null": {"image_id": None},
    "odd polygon": {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]},
    "short polygon": {"segmentation": [[1, 2, 3, 4]]},
    "text in a polygon": {"segmentation": [["a", 2, 3, 4, 5, 6]]},
    "nan": {"segmentation": [[math.nan, 2, 3, 4, 5, 6]]},
    "far away": {"segmentation": [[1e12, 2, 3, 4, 5, 6]]},
    "rle of another size": {"segmentation": {"size": [41, 60], "counts": [2460]}},
    "rle too short": {"segmentation": {"size": [40, 60], "counts": [5, 5]}},
    "rle negative": {"segmentation": {"size": [40, 60], "counts": [2405, -5]}},
    "rle garbage": {"segmentation": {"size": [40, 60], "counts": "garbage~~~~~~~~"}},
    "rle open": {"segmentation": {"size": [40, 60], "counts": "oooooooooooooooooooooooo"}},
    "rle not ascii": {"segmentation": {"size": [40, 60], "counts": "ü"}},
    "rle empty": {"segmentation": {"size": [40, 60], "counts": ""}},
    "rle of null": {"segmentation": {"size": [40, 60], "counts": None}},
    "rle without size": {"segmentation": {"counts": [1]}},
    "rle absurd": {"segmentation": {"size": [10**9, 10**9], "counts": [10**18]}},
    "segmentation is text": {"segmentation": "x"},
    "nothing": {"segmentation": [], "bbox": ...},
    "negative box": {"segmentation": [], "bbox": [1, 2, -3, 4]},
    "box of text": {"segmentation": [], "bbox": ["a", 2, 3, 4]},
    "box of three": {"segmentation": [], "bbox": [1, 2, 3]},
    "box of nan": {"segmentation": [], "bbox": [1, 2, math.nan, 3]},
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_told_and_kept(read, rewrite, name):
    content = minimal(**BAD[name])
    good = minimal()["annotations"][0] | {"id": 8}
    content["annotations"].append(good)
    dataset = read(content)
    assert [entry.value["id"] for entry in dataset.entries] == [8]
    assert any("id 7" in problem for problem in dataset.problems)
    out = rewrite(content)
    kept = out["annotator"]["unreadable"]["annotations"]
    expected = json.loads(json.dumps(content["annotations"][0]).replace("NaN", "null"))
    assert kept == [expected]
    assert rewrite(out)["annotator"] == out["annotator"], "and it stays kept"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '{"images": 3}', '{"images": [], "annotations": {}}',
     '{"shapes": []}', "[" * 100_000, "\x00\x01", '{"images": []', '{"a": 1'],
)  # fmt: skip
def test_files_that_are_not_coco_are_refused_by_name(read, text):
    with pytest.raises(UserError, match=r"in\.json") as caught:
        read(text)
    assert caught.value.remedy


def test_a_file_that_is_no_unicode_is_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UserError, match=r"x\.json"):
        read_coco(tmp_path / "x.json")
    with pytest.raises(UserError, match=r"gone\.json"):
        read_coco(tmp_path / "gone.json")


@settings(max_examples=150, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda x: st.lists(x, max_size=8) | st.dictionaries(
        st.sampled_from(["id", "image_id", "category_id", "segmentation", "bbox", "size", "counts",
                         "iscrowd", "attributes", "annotator", "file_name", "width", "name"]),
        x, max_size=6),
    max_leaves=20))  # fmt: skip
def test_no_content_makes_reading_fail(tmp_path_factory, junk):
    path = tmp_path_factory.getbasetemp() / "junk.json"
    path.write_text(json.dumps(minimal(segmentation=junk, attributes=junk, bbox=junk)))
    read_coco(path)
    whole = {**minimal(), "annotations": [junk], "images": [junk], "categories": [junk]}
    path.write_text(json.dumps(whole))
    read_coco(path)
