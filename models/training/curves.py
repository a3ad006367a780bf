"""What a run writes down about itself: JSON lines, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from models.api import ModelError
from models.weight_files import disk_error

if TYPE_CHECKING:
    from models.training.loop import Progress

EVERY = 20
"""Steps that become one row."""


class Board(Protocol):
    """What is used of TensorBoard's `SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Remember one number."""

    def close(self) -> None:
        """Write everything."""


def tensorboard(folder: Path) -> Board | None:
    """A writer into a folder, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    board: Board = SummaryWriter(str(folder))
    return board


class Curve:
    """`curve.jsonl` of a run: a row for every `EVERY` steps, one for every evaluation.

    Rows after the checkpoint that is gone on from are removed: they are made again.

    Args:
        folder: of the run; it exists.
        step: where the run goes on.
        board: gets the same numbers.

    Raises:
        ModelError: the file cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0, board: Board | None = None) -> None:
        self.path = folder / "curve.jsonl"
        self._board = board
        self._steps: list[Progress] = []
        try:
            kept = [row for row in rows_of(self.path) if row.get("step", 0) <= step]
            self.path.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        except OSError as error:
            raise disk_error(error, self.path) from error

    def __enter__(self) -> Curve:
        """Nothing more is needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is left, and close; a full disk is no second error."""
        try:
            self._write_steps()
        except ModelError:
            if error is None:
                raise
        finally:
            if self._board is not None:
                self._board.close()

    def add(self, progress: Progress) -> None:
        """Remember a step.

        Raises:
            ModelError: the disk is full.
        """
        self._steps.append(progress)
        if progress.step % EVERY == 0:
            self._write_steps()

    def write(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Write a row, after those of the steps before it.

        Raises:
            ModelError: the disk is full.
        """
        self._write_steps()
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **numbers}) + "\n")
        except OSError as error:
            raise disk_error(error, self.path) from error
        for name, value in numbers.items() if self._board is not None else ():
            assert self._board is not None
            for index, number in enumerate(value if isinstance(value, list) else [value]):
                tag = f"{name}/{index}" if isinstance(value, list) else name
                self._board.add_scalar(tag, number, step)

    def _write_steps(self) -> None:
        steps, self._steps = self._steps, []
        if not steps:
            return
        ious = zip(*(one.ious for one in steps), strict=True)
        self.write(
            steps[-1].step,
            {
                "loss": fmean(one.loss for one in steps),
                "ious": [round(fmean(values), 4) for values in ious],
                "rate": steps[-1].rate,
                "seconds": round(fmean(one.seconds for one in steps), 4),
            },
        )


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a curve; an unfinished last line is left out.

    Raises:
        OSError: the file is there but cannot be read.
    """
    if not path.exists():
        return []
    rows = []
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
