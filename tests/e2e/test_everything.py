"""Everything mode in the real window: progress, clicks meanwhile, Esc, options."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton, QSpinBox

from annotator.core.annotation import Annotations
from annotator.services import everything
from annotator.ui.proposing import COST, ProposingField
from annotator.ui.settings_dialog import SettingsDialog
from models.registry import DEFAULT_SEGMENTER
from tests.e2e.user import Start, User
from tests.models.toy_segmenter import ToyModel, register


def field(user: User) -> ProposingField:
    found = user.window.status.findChild(ProposingField)
    assert found is not None
    return found


def starts(user: User) -> None:
    """Presses the key when the window listens."""
    user.window.activateWindow()
    user.waits_for(lambda: QApplication.focusWidget() is not None)
    user.presses(Qt.Key.Key_E)


def proposals(user: User) -> Annotations:
    return tuple(a for a in user.workspace.annotations if a.proposed)


def test_the_default_model_proposes_while_the_user_goes_on(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.window.settings.update(propose_side=6)
        user.waits_for_image("img2.png")
        starts(user)
        user.waits_for(lambda: field(user).isVisible())
        user.clicks(80, 120)
        user.names("disk")
        user.waits_for(lambda: any(not a.proposed for a in user.workspace.annotations))
        assert user.workspace.everything.key == "img2.png", "it still runs"
        user._bot.waitUntil(lambda: not field(user).isVisible(), timeout=60_000)
        mine = [a for a in user.workspace.annotations if not a.proposed]
        assert len(mine) == 1
        assert mine[0].origin.prompt is not None
        found = proposals(user)
        assert found
        assert {a.origin.model for a in found} == {DEFAULT_SEGMENTER}
        undo = user.window.actions_by_id["edit.undo"].text()
        count = "1 object" if len(found) == 1 else f"{len(found)} objects"
        assert undo.replace("&", "") == f"Undo Propose everything: {count}"
        user.presses(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert list(user.workspace.annotations) == mine

    assert start([str(folder)], script) == 0


def test_esc_clears_the_prompt_first_and_then_stops(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(user: User) -> None:
        user.window.settings.update(propose_side=64)  # thousands of points
        user.waits_for_image("img2.png")
        stop = user.window.actions_by_id["image.stop_proposing"]
        assert not stop.isEnabled()
        starts(user)
        user.waits_for(stop.isEnabled)
        user.clicks(80, 120)
        user.waits_for(lambda: bool(user.workspace.candidates))
        user.presses(Qt.Key.Key_Escape)
        assert not user.workspace.draft
        assert user.workspace.everything.key is not None
        user.presses(Qt.Key.Key_Escape)
        assert user.workspace.everything.key is None
        assert not field(user).isVisible()
        assert not stop.isEnabled()
        assert user.workspace.annotations == ()

    assert start([str(folder)], script) == 0


def test_a_long_search_is_explained_and_can_be_made_shorter(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, ToyModel())
    monkeypatch.setattr(everything, "COSTLY_S", 0.0)

    def script(user: User) -> None:
        user.window.settings.update(model="toy", propose_side=64, propose_area=900)
        user.waits_for_image("img2.png")
        starts(user)
        user.waits_for(lambda: user.window.messages.banner(COST) is not None)
        banner = user.window.messages.banner(COST)
        assert banner is not None
        assert "Toy is asked about 4096 points" in banner.text
        (fewer,) = [b for b in banner.findChildren(QPushButton) if "8 × 8" in b.text()]
        fewer.click()
        user.waits_for(lambda: user.workspace.everything.key is None)
        assert len(proposals(user)) == 3, "the disks and the ground"
        # What was explained is over.
        assert user.window.messages.banner(COST) is None

    assert start([str(folder)], script) == 0


def test_options_are_found_in_the_menu_and_kept(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        user.waits_for_image("img2.png")
        user.window.actions_by_id["image.propose_options"].trigger()
        dialog = user.window.findChild(SettingsDialog)
        assert dialog is not None
        boxes = {box.objectName(): box for box in dialog.findChildren(QSpinBox)}
        assert boxes["propose_side"].isVisible()
        assert boxes["propose_score"].text() == "As suits the model"
        boxes["propose_side"].setValue(24)
        boxes["propose_score"].setValue(45)
        boxes["propose_overlap"].setValue(55)
        settings = user.window.settings.settings
        assert (settings.propose_side, settings.propose_score) == (24, 0.45)
        options = everything.options_of(settings)
        assert (options.side, options.min_score, options.min_stability) == (24, 0.45, None)
        assert options.max_overlap == 0.55
        boxes["propose_score"].setValue(-1)
        assert everything.options_of(user.window.settings.settings).min_score is None
        dialog.close()

    assert start([str(folder)], script) == 0
