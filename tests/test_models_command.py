"""`annotator models`: what a person or a script sees and gets."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import MappingProxyType

import pytest

import models.catalog
from annotator.app import main
from annotator.commands import is_command
from annotator.commands import models as command
from models.weights import State, Weight, WeightStore
from tests.models.file_server import Answer, FileServer, body_of, weight_of

BODY = body_of(600_000)
OTHER = body_of(600_000, seed=2)
ROOT = Path(__file__).parents[1]


@pytest.fixture
def weight(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weight:
    """The only file of the catalogue."""
    server.answers["/tiny"] = Answer(BODY)
    weight = weight_of(BODY, f"{server.address}/tiny")
    nameless = weight_of(
        BODY, f"{server.address}/tiny", id="odd", file_name="odd", sha256="", bytes=0
    )
    known = MappingProxyType({"tiny": weight, "odd": nameless})
    monkeypatch.setattr(models.catalog, "WEIGHTS", known)
    monkeypatch.setattr(command, "WEIGHTS", known)
    monkeypatch.setattr(command, "NEEDS", {"tiny-model": (("tiny",),)})
    monkeypatch.setattr(models.catalog, "NEEDS", {"tiny-model": (("tiny",),)})
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("http_proxy", raising=False)
    return weight


def facts(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, list)
    return value


def test_list_tells_everything(weight: Weight, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    text = capsys.readouterr().out
    for words in (
        "tiny: Tiny, 600 kB, not on this computer",
        "Test Licence (non-commercial), http://127.0.0.1/licence",
        "Origin:  here",
        weight.sha256,
        "Tests.",
        "odd: Tiny, size unknown",
        "unknown, cannot be verified",
        f"Folder: {WeightStore().folder}",
    ):
        assert words in text


def test_list_for_programs(weight: Weight, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "tiny-model", "--json"]) == 0
    (tiny,) = facts(capsys)
    assert tiny["sha256"] == weight.sha256
    assert tiny["state"] == "missing"
    assert tiny["models"] == ["tiny-model"]
    assert tiny["licence"] == {
        "name": "Test Licence",
        "url": "http://127.0.0.1/licence",
        "non_commercial": True,
        "agreed": False,
    }


def test_get_shows_the_licence_and_downloads_nothing_without_agreement(
    weight: Weight,
    server: FileServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115
    assert main(["models", "get", "tiny"]) == 1
    said = capsys.readouterr().err
    assert "For tests only." in said
    assert "non-commercial use only" in said
    assert "--agree-to-licence" in said
    assert server.seen == []


def test_get_check_remove(
    weight: Weight, server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "get", "tiny.pth", "--agree-to-licence"]) == 0
    out, err = capsys.readouterr()
    assert out == f"Tiny: {WeightStore().path(weight)} (here, verified)\n"
    assert "downloading" in err
    assert "\r" not in err, "plain lines when nobody looks"
    assert main(["models", "get", "tiny"]) == 0, "the agreement is remembered"
    assert len(server.seen) == 1
    capsys.readouterr()
    assert main(["models", "check", "--json"]) == 0
    assert facts(capsys)[0]["state"] == "ready"
    assert main(["models", "remove", "tiny"]) == 0
    assert capsys.readouterr().out == "Tiny: 600 kB freed\n"
    assert main(["models", "remove", "tiny"]) == 0
    assert capsys.readouterr().out == "Tiny: nothing was here\n"
    assert main(["models", "check", "tiny"]) == 1
    assert "not on this computer" in capsys.readouterr().out


def test_check_finds_a_wrong_file(weight: Weight, capsys: pytest.CaptureFixture[str]) -> None:
    store = WeightStore()
    store.folder.mkdir()
    store.path(weight).write_bytes(OTHER)
    assert main(["models", "check"]) == 1
    assert "NOT the right file" in capsys.readouterr().out
    assert main(["models", "remove", "tiny"]) == 1
    assert "is yours and stays" in capsys.readouterr().err
    assert store.path(weight).read_bytes() == OTHER


def test_check_of_nothing(weight: Weight, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check"]) == 0
    assert "No files in" in capsys.readouterr().out


def test_a_failed_download_ends_with_code_1(
    weight: Weight, server: FileServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["/tiny"] = Answer(OTHER)
    assert main(["models", "get", "tiny", "--agree-to-licence"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "serves another file" in err
    assert "Traceback" not in err


def test_an_unverifiable_file_needs_a_second_yes(
    weight: Weight, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "get", "odd", "--agree-to-licence"]) == 1
    assert "cannot be verified" in capsys.readouterr().err
    assert main(["models", "get", "odd", "--accept-unverified"]) == 0
    assert "here, cannot be verified" in capsys.readouterr().out


def test_import_takes_what_it_knows_and_goes_on(
    weight: Weight, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.bin", tmp_path / "bad.bin"
    good.write_bytes(BODY)
    bad.write_bytes(OTHER)
    assert main(["models", "import", str(bad), str(good)]) == 1
    out, err = capsys.readouterr()
    assert f"“{bad}” is none of the known files" in err
    assert f"{good} is Tiny" in out
    assert WeightStore().state(weight) is State.READY
    assert main(["models", "import", str(bad), "--as", "odd", "--json"]) == 0
    assert facts(capsys)[0]["state"] == "unverifiable"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required"),
        (["fly"], "fly"),
        (["get"], "ID"),
        (["get", "sam9"], "There is no weight file “sam9”"),
        (["import"], "FILE"),
    ],
)
def test_bad_arguments_end_with_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["models", *arguments])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_folder_named_models_can_still_be_opened() -> None:
    assert is_command(["models"])
    assert not is_command(["./models"])
    assert not is_command(["--sample", "models"])
    assert not is_command([])


# --- In a process of its own ---

CHILD = """
import signal
import sys
from types import MappingProxyType
import models.catalog
from tests.models.file_server import body_of, weight_of
weight = weight_of(body_of({size}), {url!r})
models.catalog.WEIGHTS = MappingProxyType({{"tiny": weight}})
models.catalog.NEEDS = MappingProxyType({{}})
from annotator.app import main
# A test run in the background of a shell inherits that Ctrl+C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
code = main(sys.argv[1:])
heavy = [n for n in ("numpy", "PySide6", "torch", "PIL", "cv2") if n in sys.modules]
assert not heavy, heavy
sys.exit(code)
"""


def command_line(server: FileServer, size: int, *arguments: str) -> list[str]:
    code = textwrap.dedent(CHILD).format(size=size, url=f"{server.address}/tiny")
    return [sys.executable, "-c", code, "models", *arguments]


def test_ctrl_c_keeps_what_came_and_nothing_heavy_is_imported(
    server: FileServer, tmp_path: Path
) -> None:
    body = body_of(3_000_000)
    server.answers["/tiny"] = Answer(body, pace=0.05)
    line = command_line(server, len(body), "get", "tiny", "--agree-to-licence")
    place = {**os.environ, "ANNOTATOR_MODELS": str(tmp_path)}
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=place, cwd=ROOT)
    assert process.stderr is not None
    for said in process.stderr:
        if (percent := re.search(r"(\d+) %", said)) and int(percent.group(1)) >= 20:
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "Stopped. What was received is kept" in rest
    assert "Traceback" not in rest
    kept = (tmp_path / "tiny.pth.part").stat().st_size
    assert kept > 500_000
    server.answers["/tiny"] = Answer(body)
    done = subprocess.run(
        line[:-1], capture_output=True, text=True, env=place, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tiny.pth").read_bytes() == body
    assert server.seen[-1].sent == len(body) - kept


def on_a_terminal(line: list[str], typed: bytes, place: dict[str, str]) -> tuple[str, int]:
    """What a person sees on a terminal, and the exit code."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        line, stdin=follower, stdout=follower, stderr=follower, env=place, cwd=ROOT
    )
    os.close(follower)
    seen = b""
    try:
        while b"[y/N]" not in seen:
            seen += os.read(leader, 4096)
        os.write(leader, typed)
        while piece := os.read(leader, 4096):
            seen += piece
    except OSError:
        pass  # The terminal is gone: the program ended.
    os.close(leader)
    return seen.decode(), process.wait(timeout=10)


def test_a_person_is_asked_and_sees_a_bar(server: FileServer, tmp_path: Path) -> None:
    body = body_of(1_500_000)
    server.answers["/tiny"] = Answer(body, pace=0.03)
    place = {**os.environ, "ANNOTATOR_MODELS": str(tmp_path), "COLUMNS": "100"}
    line = command_line(server, len(body), "get", "tiny")
    seen, code = on_a_terminal(line, b"n\n", place)
    assert code == 1
    assert "was not downloaded" in seen
    assert server.seen == []
    seen, code = on_a_terminal(line, b"y\n", place)
    assert code == 0, seen
    assert "[####" in seen
    assert "B/s" in seen
    assert (tmp_path / "tiny.pth").read_bytes() == body


def test_a_reader_that_leaves_early_is_no_error(server: FileServer, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command_line(server, 10, "list"),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "ANNOTATOR_MODELS": str(tmp_path)},
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


def test_export_writes_graphs_that_onnxruntime_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from models.networks.edgesam import EdgeSam
    from models.onnx_session import open_session

    torch.save(EdgeSam().state_dict(), tmp_path / "mine.pth")
    assert main(["models", "export", str(tmp_path / "mine.pth"), str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^encoder.onnx differs from torch by at most \d", err, re.MULTILINE)
    written = [Path(line) for line in out.splitlines()]
    assert [path.name for path in written] == [
        "cells.onnx",
        "encoder.onnx",
        "side.onnx",
        "tokens.onnx",
        "trunk.onnx",
    ]
    for path in written:
        open_session(path)


def test_export_refuses_what_is_no_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.pth").write_text("no checkpoint")
    assert main(["models", "export", str(tmp_path / "text.pth"), str(tmp_path / "out")]) == 1
    assert "text.pth" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*/*.onnx"))


def test_devices_are_tried_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith(": works, used") for line in lines) == 1
    assert any(line.startswith("Processor, 32 bit (onnxruntime): works") for line in lines)
    assert lines[-1].startswith("Models that need torch: ")
    assert command.run(["devices", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["used"] in [runtime["title"] for runtime in found["runtimes"]]
    assert found["runtimes"][-1] == {"title": "Processor, 32 bit (onnxruntime)", "problem": None}
