"""`annotator evaluate-names` on a data set made here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from annotator.app import main
from models.naming import towers
from tests.naming import small_clip

COLOURS = {"tomato": (200, 40, 30), "lemon": (230, 220, 60), "grape": (90, 40, 120)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve images with one object of each colour, in an order that changes."""
    rng = np.random.default_rng(0)
    (tmp_path / "data" / "images").mkdir(parents=True)
    images, annotations = [], []
    names = list(COLOURS)
    for number in range(1, 13):
        pixels = np.full((60, 180, 3), 128, np.uint8)
        images.append({"id": number, "file_name": f"{number}.png", "width": 180, "height": 60})
        for place, kind in enumerate(rng.permutation(3)):
            x, y, side = 60 * place + 10, 10, 36
            shade = rng.integers(-15, 15)
            colour = np.clip(np.add(COLOURS[names[kind]], shade), 0, 255)
            pixels[y : y + side, x : x + side] = colour
            square = [x, y, x + side, y, x + side, y + side, x, y + side]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(kind) + 1,
                    "segmentation": [square],
                    "area": side**2,
                    "bbox": [x, y, side, side],
                    "iscrowd": 0,
                }
            )
        assert cv2.imwrite(str(tmp_path / "data" / "images" / f"{number}.png"), pixels[..., ::-1])
    classes = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": classes}
    (tmp_path / "data" / "instances.json").write_text(json.dumps(content))
    return tmp_path / "data"


def test_the_memory_beats_counting_and_a_plot_shows_it(data: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "results"
    assert main(["evaluate-names", str(data), "--out", str(out)]) == 0
    found = json.loads((out / "names.json").read_text())
    assert list(found) == ["most frequent", "last used", "memory"]
    assert len(found["memory"]["ranks"]) == 36
    assert found["memory"]["ranks"][0] == -1, "nothing is known of the first object"
    assert found["memory"]["top1"] > 0.85
    assert found["memory"]["top1"] > found["last used"]["top1"] + 0.3
    assert found["memory"]["top1"] > found["most frequent"]["top1"] + 0.3
    assert f"| memory | {found['memory']['top1']:.3f} |" in (out / "names.md").read_text()
    printed = capsys.readouterr().out
    for name in ("names-top-1.png", "names-top-5.png"):
        assert str(out / name) in printed
        with Image.open(out / name) as plot:
            assert plot.width > 600


def test_text_models_on_this_computer_are_measured_along(
    data: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.naming.clip import Clip

    small_clip.register(tmp_path)
    made = towers.Tower(
        "small", "Small", small_clip.ARCHITECTURE, "clip-rn50", 16, 32, 1.0, "Test."
    )
    state = small_clip.network().state_dict()
    monkeypatch.setattr(towers, "TOWERS", (made,))
    monkeypatch.setattr(
        Clip, "open", classmethod(lambda cls, tower: cls(tower.architecture, state))
    )
    args = ["evaluate-names", str(data), "--model", "small", "--limit", "4", "--shuffle"]
    assert main(args) == 0
    printed = capsys.readouterr().out
    assert "12 objects" in printed
    text = next(line for line in printed.splitlines() if line.startswith("| Small |"))
    assert text.split("|")[3].strip() == "1.000", "three names are always among the first five"
    assert "| Small and memory |" in printed


def test_bad_input_is_told(data: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate-names", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err
    assert main(["evaluate-names", str(data), "--min-area", "100000"]) == 1
    assert "no objects" in capsys.readouterr().err
    assert main(["evaluate-names", str(data), "--model", "clip-2000"]) == 1
    assert "clip-vit-b-32" in capsys.readouterr().err
    (tmp_path / "file").write_text("in the way")
    assert main(["evaluate-names", str(data), "--out", str(tmp_path / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err
