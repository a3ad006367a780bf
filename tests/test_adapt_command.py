"""`annotator adapt` and `annotator models adapted`: what a person or a script sees and gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from annotator.app import main
from annotator.services.document import Document
from models import registry
from models.adapted import AdaptedStore
from tests.training.adapted_base import BASE, QUICK, offer_base, one_thread, write_project
from tests.training.cards import offer

__all__ = ["one_thread"]  # pytest finds it here

ROOT = Path(__file__).parents[1]
ENDLESS = ("--steps=10000", "--rate=0.01")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project") / "bright shapes")


def begin(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "annotator", "adapt", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def events(lines: Sequence[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def wait_for_training(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("doing") == "Training":
            return
    raise AssertionError(process.communicate()[1])


def test_a_project_is_adapted_to_while_a_window_has_it_open(project: Path) -> None:
    offer_base()
    document = Document.open(project)
    try:
        with begin(str(project), f"--model={BASE}", *QUICK, "--name=My  shapes", "--json") as child:
            out, errors = child.communicate(timeout=100)
    finally:
        document.close()
    assert child.returncode == 0, errors
    said = events(out.splitlines())
    assert said[0] == {"event": "begun", "images": 12, "objects": 36}
    shares = [event["share"] for event in said if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert said[-1]["event"] == "adapted"
    assert said[-1]["id"] == "adapted-my-shapes"
    assert said[-1]["title"] == "Loupe, adapted to My shapes"
    assert said[-1]["after"]["box"] > said[-1]["before"]["box"] + 0.2
    assert said[-1]["least"] > 0
    assert registry.segmenter_spec("adapted-my-shapes").available() is None
    assert sorted(path.name for path in AdaptedStore().folder.iterdir()) == ["base", "my-shapes"]


def test_a_refusal_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    offer_base()
    few = write_project(tmp_path / "few", 5)
    assert main(["adapt", str(few), f"--model={BASE}"]) == 1
    assert "15 accepted masks in 5 images. At least 30 masks in 8" in capsys.readouterr().err
    assert main(["adapt", str(few), f"--model={BASE}", "--json"]) == 1
    said = events(capsys.readouterr().out.splitlines())
    assert said[-1]["event"] == "refused"
    assert "15 accepted masks" in said[-1]["reason"]


def test_a_table_shows_what_did_not_help(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.training import adapting
    from tests.training.test_adapting import _at_once

    offer_base()
    monkeypatch.setattr(adapting, "fine_tune", _at_once(adapting.fine_tune))
    given = ["adapt", str(project), f"--model={BASE}", "--steps=1", "--rate=1e-9"]
    assert main(given) == 1
    out, errors = capsys.readouterr()
    assert "It does not help" in errors
    assert "36 accepted masks in 12 images." in errors
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["mean", "IoU", "before", "after"]
    assert [row[:-2] for row in rows[1:4]] == [["box"], ["point"], ["point", "+1"]]


def test_failures_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, words in (
        ((str(tmp_path), "--model=basic"), "cannot be adapted"),
        ((str(tmp_path), "--model=adapted-none"), "no adapted model “adapted-none”"),
    ):
        assert main(["adapt", *given]) == 1
        assert words in capsys.readouterr().err
    offer_base()
    assert main(["adapt", str(tmp_path), f"--model={BASE}"]) == 1
    assert "is no project" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "PROJECT"),
        (["/no/such/folder"], "“/no/such/folder” does not exist"),
        ([".", "--parts=all"], "--parts"),
        ([".", "--steps=0"], "from 1 to 10000"),
        ([".", "--rate=x"], "above 0"),
        ([".", "--name= "], "must not be empty"),
    ],
)
def test_wrong_usage_ends_with_code_2(
    given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["adapt", *given])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_interrupting_leaves_nothing(project: Path) -> None:
    offer_base()
    with begin(str(project), f"--model={BASE}", *ENDLESS, "--json") as child:
        wait_for_training(child)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=60)
    assert child.returncode == 1, errors
    assert events(out.splitlines())[-1] == {"event": "stopped"}
    assert [path.name for path in AdaptedStore().folder.iterdir()] == ["base"]


def test_a_background_child_ends_with_whoever_started_it(project: Path) -> None:
    offer_base()
    with begin(str(project), f"--model={BASE}", *ENDLESS, "--json", "--background") as child:
        wait_for_training(child)
        if sys.platform == "linux":
            assert os.getpriority(os.PRIO_PROCESS, child.pid) >= 10
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
        out, errors = child.communicate(timeout=60)
    assert child.returncode == 1, errors
    assert events(out.splitlines())[-1] == {"event": "stopped"}
    assert [path.name for path in AdaptedStore().folder.iterdir()] == ["base"]


def test_adapted_models_are_listed_and_removed(capsys: pytest.CaptureFixture[str]) -> None:
    good = offer()
    (AdaptedStore().folder / "broken").mkdir()
    assert main(["models", "adapted"]) == 0
    out = capsys.readouterr().out
    assert f"{good.id}: Loupe, adapted to photos ✿" in out
    assert "Remove the model and adapt again" in out
    assert main(["models", "adapted", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["card"] is None) for one in listed] == [
        ("adapted-broken", True),
        ("adapted-photos", False),
    ]
    assert main(["models", "adapted", "--remove", "adapted-broken", good.id]) == 0
    assert "removed" in capsys.readouterr().out
    assert not AdaptedStore().models()
    assert main(["models", "adapted", "--remove", good.id]) == 1
    assert "no adapted model" in capsys.readouterr().err
