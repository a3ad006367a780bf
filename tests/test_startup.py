"""Nothing heavy is imported before the first paint, and the command line behaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from annotator import __version__

HEAVY = ("numpy", "cv2", "PIL", "scipy", "pycocotools", "torch", "onnxruntime", "open_clip")


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_window_appears_before_anything_heavy_is_imported() -> None:
    out = python(
        "import sys\n"
        "from annotator.app import make_application, make_window\n"
        "application = make_application()\n"
        "window = make_window(application)\n"
        "window.show()\n"
        "application.processEvents()\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        "window.close()\n"
    )
    assert out.strip() == "[]"


def test_modules_imported_after_qt_are_not_read_again_as_source() -> None:
    out = python(
        "import linecache\n"
        "from annotator.app import make_application\n"
        "application = make_application()\n"
        "import numpy\n"
        "print([name for name in linecache.cache if 'numpy' in name])\n"
    )
    assert out.strip() == "[]"


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("3", "3")])
def test_linear_algebra_gets_one_thread_unless_told_otherwise(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if before is not None:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", before)
    out = python(
        "import os\n"
        "from annotator.app import make_application\n"
        "application = make_application()\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    assert out.strip() == after


def test_torch_is_not_needed_to_import_the_models() -> None:
    out = python(
        "import sys, models.registry\n"
        "models.registry.segmenters()\n"
        "print([name for name in ('torch', 'onnxruntime', 'open_clip') if name in sys.modules])"
    )
    assert out.strip() == "[]"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "annotator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == f"annotator {__version__}"
    assert "FOLDER" in run("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nonsense"], "--nonsense"),
        (["/no/such/folder"], "“/no/such/folder” does not exist"),
        (["--sample", "/"], "not both"),
    ],
)
def test_bad_arguments_end_with_code_2_and_say_why(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_project_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run(str(tmp_path), "--project", str(tmp_path / "file"))
    assert done.returncode == 2
    assert "not a folder" in done.stderr
