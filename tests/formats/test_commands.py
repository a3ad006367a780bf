"""`annotator export`, `import`, `convert` and `validate` on real folders."""

import errno
import json
import math
import random

import numpy as np
import pytest
from PIL import Image

from annotator import commands
from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.formats import exporting, target
from annotator.core.formats.api import Origin
from annotator.core.formats.coco.checking import check
from annotator.core.formats.registry import format_spec, open_content
from annotator.services.document import Document
from annotator.services.project_content import project_content
from models.api import Box
from tests.formats.contents import objects

WIDTH, HEIGHT = 40, 30


@pytest.fixture
def folder(tmp_path):
    """Three images; the last one is stored on its side."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for key in ("a.png", "sub/b.png"):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(folder / key)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((WIDTH, HEIGHT, 3), np.uint8)
    pixels[: WIDTH // 2] = 250
    Image.fromarray(pixels).save(folder / "turned.jpg", exif=exif, quality=95)
    return folder


@pytest.fixture
def project(folder, qapp):
    """The same with objects."""
    document = Document.open(folder)
    document.add_images(["a.png", "sub/b.png", "turned.jpg"])
    cat, dog = document.add_category("cat").id, document.add_category("dog").id
    mask = raster.from_array(np.pad(np.ones((9, 12), bool), ((3, 18), (5, 23))))
    one, two, three, four = (document.new_id() for _ in range(4))
    found = Annotation(one, mask, cat), Annotation(two, Box(1, 2, 8, 9), dog)
    document.edit("a.png", found, "add")
    found = Annotation(three, mask), Annotation(four, mask, cat, proposed=True)
    document.edit("sub/b.png", found, "add")
    document.close()
    return folder


def annotator(*arguments):
    return commands.run([str(a) for a in arguments])


def test_export_writes_what_was_accepted(project, tmp_path, capsys):
    assert annotator("export", project, "-o", tmp_path / "x.json", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["annotations"]) == (3, 3)
    back = format_spec("coco").read(Origin(tmp_path / "x.json", project))
    with project_content(project) as content:
        assert objects(back) == objects(content)
    assert [i.record.width for i in back.images()] == [WIDTH, WIDTH, WIDTH]


def test_export_sees_a_project_that_is_open(project, tmp_path):
    document = Document.open(project)
    document.edit("a.png", document.annotations("a.png")[:1], "remove")
    document.flush()
    assert annotator("export", project, "--format", "labelme", "-o", tmp_path / "out") == 0
    document.close()
    shapes = json.loads((tmp_path / "out" / "a.json").read_text())["shapes"]
    assert [shape["label"] for shape in shapes] == ["cat"]


def test_images_are_copied_linked_or_left(project, tmp_path):
    for mode in ("copy", "link", "symlink", "leave"):
        out = tmp_path / mode
        assert annotator("export", project, "-o", out, "--images", mode) == 0
        image = out / "images" / "sub" / "b.png"
        assert image.exists() == (mode != "leave")
        assert image.is_symlink() == (mode == "symlink")
        if mode == "link":
            assert image.samefile(project / "sub" / "b.png")


def test_links_to_another_drive_become_copies(project, tmp_path, monkeypatch):
    def link(source, path):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("annotator.core.formats.image_files.os.link", link)
    assert annotator("export", project, "-o", tmp_path / "out", "--images", "link") == 0
    image = tmp_path / "out" / "images" / "sub" / "b.png"
    assert image.read_bytes() == (project / "sub" / "b.png").read_bytes()
    assert not image.samefile(project / "sub" / "b.png")


def test_copies_do_not_become_images_of_the_project(project, capsys):
    out = project / "export"
    assert annotator("export", project, "-o", out, "--images", "copy") == 1
    assert "inside of the folder" in capsys.readouterr().err
    assert not out.exists()
    assert annotator("export", project, "-o", project / "labels.json") == 0


def test_turned_images_are_corrected_in_copies_only(project, tmp_path):
    before = (project / "turned.jpg").read_bytes()
    assert annotator("export", project, "-o", tmp_path / "out", "--upright") == 0
    assert (project / "turned.jpg").read_bytes() == before
    copy = Image.open(tmp_path / "out" / "images" / "turned.jpg")
    assert (copy.size, copy.getexif().get(0x0112, 1)) == ((WIDTH, HEIGHT), 1)
    assert np.asarray(copy)[15, 35].min() > 200 > 50 > np.asarray(copy)[15, 5].max()
    lists = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert "annotator" not in lists["images"][2]
    assert annotator("export", project, "-o", tmp_path / "plain", "--images", "copy") == 0
    assert (tmp_path / "plain" / "images" / "turned.jpg").read_bytes() == before


def test_an_export_that_fails_leaves_nothing(project, tmp_path, capsys, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert annotator("export", project, "-o", tmp_path / "out") == 1
    assert "there already" in capsys.readouterr().err
    assert annotator("export", project, "-o", tmp_path / "out", "--overwrite") == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target.shutil, "copy2", full)
    monkeypatch.setattr("annotator.core.formats.image_files.shutil.copy2", full)
    assert annotator("export", project, "-o", tmp_path / "new", "--images", "copy") == 1
    assert "disk is full" in capsys.readouterr().err
    assert not list(tmp_path.glob("*new*"))


def test_stopping_an_export_leaves_nothing(project, tmp_path):
    def stop(done, count):
        raise KeyboardInterrupt

    with project_content(project) as content, pytest.raises(KeyboardInterrupt):
        exporting.export(content, format_spec("yolo"), tmp_path / "out", None, stop)
    assert not list(tmp_path.glob("*out*"))


def test_a_folder_without_a_project_is_no_error_in_python(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert annotator("export", tmp_path / "empty", "-o", tmp_path / "out") == 1
    assert "is no project" in capsys.readouterr().err


def test_images_of_the_same_name_do_not_share_labels(project, tmp_path, capsys):
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(project / "a.jpg")
    document = Document.open(project)
    document.add_images(["a.jpg"])
    document.close()
    assert annotator("export", project, "--format", "yolo", "-o", tmp_path / "out") == 0
    assert "same name but for its ending" in capsys.readouterr().err


def test_convert_needs_no_project(project, tmp_path, capsys):
    assert annotator("export", project, "-o", tmp_path / "x.json") == 0
    arguments = ("--image-folder", project, "--images", "copy", "--split", "50/50")
    yolo = tmp_path / "yolo"
    assert (
        annotator("convert", tmp_path / "x.json", "--to", "yolo-seg", "-o", yolo, *arguments) == 0
    )
    assert annotator("convert", yolo, "--to", "coco", "-o", tmp_path / "y.json") == 0
    back = open_content(Origin(tmp_path / "y.json", yolo / "images"))
    assert sum(len(image.annotations) for image in back.images()) == 3
    assert annotator("convert", yolo, "--to", "nothing", "-o", tmp_path / "z") == 1
    assert "Known formats" in capsys.readouterr().err


# --- Import ---


def test_import_is_told_first_and_taken_back_as_one(project, folder, tmp_path, capsys, qapp):
    assert annotator("export", project, "--format", "labelme", "-o", tmp_path / "out") == 0
    arguments = ("import", project, tmp_path / "out", "--map", "cat=lynx", "--overlap", "add")
    assert annotator(*arguments) == 1
    told = capsys.readouterr().err
    assert "cat → lynx (new class): 1" in told
    assert "2 objects that are there already" in told
    assert "Nothing was changed" in told
    assert annotator(*arguments, "--yes") == 0
    document = Document.open(project)
    assert [c.name for c in document.categories()] == ["cat", "dog", "lynx"]
    assert len(document.annotations("a.png")) == 3
    document.close()
    assert annotator("import", project, "--undo") == 0
    document = Document.open(project)
    assert [c.name for c in document.categories()] == ["cat", "dog"]
    assert len(document.annotations("a.png")) == 2
    document.close()
    assert annotator("import", project, "--undo") == 1


def test_images_changed_since_an_import_stay(project, tmp_path, capsys, qapp):
    lists = {
        "images": [{"id": 1, "file_name": k, "width": WIDTH, "height": HEIGHT}
                   for k in ("a.png",)] + [{"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 1, "name": "bird"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [20, 20, 9, 9]}
                        for i in (1, 2)],
    }  # fmt: skip
    (tmp_path / "in.json").write_text(json.dumps(lists))
    assert annotator("import", project, tmp_path / "in.json", "--yes") == 0
    document = Document.open(project)
    assert len(document.annotations("sub/b.png")) == 3  # found by its base name
    document.edit("a.png", (), "clear")
    document.close()
    assert annotator("import", project, "--undo") == 0
    assert "1 images were changed since and stay as they are: a.png" in capsys.readouterr().err
    document = Document.open(project)
    assert len(document.annotations("sub/b.png")) == 2
    assert document.annotations("a.png") == ()
    document.close()


@pytest.mark.parametrize(("rule", "count", "width"), [("add", 3, 12), ("keep", 2, 12),
                                                      ("replace", 2, 11)])  # fmt: skip
def test_rules_for_objects_that_lie_on_another(project, tmp_path, rule, count, width, qapp):
    near = raster.from_array(np.pad(np.ones((9, 11), bool), ((3, 18), (5, 24))))
    lists = {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 9, "name": "cat"}],
        "annotations": [{"id": 77, "image_id": 1, "category_id": 9,
                         "segmentation": near.to_coco()}],
    }  # fmt: skip
    (tmp_path / "in.json").write_text(json.dumps(lists))
    command = ("import", project, tmp_path / "in.json", "--overlap", rule, "--iou", "0.8", "--yes")
    assert annotator(*command) == 0
    document = Document.open(project)
    found = document.annotations("a.png")
    assert len(found) == count
    assert raster.box(found[0].shape).width == width
    document.close()


def test_what_a_project_does_not_take_over_is_told(project, tmp_path, capsys, qapp):
    lists = {
        "info": {"version": "7"}, "licenses": [],
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT,
                    "coco_url": "http://x", "annotator": {"reviewed": True}}],
        "categories": [{"id": 1, "name": "cat", "supercategory": "animal"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 9, 9]}],
    }  # fmt: skip
    (tmp_path / "in.json").write_text(json.dumps(lists))
    assert annotator("import", project, tmp_path / "in.json", "--dry-run") == 0
    told = capsys.readouterr().err
    for what in ("“info” (in.json)", "“coco_url” (a.png)", "status or comment", "already"):
        assert sum(what in line for line in told.splitlines() if "Not kept" in line) == 1, what
    assert "licenses" not in told


# --- Validate ---


BAD = {
    "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16,
         "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "iscrowd": False, "ignore": 1},
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 4], "iscrowd": 0,
         "area": 16, "segmentation": [[1, 1, 5, 1]]},
        {"id": 2, "image_id": 5, "category_id": 8, "bbox": [1, 1, 4, 4], "iscrowd": 0,
         "area": 16, "segmentation": {"size": [9, 9], "counts": [3]}},
    ],
}  # fmt: skip


def test_validate_says_what_and_who(tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(BAD))
    assert annotator("validate", path) == 1
    lines = capsys.readouterr().out.splitlines()
    for what, who in (
        ("“iscrowd” is False", "pycocotools"),
        ("“ignore” is set", "detectron2"),
        ("repeats the id 1", "detectron2"),
        ("“bbox” has no area", "torchvision"),
        ("two points count as a box", "pycocotools"),
        ("image 5", "pycocotools"),
        ("category 8", "detectron2"),
        ("does not fill its size", "pycocotools"),
    ):
        assert any(what in line and who in line for line in lines), what  # fmt: skip


def test_validate_repairs(tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(BAD))
    assert annotator("validate", path, "--fix") == 0
    assert "0 errors are left" in capsys.readouterr().err
    fixed = json.loads((tmp_path / "bad.fixed.json").read_text())
    assert json.loads(path.read_text()) == BAD
    assert len(fixed["annotations"]) == 1
    # What was left aside stays in the file.
    assert len(fixed["annotator"]["unreadable"]["annotations"]) == 2


def broken(random):
    """A small file in which a few values are missing or nonsense."""
    images = [{"id": i, "file_name": f"{i}.png", "width": 30, "height": 20} for i in (1, 2)]
    categories = [{"id": i, "name": f"c{i}"} for i in (1, 2)]
    annotations = [
        {"id": i, "image_id": 1 + i % 2, "category_id": 1 + i % 2, "bbox": [1, 1, 8, 8],
         "area": 64, "iscrowd": 0, "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}
        for i in range(1, 6)
    ]  # fmt: skip
    junk = (
        None, "", -1, 0, "3", 1.5, 3.0, [], {}, True, 10**12, math.inf, [[1, 2]], [[1, 1, 2, 2]],
        [1, 1, 5, 1, 5, 5], {"size": [20, 30], "counts": [600]}, {"size": [9, 9], "counts": [81]},
        {"size": [20, 30], "counts": [0, 600]}, [0, 0, 0, 0], [-5, -5, 99, 99],
        [[50, 50, 60, 50, 60, 60]], [[1, 1, 9, 1, 9, 9, 1]],
    )  # fmt: skip
    for _ in range(random.randint(1, 4)):
        entry = random.choice(random.choice((images, annotations, annotations, categories)))
        name = random.choice([*entry, "ignore"])
        if random.random() < 0.25:
            entry.pop(name, None)
        else:
            entry[name] = random.choice(junk)
    return {"images": images, "annotations": annotations, "categories": categories}


def test_what_is_repaired_has_no_errors_left(tmp_path, capsys):
    path, fixed = tmp_path / "in.json", tmp_path / "in.fixed.json"
    for seed in range(150):
        path.write_text(json.dumps(broken(random.Random(seed))))
        fixed.unlink(missing_ok=True)
        annotator("validate", path, "--fix")
        if fixed.exists():
            left = [f.what for f in check(json.loads(fixed.read_text())) if f.is_error]
            # Nobody but the image knows its size.
            assert all(what.startswith("has no size") for what in left), (seed, left)


def test_our_own_file_has_nothing_to_complain_about(project, tmp_path, capsys):
    assert annotator("export", project, "-o", tmp_path / "x.json") == 0
    command = ("validate", tmp_path / "x.json", "--image-folder", project)
    assert annotator(*command) == 0
    assert "error" not in capsys.readouterr().out
