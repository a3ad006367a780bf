"""Cut, mangled and hostile files: a clear error or a list of what is left out, never more."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotator.core import raster
from annotator.core.annotation import Annotation, Category, ImageRecord
from annotator.core.errors import UserError
from annotator.core.formats.api import LabelledImage, Origin
from annotator.core.formats.exporting import ExportOptions, export
from annotator.core.formats.registry import format_spec, formats, recognise
from annotator.core.mask import Mask
from models.api import Box
from tests.formats.contents import content_of_images, main_file, on_disk

READ = [name for name, spec in formats().items() if spec.read and spec.write]
SIZE = (24, 16)


def sample(folder):
    """Two images with a mask, a box and a nameless one."""
    mask = raster.from_box(Box(3, 2, 9, 12), *SIZE)
    images = [
        LabelledImage(
            ImageRecord("a.png", 1, *SIZE), (Annotation(1, mask, 5), Annotation(2, mask))
        ),
        LabelledImage(ImageRecord("sub/b.png", 2, *SIZE), (Annotation(3, Box(1, 1, 4, 4), 6),)),
    ]
    return on_disk(
        content_of_images(images, [Category(5, "cat", "#112233"), Category(6, "dog", "#445566")]),
        folder,
    )


def exported(name, folder):
    content, spec = sample(folder / "photos"), format_spec(name)
    export(content, spec, folder / "out", ExportOptions(images="copy"))
    names = None
    if name == "coco-results":
        names = folder / "names.json"
        export(content, format_spec("coco"), names)
    return Origin(main_file(spec, folder / "out"), names=names)


def consume(origin, name):
    """Everything a reader gives, and what a wrong import would look like."""
    began = time.monotonic()
    try:
        content = format_spec(name).read(origin)
        images = list(content.images())
    except UserError:
        return None
    assert time.monotonic() - began < 20
    ids = {category.id for category in content.categories}
    for image in images:
        assert ".." not in image.record.key.replace("\\", "/").split("/")
        assert not Path(image.record.key).is_absolute()
        for annotation in image.annotations:
            assert annotation.category_id is None or annotation.category_id in ids
            if isinstance(annotation.shape, Mask):
                assert (annotation.shape.width, annotation.shape.height) == SIZE
                assert int(raster.runs(annotation.shape).sum()) == SIZE[0] * SIZE[1]
    return content


@pytest.mark.parametrize("name", READ)
@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_mangled_files_never_crash(name, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    origin = exported(name, folder)
    base = origin.path if origin.path.is_dir() else origin.path.parent
    photos = base / "images", base / "JPEGImages"
    files = (p for p in base.rglob("*") if p.is_file() and not set(photos) & set(p.parents))
    labels = sorted(p for p in files if name != "labelme" or p.suffix == ".json")
    path = data.draw(st.sampled_from(labels))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(1, 5))):
        if content:
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + data.draw(st.integers(0, 4))] = data.draw(
                st.binary(max_size=6) | st.sampled_from([b"-1", b"1e999", b"null", b"[]", b"\x00"])
            )
    path.write_bytes(bytes(content))
    consume(origin, name)


@pytest.mark.parametrize("name", READ)
def test_whole_files_come_back_whole(name, tmp_path):
    content = consume(exported(name, tmp_path), name)
    assert content is not None
    assert not content.troubles.counts
    assert content.count == 2


HOSTILE = ("../../outside.png", "/etc/passwd", "..\\..\\x.png", "sub/../../x.png", "", "a\0.png")


@pytest.mark.parametrize("file_name", HOSTILE)
@pytest.mark.parametrize("name", ["coco", "coco-panoptic", "lvis", "labelme"])
def test_names_do_not_lead_out_of_the_folder(name, file_name, tmp_path):
    (tmp_path / "outside.png").write_bytes(b"secret")
    origin = exported(name, tmp_path / "inner")
    files = [origin.path] if origin.path.is_file() else sorted(origin.path.rglob("*.json"))
    value = json.loads(files[0].read_text())
    if name == "labelme":
        value["imagePath"] = file_name
    else:
        value["images"][0]["file_name"] = file_name
    files[0].write_text(json.dumps(value))
    content = consume(origin, name)
    if content is not None:
        out = tmp_path / "again"
        export(content, format_spec("labelme"), out, ExportOptions(images="copy"))
        written = [p for p in tmp_path.rglob("*.json") if "inner" not in p.parts]
        assert all(p.is_relative_to(out) for p in written)


def test_a_png_that_claims_gigabytes_is_refused(tmp_path):
    origin = exported("semantic-png", tmp_path)
    file = next((origin.path / "masks").glob("*.png"))
    data = bytearray(file.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    file.write_bytes(bytes(data))
    content = format_spec("semantic-png").read(origin)
    assert any("damaged" in what for what in content.troubles.counts)


def test_entities_are_not_expanded(tmp_path):
    origin = exported("voc", tmp_path)
    file = origin.path / "Annotations" / "a.xml"
    bomb = "".join(f'<!ENTITY x{i} "{f"&x{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<!DOCTYPE a [<!ENTITY x0 "ha">{bomb}]><annotation>&x11;</annotation>'
    file.write_text(text)
    assert any("XML" in what for what in format_spec("voc").read(origin).troubles.counts)


def test_troubles_name_file_and_line(tmp_path):
    origin = exported("yolo", tmp_path)
    (origin.path / "labels" / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n1 oops 0.5 0.1 0.1\n")
    sentences = format_spec("yolo").read(origin).troubles.sentences()
    assert sentences == ["1 lines that are neither a box nor an outline (a.txt, line 2)."]


def test_what_is_no_format_at_all_is_said(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00" * 100)
    with pytest.raises(UserError, match="Say which one"):
        recognise(tmp_path / "a.bin")
    with pytest.raises(UserError, match="does not exist"):
        recognise(tmp_path / "nothing")
