"""“Label This Image” and “Find All” in the real window, with a narrow network and without any."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch  # noqa: TID253
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QPushButton

import models.labelling
from annotator.core.annotation import Annotations, Source
from annotator.ui.labelling import KEY, FindDialog
from annotator.ui.settings_dialog import SettingsDialog
from models.labelling import LabelledMask, LabellerSpec
from models.networks.omgseg import narrow_omgseg
from tests.e2e.user import CTRL, SHIFT, Start, User
from tests.models import omgseg_narrow as narrow


@pytest.fixture
def labeller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabellerSpec:
    """A narrow OMG-Seg instead of those without weights."""
    torch.set_num_threads(1)
    spec = narrow.labeller(narrow_omgseg(4), tmp_path / "names", "instances").spec
    monkeypatch.setattr(models.labelling, "labellers", lambda: {spec.id: spec})
    return spec


def proposals(user: User) -> Annotations:
    return tuple(a for a in user.workspace.annotations if a.proposed)


def names(user: User, found: Annotations) -> set[str]:
    document = user.workspace.document
    assert document is not None
    return {document.category(a.category_id).name for a in found if a.category_id is not None}


def button(user: User, text: str) -> QPushButton:
    banner = user.window.messages.banner(KEY)
    assert banner is not None
    return next(one for one in banner.findChildren(QPushButton) if text in one.text())


def is_said(user: User) -> bool:
    return user.window.messages.banner(KEY) is not None


def ready(user: User, *classes: str) -> None:
    user.waits_for_image("img2.png")
    user.window.activateWindow()
    user.waits_for(lambda: QApplication.focusWidget() is not None)
    document = user.workspace.document
    assert document is not None
    for name in classes:
        document.add_category(name)


def test_it_says_what_it_takes_and_proposes_with_names(
    start: Start, folder: Path, labeller: LabellerSpec
) -> None:
    def script(user: User) -> None:
        ready(user, "cat")
        user.presses(Qt.Key.Key_L, SHIFT)
        user.waits_for(lambda: is_said(user))
        assert not user.window.labels.running, "first it says what it takes"
        assert "seconds for each image" in user.window.messages.messages[0]
        button(user, "Label This Image").click()
        assert user.window.labels.running
        user.waits_for(lambda: not user.window.labels.running)
        found = proposals(user)
        assert found
        assert names(user, found) == {"cat"}
        assert {(a.origin.source, a.origin.model) for a in found} == {(Source.MODEL, labeller.id)}
        undo = user.window.actions_by_id["edit.undo"].text().replace("&", "")
        assert undo.startswith(f"Undo Label: {len(found)} object")
        # Once more at once, and nothing doubles.
        user.presses(Qt.Key.Key_L, SHIFT)
        assert user.window.labels.running
        user.waits_for(lambda: not user.window.labels.running)
        assert len(proposals(user)) == len(found)
        user.presses(Qt.Key.Key_Z, CTRL)

    assert start([str(folder)], script) == 0


def test_one_name_is_found_and_other_proposals_stay(
    start: Start, folder: Path, labeller: LabellerSpec
) -> None:
    def script(user: User) -> None:
        ready(user, "cat")
        user.window.run("image.find_all")
        dialog = user.window.findChild(FindDialog)
        assert dialog is not None
        assert dialog.find_button.isEnabled(), "nothing means all classes"
        dialog.name.setText("~ ,")
        assert not dialog.find_button.isEnabled()
        assert "Seconds for each image" in dialog.cost.text()
        dialog.name.setText("bird, parrot")
        dialog.find_button.click()
        user.waits_for(lambda: not user.window.labels.running)
        birds = proposals(user)
        assert names(user, birds) == {"bird"}, "the class is made when something is found"
        user.window.run("image.find_all")
        dialog = next(d for d in user.window.findChildren(FindDialog) if d.isVisible())
        assert "took" in dialog.cost.text()
        dialog.name.setText("cat")
        user._bot.keyClick(dialog.name, Qt.Key.Key_Return)
        user.waits_for(lambda: not user.window.labels.running)
        assert {a.id for a in birds} <= {a.id for a in proposals(user)}
        assert names(user, proposals(user)) == {"bird", "cat"}

    assert start([str(folder)], script) == 0


def test_esc_ends_it_at_the_next_step(
    start: Start, folder: Path, labeller: LabellerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.encoding import passed
    from models.omgseg.labelling import OpenLabeller

    reached: list[str] = []

    def endless(*_: object) -> list[LabelledMask]:
        while True:
            passed("backbone", 0.1)
            reached.append("step")

    monkeypatch.setattr(OpenLabeller, "label", endless)

    def script(user: User) -> None:
        ready(user, "cat")
        user.window.labels._agreed.add(labeller.id)
        user.presses(Qt.Key.Key_L, SHIFT)
        user.waits_for(lambda: len(reached) > 3)
        assert user.window.labels.field.isVisible()
        user.presses(Qt.Key.Key_Escape)
        assert not user.window.labels.running
        assert not user.window.labels.field.isVisible()
        # The thread is free again.
        monkeypatch.setattr(OpenLabeller, "label", lambda *_: [])
        user.presses(Qt.Key.Key_L, SHIFT)
        user.waits_for(lambda: not user.window.labels.running)
        assert not proposals(user)

    assert start([str(folder)], script) == 0


def test_without_weights_it_says_how_to_get_them(
    start: Start, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "none"))

    def script(user: User) -> None:
        ready(user, "cat")
        user.presses(Qt.Key.Key_L, SHIFT)
        user.waits_for(lambda: is_said(user))
        banner = user.window.messages.banner(KEY)
        assert banner is not None
        for part in ("omg_seg_convl.pth", "MIT", "1.4 GB", "annotator models get"):
            assert part in banner.remedy
        button(user, "Get It").click()
        user.waits_for(lambda: user.window.findChild(SettingsDialog) is not None)
        dialog = user.window.findChild(SettingsDialog)
        assert dialog is not None
        dialog.close()

    assert start([str(folder)], script) == 0


def test_without_classes_it_says_so(start: Start, folder: Path, labeller: LabellerSpec) -> None:
    def script(user: User) -> None:
        ready(user)
        user.presses(Qt.Key.Key_L, SHIFT)
        user.waits_for(lambda: "no classes" in " ".join(user.window.messages.messages))
        assert not user.window.labels.running

    assert start([str(folder)], script) == 0
