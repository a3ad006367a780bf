from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from annotator.ui.adjust_panel import AdjustPanel
from annotator.ui.canvas_view import Adjustment
from tests.ui.canvas_case import Hand, opened


@pytest.fixture
def panel(tmp_path: Path, qtbot: QtBot) -> Iterator[tuple[AdjustPanel, Hand]]:
    with opened(tmp_path, qtbot) as hand:
        made = AdjustPanel(hand.canvas)
        qtbot.addWidget(made)
        made.show()
        hand.canvas.actual_size()
        yield made, hand


def test_sliders_change_the_picture_and_reset_restores_it(
    panel: tuple[AdjustPanel, Hand],
) -> None:
    adjust, hand = panel
    plain = hand.at(120.5, 20.5)
    assert not adjust.reset_button.isEnabled()
    adjust.brightness.setFocus()
    QTest.keyClick(adjust.brightness, Qt.Key.Key_PageUp)
    assert adjust.adjustment == Adjustment(brightness=0.1)
    assert sum(hand.at(120.5, 20.5)) > sum(plain)
    for slider in (adjust.contrast, adjust.gamma):
        before = hand.at(120.5, 20.5)
        slider.setValue(-40)
        assert hand.at(120.5, 20.5) != before
    QTest.mouseClick(adjust.reset_button, Qt.MouseButton.LeftButton)
    assert adjust.adjustment.neutral
    assert hand.at(120.5, 20.5) == plain


def test_auto_moves_the_sliders(panel: tuple[AdjustPanel, Hand]) -> None:
    adjust, hand = panel
    QTest.mouseClick(adjust.auto, Qt.MouseButton.LeftButton)
    found = hand.canvas.auto_adjustment()
    assert found is not None
    assert adjust.adjustment.contrast == pytest.approx(found.contrast, rel=0.05)
    assert adjust.adjustment.brightness == pytest.approx(found.brightness, abs=0.01)
    assert adjust.adjustment.contrast > 1.2


def test_a_double_click_on_a_name_resets_it(panel: tuple[AdjustPanel, Hand]) -> None:
    adjust, _ = panel
    adjust.gamma.setValue(33)
    label = next(c for c in adjust.children() if getattr(c, "text", str)() == "Gamma")
    QTest.mouseDClick(label, Qt.MouseButton.LeftButton)
    assert adjust.gamma.value() == 0


def test_everything_has_a_name(panel: tuple[AdjustPanel, Hand]) -> None:
    adjust, _ = panel
    for slider in (adjust.brightness, adjust.contrast, adjust.gamma):
        assert slider.accessibleName()
        assert slider.toolTip()


def test_auto_without_an_image_does_nothing(panel: tuple[AdjustPanel, Hand]) -> None:
    adjust, hand = panel
    hand.workspace.close_project()
    adjust.auto.click()
    assert adjust.adjustment.neutral
