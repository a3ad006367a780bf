"""`annotator prelabel --engine ray` on a real Ray cluster of two workers, in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from annotator.app import main

pytest.importorskip("ray")
PROC = Path("/proc")
pytestmark = [
    pytest.mark.skipif(not PROC.is_dir(), reason="finds Ray's workers in /proc"),
    pytest.mark.timeout(240),
]
IMAGES = 8
ASKED = ("--model", "basic", "--side", "2", "--json", "--out")
RAY = ("--engine", "ray", "--workers", "2", "--cpus-per-worker", "0.5", "--shard-size", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small photographs, one of them unreadable."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = random.integers(0, 60, (90, 120, 3), np.uint8)
        x, y = (int(value) for value in random.integers(25, 65, 2))
        cv2.circle(pixels, (x, y), 20, (40, 200, 160), -1)
        assert cv2.imwrite(str(folder / f"{number}.png"), pixels)
    (folder / "5.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> str:
    """The same images on other storage."""
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    return f"zip://::file://{tmp_path / 'images.zip'}"


def command(folder: Path | str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "annotator", "prelabel", str(folder), *ASKED, *arguments]


@contextmanager
def running(folder: Path | str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(folder, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The summary; the exit code is that of a run with a failed image or of one that stopped."""
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 1, errors
    value = json.loads(output)
    assert isinstance(value, dict)
    return value


def wait_for_progress(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if f"of {IMAGES} images" in line:
            return
    raise AssertionError("".join(seen))


def workers_below(ancestor: int) -> set[int]:
    """Process ids of Ray's actors that a process has started."""
    parents, actors = {}, set()
    for path in PROC.iterdir():
        if not path.name.isdecimal():
            continue
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            title = (path / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(path.name)] = int(status[1])
        if b"RayWorker" in title:
            actors.add(int(path.name))

    def below(number: int) -> bool:
        return number == ancestor or (number in parents and below(parents[number]))

    return {number for number in actors if below(number)}


def test_with_a_killed_worker_it_is_the_file_of_one_machine(
    folder: Path, archive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    assert main(["prelabel", str(folder), *ASKED, str(one)]) == 1
    with running(archive, str(many), *RAY) as process:
        wait_for_progress(process)
        before = workers_below(process.pid)
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        summary = ended(process)
    assert summary["stopped"] == ""
    assert list(summary["failed"]) == ["5.png"]
    assert summary["made"] == IMAGES - 1
    at_work = {int(name.rpartition(":")[2]) for name in summary["workers"]}
    assert at_work - before, "nobody took the place of the one that was killed"
    assert many.read_bytes() == one.read_bytes()
    assert json.loads(many.read_bytes())


@pytest.mark.slow
def test_ctrl_c_stops_and_resume_goes_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    assert main(["prelabel", str(folder), *ASKED, str(one)]) == 1
    with running(folder, str(many), *RAY) as process:
        wait_for_progress(process)
        there = workers_below(process.pid)
        os.kill(process.pid, signal.SIGINT)
        stopped = ended(process)
    assert "--resume" in stopped["stopped"]
    assert 0 < stopped["made"] < IMAGES - 1
    assert not many.exists()
    assert there
    assert not any((PROC / str(number)).exists() for number in there)
    with running(folder, str(many), *RAY, "--resume") as process:
        summary = ended(process)
    assert summary["resumed"] >= stopped["made"]
    assert summary["made"] + summary["resumed"] == IMAGES - 1
    assert many.read_bytes() == one.read_bytes()
