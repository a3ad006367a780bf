"""The main window: docks, menus and which command calls what. No logic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QMimeData, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QPaintEvent,
)
from PySide6.QtWidgets import (
    QMainWindow,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from annotator import __version__
from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.services.answering import Loading
    from annotator.services.document import Document
    from annotator.services.proposals import FolderDecision
    from annotator.services.settings import Settings, SettingsStore
    from annotator.services.workspace import Workspace
    from annotator.ui.command_palette import CommandPalette, Source

TOGGLES = {
    "view.hover_preview": "hover_preview",
    "view.crosshair": "crosshair",
    "view.pixel_grid": "pixel_grid",
    "view.turn_alike": "turn_alike",
}
"""Checkable commands that are settings."""
PREPARING_MS = 600_000
"""How long the message about a model being prepared stays at most; it goes with the work."""


class MainWindow(QMainWindow):
    """Everything on screen.

    The window appears empty; what is in it is imported and built by `populate` right after the
    first paint, so that starting feels instant.

    Args:
        settings: the user's preferences.
    """

    painted = Signal()
    """The empty window is on the screen."""

    def __init__(self, settings: SettingsStore) -> None:
        super().__init__()
        self.settings = settings
        self.started = False
        """Whether `start` has done its work."""
        self._waiting_for_paint = True
        self._populated = False
        self.setWindowTitle("Annotator")
        # Every change of a tool button would start an animation of each dock that stays in place.
        self.setAnimated(False)
        geometry = settings.settings.geometry
        if not (geometry and self.restoreGeometry(QByteArray(geometry))):
            self.resize(1360, 860)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Tell once that the window can be seen."""
        super().paintEvent(event)
        if self._waiting_for_paint:
            self._waiting_for_paint = False
            QTimer.singleShot(0, self.painted.emit)

    def populate(self, workspace: Workspace) -> None:
        """Build menus, docks and canvas.

        Args:
            workspace: what is open; closed together with the window.
        """
        self.workspace = workspace
        workspace.setParent(self)
        self.setAcceptDrops(True)
        self._build_centre()
        self._build_docks()
        self._build_actions()
        self._palette: CommandPalette | None = None
        self._last_view: Any = None
        self._conditions: dict[str, bool] = {}
        self._handlers = self._make_handlers()
        self._wire()
        self._restore_layout()
        self._follow_settings(self.settings.settings)
        self._populated = True
        self._refresh()

    # --- Building ---

    def _build_centre(self) -> None:
        from annotator.ui.adapting import Adapting
        from annotator.ui.canvas import Canvas
        from annotator.ui.finding import Finding
        from annotator.ui.inspecting import Inspecting
        from annotator.ui.labelling import ImageLabels
        from annotator.ui.message_bar import MessageBar
        from annotator.ui.opening import Opening
        from annotator.ui.outside_changes import OutsideChanges
        from annotator.ui.prelabelling import Prelabelling
        from annotator.ui.propagating import Propagating
        from annotator.ui.proposing import ProposingField
        from annotator.ui.status_bar import StatusBar
        from annotator.ui.tracking import Tracking
        from annotator.ui.welcome import WelcomePage

        self.canvas = Canvas(self.workspace, self.settings)
        self.messages = MessageBar()
        self.opening = Opening(self.workspace, self.settings, self.messages, self)
        self.outside = OutsideChanges(self.workspace, self.messages, self)
        self.welcome = WelcomePage()
        self.status = StatusBar(self.workspace)
        self.setStatusBar(self.status)
        proposing = ProposingField(self.workspace.everything, self.messages)
        self.status.insertPermanentWidget(0, proposing)
        self.adapting = Adapting(self.workspace, self.settings, self.messages, self)
        self.status.insertPermanentWidget(0, self.adapting.field)
        self.finding = Finding(self.workspace, self.settings, self.canvas, self)
        self.status.insertPermanentWidget(0, self.finding.field)
        self.inspecting = Inspecting(self.workspace, self.canvas, self.finding.show, self)
        self.propagating = Propagating(self.workspace, self.finding.looks, self.messages, self)
        self.status.insertPermanentWidget(0, self.propagating.field)
        self.prelabelling = Prelabelling(self.workspace, self.settings, self.messages, self)
        self.status.insertPermanentWidget(0, self.prelabelling.field)
        self.labels = ImageLabels(self.workspace, self.settings, self.messages, self)
        self.status.insertPermanentWidget(0, self.labels.field)
        looks = self.finding.looks
        self.tracking = Tracking(self.workspace, self.settings, looks, self.messages, self)
        self.status.insertPermanentWidget(0, self.tracking.field)
        work = QWidget()
        column = QVBoxLayout(work)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.canvas)
        self._pages = QStackedWidget()
        self._pages.addWidget(self.welcome)
        self._pages.addWidget(work)
        centre = QWidget()
        outer = QVBoxLayout(centre)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self._pages)
        self.setCentralWidget(centre)
        self.messages.float_over(centre)

    def _build_docks(self) -> None:
        from annotator.ui.adjust_panel import AdjustPanel
        from annotator.ui.annotation_list import AnnotationList
        from annotator.ui.attributes_editor import AttributesEditor
        from annotator.ui.docks import Docks
        from annotator.ui.history_panel import HistoryPanel
        from annotator.ui.image_list import ImageList
        from annotator.ui.label_panel import LabelPanel

        self.image_list = ImageList(self.workspace)
        self.label_panel = LabelPanel(self.workspace)
        self.annotation_list = AnnotationList(self.workspace)
        self.attributes = AttributesEditor(self.workspace)
        self.adjust = AdjustPanel(self.canvas)
        self.history_panel = HistoryPanel(self.workspace)
        left, right = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
        self.docks = docks = Docks(self)
        add, images = docks.add, "view.images_panel"
        add(images, "Images", self.image_list, left)
        add("view.names_panel", "Names", self.label_panel, right)
        add("view.objects_panel", "Objects", self.annotation_list, right)
        add("view.similar_panel", "Similar", self.finding.similar_panel, left, images)
        add("view.review_panel", "Review names", self.finding.review_panel, left, images)
        add("view.checks_panel", "Checks", self.inspecting.panel, left, images)
        add("view.prelabel_panel", "Pre-labelling", self.prelabelling.panel, left, images)
        bottom = Qt.DockWidgetArea.BottomDockWidgetArea
        tracks = add("view.tracks_panel", "Tracks", self.tracking.panel, bottom)
        tracks.visibilityChanged.connect(self.tracking.timeline.set_watched)
        tracks.hide()
        add("view.history_panel", "History", self.history_panel, left, images)
        add("edit.attributes", "Attributes", self.attributes, right).hide()
        add("view.adjust", "Brightness and contrast", self.adjust, left).hide()

    def _build_actions(self) -> None:
        from annotator.actions import build_actions, build_menus
        from annotator.keymaps import bindings
        from annotator.menus import TOOLBAR
        from annotator.ui.icons import icon
        from annotator.ui.key_guard import KeyGuard

        current = self.settings.settings
        keys = bindings(current.keymap, current.key_overrides)
        self.actions_by_id = build_actions(self, self.run, keys, icon)
        self.menus = build_menus(self.menuBar(), self.actions_by_id)
        self._build_toolbar(TOOLBAR)
        self._guard = KeyGuard(self, (self.canvas,))

    def _build_toolbar(self, command_ids: Sequence[str]) -> None:
        bar = QToolBar("Tools", self)
        bar.setObjectName("Tools")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        for command_id in command_ids:
            if command_id:
                bar.addAction(self.actions_by_id[command_id])
            else:
                bar.addSeparator()
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, bar)

    def _make_handlers(self) -> dict[str, Callable[[], object]]:
        from annotator.ui import (
            edit_commands,
            export_dialog,
            history_commands,
            mask_commands,
            proposal_commands,
            review_commands,
        )

        workspace, canvas = self.workspace, self.canvas
        handlers: dict[str, Callable[[], object]] = {
            "file.open_recent": partial(self._open_palette, "recent"),
            "file.export": lambda: export_dialog.open_export(
                workspace, self, self.image_list.visible_keys()
            ),
            "file.settings": self._show_settings,
            "file.quit": self.close,
            "edit.rename": self.label_panel.focus_search,
            "image.next": partial(workspace.step, 1),
            "image.previous": partial(workspace.step, -1),
            "image.next_untouched": workspace.show_next_untouched,
            "image.first": partial(self._show_end, 0),
            "image.last": partial(self._show_end, -1),
            "image.goto": partial(self._open_palette, "images"),
            "image.filter": self._focus_filter,
            "image.reload": workspace.reload,
            "image.propose": workspace.propose_everything,
            "image.propose_options": partial(self._show_settings, "Proposals"),
            "view.zoom_in": canvas.zoom_in,
            "view.zoom_out": canvas.zoom_out,
            "view.fit": canvas.fit,
            "view.actual": canvas.actual_size,
            "view.hide_masks": lambda: self._hold(
                "view.hide_masks", self._checked("view.hide_masks")
            ),
            "view.next_panel": partial(self.docks.focus_step, canvas, 1),
            "view.previous_panel": partial(self.docks.focus_step, canvas, -1),
            "view.full_screen": self._toggle_full_screen,
            "prompt.accept": canvas.accept,
            "prompt.clear": canvas.escape,
            "prompt.take_back": canvas.take_back,
            "prompt.next_candidate": partial(workspace.cycle_candidate, 1),
            "prompt.previous_candidate": partial(workspace.cycle_candidate, -1),
            "class.search": self._focus_names,
            "class.new": self._focus_names,
            "class.vocabulary": self._edit_vocabulary,
            "model.adapt": self.adapting.ask,
            "help.shortcuts": self._show_shortcuts,
            "help.command_palette": self._open_palette,
            "help.about": self._show_about,
        }
        handlers |= self.opening.handlers() | self.docks.handlers(self.actions_by_id)
        handlers |= edit_commands.handlers(workspace, canvas, self.actions_by_id)
        handlers |= self._make_series() | proposal_commands.handlers(workspace)
        handlers |= mask_commands.handlers(workspace, canvas) | history_commands.handlers(workspace)
        handlers |= review_commands.handlers(workspace, self) | self.inspecting.handlers()
        handlers |= self.finding.handlers() | self.propagating.handlers() | self.labels.handlers()
        handlers |= self.prelabelling.handlers() | self.tracking.handlers()
        return handlers | {"image.stop_proposing": self._stop_searching}

    def _make_series(self) -> dict[str, Callable[[], object]]:
        """The commands that come in numbers or kinds."""
        from annotator.ui.tools import TOOLS

        workspace = self.workspace
        handlers: dict[str, Callable[[], object]] = {}
        for tool in TOOLS:
            handlers[f"tool.{tool}"] = partial(workspace.set_tool, tool)
        for digit in range(1, 10):
            handlers[f"class.{digit}"] = partial(self._choose_digit, digit)
        for digit in range(1, 6):
            handlers[f"suggestion.{digit}"] = partial(self._choose_suggestion, digit)
        for theme in ("system", "light", "dark"):
            handlers[f"view.theme_{theme}"] = partial(self.settings.update, theme=theme)
        for command_id, name in TOGGLES.items():
            handlers[command_id] = partial(self._toggle_setting, command_id, name)
        return handlers

    def _wire(self) -> None:
        workspace = self.workspace
        workspace.project_opened.connect(self._follow_project)
        workspace.project_closing.connect(self._keep_view)
        workspace.project_closed.connect(self._show_welcome)
        workspace.image_ready.connect(self._restore_view)
        workspace.image_shown.connect(self._show_title)
        workspace.reported.connect(self.outside.tell)
        workspace.name_wanted.connect(self._ask_name)
        workspace.proposals.finished.connect(self._tell_decision)
        workspace.assistant.loading_changed.connect(self._show_loading)
        workspace.set_order(self.image_list.neighbour)
        self.finding.set_order(self.image_list.visible_keys)
        self.prelabelling.follow(self.image_list)
        self.labels.settings_wanted.connect(self._show_settings)
        self.labels.folder_wanted.connect(partial(self.run, "prelabel.folder"))
        self.prelabelling.comparison_wanted.connect(self.finding.comparing.compare_folder)
        self.tracking.attach(self.actions_by_id, self.menus)
        self.tracking.settings_wanted.connect(self._show_settings)
        self.canvas.pointer_moved.connect(self.status.show_pointer)
        self.canvas.zoom_changed.connect(self.status.show_zoom)
        self.canvas.turn_changed.connect(self.status.show_turn)
        self.canvas.view_changed.connect(workspace.assistant.look_at)
        self.canvas.context_menu_requested.connect(self._show_context_menu)
        self.label_panel.vocabulary_wanted.connect(partial(self.run, "class.vocabulary"))
        self.annotation_list.activated.connect(lambda number: self.canvas.center_on((number,)))
        self.annotation_list.hovered.connect(self.canvas.highlight)
        self.welcome.open_wanted.connect(self.opening.choose_folder)
        self.welcome.sample_wanted.connect(self.opening.open_sample)
        self.welcome.folder_chosen.connect(lambda folder: self.open_path(Path(folder)))
        self._guard.held_changed.connect(self._hold)
        self.settings.changed.connect(self._follow_settings)
        self.settings.reported.connect(self.messages.show_error)
        recent = self.menus["file.open_recent"]
        recent.aboutToShow.connect(partial(self.opening.fill_recent, recent))
        self.docks.follow(self.actions_by_id)
        for wanted in (
            self.finding.panel_wanted,
            self.inspecting.panel_wanted,
            self.prelabelling.panel_wanted,
            self.tracking.panel_wanted,
        ):
            wanted.connect(self.docks.show)
        for left in (
            self.prelabelling.panel.left,
            self.tracking.panel.left,
            self.history_panel.left,
            self.label_panel.left,
            self.image_list.left,
        ):
            left.connect(self.canvas.setFocus)
        self._wire_refreshing()

    def _wire_refreshing(self) -> None:
        workspace = self.workspace
        for signal in (
            workspace.image_ready,
            workspace.image_shown,
            workspace.selection_changed,
            workspace.draft_changed,
            workspace.candidates_changed,
            workspace.tool_changed,
            workspace.clipboard_changed,
            workspace.suggestions_changed,
            workspace.proposals.filter_changed,
            workspace.proposals.finished,
            workspace.everything.running_changed,
            self.finding.search.running_changed,
            self.propagating.propagation.running_changed,
            self.prelabelling.run.running_changed,
            self.labels.labelling.running_changed,
            self.tracking.run.running_changed,
            self.tracking.timeline.chosen_changed,
            self.canvas.shape_changed,
        ):
            signal.connect(self._refresh)

    def _restore_layout(self) -> None:
        current = self.settings.settings
        if not (current.window_state and self.restoreState(QByteArray(current.window_state))):
            em = self.fontMetrics().height()
            left, right = self.docks["view.images_panel"], self.docks["view.names_panel"]
            self.resizeDocks([left, right], [16 * em, 20 * em], Qt.Orientation.Horizontal)

    # --- Commands ---

    def run(self, command_id: str) -> None:
        """Carry out a command; what the user can act on is shown in the message bar."""
        try:
            self._handlers[command_id]()
        except UserError as error:
            self.messages.show_error(error)
        self._refresh()

    def start(self, path: Path | None, project_dir: Path | None) -> None:
        """Open what the command line named, or the last folder, or the welcome page."""
        from annotator.ui.icons import app_icon

        self.setWindowIcon(app_icon())
        recent = self.settings.settings.recent_folders
        if path is None and self.settings.settings.reopen_last and recent:
            path = Path(recent[0]) if Path(recent[0]).is_dir() else None
        if path is None:
            self._show_welcome()
        else:
            self.open_path(path, project_dir)
        self.started = True

    def open_path(self, path: Path, project_dir: Path | None = None) -> None:
        """Open a folder or an image, or say why not."""
        self.opening.open_path(path, project_dir)

    def show_bug(self, summary: str, details: str) -> None:
        """Tell about an error that is the program's fault, and go on."""
        self.messages.show_message(
            "Something went wrong inside the program. Your accepted work is safe.",
            summary,
            level="error",
            actions=[("Copy details", lambda: QGuiApplication.clipboard().setText(details))],
            key=summary,
        )

    def _show_settings(self, page: str = "") -> None:
        from annotator.ui.settings_dialog import SettingsDialog

        SettingsDialog.open_over(self.settings, self, page, self.workspace.assistant)

    def _show_shortcuts(self) -> None:
        from annotator.ui.shortcut_sheet import ShortcutSheet

        ShortcutSheet.open_over(self.settings, self)

    def _open_palette(self, only: str = "") -> None:
        from annotator.ui.command_palette import CommandPalette

        if self._palette is None:
            self._palette = CommandPalette(self, self.actions_by_id, self._palette_sources())
        self._palette.open(only)

    def _palette_sources(self) -> tuple[Source, ...]:
        from annotator.ui.command_palette import Source

        workspace = self.workspace

        def class_names() -> list[str]:
            document = workspace.document
            return [c.name for c in document.categories()] if document else []

        def recent_folders() -> Sequence[str]:
            return self.settings.settings.recent_folders

        return (
            Source("recent", "Folder", recent_folders, lambda f: self.open_path(Path(f)), "clock"),
            Source("classes", "Class", class_names, workspace.choose_name, "tag"),
            Source("images", "Image", self.image_list.visible_keys, workspace.show, "images"),
        )

    def _show_about(self) -> None:
        QMessageBox.about(
            self,
            "About Annotator",
            f"<h3>Annotator {__version__}</h3>"
            "<p>Click objects, get exact masks and ranked names, keep them as COCO.</p>"
            f"<p>Model in use: {self.workspace.assistant.model.title}</p>"
            "<p>Licence: Apache-2.0. Models you download have licences of their own.</p>",
        )

    def _stop_searching(self) -> None:
        self.finding.stop()
        self.propagating.stop()
        self.labels.stop()

    def _hold(self, command_id: str, held: bool) -> None:
        if command_id == "view.hide_masks":
            self.canvas.set_masks_hidden(held)

    def _checked(self, command_id: str) -> bool:
        return self.actions_by_id[command_id].isChecked()

    def _toggle_setting(self, command_id: str, name: str) -> None:
        self.settings.update(**{name: self._checked(command_id)})

    def _toggle_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _show_end(self, place: int) -> None:
        keys = self.image_list.visible_keys()
        if keys:
            self.workspace.show(keys[place])

    def _focus_filter(self) -> None:
        self.docks["view.images_panel"].show()
        self.image_list.focus_filter()

    def _focus_names(self) -> None:
        self.docks["view.names_panel"].show()
        self.label_panel.focus_search()

    def _edit_vocabulary(self) -> None:
        from annotator.ui.vocabulary_dialog import VocabularyDialog

        if self.workspace.document is not None:
            VocabularyDialog.open_over(self.workspace.document, self)

    def _ask_name(self) -> None:
        self._focus_names()
        self.workspace.noticed.emit("Type a name for this object and press Enter.")

    def _choose_digit(self, digit: int) -> None:
        category_id = self.label_panel.category_for_digit(digit)
        if category_id is not None:
            self.workspace.choose_category(category_id)

    def _choose_suggestion(self, digit: int) -> None:
        name = self.label_panel.suggestion_at(digit)
        if name is not None:
            self.workspace.choose_name(name)

    # --- Following the workspace ---

    def _keep_view(self) -> None:
        document, key = self.workspace.document, self.workspace.key
        if document is not None and key is not None and self.canvas.has_image:
            document.set_note("view", {"image": key, "state": self.canvas.view_state()})

    def _restore_view(self, image: LoadedImage) -> None:
        """Show the image of the last session as it was left."""
        note, self._last_view = self._last_view, None
        if isinstance(note, dict) and note.get("image") == image.key:
            self.canvas.restore_view(note.get("state"))

    def _follow_project(self, document: Document) -> None:
        self._last_view = document.note("view")
        self._pages.setCurrentIndex(1)
        self.setWindowTitle(f"{document.folder.name} — Annotator")
        document.save_state_changed.connect(self.status.show_saving)
        self.status.show_saving(document.save_state)
        for signal in (
            document.annotations_changed,
            document.record_changed,
            document.categories_changed,
        ):
            signal.connect(self._refresh)
        self._refresh()
        self.canvas.setFocus()

    def _show_welcome(self) -> None:
        self.setWindowTitle("Annotator")
        self.welcome.show_recent(self.settings.settings.recent_folders)
        self._pages.setCurrentIndex(0)
        self._refresh()

    def _show_loading(self, loading: Loading | None) -> None:
        if loading is None:
            self.messages.dismiss("preparing")
        elif loading.first:
            banner = self.messages.show_message(
                f"{loading.title} is being prepared for this computer.",
                "This happens once and takes up to a minute. You can go on meanwhile, by hand or "
                "with the default model.",
                actions=[("Use the default model", lambda: self.settings.update(model=""))],
                key="preparing",
            )
            banner.set_fade_after(PREPARING_MS)

    def _tell_decision(self, done: FolderDecision) -> None:
        from annotator.ui.proposal_commands import tell_finished

        tell_finished(self.workspace, self.messages, done)

    def _show_title(self, key: str) -> None:
        document = self.workspace.document
        if document is not None:
            self.setWindowTitle(f"{key} — {document.folder.name} — Annotator")

    def _follow_settings(self, current: Settings) -> None:
        from annotator.actions import apply_bindings
        from annotator.keymaps import bindings

        keys = bindings(current.keymap, current.key_overrides)
        apply_bindings(self.actions_by_id, keys)
        self._guard.set_bindings(keys)
        for command_id, name in TOGGLES.items():
            self.actions_by_id[command_id].setChecked(bool(getattr(current, name)))
        self.actions_by_id[f"view.theme_{current.theme}"].setChecked(True)

    def _refresh(self, *_: object) -> None:
        """Switch commands on and off, and check marks with them."""
        if not self._populated:
            return
        from annotator.actions import set_enabled, show_names
        from annotator.ui import (
            edit_commands,
            history_commands,
            mask_commands,
            proposal_commands,
            review_commands,
        )

        workspace, actions = self.workspace, self.actions_by_id
        document = workspace.document
        busy_shape = self.canvas.drawing
        prompt = bool(workspace.draft) or busy_shape
        idle = not prompt and not workspace.selection
        conditions = {
            "project": document is not None,
            "image": workspace.image is not None,
            "prompt": prompt,
            "candidate": bool(workspace.draft.prompt) or busy_shape,
            "candidates": len(workspace.candidates) > 1,
            "suggestions": bool(self.label_panel.suggestion_at(1)),
            "proposing": idle
            and (
                workspace.everything.key is not None
                or self.finding.running
                or self.propagating.running
                or self.labels.running
            ),
            "prelabelling": self.prelabelling.run.running,
            **self.tracking.conditions(),
            **edit_commands.conditions(workspace, prompt=prompt),
            **proposal_commands.conditions(workspace, prompt=prompt),
            **mask_commands.conditions(workspace, prompt=prompt),
            **history_commands.conditions(workspace),
        }
        changed = conditions.items() - self._conditions.items()
        self._conditions = conditions
        set_enabled(actions, dict(changed))
        actions[f"tool.{workspace.tool}"].setChecked(True)
        mask_commands.show_checks(workspace, actions)
        for command_id, text in history_commands.texts(workspace).items():
            actions[command_id].setText(text)
        review_commands.show_checks(workspace, actions)
        edit_commands.show_state(workspace, actions, prompt=prompt)
        if document is not None:
            show_names(actions, "class", [c.name for c in document.categories()[:9]])

    def _show_context_menu(self, position: object, annotation_id: object) -> None:
        menu = QMenu(self)
        decisions = ("proposals.accept", "proposals.reject", "")
        proposed = any(a.proposed for a in self.workspace.selected)
        for command_id in (
            *(decisions if proposed else ()),
            "edit.rename", "edit.attributes", "", "edit.cut", "edit.copy", "edit.paste",
            "edit.duplicate", "edit.delete", "", "edit.raise", "edit.lower", "edit.to_top",
            "edit.to_bottom", "", "edit.crowd", "edit.lock", "edit.hide", "edit.show_all",
        ):  # fmt: skip
            menu.addAction(self.actions_by_id[command_id]) if command_id else menu.addSeparator()
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(position)  # type: ignore[arg-type]

    # --- Qt events ---

    def closeEvent(self, event: QCloseEvent) -> None:
        """Finish what was accepted, save, end the threads."""
        if not self._populated:
            event.accept()
            return
        self.settings.update(
            geometry=self.saveGeometry().data(), window_state=self.saveState().data()
        )
        self.settings.save()
        self.adapting.close()
        try:
            self.workspace.close()
        except UserError as error:
            QMessageBox.critical(self, "Annotator", f"{error.message}\n\n{error.remedy}")
        self.finding.close()
        self.inspecting.close()
        self.history_panel.close_threads()
        self.prelabelling.close()
        self.labels.close()
        self.tracking.close()
        event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take folders, images and COCO files."""
        if _dropped(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        for path in _dropped(event.mimeData()):
            self.open_path(path)
        event.acceptProposedAction()


def _dropped(data: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
