"""Files of an export, written while their next part is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.core.errors import UserError
from annotator.core.formats import target
from annotator.core.formats.target import Target


def pieces(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield b"%d," % number


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_everything_is_written_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(target, "BLOCK", 100)
    Target(tmp_path).write("a/b.json", pieces(count))
    assert (tmp_path / "a" / "b.json").read_bytes() == b"".join(pieces(count))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("count", [1, 5000])
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(target, "BLOCK", 10_000)
    (tmp_path / "full.json").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"full\.json"):
        Target(tmp_path).write("full.json", pieces(count))


def test_an_error_on_the_way_ends_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "BLOCK", 10)

    def broken() -> Iterator[bytes]:
        yield from pieces(100)
        raise UserError("The journal is away.", "Look.")

    with pytest.raises(UserError, match="away"):
        Target(tmp_path).write("a.json", broken())
