"""Everything mode on real threads: one step to undo, clicks first, other images, stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from annotator.core import raster
from annotator.core.annotation import Annotation, Annotations, Source
from annotator.core.errors import UserError
from annotator.core.mask import Mask
from annotator.core.prompting import PromptDraft
from annotator.core.proposals import accepted
from annotator.services import everything
from annotator.services.document import Document
from annotator.services.everything import Cost, Progress
from annotator.services.settings import SettingsStore
from annotator.services.workspace import Workspace
from models.api import Point
from tests.models.toy_segmenter import ToyModel

PATIENCE = 20_000
WIDTH, HEIGHT = 300, 200
DISKS = ((60, 60, 16), (150, 120, 20), (240, 60, 16))


def write_scene(path: Path) -> None:
    """Two disks alike, and one of another colour, on a dark ground."""
    pixels = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for (x, y, radius), colour in zip(DISKS, ((200,) * 3, (20, 90, 220), (200,) * 3), strict=True):
        cv2.circle(pixels, (x, y), radius, colour, -1)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def workspace(
    qtbot: QtBot, toy: ToyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A folder with the same scene twice, the first one shown."""
    # The smallest steps, so that there are many.
    monkeypatch.setattr("models.everything.MOST_PROMPTS", 1)
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        write_scene(folder / name)
    store = SettingsStore(tmp_path / "settings.ini")
    store.update(model="toy", propose_area=200)
    workspace = Workspace(store)
    workspace.open_folder(folder)
    qtbot.waitUntil(lambda: is_shown(workspace, "a.png"), timeout=PATIENCE)
    yield workspace
    workspace.close()


def is_shown(workspace: Workspace, key: str) -> bool:
    image = workspace.image
    return image is not None and image.complete and image.key == key


def document(workspace: Workspace) -> Document:
    assert workspace.document is not None
    return workspace.document


def run(qtbot: QtBot, workspace: Workspace) -> str:
    """Propose in the current image; what was said at the end."""
    with qtbot.waitSignal(workspace.everything.finished, timeout=PATIENCE) as finished:
        workspace.propose_everything()
    assert workspace.everything.key is None
    return str(finished.args[1])


def centres(annotations: Annotations) -> set[tuple[int, int]]:
    """Which disks some objects are."""
    found = set()
    for annotation in annotations:
        assert isinstance(annotation.shape, Mask)
        hit = [(x, y) for x, y, _ in DISKS if raster.contains(annotation.shape, x, y)]
        assert len(hit) == 1
        found.add(hit[0])
    return found


EVERY = {(x, y) for x, y, _ in DISKS}


def settle(qtbot: QtBot, workspace: Workspace) -> None:
    """Until the model thread has done all it had to do."""
    done: list[object] = []
    workspace._models.submit("settle", lambda: None, done.append, done.append)
    qtbot.waitUntil(lambda: bool(done), timeout=PATIENCE)


def accept_disk(qtbot: QtBot, workspace: Workspace, number: int, name: str) -> Annotation:
    """Click a disk and keep it under a name."""
    x, y, _ = DISKS[number]
    before = len(workspace.annotations)
    workspace.set_draft(PromptDraft((Point(x + 0.5, y + 0.5),)))
    workspace.accept(document(workspace).add_category(name).id)
    qtbot.waitUntil(lambda: len(workspace.annotations) > before, timeout=PATIENCE)
    return workspace.annotations[-1]


def test_one_step_of_proposals(qtbot: QtBot, workspace: Workspace) -> None:
    assert run(qtbot, workspace) == "Proposed 3 objects."
    found = workspace.annotations
    assert centres(found) == EVERY
    for annotation in found:
        origin = annotation.origin
        assert annotation.proposed
        assert annotation.category_id is None
        assert (origin.source, origin.model, origin.version) == (Source.MODEL, "toy", "1")
        assert origin.score == pytest.approx(0.9)
        assert origin.stability == 1.0
        assert origin.prompt is not None
        assert len(origin.prompt.points) == 1
    areas = [raster.area(a.shape) for a in found if isinstance(a.shape, Mask)]
    assert areas == sorted(areas, reverse=True)
    record = document(workspace).record("a.png")
    assert (record.count, record.proposals) == (0, 3)
    assert document(workspace).undo_text("a.png") == "Propose everything: 3 objects"
    workspace.undo()
    assert workspace.annotations == ()
    workspace.redo()
    assert workspace.annotations == found


def test_progress_rises_and_counts(qtbot: QtBot, workspace: Workspace) -> None:
    seen: list[Progress] = []
    running: list[bool] = []
    workspace.everything.progressed.connect(seen.append)
    workspace.everything.running_changed.connect(running.append)
    run(qtbot, workspace)
    shares = [progress.share for progress in seen]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert len(set(shares)) > 200
    assert {progress.key for progress in seen} == {"a.png"}
    assert seen[-1].found == 3
    assert running == [True, False]


def test_known_objects_are_not_proposed_and_names_need_certainty(
    qtbot: QtBot, workspace: Workspace
) -> None:
    coin = accept_disk(qtbot, workspace, 0, "coin")
    assert run(qtbot, workspace) == "Proposed 2 objects; 1 known already."
    new = [a for a in workspace.annotations if a.proposed]
    assert coin in workspace.annotations
    assert centres(tuple(new)) == EVERY - {DISKS[0][:2]}
    names = {centres((a,)).pop(): a.category_id for a in new}
    assert names == {DISKS[1][:2]: None, DISKS[2][:2]: coin.category_id}


def test_a_second_run_replaces_what_nobody_touched(qtbot: QtBot, workspace: Workspace) -> None:
    run(qtbot, workspace)
    first = workspace.annotations
    kept, locked, left = first
    touched = (accepted(kept), replace(locked, locked=True), left)
    document(workspace).edit("a.png", touched, "Decide")
    assert run(qtbot, workspace) == "Proposed 1 object; 2 known already."
    after = workspace.annotations
    assert after[:2] == touched[:2]
    assert len(after) == 3
    assert after[2].proposed
    assert after[2].id != left.id
    assert centres(after) == EVERY
    workspace.undo()
    assert workspace.annotations == touched


def test_nothing_new(qtbot: QtBot, workspace: Workspace) -> None:
    run(qtbot, workspace)
    everything_kept = tuple(accepted(a) for a in workspace.annotations)
    document(workspace).edit("a.png", everything_kept, "Accept")
    assert run(qtbot, workspace) == "Found no object that is not there yet."
    assert workspace.annotations == everything_kept
    assert document(workspace).undo_text("a.png") == "Accept"


def stop_at_first_step(workspace: Workspace, stop: Callable[[], None]) -> list[Progress]:
    """Call `stop` when the search has begun; what is told from then on."""
    later: list[Progress] = []

    def follow(progress: Progress) -> None:
        if 0 < progress.share < 0.5 and workspace.everything.key is not None and not later:
            workspace.everything.progressed.disconnect(follow)
            workspace.everything.progressed.connect(later.append)
            stop()

    workspace.everything.progressed.connect(follow)
    return later


@pytest.mark.parametrize("how", ["stop", "model"])
def test_stopping(qtbot: QtBot, workspace: Workspace, how: str) -> None:
    def stop() -> None:
        if how == "stop":
            workspace.everything.stop()
        else:
            workspace._settings.update(model="basic")

    later = stop_at_first_step(workspace, stop)
    with qtbot.waitSignal(workspace.everything.running_changed, timeout=PATIENCE):
        workspace.propose_everything()
    qtbot.waitUntil(lambda: workspace.everything.key is None, timeout=PATIENCE)
    settle(qtbot, workspace)
    assert workspace.annotations == ()
    # The step that was under way when it stopped is told by nobody.
    assert later == []
    if how == "stop":
        assert run(qtbot, workspace) == "Proposed 3 objects."


def test_closing_the_project_ends_the_search(qtbot: QtBot, workspace: Workspace) -> None:
    with qtbot.waitSignal(workspace.project_closed, timeout=PATIENCE):
        stop_at_first_step(workspace, workspace.close_project)
        workspace.propose_everything()
    assert workspace.everything.key is None
    settle(qtbot, workspace)
    assert workspace.document is None


def test_another_image_may_be_looked_at_meanwhile(qtbot: QtBot, workspace: Workspace) -> None:
    said: list[str] = []
    workspace.noticed.connect(said.append)
    stop_at_first_step(workspace, lambda: workspace.show("b.png"))
    with qtbot.waitSignal(workspace.everything.finished, timeout=PATIENCE) as finished:
        workspace.propose_everything()
    assert finished.args == ["a.png", "Proposed 3 objects."]
    assert said[-1] == "a.png: Proposed 3 objects."
    assert workspace.key == "b.png"
    assert document(workspace).annotations("b.png") == ()
    assert centres(document(workspace).annotations("a.png")) == EVERY


def test_one_search_at_a_time(qtbot: QtBot, workspace: Workspace) -> None:
    with qtbot.waitSignal(workspace.everything.finished, timeout=PATIENCE):
        workspace.propose_everything()
        with pytest.raises(UserError, match=r"a\.png"):
            workspace.propose_everything()
    assert len(workspace.annotations) == 3


def test_clicks_come_first_and_what_they_gave_is_not_proposed(
    qtbot: QtBot, workspace: Workspace
) -> None:
    shares: list[float] = []
    workspace.everything.progressed.connect(lambda progress: shares.append(progress.share))
    kept_at: list[float] = []
    document(workspace).annotations_changed.connect(lambda _: kept_at.append(shares[-1]))
    x, y, _ = DISKS[1]

    def click() -> None:
        workspace.set_draft(PromptDraft((Point(x + 0.5, y + 0.5),)))
        workspace.accept()

    stop_at_first_step(workspace, click)
    assert run(qtbot, workspace) == "Proposed 2 objects; 1 known already."
    assert kept_at[0] < 0.1, "the object was kept after a few of 256 steps"
    mine = [a for a in workspace.annotations if not a.proposed]
    assert centres(tuple(mine)) == {(x, y)}
    assert len(workspace.annotations) == 3


def test_what_takes_long_is_explained_and_can_be_less(
    qtbot: QtBot, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "COSTLY_S", 0.0)
    costs: list[Cost] = []

    def explain(cost: Cost) -> None:
        costs.append(cost)
        if len(costs) == 1:
            workspace.everything.restart(everything.FEWER)

    workspace.everything.costly.connect(explain)
    assert run(qtbot, workspace) == "Proposed 3 objects."
    many, few = costs
    assert (many.points, few.points) == (256, 64)
    assert many.fewer == pytest.approx(many.seconds / 4)
    assert few.fewer is None
    assert many.model == "Toy"
    assert document(workspace).undo_text("a.png") == "Propose everything: 3 objects"


def test_cheap_searches_are_not_explained(qtbot: QtBot, workspace: Workspace) -> None:
    costs: list[Cost] = []
    workspace.everything.costly.connect(costs.append)
    run(qtbot, workspace)
    assert costs == []


def test_a_model_that_cannot_says_so(
    qtbot: QtBot, workspace: Workspace, toy: ToyModel, tmp_path: Path
) -> None:
    toy.alter = lambda array: array * np.nan
    path = tmp_path / "images" / "c.png"
    assert cv2.imwrite(str(path), np.zeros((40, 50, 3), np.uint8))
    workspace.open_path(path)
    qtbot.waitUntil(lambda: is_shown(workspace, "c.png"), timeout=PATIENCE)
    with qtbot.waitSignal(workspace.everything.failed, timeout=PATIENCE) as failed:
        workspace.propose_everything()
    assert "not numbers" in str(failed.args[0])
    assert workspace.everything.key is None
    assert workspace.annotations == ()


def test_an_image_that_is_still_being_read(qtbot: QtBot, workspace: Workspace) -> None:
    workspace.show("b.png")
    with pytest.raises(UserError, match="still being read"):
        workspace.propose_everything()
    qtbot.waitUntil(lambda: is_shown(workspace, "b.png"), timeout=PATIENCE)
