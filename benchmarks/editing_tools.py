"""The GUI thread's time under every editing tool but the brush; run by `benchmarks.editing`.

Everything is done through the canvas of a real project with real events. What counts is how long
the GUI thread is away: a mouse move until what it changed is painted, the event that ends a gesture
(the commit), and the longest turn of the event loop until the change is drawn, whatever threads do
meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication

from annotator.core import raster
from annotator.core.mask import Mask
from annotator.ui.mask_popover import MaskPopover

if TYPE_CHECKING:
    from benchmarks.editing import Bench

Spot = tuple[float, float]
NONE, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
PRESS, RELEASE, DOUBLE, MOVE = (
    QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease,
    QEvent.Type.MouseButtonDblClick, QEvent.Type.MouseMove,
)  # fmt: skip
PATIENCE = 20.0
"""Seconds after which something that does not happen is an error."""


clock: Callable[[], float] = time.perf_counter
"""Wall time; or `time.thread_time`, the processor time of the GUI thread, on a busy machine."""


def timed(action: Callable[[], object]) -> float:
    """Seconds of an action on the GUI thread."""
    start = clock()
    action()
    return clock() - start


class Tools:
    """One tool after the other, on the objects of a bench.

    Args:
        bench: the canvas.
        moves: mouse moves of one gesture.
    """

    def __init__(self, bench: Bench, moves: int) -> None:
        self._bench, self._count = bench, moves
        self._canvas, self._workspace = bench.canvas, bench.workspace
        self._popover = MaskPopover(bench.canvas)
        self.moves: list[float] = []
        self.commits: list[float] = []
        self.turns: list[float] = []

    # --- Events ---

    def _event(self, kind: QEvent.Type, at: Spot, keys: Qt.KeyboardModifier = NONE) -> None:
        place = QPointF(round(at[0]), round(at[1]))
        viewport = self._canvas.viewport()
        button = NO_BUTTON if kind == MOVE else LEFT
        event = QMouseEvent(
            kind, place, QPointF(viewport.mapToGlobal(place)), button, LEFT, keys
        )  # fmt: skip
        QApplication.sendEvent(viewport, event)

    def _turn(self, action: Callable[[], object] = lambda: None) -> float:
        def both() -> None:
            action()
            QApplication.processEvents()

        return timed(both)

    def _until(self, condition: Callable[[], bool]) -> None:
        end = time.perf_counter() + PATIENCE
        while not condition():
            self.turns.append(self._turn())
            if time.perf_counter() > end:
                raise TimeoutError("the tool did not end")
        self.turns += self._bench.settle()

    def _move(self, at: Spot, keys: Qt.KeyboardModifier = NONE) -> None:
        self.moves.append(self._turn(lambda: self._event(MOVE, at, keys)))

    def _commit(self, action: Callable[[], object]) -> None:
        self.commits.append(timed(action))

    def _drag(self, path: list[Spot], keys: Qt.KeyboardModifier = NONE) -> None:
        self.turns.append(self._turn(lambda: self._event(PRESS, path[0], keys)))
        for at in path[1:]:
            self._move(at, keys)
        self._commit(lambda: self._event(RELEASE, path[-1], keys))

    def _click(self, at: Spot) -> None:
        self.turns.append(self._turn(lambda: self._event(PRESS, at)))
        self.turns.append(self._turn(lambda: self._event(RELEASE, at)))

    # --- Places on the screen ---

    def _middle(self) -> Spot:
        at = self._canvas.viewport().rect().center()
        return at.x(), at.y()

    def _ellipse(self, share: float) -> list[Spot]:
        (x, y), n = self._middle(), self._count
        return [
            (x + share * x * np.cos(a), y + share * y * np.sin(a))
            for a in np.linspace(0, 2 * np.pi, n, endpoint=False)
        ]

    def _line(self, start: Spot, end: Spot) -> list[Spot]:
        return [
            (start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t)
            for t in np.linspace(0, 1, self._count)
        ]

    def _outline_seen(self) -> list[Spot] | None:
        """Places on the screen of the longest ring of the selected mask that is well inside it."""
        shape = self._workspace.selected[0].shape
        assert isinstance(shape, Mask)
        ring = max(raster.outline(shape), key=len)
        frame = self._canvas.frame()
        spots = np.array(
            [frame.point(x, y).toTuple() for x, y in zip(ring[::2], ring[1::2], strict=True)]
        )
        inside = (spots > 20).all(axis=1) & (spots < (frame.width - 20, frame.height - 20)).all(1)
        return [tuple(spot) for spot in spots[inside].tolist()] if inside.sum() > 40 else None

    # --- The tools ---

    def lasso(self) -> None:
        """Around most of the window."""
        before = self._workspace.selected[0].shape
        self._drag(self._ellipse(0.8))
        self._until(lambda: self._workspace.selected[0].shape != before)

    def fill(self) -> None:
        """From the middle, with ever more colours."""
        x, y = self._middle()
        self._drag(self._line((x, y), (x + 300, y)))

    def knife(self) -> None:
        """Straight through the window."""
        _, y = self._middle()
        before = len(self._workspace.annotations)
        self._drag(self._line((4, y), (self._canvas.viewport().width() - 4, y + 9)))
        self._until(lambda: len(self._workspace.annotations) > before)

    def knife_by_hand(self) -> None:
        """In waves through the window."""
        _, y = self._middle()
        before = len(self._workspace.annotations)
        line = self._line((4, y), (self._canvas.viewport().width() - 4, y + 9))
        self._drag([(x, v + 40 * np.sin(x / 30)) for x, v in line], CTRL)
        self._until(lambda: len(self._workspace.annotations) > before)

    def redraw(self) -> None:
        """A bulge on an eighth of what is seen of the outline."""
        seen = self._outline_seen()
        if seen is not None:
            start, end = seen[0], seen[len(seen) // 8]
            path = self._line(start, end)
            bend = np.sin(np.linspace(0, np.pi, len(path))) * 30
            self._drag([(x + b, y + b) for (x, y), b in zip(path, bend, strict=True)])

    def live_wire(self) -> None:
        """A click, and moves around it."""
        x, y = self._middle()
        self._click((x, y))
        end = time.perf_counter() + 0.4
        while time.perf_counter() < end:
            self.turns.append(self._turn())
        for at in self._ellipse(0.15):
            self._move(at)
        self._canvas.escape()

    def vertices(self) -> None:
        """Drag one, with few and with all of them shown."""
        editor = self._canvas.vertices
        for detail in (4, 0):
            editor.set_detail(detail)
            self._until(lambda: bool(editor.rings))
            frame = self._canvas.frame()
            spots = [
                frame.point(*spot).toTuple() for r in editor.rings for spot in r.vertices.tolist()
            ]
            seen = [
                s for s in spots if 30 < s[0] < frame.width - 90 and 30 < s[1] < frame.height - 60
            ]
            if seen:
                first = seen[len(seen) // 2]
                self._drag(self._line(first, (first[0] + 60, first[1] + 20)))
                self._until(lambda: bool(editor.rings))

    def refine(self) -> None:
        """Two clicks, and Enter."""
        workspace = self._workspace
        (number,) = workspace.selection

        def answered() -> bool:
            return not workspace.working and workspace.candidate is not None

        self._commit(workspace.refine_selected)
        self._until(answered)
        for share in (0.2, 0.4):
            self._click(self._ellipse(share)[0])
            self._until(answered)
        self._commit(workspace.accept)
        self._until(lambda: not workspace.draft and workspace.selection == {number})

    def smooth(self) -> None:
        """Ten places of the slider, and Enter."""
        self.turns.append(self._turn(lambda: self._popover.open("smooth")))
        for place in range(1, 40, 4):
            before = self._popover._shown
            self.moves.append(self._turn(lambda place=place: self._popover.slider.setValue(place)))
            self._until(lambda before=before: self._popover._shown is not before)
        self._commit(self._popover.apply)

    def grow(self) -> None:
        """By a pixel."""
        before = self._workspace.selected[0].shape
        self._commit(lambda: self._workspace.masks.grow(1))
        self._until(lambda: self._workspace.selected[0].shape != before)

    def runs(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """Name, tool and function of everything measured."""
        yield "lasso", "lasso", self.lasso
        yield "fill", "fill", self.fill
        yield "knife", "knife", self.knife
        yield "knife by hand", "knife", self.knife_by_hand
        yield "redraw", "outline", self.redraw
        yield "live wire", "outline", self.live_wire
        yield "vertices", "vertices", self.vertices
        yield "refine", "smart", self.refine
        yield "smooth", "select", self.smooth
        yield "grow", "select", self.grow


def run(bench: Bench, view: str, moves: int) -> tuple[float, float]:
    """Run all tools on the small and on the large object of a bench.

    Returns:
        The worst 99th percentile of a move and the worst commit or turn, milliseconds.
    """
    tools = Tools(bench, moves)
    worst = [0.0, 0.0]
    for what, number in (("small", bench.small), ("large", bench.large)):
        for name, tool, action in tools.runs():
            bench.workspace.set_tool(tool)
            bench.workspace.select((number,))
            bench.settle()
            tools.moves, tools.commits, tools.turns = [], [], []
            steps = bench.workspace.annotations
            try:
                action()
            except TimeoutError:
                print(f"{view:<7} {what:<6} {name:<14} nothing to do there")
                tools.moves, tools.commits = [], []
            tools.turns += bench.settle()
            if bench.canvas.busy:
                bench.canvas.escape()
            while bench.workspace.annotations != steps:
                bench.workspace.undo()
            bench.settle()
            if not tools.turns or not (tools.moves or tools.commits):
                continue
            p99 = float(np.percentile(tools.moves, 99)) * 1e3 if tools.moves else 0.0
            median = float(np.median(tools.moves)) * 1e3 if tools.moves else 0.0
            commit = max(tools.commits, default=0.0) * 1e3
            turn = max(tools.turns) * 1e3
            worst = [max(worst[0], p99), max(worst[1], commit, turn)]
            print(
                f"{view:<7} {what:<6} {name:<14} move {median:6.2f} {p99:6.2f}   "
                f"commit {commit:6.1f}   longest turn {turn:6.1f}",
                flush=True,
            )
    return worst[0], worst[1]
