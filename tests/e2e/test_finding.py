"""Similar objects and doubtful names in the real window, by keyboard."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QPushButton, QWidget

from annotator.core.annotation import Annotation
from tests.e2e.user import NONE, SHIFT, Start, User, draw_disks

BLUE, GREEN = (40, 60, 200), (40, 170, 60)
Key = Qt.Key


class Appearance(QObject):
    """Whether a widget was shown since, however short."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self.seen = False
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.seen |= event.type() == QEvent.Type.Show
        return False


def begins(user: User) -> None:
    user.window.settings.update(model="basic", propose_side=6)
    user.waits_for_image("img2.png")
    user.window.activateWindow()
    user.window.canvas.setFocus()


def accepts(user: User, x: float, y: float, name: str) -> Annotation:
    count = len(user.workspace.annotations)
    user.clicks(x, y)
    user.names(name)
    user.waits_for(lambda: len(user.workspace.annotations) > count)
    user.window.canvas.setFocus()
    return user.workspace.annotations[-1]


def test_one_ball_finds_the_other_in_the_folder(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        begins(user)
        ball = accepts(user, 220, 120, "ball")
        finding, document = user.window.finding, user.workspace.document
        assert document is not None
        assert not user.window.docks["view.similar_panel"].isVisible()
        user.workspace.select((ball.id,))
        user.presses(Key.Key_S)
        user.waits_for(finding.similar_panel.isVisible)
        user.waits_for(lambda: "Nothing else" in finding.similar_panel.list.placeholder)
        appeared = Appearance(finding.field)
        user.window.run("similar.folder")
        user.waits_for(lambda: appeared.seen)
        assert user.window.actions_by_id["image.stop_proposing"].isEnabled() is False, "selected"
        user.waits_for(lambda: not finding.running)
        far = "night/img2.png"
        user.waits_for(lambda: any(hit.key == far for hit in finding.similar.hits))
        rows = finding.similar_panel.list
        place = next(i for i, row in enumerate(rows.model_.rows) if row.key == far)
        user.waits_for(rows.hasFocus)
        rows.setCurrentIndex(rows.model_.index(place))
        found = rows.chosen()[0]
        user.presses(Key.Key_Space)
        user.waits_for_image(far)
        user.waits_for(lambda: user.workspace.selection == {found.id})
        assert rows.hasFocus()
        user.presses(Key.Key_Return)
        there = document.annotations(far)
        assert [(a.category_id, a.proposed) for a in there if a.id == found.id] == [
            (ball.category_id, False)
        ]
        banner = user.window.messages.banner("folder decision")
        assert banner is not None
        assert "Named 1 object “ball” in 1 image." in banner.text
        (back,) = [b for b in banner.findChildren(QPushButton) if b.text() == "Take back"]
        back.click()
        user.waits_for(lambda: document.annotations(far)[0].proposed)

    assert start([str(folder)], script) == 0


def test_esc_stops_the_search(start: Start, folder: Path) -> None:
    def script(user: User) -> None:
        begins(user)
        user.window.settings.update(propose_side=64)
        ball = accepts(user, 220, 120, "ball")
        user.workspace.select((ball.id,))
        user.presses(Key.Key_S, SHIFT)
        finding = user.window.finding
        user.waits_for(finding.field.isVisible)
        user.window.canvas.setFocus()
        user.workspace.select(())
        user.waits_for(user.window.actions_by_id["image.stop_proposing"].isEnabled)
        user.presses(Key.Key_Escape)
        assert not finding.running
        assert user.workspace.everything.key is None
        assert not finding.field.isVisible()

    assert start([str(folder)], script) == 0


def test_a_wrong_name_is_found_and_changed(start: Start, tmp_path: Path) -> None:
    places = [(50 + 70 * i, 60, 24, BLUE) for i in range(4)]
    bars = [(50 + 70 * i, 180, 24, GREEN) for i in range(4)]
    draw_disks(tmp_path / "photos" / "img2.png", places + bars)

    def script(user: User) -> None:
        begins(user)
        for x, y, _, _ in places:
            accepts(user, x, y, "sea")
        for x, y, _, _ in bars[1:]:
            accepts(user, x, y, "meadow")
        wrong = accepts(user, bars[0][0], bars[0][1], "sea")
        user.presses(Key.Key_R, SHIFT)
        panel = user.window.finding.review_panel
        user.waits_for(lambda: any(row.id == wrong.id for row in panel.list.model_.rows))
        assert panel.list.model_.rows[0].id == wrong.id
        user.waits_for(panel.list.hasFocus)
        user.presses(Key.Key_Down, NONE)
        user.waits_for(lambda: user.workspace.selection == {wrong.id})
        user.presses(Key.Key_Return)
        document = user.workspace.document
        assert document is not None
        names = {c.id: c.name for c in document.categories()}
        (now,) = [a for a in user.workspace.annotations if a.id == wrong.id]
        assert now.category_id is not None
        assert names[now.category_id] == "meadow"
        user.presses(Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert wrong in user.workspace.annotations

    assert start([str(tmp_path / "photos")], script) == 0
