import errno
import os
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from annotator.core import files
from annotator.core.files import (
    explain,
    fingerprint,
    free_name,
    make_writable_folder,
    time_stamp,
    write_atomic,
)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    written = write_atomic(path, [b"ne", b"w"])
    assert path.read_bytes() == b"new"
    assert written == fingerprint(path)
    assert list(tmp_path.iterdir()) == [path]


def test_permission_bits_are_kept(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_atomic(path, [b"new"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    path, target = tmp_path / "a.json", tmp_path / "far" / "b.json"
    target.write_bytes(b"old")
    path.symlink_to(target)
    write_atomic(path, [b"new"])
    assert path.is_symlink()
    assert target.read_bytes() == b"new"


def failing():
    yield b"half"
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, failing())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failing_call_leaves_the_old_file(tmp_path, monkeypatch, call):
    def fail(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    target = os if call == "fsync" else Path
    monkeypatch.setattr(target, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_behind_is_overwritten(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    code = (
        "import os, sys; from pathlib import Path; from annotator.core.files import write_atomic\n"
        "def chunks():\n    yield b'x' * 5_000_000\n    os.kill(os.getpid(), 9)\n"
        "write_atomic(Path(sys.argv[1]), chunks())"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert result.returncode == -9
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    write_atomic(path, [b"new"])
    assert list(tmp_path.iterdir()) == [path]


def test_free_names_never_exist(tmp_path):
    path = tmp_path / "annotations.json"
    assert free_name(path) == path
    path.touch()
    assert free_name(path).name == "annotations-2.json"
    (tmp_path / "annotations-2.json").symlink_to(tmp_path / "nowhere")
    assert free_name(path).name == "annotations-3.json"


def test_time_stamps_fit_into_file_names():
    assert time_stamp(datetime(2026, 11, 21, 1, 45, 12)) == "2026-11-21 014512"
    assert not set(time_stamp()) & set('\\/:*?"<>|')


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "no permission"),
        (errno.ENOENT, "vanished"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_name_the_file_and_a_remedy(number, words):
    error = explain(OSError(number, os.strerror(number)), Path("/data/a.json"))
    assert "/data/a.json" in error.message
    assert words in error.message
    assert error.remedy


def test_a_folder_that_takes_no_files_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"."):
        make_writable_folder(tmp_path / "file" / "sub")
    make_writable_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_folders_that_cannot_be_synced_do_not_matter(tmp_path):
    files.sync_folder(tmp_path / "missing")
