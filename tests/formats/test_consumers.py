"""The tools people train with read what is exported, and see the masks that were exported."""

import contextlib
import io
import json
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.formats.api import LabelledImage
from annotator.core.formats.exporting import ExportOptions, export
from annotator.core.formats.registry import format_spec
from annotator.core.formats.splits import Splits
from models.api import Box
from tests.formats.contents import content_of_images, on_disk

WIDTH, HEIGHT = 120, 90


def ring():
    """A ring with a second piece: what polygons of one part cannot say."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    far = np.hypot(x - 40, y - 45)
    image = (far < 30) & (far > 12)
    image[5:20, 90:110] = True
    return raster.from_array(image)


def stripe():
    return raster.from_box(Box(70, 30, 118, 88), WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    images = [
        LabelledImage(
            ImageRecord(key, number, WIDTH, HEIGHT),
            (Annotation(10 * number, ring(), 3), Annotation(10 * number + 1, stripe(), 7)),
        )
        for number, key in enumerate(("a.jpg", "ü b.png", "c.png", "d.jpg"), 1)
    ]
    classes = [Category(3, "Katze", "#112233"), Category(7, "traffic light", "#445566")]
    return on_disk(content_of_images(images, classes), tmp_path_factory.mktemp("photos"))


@pytest.fixture
def write(content, tmp_path):
    def write(name, **options):
        out = tmp_path / name
        export(content, format_spec(name), out, ExportOptions(images="copy", **options))
        return out

    return write


def quietly(action, *arguments):
    with contextlib.redirect_stdout(io.StringIO()):
        return action(*arguments)


@pytest.mark.parametrize("name", ["coco", "coco-rle", "coco-polygons", "lvis"])
def test_pycocotools_sees_the_masks(write, name):
    coco = quietly(COCO, str(write(name) / format_spec("lvis" if name == "lvis" else "coco").file))
    for number in coco.getImgIds():
        masks = [coco.annToMask(a).astype(bool) for a in coco.imgToAnns[number]]
        assert np.array_equal(masks[0], raster.to_array(ring()))
        assert np.array_equal(masks[1], raster.to_array(stripe()))


def test_cocoeval_finds_results_perfect(write):
    truth = quietly(COCO, str(write("coco") / "annotations.json"))
    found = quietly(truth.loadRes, str(write("coco-results") / "results.json"))
    for kind in ("segm", "bbox"):
        evaluation = COCOeval(truth, found, kind)
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            quietly(step)
        assert evaluation.stats[0] == pytest.approx(1)


def test_torchvision_wraps_coco(write):
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    out = write("coco")
    plain = quietly(CocoDetection, str(out / "images"), str(out / "annotations.json"))
    wrapped = wrap_dataset_for_transforms_v2(plain, target_keys=("boxes", "labels", "masks"))
    _, target = wrapped[0]
    assert np.array_equal(target["masks"][0].numpy().astype(bool), raster.to_array(ring()))
    assert target["labels"].tolist() == [3, 7]
    assert target["boxes"][1].tolist() == [70, 30, 118, 88]


def test_torchvision_reads_voc(write, tmp_path):
    from torchvision.datasets import VOCDetection, VOCSegmentation

    # Its classes want the folders of the challenge.
    for name, kind in (("voc", "Main"), ("voc-masks", "Segmentation")):
        base = tmp_path / f"{name} root" / "VOCdevkit"
        base.mkdir(parents=True)
        write(name).rename(base / "VOC2012")
        lists = base / "VOC2012" / "ImageSets" / kind
        (lists / "all.txt").rename(lists / "train.txt")
    # Only this suffix is looked for, and images are JPEG.
    boxes = base.parent.parent / "voc root" / "VOCdevkit" / "VOC2012"
    for folder in (boxes, base / "VOC2012"):
        for image in (folder / "JPEGImages").glob("*.png"):
            Image.open(image).save(image.with_suffix(".jpg"))
    found = VOCDetection(str(boxes.parent.parent), image_set="train")
    objects = found[0][1]["annotation"]["object"]
    assert [o["name"] for o in objects] == ["Katze", "traffic light"]
    assert objects[1]["bndbox"] == {"xmin": "71", "ymin": "31", "xmax": "118", "ymax": "88"}
    pictures = VOCSegmentation(str(base.parent), image_set="train")
    classes = np.asarray(pictures[0][1])
    assert np.array_equal(classes == 2, raster.to_array(stripe()))


def run(script, *arguments, folder):
    """What a script in a process of its own prints as JSON on its last line."""
    environment = os.environ | {
        "YOLO_CONFIG_DIR": str(folder), "YOLO_OFFLINE": "true", "MPLBACKEND": "agg",
        "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True, text=True, env=environment, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


ULTRALYTICS = """
    import json, sys
    import cv2, numpy as np
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset
    found = {}
    for task, folder in zip(("detect", "segment", "obb"), sys.argv[1:]):
        data = check_det_dataset(folder + "/data.yaml")
        sets = {}
        for split in ("train", "val"):
            dataset = YOLODataset(img_path=data[split], data=data, task=task, augment=False)
            sets[split] = len(dataset.labels)
            label = dataset.labels[0]
            areas = [float(cv2.contourArea((s * [120, 90]).astype(np.float32)))
                     for s in label["segments"]]
        found[task] = {"names": list(data["names"].values()), "sets": sets, "areas": areas,
                       "classes": label["cls"].ravel().tolist(),
                       "boxes": label["bboxes"].tolist()}
    print(json.dumps(found))
"""


def test_ultralytics_loads_yolo(write, tmp_path):
    splits = Splits((0.5, 0.5), stratify=False)
    folders = [write(name, splits=splits) for name in ("yolo", "yolo-seg", "yolo-obb")]
    found = run(ULTRALYTICS, *folders, folder=tmp_path / "settings")
    for task in ("detect", "segment", "obb"):
        assert found[task]["names"] == ["Katze", "traffic light"]
        assert found[task]["sets"] == {"train": 2, "val": 2}
        assert found[task]["classes"] == [0, 1]
    box = np.array(found["detect"]["boxes"][1]) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert box.tolist() == pytest.approx([94, 59, 48, 58])
    # The hole is cut out of the outline, and the second piece is part of it.
    assert found["segment"]["areas"][0] == pytest.approx(raster.area(ring()), abs=1)
    assert found["obb"]["areas"][1] == pytest.approx(48 * 58, abs=1)


SUPERVISION = """
    import json, sys
    import supervision as sv
    coco, yolo, voc = sys.argv[1:]
    sets = {
        "coco": sv.DetectionDataset.from_coco(coco + "/images", coco + "/annotations.json",
                                              force_masks=True),
        "yolo": sv.DetectionDataset.from_yolo(yolo + "/images", yolo + "/labels",
                                              yolo + "/data.yaml", force_masks=True),
        "voc": sv.DetectionDataset.from_pascal_voc(voc + "/JPEGImages", voc + "/Annotations"),
    }
    found = {}
    for name, dataset in sets.items():
        _, _, objects = next(iter(dataset))
        masks = objects.mask
        found[name] = {
            "images": len(dataset), "names": dataset.classes, "boxes": objects.xyxy.tolist(),
            "areas": [] if masks is None else masks.sum(axis=(1, 2)).tolist(),
        }
    print(json.dumps(found))
"""


def test_supervision_loads_coco_yolo_and_voc(write, tmp_path):
    folders = [write(name) for name in ("coco-rle", "yolo-seg", "voc")]
    found = run(SUPERVISION, *folders, folder=tmp_path / "settings")
    for name in ("coco", "yolo", "voc"):
        assert found[name]["images"] == 4
        assert sorted(found[name]["names"]) == ["Katze", "traffic light"]
    assert found["coco"]["areas"] == [raster.area(ring()), raster.area(stripe())]
    # It fills outlines with cv2.fillPoly, which takes the edge in as well.
    assert found["yolo"]["areas"][1] == pytest.approx(48 * 58, rel=0.05)
    assert pytest.approx(found["voc"]["boxes"][1], abs=1) == [70, 30, 118, 88]


LABELME = """
    import json, sys
    from pathlib import Path
    from labelme._label_file import LabelFile
    from labelme.utils import shapes_to_label
    found = []
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        file = LabelFile(str(path))
        names = {"Katze": 1, "traffic light": 2}
        classes, objects = shapes_to_label((90, 120), file.shapes, names)
        found.append([file.image_path, (classes == 1).sum().item(), (classes == 2).sum().item()])
    print(json.dumps(found))
"""


def test_labelme_loads_its_files(write, tmp_path):
    if find_spec("labelme") is None:  # has no wheels for every processor
        pytest.skip("labelme is not installed")
    found = run(LABELME, write("labelme"), folder=tmp_path)
    areas = [raster.area(ring()), raster.area(stripe())]
    assert found == [[name, *areas] for name in ("a.jpg", "c.png", "d.jpg", "ü b.png")]


def test_pillow_and_torchvision_read_label_pictures(write):
    from torchvision.io import ImageReadMode, decode_image, read_file

    out = write("instance-png")
    # Where they overlap, the second object is on top.
    ring_only = raster.to_array(raster.difference(ring(), stripe()))
    for name in ("a", "c"):
        with Image.open(out / "masks" / f"{name}.png") as picture:
            assert picture.mode == "P"
            classes = np.asarray(picture)
        data = read_file(str(out / "objects" / f"{name}.png"))
        numbers = decode_image(data, ImageReadMode.UNCHANGED).numpy()[0]
        assert numbers.dtype == np.uint16
        for found, value in ((classes, (1, 2)), (numbers, (1, 2))):
            assert np.array_equal(found == value[0], ring_only)
            assert np.array_equal(found == value[1], raster.to_array(stripe()))
    assert (out / "labels.txt").read_text("utf-8").splitlines()[1:3] == ["Katze", "traffic light"]
