"""Random content of a few images, and helpers for tests on every format."""

from dataclasses import replace
from itertools import count

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.formats.api import Content, LabelledImage, Origin
from annotator.core.formats.exporting import ExportOptions, export
from annotator.core.formats.registry import format_spec
from tests.core.strategies import HEIGHT, WIDTH, boxes, masks

KEYS = ("a.png", "sub folder/ü 1.png", "sub folder/deeper/b.png", "日本.png")
CLASSES = ("cat", "Katze mit ß", "traffic light", "猫", 'a "quoted" <name> & more', "x: y, #z")


@st.composite
def contents(draw, shapes=None, crowds=True, unnamed=True):
    """Content whose images are not on the disk yet: see `on_disk`."""
    names = draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=4, unique=True))
    ids = draw(st.lists(st.integers(1, 2**53), min_size=len(names), max_size=len(names),
                        unique=True))  # fmt: skip
    categories = [Category(i, n, "#112233") for i, n in zip(ids, names, strict=True)]
    chosen = st.sampled_from(ids)
    kinds = shapes if shapes is not None else masks() | boxes()
    numbers = iter(draw(st.lists(st.integers(1, 2**53), min_size=16, max_size=16, unique=True)))
    images = []
    for place, key in enumerate(KEYS[: draw(st.integers(1, len(KEYS)))], 1):
        found = draw(st.lists(
            st.builds(Annotation, st.just(0), kinds, chosen | st.none() if unnamed else chosen,
                      is_crowd=st.booleans() if crowds else st.just(False)),
            max_size=4,
        ))  # fmt: skip
        objects = tuple(replace(a, id=next(numbers)) for a in found)
        record = ImageRecord(key, place, WIDTH, HEIGHT, count=len(objects))
        images.append(LabelledImage(record, objects))
    return content_of_images(images, categories)


def content_of_images(images, categories):
    return Content(tuple(categories), lambda: iter(images), len(images), name="test")


def on_disk(content, folder):
    """The same with real image files."""
    images = []
    for image in content.images():
        path = folder / image.record.key
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (image.record.width, image.record.height)
        Image.fromarray(np.full((size[1], size[0], 3), 120, np.uint8)).save(path)
        images.append(replace(image, file=path))
    return content_of_images(images, content.categories)


_places = count()


def there_and_back(content, name, folder, images="copy", spec=None):
    """Written and read again: the folder, the report and what came back."""
    base = folder / f"case {next(_places)}"
    content = on_disk(content, base / "photos")
    spec = spec or format_spec(name)
    report = export(content, spec, base / "out", ExportOptions(images=images))
    origin = main_file(spec, base / "out")
    names = None
    if name == "coco-results":
        export(content, format_spec("coco"), base / "names.json")
        names = base / "names.json"
    return base / "out", report, spec.read(Origin(origin, names=names))


def main_file(spec, out):
    """What a person would name to read an export."""
    if spec.id == "coco-panoptic":
        return out / "panoptic.json"
    return out / spec.file if spec.file else out


def objects(content):
    """Key of the image to (name of the class, shape, crowd), in their order."""
    names = content.names()
    return {
        image.record.key: [(names[a.category_id], a.shape, a.is_crowd) for a in image.annotations]
        for image in content.images()
    }
