"""Random content through every format and back: exact where the format can, measured elsewhere."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.formats import outlines
from annotator.core.formats.api import LabelledImage
from annotator.core.formats.registry import formats, recognise
from annotator.core.mask import Mask
from models.api import Box
from tests.core.strategies import HEIGHT, WIDTH, boxes, masks
from tests.formats.contents import (
    content_of_images,
    contents,
    main_file,
    objects,
    there_and_back,
)

quick = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", ["coco", "labelme", "lvis"])
@quick
@given(data=st.data())
def test_masks_and_boxes_come_back_exactly(name, data, tmp_path):
    content = data.draw(contents(crowds=name != "lvis", unnamed=name != "lvis"))
    _, report, back = there_and_back(content, name, tmp_path)
    assert objects(back) == objects(content)
    assert not back.troubles.counts
    assert report.annotations == sum(map(len, objects(content).values()))


@quick
@given(content=contents(crowds=False))
def test_coco_keeps_ids(content, tmp_path):
    _, _, back = there_and_back(content, "coco", tmp_path)
    ids = [[a.id for a in image.annotations] for image in content.images()]
    assert [[a.id for a in image.annotations] for image in back.images()] == ids
    assert {c.id for c in content.categories} == {c.id for c in back.categories}


@quick
@given(content=contents(shapes=masks(), crowds=False, unnamed=False))
def test_results_are_exact(content, tmp_path):
    _, _, back = there_and_back(content, "coco-results", tmp_path)
    assert objects(back) == objects(content)


@pytest.mark.parametrize("name", ["coco-panoptic", "instance-png", "voc-masks"])
@quick
@given(data=st.data())
def test_pictures_keep_what_can_be_seen(name, data, tmp_path):
    content = data.draw(contents(shapes=masks(), crowds=False, unnamed=False))
    _, report, back = there_and_back(content, name, tmp_path)
    for key, found in objects(back).items():
        seen = []
        hidden = None
        for label, mask, _ in reversed(objects(content)[key]):
            rest = mask if hidden is None else _minus(mask, hidden)
            hidden = mask if hidden is None else raster.union([hidden, mask])
            seen += [(label, rest, False)] if raster.area(rest) else []
        assert Counter(found) == Counter(seen)
    assert report.annotations == sum(map(len, objects(back).values()))


def _minus(mask, other):
    return raster.from_array(raster.to_array(mask) & ~raster.to_array(other))


@quick
@given(content=contents(shapes=masks(), crowds=False))
def test_semantic_pictures_keep_the_class_of_each_pixel(content, tmp_path):
    _, _, back = there_and_back(content, "semantic-png", tmp_path)
    for key, found in objects(back).items():
        truth = {}
        for label, mask, _ in objects(content)[key]:
            for other in truth:
                truth[other] = _minus(truth[other], mask)
            truth[label] = raster.union([truth[label], mask]) if label in truth else mask
        truth = {label: mask for label, mask in truth.items() if raster.area(mask)}
        assert {label: mask for label, mask, _ in found} == truth


@quick
@given(content=contents(shapes=masks(), crowds=False))
def test_yolo_outlines_are_as_close_as_the_report_says(content, tmp_path):
    _, report, back = there_and_back(content, "yolo-seg", tmp_path)
    ious = []
    for key, found in objects(back).items():
        for (label, mask, _), (name, shape, _) in zip(objects(content)[key], found, strict=True):
            assert label == name
            ious.append(raster.iou(mask, shape))
    assert min(ious, default=1) == pytest.approx(report.fidelity.worst, abs=1e-9)
    assert sum(ious) / max(len(ious), 1) == pytest.approx(
        report.fidelity.mean if ious else 0, abs=1e-9
    )


@pytest.mark.parametrize("name", ["voc", "yolo"])
@quick
@given(data=st.data())
def test_boxes_come_back(name, data, tmp_path):
    content = data.draw(contents(shapes=masks() | boxes(), crowds=False))
    _, report, back = there_and_back(content, name, tmp_path)
    for key, found in objects(content).items():
        expected = [
            (label, raster.box(shape) if isinstance(shape, Mask) else shape)
            for label, shape, _ in found
        ]
        assert [(label, box) for label, box, _ in objects(back)[key]] == expected
    lost = sum(isinstance(s, Mask) for found in objects(content).values() for _, s, _ in found)
    assert any(f"{lost} masks" in sentence for sentence in report.lost) == (lost > 0)


@quick
@given(content=contents(shapes=masks(), crowds=False))
def test_oriented_boxes_hold_their_objects(content, tmp_path):
    _, _, back = there_and_back(content, "yolo-obb", tmp_path)
    for key, found in objects(back).items():
        for (_, mask, _), (_, shape, _) in zip(objects(content)[key], found, strict=True):
            part = raster.area(_minus(mask, shape)) / raster.area(mask)
            assert part <= 0.25  # pixels that the slanted edge cuts
            assert isinstance(shape, Mask)


@settings(max_examples=60, deadline=None)
@given(masks())
def test_one_ring_says_holes_and_pieces(mask):
    ring, iou = outlines.one_ring(Annotation(1, mask))
    back = raster.from_polygons([ring], WIDTH, HEIGHT)
    assert iou == pytest.approx(raster.iou(back, mask))
    assert iou > 0.85
    rings, iou = outlines.polygons(Annotation(1, mask))
    assert iou == pytest.approx(raster.iou(raster.from_polygons(rings, WIDTH, HEIGHT), mask))


def test_one_ring_with_a_hole_is_exact():
    image = raster.to_array(raster.from_box(Box(2, 2, 20, 14), WIDTH, HEIGHT))
    image[5:9, 6:12] = False
    _, iou = outlines.one_ring(Annotation(1, raster.from_array(image)))
    assert iou == 1


def one_mask():
    mask = raster.from_box(Box(2, 2, 9, 8), WIDTH, HEIGHT)
    image = LabelledImage(ImageRecord("a.png", 1, WIDTH, HEIGHT), (Annotation(1, mask, 1),))
    return content_of_images([image], [Category(1, "cat", "#112233")])


@pytest.mark.parametrize("name", [n for n, spec in formats().items() if spec.read and spec.write])
def test_each_format_is_recognised(name, tmp_path):
    if name in ("yolo-seg", "yolo-obb", "instance-png"):
        pytest.skip("looks like another one, which reads it too")
    out, _, _ = there_and_back(one_mask(), name, tmp_path)
    assert recognise(main_file(formats()[name], out)).id == name
