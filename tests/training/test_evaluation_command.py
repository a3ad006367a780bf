"""`python -m models.training evaluate`: what it writes, and how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models import registry
from models.training.__main__ import main
from models.training.evaluation import Options, evaluate, read_dataset
from models.training.evaluation.command import write_reports
from models.training.evaluation.report import Report
from models.training.evaluation.tables import as_json, as_markdown
from tests.training.coloured import ColourSegmenter, write_folder
from tests.training.rows import row

ROOT = Path(__file__).parents[2]


def report(model: str = "One", iou: float = 0.5, clicks: tuple[float, ...] = ()) -> Report:
    rows = (row(iou, clicks=clicks), row(iou, area=500), row(iou, area=20_000, category="cat"))
    return Report(model, "1", "shapes", 1, 0, rows, {"encode": [3.0], "decode, box": [1.0, 2.0]})


def test_the_whole_command(tmp_path: Path) -> None:
    data, out = write_folder(tmp_path / "data"), tmp_path / "new" / "out"
    command = [sys.executable, "-m", "models.training", "evaluate", str(data), "--limit", "1"]

    done = subprocess.run(
        [*command, "--out", str(out), "--click-objects", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    written = [Path(line) for line in done.stdout.splitlines()]
    assert {path.name for path in written} == {
        "evaluation.md", "evaluation.json", "evaluation-iou.png", "evaluation-sizes.png",
        "evaluation-calibration.png", "evaluation-clicks.png",
    }  # fmt: skip
    numbers = json.loads((out / "evaluation.json").read_text())
    (model,) = numbers["models"]
    assert model["sizes"]["all"]["objects"] == 3
    assert model["clicks"]["objects"] == 1
    assert model["milliseconds"]["encode"]["count"] == 1
    assert "loupe: 1 of 1 images" in done.stderr
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert np.unique(np.asarray(image)).size > 10


def test_tables_are_printed_without_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(write_folder(tmp_path)), "--min-area", "3000"]) == 0

    printed = capsys.readouterr().out
    assert printed.startswith("# Evaluation on ")
    assert "4 objects: 0 small" in printed


def test_models_stand_side_by_side_and_published_ones_are_marked() -> None:
    text = as_markdown([report("One", 0.5), report("Two", 0.75)], ["iou.png"])

    assert "| One | 0.500 | 0.500 |" in text
    assert "| Two | 0.750 | 0.750 |" in text
    assert "| *EdgeSAM (published)* | *0.767* | *0.781* | *0.790* |" in text
    assert "| the ellipse in the box | 0.600 |" in text
    assert "| One, small | 1 |" in text
    assert "NoC" not in text  # not asked for
    assert "COCO AP" not in text
    assert text.endswith("![iou](iou.png)\n")


def test_every_table_is_a_rectangle() -> None:
    models = [report("One", clicks=(0.5, 0.95)), report("Two|Three")]

    blocks = as_markdown(models).split("\n\n")

    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    assert len(tables) == 7
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1


def test_what_is_undefined_is_null_in_json_and_a_dash_in_markdown() -> None:
    nothing = Report("None", "1", "shapes", 1, 0, (row(area=50),), {"encode": [1.0]})

    found = json.loads(as_json([nothing]))["models"][0]["sizes"]

    assert found["large"]["steps"]["box"]["iou"] is None
    assert found["small"]["steps"]["box"]["iou"] == 0.5
    assert "| None | – | – |" in as_markdown([nothing])


def test_numbers_are_the_same_every_time(tmp_path: Path) -> None:
    dataset = read_dataset(write_folder(tmp_path / "data"))

    def numbers() -> str:
        options = Options(clicks=True)
        found = json.loads(as_json([evaluate(ColourSegmenter(), dataset, options)]))
        found["models"][0].pop("milliseconds")
        return json.dumps(found)

    assert numbers() == numbers()


def test_plots_of_many_models_with_long_names(tmp_path: Path) -> None:
    models = [report(f"A network with a long name {n}", n / 10) for n in range(8)]

    write_reports(models, tmp_path)

    with Image.open(tmp_path / "evaluation-iou.png") as image:
        colours = {tuple(c) for c in np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()}
    assert (0, 114, 178) in colours
    assert (213, 94, 0) in colours


def test_an_unknown_model_is_named_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path / "gone"), "--model", "nonsense"]) == 1

    assert "no model “nonsense”. Known models: loupe, basic" in capsys.readouterr().err


def test_a_model_that_is_not_here_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = next(s for s in registry.segmenters().values() if s.available() is not None)

    assert main(["evaluate", str(write_folder(tmp_path)), "--model", missing.id]) == 1

    assert f"“{missing.id}” cannot be measured: " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()

    assert main(["evaluate", str(write_folder(tmp_path / "data")), "--out", str(file)]) == 1

    error = capsys.readouterr().err
    assert "cannot be written to" in error
    assert "images" not in error  # nothing was measured


def test_bad_data_ends_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1

    assert "neither instances.json" in capsys.readouterr().err


def test_what_was_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "data")
    (folder / "images" / "b.png").unlink()

    assert main(["evaluate", str(folder), "--skip-bad", "--min-area", "5000"]) == 0

    assert "b.png” cannot be read" in capsys.readouterr().err


def test_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "evaluate" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert main([]) == 2
    assert "evaluate" in capsys.readouterr().err
