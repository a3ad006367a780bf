"""Adapting the model in the real window: asked for, followed, used, stopped, and closed upon."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QPushButton, QRadioButton, QToolButton

from annotator.services import adaptation
from annotator.ui.adapting import RESULT, AdaptDialog
from annotator.ui.settings_dialog import SettingsDialog
from models.adapted import ORIGINAL, AdaptedStore
from models.registry import DEFAULT_SEGMENTER
from tests.e2e import adapting_child
from tests.e2e.user import Start, User
from tests.training.adapted_base import BASE, QUICK, offer_base, write_project

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "bright shapes", 10)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models, with one to begin with."""
    monkeypatch.setenv("ANNOTATOR_MODELS", str(tmp_path / "models"))
    offer_base()
    monkeypatch.setattr("annotator.ui.adapting.ORIGINAL", BASE)
    return tmp_path / "models"


@pytest.fixture
def child(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Choose how the child ends; gives the file it writes."""
    log = tmp_path / "child.json"
    monkeypatch.setenv("ADAPTING_LOG", str(log))

    def choose(kind: str) -> Path:
        program = (sys.executable, "-m", adapting_child.__name__, kind)
        monkeypatch.setattr(adaptation, "PROGRAM", program)
        return log

    return choose


def asks(user: User) -> AdaptDialog:
    user.waits_for_image()
    user.window.actions_by_id["model.adapt"].trigger()
    (dialog,) = user.window.findChildren(AdaptDialog)
    assert dialog.isVisible()
    return dialog


def begins(user: User) -> None:
    dialog = asks(user)
    assert dialog.problem == ""
    QTest.mouseClick(dialog.adapt_button, LEFT)
    user.waits_for(lambda: user.window.adapting.adaptation.order is not None)


def field_text(user: User) -> str:
    return user.window.adapting.field.findChildren(QLabel)[0].text()


def result(user: User) -> tuple[str, str, str]:
    """Text, remedy and level of the message when it comes."""
    user.waits_for(lambda: user.window.messages.banner(RESULT) is not None)
    banner = user.window.messages.banner(RESULT)
    assert banner is not None
    return banner.text, banner.remedy, banner.level


def is_alive(log: Path) -> bool:
    try:
        os.kill(json.loads(log.read_text())["pid"], 0)
    except ProcessLookupError:
        return False
    return True


def test_the_new_model_is_offered_and_used(
    start: Start, project: Path, child: Callable[[str], Path]
) -> None:
    log = child("adapts")

    def script(user: User) -> None:
        window = user.window
        dialog = asks(user)
        words = "\n".join(label.text() for label in dialog.findChildren(QLabel))
        assert "30 accepted objects in 10 images" in words
        assert "about" in words
        QTest.keyClick(dialog.name, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(dialog.name, "disks")
        quick = dialog._time.text()
        dialog.findChildren(QRadioButton)[1].click()
        assert dialog._time.text() != quick
        window._show_settings("Model")
        (settings,) = window.findChildren(SettingsDialog)
        cards = settings._model._list.cards
        assert "adapted-disks" not in cards
        QTest.mouseClick(dialog.adapt_button, LEFT)
        text, remedy, level = result(user)
        assert text == "“Loupe, adapted to disks” is ready."
        assert "11 objects" in remedy
        assert "box 0.50 → 0.88, point 0.25 → 0.50" in remedy
        assert "x.png" in remedy
        assert level == "success"
        assert cards["adapted-disks"].ready, "the open settings show it"
        settings.close()
        assert not window.adapting.field.isVisible()
        banner = window.messages.banner(RESULT)
        assert banner is not None
        (button,) = (b for b in banner.findChildren(QPushButton) if b.text() == "Use it now")
        button.click()
        assert window.settings.settings.model == "adapted-disks"
        user.waits_for(lambda: user.workspace.assistant.model.id == "adapted-disks")
        window.settings.update(model="")

    start([str(project)], script)
    arguments = json.loads(log.read_text())["arguments"]
    assert arguments[0] == str(project)
    assert f"--model={ORIGINAL}" in arguments
    assert {"--name=disks", "--parts=decoder+last", "--json", "--background"} <= set(arguments)
    assert f"--project={project / '.annotator'}" in arguments


def test_progress_is_shown_while_the_user_goes_on(
    start: Start, project: Path, child: Callable[[str], Path]
) -> None:
    log = child("waits")

    def script(user: User) -> None:
        begins(user)
        user.waits_for(lambda: field_text(user) == "Adapting… 42%, about 3 minutes left")
        assert user.window.adapting.field.isVisible()
        user.clicks(20, 20)
        user.waits_for(lambda: bool(user.workspace.candidates))
        user.window.actions_by_id["model.adapt"].trigger()
        assert any("being adapted to bright shapes" in m for m in user.window.messages.messages)
        assert not user.window.findChildren(AdaptDialog) or not any(
            d.isVisible() for d in user.window.findChildren(AdaptDialog)
        )
        stop = user.window.adapting.field.findChild(QToolButton)
        assert stop is not None
        QTest.mouseClick(stop, LEFT)
        text, _, level = result(user)
        assert (text, level) == ("Adapting to bright shapes was stopped.", "info")
        assert not user.window.adapting.field.isVisible()
        assert not is_alive(log)
        begins(user)  # and again

    start([str(project)], script)
    assert not is_alive(log)


@pytest.mark.parametrize(
    ("kind", "text", "reason", "level"),
    [
        ("refuses", "was not adapted", "It does not help", "warning"),
        ("crashes", "could not be adapted", "Segmentation fault, say", "error"),
    ],
)
def test_a_bad_end_says_why(
    start: Start, project: Path, child: Callable[[str], Path], kind: str, text: str, reason: str,
    level: str,
) -> None:  # fmt: skip
    child(kind)

    def script(user: User) -> None:
        begins(user)
        found = result(user)
        assert text in found[0]
        assert reason in found[1]
        assert found[2] == level
        assert user.window.adapting.adaptation.order is None

    start([str(project)], script)


def test_a_program_that_cannot_be_started_is_named(
    start: Start, project: Path, child: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adaptation, "PROGRAM", ("/no/such/program",))

    def script(user: User) -> None:
        begins(user)
        assert result(user)[2] == "error"

    start([str(project)], script)


def test_closing_the_window_ends_a_child_that_does_not_listen(
    start: Start,
    project: Path,
    models: Path,
    child: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = child("deaf")
    monkeypatch.setattr(adaptation, "CLOSING_MS", 300)

    def script(user: User) -> None:
        begins(user)
        user.waits_for(log.with_suffix(".ready").exists)
        assert is_alive(log)

    start([str(project)], script)
    assert not is_alive(log)
    assert [path.name for path in (models / "adapted").iterdir()] == ["base"]


def test_a_child_that_does_not_stop_is_ended(
    start: Start,
    project: Path,
    models: Path,
    child: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = child("deaf")
    monkeypatch.setattr(adaptation, "STOPPING_MS", 200)

    def script(user: User) -> None:
        begins(user)
        user.waits_for(log.with_suffix(".ready").exists)
        user.window.adapting.adaptation.stop()
        assert "stopped" in result(user)[0]
        assert not is_alive(log)

    start([str(project)], script)
    assert [path.name for path in (models / "adapted").iterdir()] == ["base"]


def test_too_little_is_said_before_anything_begins(
    start: Start, tmp_path: Path, models: Path
) -> None:
    few = write_project(tmp_path / "few", 3)

    def script(user: User) -> None:
        dialog = asks(user)
        assert "At least 30 accepted masks in 8 images" in dialog.problem
        assert not dialog.adapt_button.isEnabled()
        dialog.close()

    start([str(few)], script)


def test_the_question_goes_with_its_project(
    start: Start, project: Path, folder: Path, models: Path
) -> None:
    def script(user: User) -> None:
        dialog = asks(user)
        user.window.open_path(folder)
        assert not dialog.isVisible()

    start([str(project)], script)


def test_an_adapted_model_is_removed_in_the_settings(
    start: Start, project: Path, models: Path
) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.window.settings.update(model=BASE)
        user.window._show_settings("Model")
        (settings,) = user.window.findChildren(SettingsDialog)
        page = settings._model._list
        assert page.cards[BASE].use.isChecked()
        (remove,) = (b for b in page.cards[BASE].findChildren(QPushButton) if "Remove" in b.text())
        remove.click()
        assert AdaptedStore().models(), "asked first"
        remove.click()
        assert not AdaptedStore().models()
        assert BASE not in page.cards
        assert "was removed" in page.message
        assert user.window.settings.settings.model == ""
        assert user.workspace.assistant.model.id == DEFAULT_SEGMENTER
        settings.close()

    start([str(project)], script)


def test_a_model_removed_by_another_program_is_missed_when_it_is_asked(
    start: Start, project: Path, models: Path
) -> None:
    def script(user: User) -> None:
        user.waits_for_image()
        user.window.settings.update(model=BASE)
        AdaptedStore().remove(AdaptedStore().find(BASE))
        user.clicks(20, 20)
        user.waits_for(
            lambda: any(f"no model “{BASE}”" in text for text in user.window.messages.messages)
        )
        assert user.workspace.assistant.model.id == BASE
        user.window.settings.update(model="")
        user.waits_for(lambda: bool(user.workspace.candidates))

    start([str(project)], script)


def test_a_model_made_anew_under_its_name_is_the_one_that_answers(
    start: Start, project: Path, models: Path
) -> None:
    """Nobody has asked anything of another model in between."""
    offer_base()
    old, new = AdaptedStore().models()

    def script(user: User) -> None:
        user.waits_for_image()
        user.window.settings.update(model=old.id)
        user.clicks(20, 20)
        user.waits_for(lambda: bool(user.workspace.candidates))
        AdaptedStore().remove(old)
        card = json.loads((new.folder / "card.json").read_text())
        (new.folder / "decoder.onnx").unlink()
        (new.folder / "card.json").write_text(json.dumps(card | {"fingerprint": "0" * 16}))
        new.folder.rename(old.folder)
        user.clicks(30, 30)
        user.waits_for(
            lambda: any("decoder.onnx” is missing" in m for m in user.window.messages.messages)
        )

    start([str(project)], script)


@pytest.mark.slow
def test_a_model_is_really_adapted_and_answers(
    start: Start, project: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(adaptation, "PROGRAM", (*adaptation.PROGRAM, *QUICK[1:]))

    def script(user: User) -> None:
        dialog = asks(user)
        dialog.findChildren(QRadioButton)[1].click()
        QTest.mouseClick(dialog.adapt_button, LEFT)
        user._bot.waitUntil(lambda: user.window.messages.banner(RESULT) is not None, timeout=90_000)
        assert "Loupe, adapted to bright shapes" in result(user)[0], result(user)
        user.window.settings.update(model="adapted-bright-shapes")
        user.clicks(30, 60)
        user.waits_for(lambda: bool(user.workspace.candidates))

    start([str(project)], script)
