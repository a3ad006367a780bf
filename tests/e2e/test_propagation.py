"""Following objects through a folder in the real window, by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton

from annotator.core import raster
from annotator.core.annotation import Annotation
from annotator.core.mask import Mask
from annotator.core.prompting import PromptDraft
from annotator.services.propagation import Report
from annotator.ui.propagating import asked, remedy, told
from models.api import Point
from tests.e2e.user import CTRL, SHIFT, Start, User
from tests.models.moving import Disk, disk_mask, scene, write
from tests.models.toy_segmenter import ToyModel, register

ONE = Disk(70, 70, 26, dx=5, dy=3, seed=1)
TWO = Disk(230, 160, 30, dx=-4, dy=2, seed=2)
JUMPED = Disk(250, 20, 26, dx=5, dy=3, seed=1)
KEYS = tuple(f"frame_{number:02}.png" for number in range(1, 7))
Key = Qt.Key


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six images; from the fourth on one of the disks is elsewhere."""
    register(monkeypatch, ToyModel())
    for time, key in enumerate(KEYS):
        write(tmp_path / "film" / key, scene((ONE if time < 3 else JUMPED, TWO), time))
    return tmp_path / "film"


def begins(user: User) -> None:
    user.window.settings.update(model="toy")
    user.waits_for_image(KEYS[0])
    user.window.activateWindow()
    user.window.canvas.setFocus()
    marks(user, KEYS[0], ONE, TWO)


def marks(user: User, key: str, *disks: Disk) -> None:
    """Objects whose masks are exact."""
    document = user.workspace.document
    assert document is not None
    thing = document.add_category("thing").id
    fresh = (
        Annotation(document.new_id(), raster.from_array(disk_mask(disk, KEYS.index(key))), thing)
        for disk in disks
    )
    document.edit(key, (*document.annotations(key), *fresh), "Add things")
    user.waits_for(lambda: user.window.actions_by_id["propagate.next"].isEnabled())


def lies_on(annotation: Annotation, disk: Disk, key: str) -> bool:
    assert isinstance(annotation.shape, Mask)
    truth = raster.from_array(disk_mask(disk, KEYS.index(key)))
    return raster.iou(annotation.shape, truth) > 0.8


def test_one_key_goes_on_to_the_next_image_which_is_shown(start: Start, film: Path) -> None:
    def script(user: User) -> None:
        begins(user)
        assert not user.window.propagating.field.isVisible()
        user.presses(Key.Key_W)
        user.waits_for(lambda: not user.window.propagating.running)
        user.waits_for_image(KEYS[1])
        first, second = user.workspace.annotations
        assert lies_on(first, ONE, KEYS[1])
        assert lies_on(second, TWO, KEYS[1])
        assert first.proposed
        assert user.window.messages.banner("propagation") is not None
        # Accepted, they go on; an object that is selected goes on alone.
        user.presses(Key.Key_Return, CTRL)
        assert not any(a.proposed for a in user.workspace.annotations)
        user.workspace.select((second.id,))
        user.presses(Key.Key_W)
        user.waits_for_image(KEYS[2])
        (only,) = user.workspace.annotations
        assert lies_on(only, TWO, KEYS[2])
        user.presses(Key.Key_Z, CTRL)
        assert user.workspace.annotations == ()

    assert start([str(film)], script) == 0


def test_it_stops_and_asks_where_an_object_is_unsure(start: Start, film: Path) -> None:
    def script(user: User) -> None:
        begins(user)
        shown: list[bool] = []
        user.window.propagating.propagation.progressed.connect(
            lambda _: shown.append(user.window.propagating.field.isVisible())
        )
        user.presses(Key.Key_W, SHIFT)
        user.waits_for(lambda: not user.window.propagating.running)
        assert shown
        assert all(shown)
        assert not user.window.propagating.field.isVisible()
        user.waits_for_image(KEYS[3])
        banner = user.window.messages.banner("propagation")
        assert banner is not None
        assert banner.text == f"1 of 2 objects is unsure in {KEYS[3]}."
        assert banner.level == "warning"
        assert KEYS[5] in banner.remedy
        (sure,) = [a for a in user.workspace.annotations if a.id not in user.workspace.selection]
        assert lies_on(sure, TWO, KEYS[3])
        # The unsure one is selected: thrown away, marked where it is, followed further.
        if user.workspace.selection:
            user.presses(Key.Key_Delete)
        marks(user, KEYS[3], JUMPED)
        user.workspace.select((user.workspace.annotations[-1].id,))
        user.presses(Key.Key_W, SHIFT)
        user.waits_for(lambda: not user.window.propagating.running)
        document = user.workspace.document
        assert document is not None
        assert any(lies_on(a, JUMPED, KEYS[5]) for a in document.annotations(KEYS[5]))
        assert any(lies_on(a, TWO, KEYS[5]) for a in document.annotations(KEYS[5]))

    assert start([str(film)], script) == 0


def test_who_has_gone_on_is_asked_by_a_button(start: Start, film: Path) -> None:
    def script(user: User) -> None:
        begins(user)
        user.presses(Key.Key_W, SHIFT)
        user.workspace.set_draft(PromptDraft((Point(70, 70),)))
        user.waits_for(lambda: not user.window.propagating.running)
        assert user.workspace.key == KEYS[0]
        assert user.workspace.draft
        banner = user.window.messages.banner("propagation")
        assert banner is not None
        (show,) = [b for b in banner.findChildren(QPushButton) if b.text() == "Show"]
        show.click()
        user.waits_for_image(KEYS[3])

    assert start([str(film)], script) == 0


def test_esc_stops_and_an_empty_image_is_told(start: Start, film: Path) -> None:
    def script(user: User) -> None:
        begins(user)
        user.presses(Key.Key_W, SHIFT)
        user.waits_for(user.window.actions_by_id["image.stop_proposing"].isEnabled)
        field = user.window.propagating.field
        assert "Propagating" in field.findChildren(QLabel)[0].text()
        user.presses(Key.Key_Escape)
        assert not user.window.propagating.running
        assert not field.isVisible()
        user.workspace.show(KEYS[5])
        user.waits_for_image(KEYS[5])
        assert not user.window.actions_by_id["propagate.next"].isEnabled()
        marks(user, KEYS[5], TWO)
        user.presses(Key.Key_W)
        assert any("last image" in text for text in user.window.messages.messages)

    assert start([str(film)], script) == 0


def test_what_is_said() -> None:
    done = Report("a.png", 5, "k.png", images=10, proposed=48, left=1)
    assert told(done) == "Followed 5 objects through 10 images, to k.png. 1 object left the image."
    assert told(Report("a.png", 1, "b.png", 1, 1)) == "Proposed 1 object in b.png."
    assert "could be read" in told(Report("a.png", 1, "a.png", unread=2))
    stopped = Report("a.png", 5, "k.png", 10, 30, (("c.png", (7, 8)), ("d.png", (0,))))
    assert asked(stopped) == "2 of 5 objects are unsure in c.png."
    assert "1 more in later images." in remedy(stopped)
    assert "k.png" in remedy(stopped)
    lost = Report("a.png", 1, "c.png", 2, 1, (("c.png", (0,)),))
    assert asked(lost) == "1 of 1 object is unsure in c.png."
    assert remedy(lost).startswith("Mark what can still be seen")
