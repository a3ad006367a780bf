"""Two programs at once on one project, and a clock that jumps, where files have times."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from annotator import commands
from annotator.core.errors import UserError
from annotator.services import coco_backups
from annotator.services.coco_backups import back_up, versions
from annotator.services.document import Document
from tests.services.test_document import add

CHILD = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
application = QCoreApplication([])
from annotator.core.errors import UserError
from annotator.services.document import Document
try:
    document = Document.open(Path(sys.argv[1]))
except UserError as error:
    print(error.message, flush=True)
    sys.exit(3)
document.add_images(["a.png"])
print("open", flush=True)
sys.stdin.readline()
document.close()
"""


def other_program(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ)


def test_a_second_program_is_refused_until_the_first_one_ends_or_dies(
    tmp_path: Path, qapp: object, capsys: Any
) -> None:
    first = other_program(tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "open\n"
    with pytest.raises(UserError, match=f"open in another window by process {first.pid}"):
        Document.open(tmp_path)
    assert commands.run(["check", str(tmp_path), "--fix", "all"]) != 0, "commands that write, too"
    assert "another window" in capsys.readouterr().err
    first.kill()
    first.communicate()
    document = Document.open(tmp_path)
    add(document)
    document.close()
    document = Document.open(tmp_path)
    assert len(document.annotations("a.png")) == 1
    document.close()


def test_versions_keep_their_order_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days forwards and backwards: the newest versions are the ones written last."""
    written, folder = tmp_path / "annotations.json", tmp_path / "backups"
    days = [5, 3, 9, -400, 8, 2, 1]
    for number, day in enumerate(days):
        written.write_text(str(number))
        monkeypatch.setattr(coco_backups, "time_stamp", lambda day=day: f"2026-01-{day}")
        back_up(written, folder, 4)
        moment = 1e9 + 86400 * day
        os.utime(versions(folder)[-1], (moment, moment))
    assert [path.read_text() for path in versions(folder)] == ["3", "4", "5", "6"]
