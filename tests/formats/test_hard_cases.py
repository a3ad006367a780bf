"""The awkward ones, through every format: shapes, names, numbers; and files that mean harm."""

import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats.api import LabelledImage, Origin
from annotator.core.formats.exporting import ExportOptions, export
from annotator.core.formats.registry import format_spec, formats, recognise
from models.api import Box
from tests.formats.contents import content_of_images, contents, main_file, objects, there_and_back
from tests.formats.test_damaged import READ, SIZE, exported

WIDTH, HEIGHT = 37, 29
NAMES = (
    "cat", "Katze mit ß", "e\u0301", "猫🐈", "שלום", "<a> & \"b\" 'c'", "x: y, #z", "100%",
    "a/b\\c", "- dash", "null", "12", "true", "c" * 300, "a,b;c",
)  # fmt: skip
KEYS = (
    "s/a b#c%20?.png", "ü/日本/🐈.png", "s/dots.in.name.png", "s/CON.png", "s/-dash.png",
    "s/a&b<c>.png", "s/q'uo\"te.png", "e\u0301/e\u0301.png", "s/+plus;semi.png",
    f"s/{'x' * 120}.png",
)  # fmt: skip
ONLY_READ = ("isat", "via")
BOXES = ("voc", "yolo")


def shapes():
    """A ring with an island, pieces, single pixels, corners, borders, all of it, a chessboard."""
    areas = [np.zeros((HEIGHT, WIDTH), bool) for _ in KEYS]
    areas[0][3:20, 4:30] = True
    areas[0][6:15, 8:24] = False
    areas[0][9:12, 12:18] = True
    areas[1][2:5, 2:5] = areas[1][5:8, 5:9] = areas[1][20:27, 30:36] = True
    areas[2][13, 17] = areas[3][0, 0] = areas[4][-1, -1] = True
    areas[5][0] = areas[5][:, -1] = areas[6][:, 0] = areas[7][:] = True
    areas[8][::2, ::2] = areas[8][1::2, 1::2] = True
    areas[9][7:9, 7:9] = areas[9][20, 3:30] = True
    return [raster.from_array(area) for area in areas]


def hard_content():
    """An object in each image, with ids as large as 64 bits have room for."""
    categories = [Category(2**53 - i, name, "#112233") for i, name in enumerate(NAMES)]
    images = []
    for place, (key, mask) in enumerate(zip(KEYS, shapes(), strict=True)):
        made = Annotation(2**63 - 100 + place, mask, categories[place].id)
        record = ImageRecord(key, 2**40 + place, WIDTH, HEIGHT, count=1)
        images.append(LabelledImage(record, (made,)))
    return content_of_images(images, categories)


@pytest.mark.parametrize("name", [n for n, spec in formats().items() if spec.write])
def test_awkward_shapes_and_names(name, tmp_path):
    content = hard_content()
    reader = replace(format_spec(name), read=format_spec(name).read or format_spec("coco").read)
    if name == "measurements":
        report = export(content, format_spec(name), tmp_path / "m.csv")
        assert report.annotations == len(KEYS)
        return
    _, report, back = there_and_back(content, name, tmp_path, spec=reader)
    truth, found = objects(content), objects(back)
    if name in BOXES:
        truth = {k: [(n, raster.box(m), c) for n, m, c in v] for k, v in truth.items()}
    if name == "yolo-obb":
        for key, ((label, mask, _),) in truth.items():
            assert found[key][0][0] == label
            assert raster.iou(found[key][0][1], mask) >= report.fidelity.worst - 1e-9
        assert sorted(found) == sorted(truth)
    else:
        assert found == truth
    assert report.annotations == len(KEYS)
    assert not back.troubles.counts
    # Results name their images by a file that lies elsewhere.
    assert name == "coco-results" or all(image.file is not None for image in back.images())


quick = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quick
@given(content=contents())
def test_rle_everywhere_is_exact(content, tmp_path):
    spec = replace(format_spec("coco-rle"), read=format_spec("coco").read)
    _, _, back = there_and_back(content, "coco-rle", tmp_path, spec=spec)
    assert objects(back) == objects(content)


@quick
@given(content=contents())
def test_polygons_everywhere_are_as_close_as_the_report_says(content, tmp_path):
    spec = replace(format_spec("coco-polygons"), read=format_spec("coco").read)
    _, report, back = there_and_back(content, "coco-polygons", tmp_path, spec=spec)
    ious = []
    for key, found in objects(back).items():
        for (label, shape, crowd), (name, there, flag) in zip(
            objects(content)[key], found, strict=True
        ):
            assert (label, crowd) == (name, flag)
            if isinstance(shape, Box) or crowd:
                assert shape == there
                continue
            ious.append(raster.iou(shape, there))
    assert min(ious, default=1) >= report.fidelity.worst - 1e-9
    assert report.fidelity.worst > 0.85


# --- Files that mean harm ---


def walked(value, change):
    if isinstance(value, dict):
        return {k: walked(change(k, v), change) for k, v in value.items()}
    return [walked(v, change) for v in value] if isinstance(value, list) else value


SIDES = {"width", "height", "imageWidth", "imageHeight", "original_width", "original_height"}


def sized(number):
    def change(key, value):
        if key == "size" and isinstance(value, list):
            return [number, number]
        return number if key in SIDES else value

    return change


def counted(counts):
    def change(key, value):
        if key == "rle":
            return {"size": [*SIZE[::-1]], "counts": counts} if isinstance(value, dict) else counts
        return counts if key == "counts" else value

    return change


def cornered(points):
    def change(key, value):
        if key == "bbox":
            return [1e308] * 4
        return points if key in ("segmentation", "points") and isinstance(value, list) else value

    return change


CLAIMING = ("coco", "coco-results", "coco-panoptic", "lvis", "labelme", "cvat", "label-studio",
            "datumaro", "huggingface", "youtube-vis", "voc")  # fmt: skip
HARM = {
    "a billion squared": sized(10**9),
    "two billion pixels": sized(46_340),
    "negative": sized(-5),
    "runs too long": counted([2**31] * 1000),
    "runs without end": counted("o" * 100_000),
    "runs beyond floats": counted([1e300, 0.5, 10**30]),
    "runs of other letters": counted("日本"),
    "corners beyond everything": cornered([[1e30, 1e30, 2e30, 5, 7, 8]]),
}


def labels_of(origin):
    base = origin.path if origin.path.is_dir() else origin.path.parent
    endings = (".json", ".jsonl", ".xml", ".txt", ".yaml")
    return [p for p in sorted(base.rglob("*")) if p.suffix in endings]


def without_images(origin):
    """Then what the file claims is all there is."""
    base = origin.path if origin.path.is_dir() else origin.path.parent
    for path in base.rglob("*.png"):
        inside = path.relative_to(base).parts
        # Those of labelme and Hugging Face stand beside their labels.
        if {"images", "JPEGImages"} & set(inside) or inside[0] in ("a.png", "sub"):
            path.unlink()


def harmed(path, change):
    text = path.read_text()
    if path.suffix == ".json":
        return json.dumps(walked(json.loads(text), change))
    if path.suffix == ".jsonl":
        return "\n".join(json.dumps(walked(json.loads(line), change)) for line in text.splitlines())
    if path.suffix == ".xml":
        number = change("width", 1)
        text = re.sub(r'(width|height)="\d+"', rf'\1="{number}"', text)
        text = re.sub(r"<(width|height)>\d+", rf"<\1>{number}", text)
        return re.sub(r'rle="[^"]*"', f'rle="{"1, " * 5000}5"', text)
    return text


@pytest.mark.parametrize("kind", HARM)
@pytest.mark.parametrize("name", CLAIMING)
def test_what_a_file_claims_costs_nothing(name, kind, tmp_path):
    origin = exported(name, tmp_path / "inner")
    for path in labels_of(origin):
        path.write_text(harmed(path, HARM[kind]))
    without_images(origin)
    tracemalloc.start()
    try:
        content = format_spec(name).read(origin)
        for other in ("coco", "labelme", "instance-png", "label-studio", "youtube-vis"):
            export(content, format_spec(other), tmp_path / other)
    except UserError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize("name", [*READ, *ONLY_READ])
def test_what_is_nested_without_end_is_refused(name, tmp_path):
    if name in ONLY_READ:
        path = tmp_path / "labels.json"
        path.write_text("{}")
        origin = Origin(path)
    else:
        origin = exported(name, tmp_path)
    for path in labels_of(origin):
        opening = "<annotation>" if path.suffix == ".xml" else "["
        path.write_text(opening * 4_000)
    try:
        content = format_spec(name).read(origin)
    except UserError:
        return
    assert sum(len(image.annotations) for image in content.images()) == 0 or name in (
        "instance-png", "semantic-png", "voc-masks",  # their names are text
    )  # fmt: skip


@pytest.mark.parametrize("name", ["semantic-png", "instance-png", "voc-masks", "davis",
                                  "coco-panoptic"])  # fmt: skip
def test_a_png_that_is_small_and_unpacks_to_much_is_refused(name, tmp_path):
    origin = exported(name, tmp_path)
    base = origin.path if origin.path.is_dir() else origin.path.parent
    bomb = tmp_path / "bomb.png"
    Image.new("L", (4000, 4000), 1).save(bomb)
    data = bomb.read_bytes()
    assert len(data) < 200_000
    for path in base.rglob("*.png"):
        if not {"images", "JPEGImages"} & set(path.parts):
            path.write_bytes(data)
    tracemalloc.start()
    content = format_spec(name).read(origin)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
    assert sum(len(image.annotations) for image in content.images()) == 0
    assert content.troubles.counts


def test_aliases_of_yaml_are_not_multiplied(tmp_path):
    origin = exported("yolo", tmp_path)
    lines = ['a0: &a0 ["lol", "lol"]']
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (origin.path / "data.yaml").write_text("\n".join([*lines, "names: [*a11]"]))
    with pytest.raises(UserError, match="names"):
        format_spec("yolo").read(origin)


PLACES = (
    "../../outside.png", "/etc/passwd", "..\\..\\x.png", "sub/../../x.png", "a\0.png",
    "C:\\Windows\\x.png", "\\\\host\\share\\x.png", "~/x.png", "file:///etc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["voc", *ONLY_READ, "coco-results"])
def test_names_do_not_lead_out(name, place, tmp_path):
    """Those that `test_damaged` and `test_tool_formats` do not look at."""
    inner = tmp_path / "some" / "where" / "inner"
    inner.mkdir(parents=True)
    if name in ONLY_READ:
        region = {"shape_attributes": {"name": "rect", "x": 1, "y": 1, "width": 3, "height": 3}}
        value = {"x": {"filename": place, "regions": [region]}}
        if name == "isat":
            ring = [[2, 2], [9, 2], [9, 9]]
            value = {"info": {"description": "ISAT", "name": place, "width": 24, "height": 16},
                     "objects": [{"category": "cat", "segmentation": ring}]}  # fmt: skip
        (inner / "labels.json").write_text(json.dumps(value))
        origin = Origin(inner / "labels.json")
    else:
        origin = exported(name, inner)
        if name == "voc":
            path = origin.path / "Annotations" / "a.xml"
            text = path.read_text().replace("a.png", place.replace("\0", ""))
            path.rename(path.with_name("other.xml")).write_text(text)
        else:
            lists = json.loads(origin.names.read_text())
            lists["images"][0]["file_name"] = place
            origin.names.write_text(json.dumps(lists))
    (inner.parent.parent / "outside.png").write_bytes(b"secret")
    try:
        content = format_spec(name).read(origin)
    except UserError:
        return
    for image in content.images():
        assert image.file is None or image.file.resolve().is_relative_to(inner)
    before = set(tmp_path.rglob("*"))
    export(content, format_spec("labelme"), tmp_path / "again", ExportOptions(images="copy"))
    fresh = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "again") for path in fresh)


# --- What cannot be kept is listed ---

SAID = {
    "labelme": ("sub/b.json", {"flags": {"night": True}, "checked": True},
                ["values of “night”", "values of “checked”"]),
    "datumaro": ("annotations/default.json", {"infos": {"author": "me"}, "odd": 1},
                 ["values of “author”", "values of “odd”"]),
    "youtube-vis": ("instances.json", {"odd": {"a": 1}}, ["values of “odd”"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_values_of_whole_files_are_listed(name, tmp_path):
    origin = exported(name, tmp_path)
    file, more, listed = SAID[name]
    path = origin.path / file
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    assert set(format_spec(name).read(origin).troubles.counts) == set(listed)


def test_voc_lists_what_it_does_not_know(tmp_path):
    origin = exported("voc", tmp_path)
    path = origin.path / "Annotations" / "a.xml"
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
    path.write_text(path.read_text().replace("</object>", part, 1))
    assert format_spec("voc").read(origin).troubles.counts == {"values of “part”": 1}


def test_yolo_scores_are_kept_and_key_points_listed(tmp_path):
    origin = exported("yolo", tmp_path)
    (origin.path / "labels" / "a.txt").write_text(
        "0 0.5 0.5 0.25 0.25 0.75\n0 0.5 0.5 0.25 0.25 7\n"
    )
    content = format_spec("yolo").read(origin)
    first, second = next(content.images()).annotations
    assert (first.origin.score, second.origin.score) == (0.75, None)
    assert content.troubles.counts == {"scores that are not between 0 and 1": 1}
    data = origin.path / "data.yaml"
    data.write_text(data.read_text() + "kpt_shape: [2, 3]\n")
    line = "0 0.5 0.5 0.25 0.25" + " 0.5 0.5 2" * 2
    (origin.path / "labels" / "a.txt").write_text(line + "\n")
    content = format_spec("yolo").read(origin)
    assert [a.shape for a in next(content.images()).annotations] == [Box(9, 6, 15, 10)]
    assert content.troubles.counts == {"key points": 1}


def test_pictures_that_contradict_each_other_are_listed(tmp_path):
    origin = exported("instance-png", tmp_path)
    path = origin.path / "objects" / "a.png"
    numbers = np.array(Image.open(path))
    numbers[numbers > 0] = 1
    numbers[0, 0], numbers[2, 3] = 9, 0
    Image.fromarray(numbers).save(path)
    classes = origin.path / "masks" / "a.png"
    picture = Image.open(classes)
    labels = np.array(picture)
    labels[5, 5] = 2
    Image.fromarray(labels).save(classes)
    counts = format_spec("instance-png").read(origin).troubles.counts
    assert len(counts) == 3
    assert any("several classes" in what for what in counts)


def test_exports_say_that_attributes_are_left_out(tmp_path):
    mask = shapes()[0]
    image = LabelledImage(
        ImageRecord("a.png", 1, WIDTH, HEIGHT), (Annotation(1, mask, 1, attributes={"old": True}),)
    )
    content = content_of_images([image], [Category(1, "cat", "#112233")])
    for name, spec in formats().items():
        if spec.write is None:
            continue
        report = export(content, spec, tmp_path / name)
        told = any("attributes" in sentence for sentence in report.lost)
        assert told != (spec.attributes or spec.is_lossless), name


def test_label_pictures_are_no_images(tmp_path):
    """Where the images are gone, the PNGs of a panoptic file are not taken for them."""
    origin = exported("coco-panoptic", tmp_path)
    without_images(origin)
    content = format_spec("coco-panoptic").read(origin)
    assert [image.file for image in content.images()] == [None, None]
    assert recognise(origin.path).id == "coco-panoptic"


def test_colours_that_are_none_do_no_harm(tmp_path):
    origin = exported("coco", tmp_path)
    lists = json.loads(origin.path.read_text())
    lists["categories"][0]["annotator"] = {"color": 'red"/><x'}
    origin.path.write_text(json.dumps(lists))
    content = format_spec("coco").read(origin)
    for name in ("cvat", "label-studio", "coco-panoptic"):
        spec = format_spec(name)
        export(content, spec, tmp_path / name)
        assert objects(spec.read(Origin(main_file(spec, tmp_path / name)))).keys()
