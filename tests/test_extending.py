"""docs/extending.md is true: its files, put in their places, are found and used."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import annotator.core.formats
import models.labellers
import models.segmenters
import models.trackers
from annotator import commands
from annotator.core.formats import registry as formats
from models import labelling, registry, tracking

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
PACKAGES = (models.segmenters, models.labellers, models.trackers, annotator.core.formats)
CACHES = (registry._sources, labelling.labellers, tracking.trackers, formats.formats)


@pytest.fixture
def extended(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one image of a bright square; the examples are in their places."""
    examples = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert len(examples) == len(PACKAGES)
    for name, code in examples:
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True)
        path.write_text(code, "utf-8")
        package = importlib.import_module(str(Path(name).parent).replace("/", "."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(path.parent)])
    _forget()
    folder = tmp_path / "images"
    folder.mkdir()
    pixels = np.full((60, 80, 3), 40, np.uint8)
    pixels[10:30, 20:50] = 250
    Image.fromarray(pixels).save(folder / "one.png")
    yield folder
    monkeypatch.undo()
    for name, _ in examples:
        sys.modules.pop(name.removesuffix(".py").replace("/", "."), None)
    _forget()


def _forget() -> None:
    for cached in CACHES:
        cached.cache_clear()


def test_a_labeller_and_a_format_go_from_an_image_to_a_file(extended, tmp_path, capsys) -> None:
    out = tmp_path / "found.json"
    assert commands.run(["prelabel", str(extended), "--labeller", "bright", "--out", str(out)]) == 0
    code = ["convert", str(out), "--to", "centres", "-o", str(tmp_path / "OUT")]
    coco = tmp_path / "coco.json"
    coco.write_text(
        '{"images":[{"id":1,"file_name":"one.png","width":80,"height":60}],'
        '"categories":[{"id":1,"name":"lamp"}],"annotations":[{"id":1,"image_id":1,'
        '"category_id":1,"iscrowd":0,"area":600,"bbox":[20,10,30,20],'
        '"segmentation":[[20,10,50,10,50,30,20,30]]}]}'
    )
    assert '"bbox":[20' in out.read_text().replace(" ", "")
    code[1] = str(coco)
    assert commands.run([*code, "--image-folder", str(extended)]) == 0
    assert (tmp_path / "OUT" / "centres.csv").read_text() == "one.png,lamp,35,20\n"
    assert "outlines" in capsys.readouterr().err


def test_a_segmenter_proposes(extended, tmp_path) -> None:
    out = tmp_path / "found.json"
    arguments = ["prelabel", str(extended), "--model", "grey", "--side", "6", "--out", str(out)]
    assert commands.run(arguments) == 0
    assert '"bbox":[20' in out.read_text().replace(" ", "")


def test_a_tracker_follows(extended) -> None:
    tracker = tracking.tracker_spec("still").load(None)
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    frame = np.zeros((60, 80, 3), np.uint8)
    assert tracker.begin(frame, {3: mask}) == {3: 1.0}
    ((seen,),) = tracker.step([frame])
    assert seen.number == 3
    assert np.array_equal(seen.mask, mask)
    tracker.drop(3)
    assert tracker.step([frame]) == [[]]
