"""CVAT, Label Studio, Datumaro, Hugging Face, sequences, ISAT, VIA and X-AnyLabeling."""

import csv
import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.annotation import Origin as Provenance
from annotator.core.errors import UserError
from annotator.core.formats import brush
from annotator.core.formats.api import LabelledImage, Origin
from annotator.core.formats.exporting import ExportOptions, export
from annotator.core.formats.measurements import COLUMNS, measured
from annotator.core.formats.registry import format_spec, recognise
from annotator.core.formats.splits import Splits
from annotator.core.mask import Mask
from annotator.core.propagation import root_of
from models.api import Box
from tests.core.strategies import HEIGHT, WIDTH, masks
from tests.formats.contents import (
    content_of_images,
    contents,
    main_file,
    objects,
    on_disk,
    there_and_back,
)
from tests.formats.test_consumers import run
from tests.formats.test_damaged import HOSTILE, consume, exported

EXACT = ["cvat", "label-studio", "datumaro", "huggingface"]
quick = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CAT = Category(1, "cat", "#112233")


def box_mask(*edges):
    return raster.from_box(Box(*edges), WIDTH, HEIGHT)


def image_of(*annotations, key="a.png"):
    return LabelledImage(ImageRecord(key, 1, WIDTH, HEIGHT), annotations)


def photo(folder, name="a.png"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(path)
    return path


def read(name, path):
    """Content and its objects; the path is recognised as well."""
    assert recognise(path).id == name
    content = format_spec(name).read(Origin(path))
    return content, objects(content)


# --- There and back ---


@pytest.mark.parametrize("name", EXACT)
@quick
@given(content=contents())
def test_masks_and_boxes_come_back_exactly(name, content, tmp_path):
    _, report, back = there_and_back(content, name, tmp_path)
    assert objects(back) == objects(content)
    assert not back.troubles.counts
    assert report.annotations == sum(map(len, objects(content).values()))


@pytest.mark.parametrize("name", EXACT)
def test_attributes_and_splits_come_back(name, tmp_path):
    given = {"colour": 'rötlich <&> "x"', "wheels": 4, "weight": 0.25, "new": False, "b": True}
    images = [
        image_of(Annotation(n, box_mask(1, 1, 5, 5), 1, attributes=given), key=f"{n}.png")
        for n in range(1, 5)
    ]
    content = on_disk(content_of_images(images, [CAT]), tmp_path / "photos")
    spec, out = format_spec(name), tmp_path / "out"
    export(content, spec, out, ExportOptions("copy", splits=Splits((0.5, 0.5))))
    back = spec.read(Origin(out))
    assert sorted(back.splits) == ["train", "val"]
    assert Counter(image.split for image in back.images()) == {"train": 2, "val": 2}
    for image in back.images():
        assert image.file is not None
        assert dict(image.annotations[0].attributes) == given
    assert not back.troubles.counts


@quick
@given(content=contents(shapes=masks(), crowds=False))
def test_davis_keeps_what_can_be_seen(content, tmp_path):
    _, _, back = there_and_back(content, "davis", tmp_path)
    for image in content.images():
        # Images that are in no folder get one.
        key = image.record.key
        found = objects(back)[key if "/" in key else f"sequence/{key}"]
        picture = np.zeros((HEIGHT, WIDTH), int)
        for number, annotation in enumerate(image.annotations, 1):
            picture[raster.to_array(annotation.shape)] = number
        names = content.names()
        truth = [
            (names[annotation.category_id], raster.from_array(picture == number), False)
            for number, annotation in enumerate(image.annotations, 1)
            if (picture == number).any()
        ]
        assert Counter(found) == Counter(truth)


@quick
@given(content=contents(shapes=masks(), crowds=False))
def test_youtube_vis_keeps_masks(content, tmp_path):
    _, _, back = there_and_back(content, "youtube-vis", tmp_path)
    truth = {key: Counter(found) for key, found in objects(content).items()}
    assert {key: Counter(found) for key, found in objects(back).items()} == truth


def sequence():
    """Two objects through three frames; one is gone in the second, its class changes at the end."""
    frames = []
    for frame in range(3):
        first = Annotation(10 + frame, box_mask(frame, 1, frame + 4, 5), 1)
        second = Annotation(20 + frame, box_mask(10, frame, 14, frame + 6), 2)
        if frame:
            first = replace(first, origin=Provenance(follows=10))
            second = replace(second, origin=Provenance(follows=20))
        found = (first,) if frame == 1 else (first, second)
        frames.append(image_of(*found, key=f"walk/{frame:05}.png"))
    single = image_of(Annotation(30, box_mask(2, 2, 8, 8), 2), key="run/0.png")
    return content_of_images([*frames, single], [CAT, Category(2, "dog", "#445566")])


@pytest.mark.parametrize("name", ["youtube-vis", "davis", "datumaro"])
def test_tracks_come_back_as_followed_objects(name, tmp_path):
    out, _, back = there_and_back(sequence(), name, tmp_path)
    found = {image.record.key: image.annotations for image in back.images()}
    roots = [[root_of(a) for a in found[f"walk/{n:05}.png"]] for n in range(3)]
    first, second = roots[0]
    assert roots == [[first, second], [first], [first, second]]
    assert root_of(found["run/0.png"][0]) not in (first, second)
    if name == "youtube-vis":
        value = json.loads((out / "instances.json").read_text())
        tracks = {a["category_id"]: a for a in value["annotations"] if a["length"] == 3}
        assert [s is None for s in tracks[1]["segmentations"]] == [False] * 3
        assert [s is None for s in tracks[2]["segmentations"]] == [False, True, False]
        assert tracks[2]["areas"] == [24, None, 24]
        assert value["videos"][0]["file_names"][0] == "walk/00000.png"
    if name == "davis":
        folder = out / "Annotations" / "Full-Resolution" / "walk"
        pictures = [np.asarray(Image.open(p)) for p in sorted(folder.glob("*.png"))]
        assert [sorted(np.unique(p)) for p in pictures] == [[0, 1, 2], [0, 1], [0, 1, 2]]
        assert Image.open(folder / "00000.png").mode == "P"
        assert (out / "ImageSets/2017/train.txt").read_text() == "walk\nrun\n"


def test_an_attribute_can_say_the_track(tmp_path):
    def frame(number, track):
        made = Annotation(number, box_mask(1, 1, 5, 5), 1, attributes={"track_id": track})
        return image_of(made, key=f"s/{number}.png")

    content = content_of_images([frame(1, 7), frame(2, "7"), frame(3, 8)], [CAT])
    _, _, back = there_and_back(content, "youtube-vis", tmp_path)
    roots = [root_of(image.annotations[0]) for image in back.images()]
    assert roots[0] == roots[1] != roots[2]


def test_a_folder_that_is_no_sequence_is_refused(tmp_path, monkeypatch):
    from annotator.core.formats import youtube_vis

    monkeypatch.setattr(youtube_vis, "_MOST_CELLS", 3)
    with pytest.raises(UserError, match="no sequence"):
        there_and_back(sequence(), "youtube-vis", tmp_path)


# --- Files as their own tools write them ---

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>1</id><name>t</name><size>2</size><mode>annotation</mode>
    <labels><label><name>cat</name><color>#fa3253</color><type>any</type><attributes>
      <attribute><name>age</name><mutable>False</mutable><input_type>number</input_type>
        <default_value>1</default_value><values>1\n9\n1</values></attribute></attributes></label>
    </labels></task></meta>
  <image id="0" name="a.png" width="24" height="16">
    <mask label="cat" source="semi-auto" occluded="1" rle="1, 2, 3, 3" left="4" top="2" width="3"
      height="3" z_order="1"><attribute name="age">3</attribute></mask>
    <polygon label="cat" source="manual" occluded="0" points="2.00,2.00;8.00,2.00;8.00,9.00"
      z_order="0"></polygon>
    <box label="dog" source="manual" occluded="0" xtl="1.50" ytl="2.00" xbr="9.00" ybr="8.25"
      z_order="2"></box>
    <ellipse label="cat" occluded="0" cx="12.00" cy="8.00" rx="5.00" ry="5.00" z_order="3"/>
    <box label="cat" occluded="0" xtl="4" ytl="4" xbr="10" ybr="8" rotation="90.00" z_order="4"/>
    <points label="cat" occluded="0" points="1,1" z_order="5"></points>
    <tag label="night" source="manual"></tag>
  </image>
</annotations>
"""


def test_cvat_as_cvat_writes_it(tmp_path):
    photo(tmp_path / "images")
    (tmp_path / "annotations.xml").write_text(CVAT)
    content, found = read("cvat", tmp_path)
    polygon, mask, box, ellipse, turned = found["a.png"]
    assert polygon[1] == raster.from_polygons([[2, 2, 8, 2, 8, 9]], WIDTH, HEIGHT)
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    # Along rows: one empty pixel, two full ones, three empty ones, three full ones.
    pixels[2, 5:7] = pixels[4, 4:7] = True
    assert mask[1] == raster.from_array(pixels)
    assert box[:2] == ("dog", Box(1.5, 2.0, 9.0, 8.25))
    assert raster.area(ellipse[1]) == pytest.approx(math.pi * 25, rel=0.05)
    assert raster.box(turned[1]) == Box(5, 3, 9, 9)
    annotation = next(iter(content.images())).annotations[1]
    assert dict(annotation.attributes) == {"age": 3, "occluded": True}
    assert set(content.troubles.counts) == {
        "points, lines and other shapes without an area", "tags of whole images"
    }  # fmt: skip


def test_cvat_refuses_entities_and_cut_files(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y SYSTEM "/etc/passwd">]>'
    for number, text in enumerate(
        (CVAT.replace("<annotations>", f"{bomb}<annotations>"), CVAT[:600], "<a/>", "")
    ):
        path = tmp_path / f"{number}.xml"
        path.write_text(text)
        with pytest.raises(UserError, match="damaged"):
            format_spec("cvat").read(Origin(path))


def reference_brush(pixels):
    """The layout as published, bit by bit, for few pixels: four equal bytes each."""
    values = np.repeat(pixels.ravel() * 255, 4).tolist()
    text = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{s - 1:04b}" for s in (3, 4, 8, 16))
    while values:
        length = next((i for i, v in enumerate(values) if v != values[0]), len(values))
        code = next(i for i, s in enumerate((3, 4, 8, 16)) if length <= 1 << s)
        size = (3, 4, 8, 16)[code]
        text += f"1{code:02b}{length - 1:0{size}b}{values[0]:08b}"
        values = values[length:]
    text += "0" * (8 - len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


@settings(max_examples=60, deadline=None)
@given(masks())
def test_brush_is_label_studios(mask):
    pixels = raster.to_array(mask)
    assert brush.encode(pixels) == reference_brush(pixels)
    assert (brush.decode(bytes(brush.encode(pixels)), WIDTH, HEIGHT) == pixels).all()


def test_brush_reads_single_values_and_soft_edges():
    # Six pixels, the alpha of three of them at least one half; values one by one, as the editor
    # writes what does not repeat.
    alphas = [0, 127, 128, 255, 1, 200]
    values = [v for alpha in alphas for v in (9, 8, 7, alpha)]
    text = f"{24:032b}" + f"{7:05b}" + "".join(f"{s - 1:04b}" for s in (3, 4, 8, 16))
    text += "010" + f"{23:08b}" + "".join(f"{v:08b}" for v in values)
    text += "0" * (-len(text) % 8)
    data = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    pixels = brush.decode(data, 3, 2)
    assert pixels.tolist() == [[False, False, True], [True, False, True]]
    assert brush.decode(data, 2, 2) is None
    assert brush.decode(data[:-3], 3, 2) is None


def test_label_studio_as_it_exports(tmp_path):
    photo(tmp_path)
    region = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0,
              "from_name": "label", "to_name": "image", "origin": "manual"}  # fmt: skip
    result = [
        region | {"id": "p", "type": "polygonlabels", "value": {
            "points": [[0, 0], [50, 0], [50, 50]], "closed": True, "polygonlabels": ["cat"]}},
        region | {"id": "r", "type": "rectanglelabels", "value": {
            "x": 25, "y": 50, "width": 25, "height": 25, "rotation": 0,
            "rectanglelabels": ["dog"]}},
        region | {"id": "e", "type": "ellipselabels", "value": {
            "x": 50, "y": 50, "radiusX": 12.5, "radiusY": 25, "ellipselabels": ["cat"]}},
        region | {"id": "k", "type": "keypointlabels", "value": {
            "x": 1, "y": 1, "width": 0.3, "keypointlabels": ["cat"]}},
        {"id": "c", "type": "choices", "value": {"choices": ["night"]}},
    ]  # fmt: skip
    task = {
        "id": 3, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "predictions": [{"id": 1}],
        "annotations": [
            {"id": 1, "result": [], "was_cancelled": True},
            {"id": 2, "result": result}, {"id": 4, "result": []},
        ],
    }  # fmt: skip
    path = tmp_path / "project-1.json"
    path.write_text(json.dumps([task, {"data": 3}]))
    content, found = read("label-studio", path)
    polygon, rectangle, ellipse = found["a.png"]
    assert polygon[1] == raster.from_polygons([[0, 0, 12, 0, 12, 8]], WIDTH, HEIGHT)
    assert rectangle == ("dog", Box(6, 8, 12, 12), False)
    assert raster.area(ellipse[1]) == pytest.approx(math.pi * 3 * 4, rel=0.1)
    assert set(content.troubles.counts) == {
        "values of the kind “keypointlabels”", "values of the kind “choices”",
        "predictions of models", "annotations that were cancelled",
        "further annotations of an image by others; the first one is taken",
        "entries that are no tasks with an image",
    }  # fmt: skip


def test_isat_as_isat_writes_it(tmp_path):
    photo(tmp_path)
    square = [[2.0, 2.0], [10.0, 2.0], [10.0, 12.0], [2.0, 12.0]]
    base = {"area": 1, "bbox": [], "iscrowd": False, "note": "", "shape_type": "polygon"}
    value = {
        "info": {"description": "ISAT", "folder": "C:\\x", "name": "a.png", "width": WIDTH,
                 "height": HEIGHT, "depth": 3, "note": "dark"},
        "objects": [
            base | {"category": "__background__", "group": 9, "layer": 2.0,
                    "segmentation": [[4, 4], [6, 4], [6, 6], [4, 6]]},
            base | {"category": "cat", "group": 1, "layer": 1.0, "segmentation": square,
                    "note": "left", "iscrowd": 1},
            base | {"category": "cat", "group": 1, "layer": 1.0,
                    "segmentation": [[14, 2], [18, 2], [18, 6], [14, 6]]},
            base | {"category": "cat", "group": 2, "layer": 3.0, "segmentation": [[1, 1]]},
        ],
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(value))
    (tmp_path / "b.json").write_text(json.dumps(value)[:100])
    content, found = read("isat", tmp_path)
    expected = raster.union([box_mask(2, 2, 10, 12), box_mask(14, 2, 18, 6)])
    expected = raster.difference(expected, box_mask(4, 4, 6, 6))
    assert found == {"a.png": [("cat", expected, True)]}
    assert dict(next(content.images()).annotations[0].attributes) == {"note": "left"}
    assert set(content.troubles.counts) == {
        "files that are not ISAT JSON", "values of “note”",
        "shapes with a damaged outline or mask",
        "holes drawn as background, cut out of what lies below",
    }  # fmt: skip


def test_x_anylabeling_as_it_writes(tmp_path):
    photo(tmp_path)
    shape = {
        "label": "cat",
        "score": 0.75,
        "group_id": None,
        "description": None,
        "difficult": True,
        "flags": {},
        "attributes": {"side": "left"},
        "kie_linking": [],
    }
    square = [[2.0, 2.0], [10.0, 2.0], [10.0, 12.0], [2.0, 12.0]]
    value = {
        "version": "4.0.2", "flags": {}, "checked": False, "imagePath": "a.png",
        "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH, "description": "",
        "shapes": [
            shape | {"shape_type": "polygon", "points": square},
            shape | {"shape_type": "rectangle", "points": square, "difficult": False},
            shape | {"shape_type": "rotation", "points": square, "direction": 0.5},
            shape | {"shape_type": "circle", "points": [[8, 8], [12, 8]], "kie_linking": [[1, 2]]},
            shape | {"shape_type": "point", "points": [[8, 8]]},
        ],
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(value))
    content, found = read("labelme", tmp_path)
    polygon, rectangle, rotation, circle = found["a.png"]
    assert polygon[1] == rotation[1] == box_mask(2, 2, 10, 12)
    assert rectangle[1] == Box(2, 2, 10, 12)
    assert raster.area(circle[1]) == pytest.approx(math.pi * 16, rel=0.1)
    first, second, *_ = next(content.images()).annotations
    assert dict(first.attributes) == {"side": "left", "difficult": True}
    assert dict(second.attributes) == {"side": "left"}
    assert first.origin.score == 0.75
    assert set(content.troubles.counts) == {
        "values of “direction”", "values of “kie_linking”",
        "points, lines and other shapes without an area",
    }  # fmt: skip


@pytest.mark.parametrize("whole_project", [False, True])
def test_via_as_via_writes_it(tmp_path, whole_project):
    photo(tmp_path)
    regions = [
        {"shape_attributes": {"name": "polygon", "all_points_x": [2, 8, 8],
                              "all_points_y": [2, 2, 9]},
         "region_attributes": {"class": "cat", "state": {"wet": True, "old": True}}},
        {"shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4},
         "region_attributes": {"animal": "dog"}},
        {"shape_attributes": {"name": "ellipse", "cx": 10, "cy": 8, "rx": 4, "ry": 3,
                              "theta": 0}, "region_attributes": {}},
        {"shape_attributes": {"name": "circle", "cx": "x", "cy": 8, "r": 3}},
        {"shape_attributes": {"name": "point", "cx": 1, "cy": 2}, "region_attributes": {}},
    ]  # fmt: skip
    entry = {"filename": "a.png", "size": 12, "regions": regions, "file_attributes": {"by": "me"}}
    value = {"a.png12": entry}
    if whole_project:
        value = {"_via_settings": {}, "_via_img_metadata": value, "_via_attributes": {}}
    path = tmp_path / "via.json"
    path.write_text(json.dumps(value))
    content, found = read("via", path)
    polygon, rectangle, ellipse = found["a.png"]
    assert polygon[:2] == ("cat", raster.from_polygons([[2, 2, 8, 2, 8, 9]], WIDTH, HEIGHT))
    assert rectangle == ("dog", Box(1, 2, 4, 6), False)
    assert raster.area(ellipse[1]) == pytest.approx(math.pi * 12, rel=0.1)
    assert dict(next(content.images()).annotations[0].attributes) == {"state": "wet, old"}
    assert len(content.troubles.counts) == 3


def test_datumaro_polygons_of_a_group_are_one_object(tmp_path):
    photo(tmp_path / "images" / "default", "x/a.png")
    rings = ([2, 2, 8, 2, 8, 8, 2, 8], [10, 2, 14, 2, 14, 8, 10, 8])
    objects_there = [
        {"id": 1, "type": "polygon", "attributes": {"is_crowd": False, "odd": [1]}, "group": 4,
         "label_id": 0, "points": ring, "z_order": 0} for ring in rings
    ]  # fmt: skip
    objects_there += [
        {"id": 2, "type": "bbox", "group": 0, "label_id": 9, "bbox": [1, 2, 3, 4]},
        {"id": 3, "type": "label", "label_id": 0},
    ]
    value = {
        "infos": {}, "categories": {"label": {"labels": [{"name": "cat", "parent": ""}]}},
        "items": [{"id": "x/a", "annotations": objects_there, "attr": {"frame": 3},
                   "image": {"path": "x/a.png", "size": [HEIGHT, WIDTH]}}],
    }  # fmt: skip
    path = tmp_path / "annotations" / "default.json"
    path.parent.mkdir()
    path.write_text(json.dumps(value))
    content, found = read("datumaro", tmp_path)
    both = raster.union([box_mask(2, 2, 8, 8), box_mask(10, 2, 14, 8)])
    assert found == {"x/a.png": [("cat", both, False), ("unnamed", Box(1, 2, 4, 6), False)]}
    assert set(content.troubles.counts) == {
        "values of “odd”", "values of “frame”", "labels of whole images",
        "numbers of labels that are not listed; they have no name",
    }  # fmt: skip


# --- Strangers ---


def rename(name, origin, file_name):
    """The first image of an export gets another name."""
    base = origin.path
    if name == "cvat":
        path = base / "annotations.xml"
        # XML cannot say the character at all.
        path.write_text(path.read_text().replace("a.png", file_name.replace("\0", "")))
        return
    path = next(p for p in sorted(base.rglob("*.json*")) if p.name != "categories.json")
    lines = path.read_text().splitlines()
    value = json.loads(lines[0] if name == "huggingface" else path.read_text())
    if name == "label-studio":
        value[0]["data"] = {"image": file_name, "file_name": file_name}
    elif name == "datumaro":
        value["items"][0] |= {"id": file_name, "image": {"path": file_name}}
    elif name == "youtube-vis":
        value["videos"][0]["file_names"][0] = file_name
    else:
        value["file_name"] = file_name
    path.write_text("\n".join([json.dumps(value), *lines[1:]] if name == "huggingface" else
                              [json.dumps(value)]))  # fmt: skip


@pytest.mark.parametrize("file_name", HOSTILE)
@pytest.mark.parametrize("name", [*EXACT, "youtube-vis"])
def test_names_do_not_lead_out_of_the_folder(name, file_name, tmp_path):
    (tmp_path / "outside.png").write_bytes(b"secret")
    origin = exported(name, tmp_path / "inner")
    rename(name, origin, file_name)
    content = consume(origin, name)
    if content is not None:
        for image in content.images():
            assert image.file is None or image.file.resolve().is_relative_to(origin.path)
        out = tmp_path / "again"
        export(content, format_spec("labelme"), out, ExportOptions(images="copy"))
        written = [p for p in tmp_path.rglob("*.json") if "inner" not in p.parts]
        assert all(p.is_relative_to(out) for p in written)


@pytest.mark.parametrize("value", [
    {"runs": "1, 99999999999999999999"}, {"runs": "4611686018427387904, 4611686018427387904"},
    {"width": "99999999", "height": "99999999"}, {"left": "-3"}, {"runs": "-1, 10"},
])  # fmt: skip
def test_cvat_masks_that_lie_are_left_out(value, tmp_path):
    photo(tmp_path)
    given = {"runs": "0, 9", "left": "1", "top": "1", "width": "3", "height": "3"} | value
    places = " ".join(f'{k}="{given[k]}"' for k in ("left", "top", "width", "height"))
    text = f'<mask label="cat" rle="{given["runs"]}" {places}/>'
    (tmp_path / "annotations.xml").write_text(
        f'<annotations><meta></meta><image id="0" name="a.png">{text}</image></annotations>'
    )
    content = format_spec("cvat").read(Origin(tmp_path))
    assert objects(content) == {"a.png": []}
    assert content.troubles.counts == {"shapes with a damaged outline or mask": 1}


@pytest.mark.parametrize("name", ["isat", "via"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_mangled_files_never_crash(name, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    photo(folder)
    region = {"shape_attributes": {"name": "circle", "cx": 9, "cy": 8, "r": 3},
              "region_attributes": {"class": "cat"}}  # fmt: skip
    texts = {
        "via": {"a.png9": {"filename": "a.png", "size": 9, "regions": [region]}},
        "isat": {"info": {"description": "ISAT", "name": "a.png"}, "objects": [
            {"category": "cat", "group": 1, "layer": 1, "segmentation": [[2, 2], [9, 2], [9, 9]]}
        ]},
    }  # fmt: skip
    content = bytearray(json.dumps(texts[name]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        junk = st.binary(max_size=4) | st.sampled_from([b"-1", b"1e999", b"null", b"[]", b"{}"])
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(junk)
    path = folder / "labels.json"
    path.write_bytes(bytes(content))
    consume(Origin(path), name)


# --- Measurements ---


def table(folder, *annotations, colour=None):
    photo(folder / "photos")
    content = on_disk(content_of_images([image_of(*annotations)], [CAT]), folder / "photos")
    if colour is not None:
        Image.fromarray(colour).save(folder / "photos" / "a.png")
    out = folder / "measurements.csv"
    export(content, format_spec("measurements"), out)
    with out.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_measurements_of_a_rectangle(tmp_path):
    colour = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colour[2:6, 4:12] = (10, 20, 30)
    colour[2:6, 4:8, 0] = 30
    (row,) = table(tmp_path, Annotation(7, box_mask(4, 2, 12, 6), 1), colour=colour)
    assert list(row) == list(COLUMNS)
    numbers = {k: float(v) for k, v in row.items() if k not in ("image", "split", "class")}
    assert (row["image"], row["class"], numbers["object"]) == ("a.png", "cat", 7)
    assert numbers["area"] == 32
    # The border goes through the middles of the pixels: 2 * (7 + 3).
    assert numbers["perimeter"] == 20
    assert (numbers["centroid_x"], numbers["centroid_y"]) == (7.5, 3.5)
    assert numbers["orientation"] == pytest.approx(math.pi / 2, abs=1e-4)
    # Variance of 8 and of 4 neighbouring numbers: 63/12 and 15/12.
    assert numbers["axis_major_length"] == pytest.approx(4 * math.sqrt(63 / 12), abs=1e-3)
    assert numbers["axis_minor_length"] == pytest.approx(4 * math.sqrt(15 / 12), abs=1e-3)
    assert [numbers[f"bbox_{k}"] for k in ("x", "y", "width", "height")] == [4, 2, 8, 4]
    assert [numbers[f"mean_{k}"] for k in ("red", "green", "blue")] == [20, 20, 30]


@settings(max_examples=60, deadline=None)
@given(masks())
def test_measurements_are_those_of_scikit_image(mask):
    measure = pytest.importorskip("skimage.measure")
    (region,) = measure.regionprops(raster.to_array(mask).astype(np.uint8))
    values = dict(zip(COLUMNS[4:16], measured(raster.crop(mask)), strict=True))
    assert values["area"] == region.area
    assert values["perimeter"] == pytest.approx(region.perimeter)
    assert (values["centroid_y"], values["centroid_x"]) == pytest.approx(region.centroid)
    for name in ("axis_major_length", "axis_minor_length", "eccentricity"):
        # Both take roots of differences.
        assert values[name] == pytest.approx(getattr(region, name), abs=1e-5)
    if region.axis_major_length - region.axis_minor_length > 1e-3:
        # An axis has no direction.
        apart = (values["orientation"] - region.orientation) % math.pi
        assert min(apart, math.pi - apart) == pytest.approx(0, abs=1e-5)


def test_measurements_without_pixels_or_image_say_so(tmp_path):
    empty = Annotation(1, raster.empty(WIDTH, HEIGHT), 1)
    images = [image_of(empty, Annotation(2, Box(1, 1, 4, 3), None), key="gone.png")]
    content = content_of_images(images, [CAT])
    report = export(content, format_spec("measurements"), tmp_path / "m.csv")
    assert len(report.lost) == 2  # the object without pixels, and that the image is not there
    line = (tmp_path / "m.csv").read_text().splitlines()[1]
    assert line.startswith("gone.png,,2,unnamed,6,")
    assert line.endswith(",,,")


# --- Their own tools, in this environment ---


HUGGING_FACE = """
    import json, os, sys
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    import datasets
    out, cache = sys.argv[1:]
    found = datasets.load_dataset("imagefolder", data_dir=out, cache_dir=cache)
    rows = [{"size": row["image"].size, **row["objects"]} for p in found.values() for row in p]
    print(json.dumps([{name: len(part) for name, part in found.items()}, rows]))
"""


def test_hugging_face_loads_the_folder(tmp_path):
    mask = raster.union([box_mask(2, 2, 8, 8), box_mask(10, 2, 14, 8)])
    full = [image_of(Annotation(1, mask, 1), Annotation(2, Box(1, 1, 3.5, 4)), key=f"f/{n}.png")
            for n in range(2)]  # fmt: skip
    # Readers guess types from what comes first: nothing at all, here.
    images = [image_of(key="a.png"), image_of(key="b.png"), *full]
    content = on_disk(content_of_images(images, [CAT]), tmp_path / "photos")
    out = tmp_path / "out"
    splits = Splits((0.5, 0.5), stratify=False)
    export(content, format_spec("huggingface"), out, ExportOptions("copy", splits=splits))
    parts, rows = run(HUGGING_FACE, out, tmp_path / "cache", folder=tmp_path)
    assert parts == {"train": 2, "validation": 2}
    assert sum(len(row["id"]) for row in rows) == 4
    for row in rows:
        assert row["size"] == [WIDTH, HEIGHT]
        if row["id"]:
            assert row["category"] == ["cat", "unnamed"]
            assert row["bbox"] == [[2, 2, 12, 6], [1, 1, 2.5, 3]]
            assert Mask(WIDTH, HEIGHT, row["rle"][0].encode()) == mask


def test_hugging_face_needs_images_and_says_so(tmp_path):
    content = on_disk(content_of_images([image_of()], [CAT]), tmp_path / "photos")
    report = export(content, format_spec("huggingface"), tmp_path / "out")
    assert any("copy or link" in sentence for sentence in report.lost)


@pytest.mark.parametrize("name", EXACT)
def test_a_folder_is_recognised(name, tmp_path):
    origin = exported(name, tmp_path)
    assert main_file(format_spec(name), tmp_path / "out") == origin.path
    assert recognise(origin.path).id == name


class TestTracksForTheirReaders:
    """A track of the Tracks panel, as programs read it: with gaps, cuts and other image sizes."""

    @pytest.fixture
    def content(self):
        def frame(place, *found, width=WIDTH):
            record = ImageRecord(f"clip.mp4/{place:06d}.png", place + 1, width, HEIGHT)
            return LabelledImage(record, found)

        def one(number, track, x, width=WIDTH):
            pixels = np.zeros((HEIGHT, width), bool)
            pixels[2:6, x : x + 4] = True
            return Annotation(number, raster.from_array(pixels), 1, track=track)

        images = [
            frame(0, one(1, 1, 2), one(2, 2, 12)),
            frame(1, one(3, 1, 3)),
            frame(2),
            # From here on it was cut off, and the film was made again in another size.
            frame(3, one(4, 9, 4), one(5, 2, 11)),
            frame(4, one(6, 9, 5, WIDTH + 8), width=WIDTH + 8),
        ]
        return content_of_images(images, [CAT])

    def test_youtube_vis_as_its_loader_reads_it(self, content, tmp_path):
        from pycocotools import mask as coco_mask

        out, _, back = there_and_back(content, "youtube-vis", tmp_path)
        value = json.loads((out / "instances.json").read_text())
        videos = {video["id"]: video for video in value["videos"]}
        assert [(v["width"], v["length"]) for v in videos.values()] == [(WIDTH, 4), (WIDTH + 8, 1)]
        for track in value["annotations"]:
            video = videos[track["video_id"]]
            lengths = {len(track[name]) for name in ("segmentations", "bboxes", "areas")}
            assert lengths == {video["length"]} == {len(video["file_names"])}
            for coded, box, area in zip(
                track["segmentations"], track["bboxes"], track["areas"], strict=True
            ):
                assert (coded is None) == (box is None) == (area is None)
                if coded is not None:
                    assert coco_mask.decode(coded).shape == (video["height"], video["width"])
                    assert coco_mask.toBbox(coded).tolist() == box
                    assert int(coco_mask.area(coded)) == area
        first = [a for a in value["annotations"] if a["video_id"] == 1]
        shown = [[s is not None for s in track["segmentations"]] for track in first]
        assert shown == [
            [True, True, False, False], [True, False, False, True], [False, False, False, True]
        ]  # fmt: skip
        found = {a.track for image in back.images() for a in image.annotations}
        assert len(found) == 4

    def test_davis_keeps_one_number_for_a_track(self, content, tmp_path):
        out, _, _ = there_and_back(content, "davis", tmp_path)
        pictures = []
        for path in sorted((out / "Annotations").rglob("*.png")):
            with Image.open(path) as picture:
                assert picture.mode == "P"
                assert picture.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
                pictures.append(np.asarray(picture))
        assert [sorted(np.unique(p)) for p in pictures] == [[0, 1, 2], [0, 1], [0], [0, 2, 3],
                                                            [0, 3]]  # fmt: skip
        assert pictures[4].shape == (HEIGHT, WIDTH + 8)
