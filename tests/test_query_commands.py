"""Queries and rejections decide what commands work on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from annotator import commands
from annotator.core import raster
from annotator.core.annotation import Annotation, Status
from annotator.services.document import Document
from models.api import Box

KEYS = ["a.png", "b.png", "c.png"]


@pytest.fixture
def folder(tmp_path: Path, qapp: object) -> Path:
    """Two cats (one rejected) and a dog; a rejected image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for key in KEYS:
        Image.new("RGB", (64, 48), (90, 120, 150)).save(folder / key)
    document = Document.open(folder)
    document.add_images(KEYS)
    cat, dog = (document.add_category(name).id for name in ("cat", "dog"))
    said = {"status": "rejected"}

    def put(key: str, *objects: tuple[int, Status]) -> None:
        made = tuple(
            Annotation(
                document.new_id(), raster.from_box(Box(2, 2, 20, 20), 64, 48), name,
                status=status, attributes=said,
            )
            for name, status in objects
        )  # fmt: skip
        document.edit(key, made, "Add")

    put("a.png", (cat, Status.TODO), (cat, Status.REJECTED))
    put("b.png", (dog, Status.DONE))
    put("c.png", (dog, Status.TODO))
    document.set_review("c.png", Status.REJECTED)
    document.close()
    return folder


def exported(folder: Path, *options: str) -> dict[str, int]:
    out = folder.parent / f"out{len(list(folder.parent.iterdir()))}.json"
    assert commands.run(["export", str(folder), "-o", str(out), *options]) == 0
    content = json.loads(out.read_text())
    counts = {image["id"]: 0 for image in content["images"]}
    for entry in content["annotations"]:
        counts[entry["image_id"]] += 1
    return {image["file_name"]: counts[image["id"]] for image in content["images"]}


def test_rejected_images_and_objects_stay_out_of_exports(folder: Path) -> None:
    assert exported(folder) == {"a.png": 1, "b.png": 1}
    assert exported(folder, "--only", "annotated") == {"a.png": 1, "b.png": 1}
    assert exported(folder, "--with-rejected") == {"a.png": 2, "b.png": 1, "c.png": 1}
    coco = json.loads((folder / "annotations.json").read_text())
    assert (len(coco["images"]), len(coco["annotations"])) == (3, 4)


def test_a_query_is_the_scope_of_an_export(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert exported(folder, "--query", "class:cat") == {"a.png": 1}
    assert exported(folder, "--query", "class:dog", "--with-rejected") == {"b.png": 1, "c.png": 1}
    arguments = ["export", str(folder), "-o", str(folder.parent / "no.json"), "--query", "class:"]
    assert commands.run(arguments) == 1
    assert "needs a value" in capsys.readouterr().err
    assert not (folder.parent / "no.json").exists()


def test_a_query_is_the_scope_of_pre_labelling(folder: Path, capsys) -> None:
    arguments = ["prelabel", str(folder), "--model", "basic", "--json", "--side", "2"]
    assert commands.run([*arguments, "--query", "class:cat | state:rejected"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2
