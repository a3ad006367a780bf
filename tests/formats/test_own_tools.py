"""Datumaro, LVIS and Label Studio's converter read what is exported, each in its own environment.

They bring libraries that must not stand beside ours (another OpenCV, another Pillow).
"""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord, Status
from annotator.core.annotation import Origin as Provenance
from annotator.core.formats.api import LabelledImage, Origin
from annotator.core.formats.exporting import ExportOptions, export
from annotator.core.formats.registry import format_spec
from models.api import Box
from tests.formats.contents import content_of_images, objects, on_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WIDTH, HEIGHT = 120, 90


def environment(tmp_path_factory, package, *more):
    """The interpreter of an environment with packages; `ANNOTATOR_VENVS` may hold some."""
    ready = os.environ.get("ANNOTATOR_VENVS")
    folder = tmp_path_factory.mktemp("venvs") / package
    if ready and (Path(ready) / package).is_dir():
        return str(Path(ready) / package / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    done = subprocess.run([python, "-m", "pip", "install", "-q", package, *more], check=False,
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        pytest.skip(f"{package} cannot be installed here: {done.stderr[-300:]}")
    return python


@pytest.fixture(scope="module")
def datumaro(tmp_path_factory):
    return environment(tmp_path_factory, "datumaro")


@pytest.fixture(scope="module")
def label_studio(tmp_path_factory):
    return environment(tmp_path_factory, "label-studio-sdk")


@pytest.fixture(scope="module")
def lvis(tmp_path_factory):
    # It does not say that it needs them.
    return environment(tmp_path_factory, "lvis", "pycocotools", "opencv-python-headless")


def run(python, script, *arguments):
    done = subprocess.run([python, "-c", textwrap.dedent(script), *map(str, arguments)],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def ring():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    far = np.hypot(x - 40, y - 45)
    image = (far < 30) & (far > 12)
    image[5:20, 90:110] = True
    return raster.from_array(image)


@pytest.fixture
def content(tmp_path):
    def image(key, number, follows=None):
        made = Annotation(number, ring(), 3, Provenance(follows=follows), attributes={"old": True})
        box = Annotation(number + 1, Box(70, 30, 118.5, 88), None, is_crowd=True)
        return LabelledImage(ImageRecord(key, number, WIDTH, HEIGHT), (made, box))

    images = [image("a.png", 10), image("sub/ü b.png", 20, follows=10)]
    categories = [Category(3, "Katze", "#112233"), Category(7, "dog", "#445566")]
    return on_disk(content_of_images(images, categories), tmp_path / "photos")


DATUMARO = """
    import json, sys
    import numpy as np
    from datumaro.components.dataset import Dataset
    dataset = Dataset.import_from(sys.argv[1], sys.argv[2])
    labels = [label.name for label in dataset.categories()[next(iter(dataset.categories()))].items]
    found = {}
    for item in dataset:
        rows = []
        for a in item.annotations:
            value = {"kind": a.type.name, "label": None if a.label is None else labels[a.label],
                     "object_id": getattr(a, "object_id", None),
                     "attributes": {k: v for k, v in a.attributes.items()}}
            if a.type.name == "mask":
                flat = np.flatnonzero(np.diff(np.pad(a.image.T.ravel() > 0, 1).astype(int)))
                value["flips"] = flat.tolist()
            else:
                value["box"] = list(a.get_bbox())
            rows.append(value)
        found[item.id] = {"rows": rows, "size": list(item.media.size),
                          "data": list(item.media.data.shape)}
    if len(sys.argv) > 3:
        dataset.export(sys.argv[3], "datumaro", save_media=True)
    print(json.dumps(found))
"""


def flips(mask):
    flat = raster.to_array(mask).T.ravel()
    return np.flatnonzero(np.diff(np.pad(flat, 1).astype(int))).tolist()


@pytest.mark.parametrize("name", ["datumaro", "cvat"])
def test_datumaro_sees_masks_boxes_and_names(name, content, datumaro, tmp_path):
    out, again = tmp_path / name, tmp_path / "again"
    export(content, format_spec(name), out, ExportOptions(images="copy"))
    found = run(datumaro, DATUMARO, out, name, again)
    assert sorted(found) == ["a", "sub/ü b"]
    for item in found.values():
        assert item["size"] == [HEIGHT, WIDTH]
        assert item["data"][:2] == [HEIGHT, WIDTH]
        mask, box = item["rows"]
        assert mask["flips"] == flips(ring())
        assert mask["label"] == "Katze"
        assert mask["attributes"]["old"] is True
        assert box["box"] == [70, 30, 48.5, 58]
        assert box["label"] in (None, "unnamed")
    if name == "datumaro":
        assert [item["rows"][0]["object_id"] for item in found.values()] == [10, 10]
        assert found["a"]["rows"][1]["attributes"] == {"is_crowd": True}
        # And what Datumaro itself writes comes back the same; it gives files other names.
        back = objects(format_spec(name).read(Origin(again)))
        assert list(back) == ["a.png", "sub_ü b.png"]
        assert list(back.values()) == list(objects(content).values())


BRUSH = """
    import json, sys
    import numpy as np
    from label_studio_sdk.converter import brush
    found = []
    for task in json.load(open(sys.argv[1])):
        for result in task["annotations"][0]["result"]:
            if result["type"] != "brushlabels":
                continue
            rle = result["value"]["rle"]
            size = (result["original_height"], result["original_width"])
            mask = brush.decode_rle(rle).reshape(*size, 4)[:, :, 3]
            flat = np.flatnonzero(np.diff(np.pad(mask.T.ravel() > 0, 1).astype(int)))
            found.append([flat.tolist(), brush.mask2rle(mask) == rle])
    print(json.dumps(found))
"""


def test_label_studio_decodes_and_would_write_the_same(content, label_studio, tmp_path):
    export(content, format_spec("label-studio"), tmp_path / "ls")
    found = run(label_studio, BRUSH, tmp_path / "ls" / "tasks.json")
    assert found == [[flips(ring()), True]] * 2


CONVERTED = """
    import json, sys
    from label_studio_sdk.converter import Converter
    out = sys.argv[2]
    converter = Converter(sys.argv[1] + "/config.xml", project_dir=None, download_resources=False)
    converter.convert_to_coco(sys.argv[1] + "/tasks.json", out, output_image_dir=out + "/i",
                              is_dir=False)
    value = json.load(open(out + "/result.json"))
    print(json.dumps([[c["name"] for c in value["categories"]],
                      [[a["category_id"], a["bbox"]] for a in value["annotations"]]]))
"""


def test_label_studio_converts_our_tasks_to_coco(content, label_studio, tmp_path):
    export(content, format_spec("label-studio"), tmp_path / "ls")
    names, found = run(label_studio, CONVERTED, tmp_path / "ls", tmp_path / "coco")
    assert set(names) == {"Katze", "dog", "unnamed"}
    boxes = [box for number, box in found if names[number] == "unnamed"]
    assert boxes == [pytest.approx([70, 30, 48.5, 58])] * 2


def photos(tmp_path, *objects_of_images):
    """Content whose images are reviewed, in the folder of a sequence."""
    images = []
    for number, found in enumerate(objects_of_images, 1):
        record = ImageRecord(f"s/{number}.png", number, WIDTH, HEIGHT, status=Status.DONE)
        images.append(LabelledImage(record, found))
    categories = [Category(3, "Katze", "#112233"), Category(7, "dog", "#445566")]
    return on_disk(content_of_images(images, categories), tmp_path / "photos")


LVIS = """
    import json, sys
    import numpy as np
    np.float = float  # the last release is older than NumPy 1.24
    from lvis import LVIS, LVISEval, LVISResults
    truth = LVIS(sys.argv[1])
    found = LVISResults(truth, sys.argv[2])
    evaluation = LVISEval(truth, found, "segm")
    evaluation.run()
    flips = {}
    for number, entry in truth.anns.items():
        mask = truth.ann_to_mask(entry)
        flips[number] = np.flatnonzero(np.diff(np.pad(mask.T.ravel(), 1).astype(int))).tolist()
    print(json.dumps({"ap": evaluation.results["AP"], "flips": flips,
                      "absent": {i["id"]: i["neg_category_ids"] for i in truth.imgs.values()},
                      "frequency": [c["frequency"] for c in truth.cats.values()]}))
"""


def test_lvis_reads_and_evaluates(lvis, tmp_path):
    both = (
        Annotation(1, ring(), 3),
        Annotation(2, raster.from_box(Box(70, 30, 118, 88), 120, 90), 7),
    )
    content = photos(tmp_path, both, (Annotation(3, ring(), 3),))
    export(content, format_spec("lvis"), tmp_path / "lvis.json")
    export(content, format_spec("coco-results"), tmp_path / "results.json")
    found = run(lvis, LVIS, tmp_path / "lvis.json", tmp_path / "results.json")
    assert found["ap"] == pytest.approx(1)
    assert found["flips"]["1"] == found["flips"]["3"] == flips(ring())
    assert found["absent"] == {"1": [], "2": [7]}
    assert found["frequency"] == ["r", "r"]


SEGMENTS = """
    import json, sys
    import numpy as np
    from datumaro.components.dataset import Dataset
    dataset = Dataset.import_from(sys.argv[1], sys.argv[2])
    labels = [label.name for label in dataset.categories()[next(iter(dataset.categories()))].items]
    found = {}
    for item in dataset:
        found[item.id] = sorted(
            [labels[a.label], np.flatnonzero(np.diff(np.pad(a.image.T.ravel() > 0, 1).astype(int)))
             .tolist()]
            for a in item.annotations if a.type.name == "mask" and labels[a.label] != "background"
        )
    print(json.dumps(found))
"""


@pytest.mark.parametrize("name", ["coco-panoptic", "voc-masks"])
def test_datumaro_sees_pictures_of_labels(name, datumaro, tmp_path):
    upper = raster.from_box(Box(30, 30, 60, 60), WIDTH, HEIGHT)
    content = photos(tmp_path, (Annotation(1, ring(), 3), Annotation(2, upper, 7)), ())
    out = tmp_path / "out"
    export(content, format_spec(name), out, ExportOptions(images="copy"))
    if name == "coco-panoptic":
        # Where COCO itself has them.
        (out / "annotations").mkdir()
        (out / "panoptic.json").rename(out / "annotations" / "panoptic_val.json")
        (out / "panoptic").rename(out / "annotations" / "panoptic_val")
        (out / "images").rename(out / "val")
        (out / "images").mkdir()
        (out / "val").rename(out / "images" / "val")
        kind = "coco_panoptic"
    else:
        (out / "labels.txt").rename(out / "labels of ours.txt")
        kind = "voc_segmentation"
        palette = ["# label:color_rgb:parts:actions", "background:0,0,0::", "Katze:128,0,0::",
                   "dog:0,128,0::"]  # fmt: skip
        (out / "labelmap.txt").write_text("\n".join(palette) + "\n")
    found = run(datumaro, SEGMENTS, out, kind)
    visible = raster.difference(ring(), upper)
    truth = sorted([["Katze", flips(visible)], ["dog", flips(upper)]])
    assert found["s/1"] == truth
    assert found.get("s/2", []) == []
