"""`annotator embed`: what a person or a script sees and gets."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from annotator.app import main
from annotator.commands import embed
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.settings import SettingsStore
from models.embedding_cache import DiskCache, default_folder
from tests.models.toy_segmenter import ToyModel, register

ROOT = Path(__file__).parents[1]


@pytest.fixture
def toy(toy: ToyModel, monkeypatch: pytest.MonkeyPatch) -> ToyModel:
    monkeypatch.setattr(embed, "segmenters", lambda: {"toy": toy.spec})
    return toy


def fill(folder: Path, count: int = 5) -> Path:
    for number in range(count):
        place = folder / ("inner" if number % 2 else "")
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 50, 3), 10 * number, np.uint8)
        assert cv2.imwrite(str(place / f"{number}.png"), pixels)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "images")


def entries() -> list[Path]:
    return [path for path in default_folder().rglob("*") if path.is_file()]


def summary(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value


def test_all_images_are_prepared_once(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(folder), "--model", "toy"]) == 0
    output = capsys.readouterr()
    assert "5 prepared, 0 were already, of 5 images for Toy" in output.out
    assert str(default_folder()) in output.out
    assert "5 of 5 images" in output.err
    assert len(entries()) == len(toy.calls) == 5
    assert main(["embed", str(folder), "--model", "toy"]) == 0
    assert "0 prepared, 5 were already" in capsys.readouterr().out
    assert len(toy.calls) == 5


def test_the_window_finds_what_was_prepared(folder: Path, toy: ToyModel) -> None:
    assert main(["embed", str(folder), "--model", "toy"]) == 0
    segmenter = toy.spec.load()
    found = Embeddings().find(ImageFile.now(folder / "2.png"), segmenter)
    assert found is not None
    assert (found.arrays["double"] == 40).all()


def test_the_summary_for_programs(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(folder), "--model", "toy", "--json"]) == 0
    value = summary(capsys)
    assert (value["images"], value["made"], value["known"], value["failed"]) == (5, 5, 0, {})
    assert (value["model"], value["folder"], value["stopped"]) == ("toy", str(folder), "")
    assert value["bytes"] == sum(path.stat().st_size for path in entries())
    assert value["seconds"] > 0


def test_the_same_picture_twice_is_prepared_once(folder: Path, toy: ToyModel) -> None:
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    assert main(["embed", str(folder), "--model", "toy"]) == 0
    assert len(toy.calls) == 5


def test_unreadable_images_are_told_and_left_out(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "2.png").write_bytes(b"no image")
    assert main(["embed", str(folder), "--model", "toy", "--json"]) == 1
    output = capsys.readouterr()
    value = json.loads(output.out)
    assert list(value["failed"]) == ["2.png"]
    assert value["made"] == 4
    assert "2.png" in output.err


def test_a_model_that_needs_no_preparation_is_refused(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--model", "basic"], []):  # basic is what a new user has
        with pytest.raises(SystemExit) as stopped:
            main(["embed", str(folder), *arguments])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert "needs no preparation" in error
        assert "--model): toy" in error


def test_the_model_chosen_in_the_window_is_the_default(folder: Path, toy: ToyModel) -> None:
    from annotator.services.settings import SettingsStore

    settings = SettingsStore()
    settings.update(model="toy")
    settings.save()
    assert main(["embed", str(folder)]) == 0
    assert len(toy.calls) == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["FOLDER", "--model", "nonsense"], "no model “nonsense”"),
        (["FOLDER/missing", "--model", "toy"], "is not a folder"),
        (["FOLDER/0.png", "--model", "toy"], "is not a folder"),
        ([], "required"),
    ],
)
def test_bad_arguments(
    folder: Path,
    toy: ToyModel,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["embed", *(word.replace("FOLDER", str(folder)) for word in arguments)])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_missing_weights_are_told(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.spec = replace(toy.spec, available=lambda: "The file “toy.pth” is missing.")
    with pytest.MonkeyPatch.context() as patch:
        register(patch, toy)
        assert main(["embed", str(folder), "--model", "toy"]) == 1
    assert "annotator embed: The file “toy.pth” is missing." in capsys.readouterr().err
    assert toy.loads == 0


def test_a_folder_without_images_is_told(
    tmp_path: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(tmp_path), "--model", "toy"]) == 1
    assert "no images" in capsys.readouterr().err


def test_broken_weights_keep_nothing(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.alter = lambda array: array * np.nan
    assert main(["embed", str(folder), "--model", "toy"]) == 1
    assert "not numbers" in capsys.readouterr().err
    assert entries() == []


def test_a_folder_larger_than_the_cache_does_not_push_itself_out(
    folder: Path,
    toy: ToyModel,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert main(["embed", str(folder), "--model", "toy"]) == 0
    size = entries()[0].stat().st_size
    for path in entries():
        path.unlink()
    monkeypatch.setattr(DiskCache, "limit", lambda _: 3 * size + 100)
    assert main(["embed", str(folder), "--model", "toy"]) == 1
    assert "The cache is full" in capsys.readouterr().err
    assert len(toy.calls) == 5 + 3
    assert len(entries()) == 3
    assert main(["embed", str(folder), "--model", "toy"]) == 1
    assert len(toy.calls) == 5 + 3


def test_a_cache_that_cannot_be_written_is_told(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str]
) -> None:
    default_folder().parent.mkdir(parents=True)
    default_folder().write_text("in the way")
    assert main(["embed", str(folder), "--model", "toy"]) == 1
    assert "Nothing can be kept" in capsys.readouterr().err


# A process of its own, with a model that says so and waits at the third image.
PROGRAM = textwrap.dedent(
    """
    import sys, time
    import pytest
    from annotator.app import main
    from tests.models.toy_segmenter import ToyModel, register

    model = ToyModel()

    def wait():
        if len(model.calls) == int(sys.argv[1]):
            print("waiting", flush=True)
            time.sleep(60)

    model.on_encode = wait
    register(pytest.MonkeyPatch(), model)
    sys.exit(main(["embed", sys.argv[2], "--model", "toy"]))
    """
)


def started(folder: Path, wait_at: int, stderr: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(wait_at), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_what_was_prepared_before_an_end_is_kept(
    folder: Path, toy: ToyModel, capsys: pytest.CaptureFixture[str], sent: signal.Signals
) -> None:
    process = started(folder, 3, subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(sent)
    out, err = process.communicate(timeout=30)
    if sent == signal.SIGINT:
        assert process.returncode == 1
        assert "2 prepared, 0 were already, of 5 images" in out
        assert "Stopped. What was prepared is kept; the same command goes on." in err
        assert "Traceback" not in err
    assert main(["embed", str(folder), "--model", "toy"]) == 0
    assert "3 prepared, 2 were already" in capsys.readouterr().out


def test_a_terminal_shows_a_bar(folder: Path) -> None:
    ours, theirs = pty.openpty()
    process = started(folder, 0, theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "5 prepared" in out
    assert b"1 of 5 images [" in shown
    assert shown.endswith(b"\r\x1b[K")


def test_it_runs_on_what_was_chosen_in_the_window(folder: Path, toy: ToyModel) -> None:
    settings = SettingsStore()
    settings.update(model="toy", device="exact")
    settings.save()
    assert main(["embed", str(folder)]) == 0
    assert toy.devices == ["exact"]
