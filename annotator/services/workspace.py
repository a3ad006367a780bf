"""`Workspace`: what is open and what the user is doing. Widgets call it and listen to it.

What is done to the selected objects stands in its base, `annotator.services.editing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QEventLoop, QObject, Signal

from annotator.core.annotation import (
    Annotation,
    ImageRecord,
    ImageState,
    Origin,
    Source,
    Status,
)
from annotator.core.errors import UserError
from annotator.core.paths import file_of, frame_key, is_image_name, is_video_name
from annotator.core.prompting import PromptDraft
from annotator.services import refinement
from annotator.services.answering import Answer, Finished, Picture
from annotator.services.assistant import Assistant
from annotator.services.document import Document
from annotator.services.editing import Editing
from annotator.services.embeddings import Embeddings, ImageFile
from annotator.services.everything import Everything, options_of
from annotator.services.folder_scan import FolderScan
from annotator.services.image_loader import ImageLoader
from annotator.services.naming import Namer
from annotator.services.settings import Settings, SettingsStore
from annotator.services.suggesting import Suggesting
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import Box, MaskCandidate, ModelError, Prompt, Suggestion
from models.registry import DEFAULT_SEGMENTER

if TYPE_CHECKING:
    from annotator.core.images import LoadedImage
    from annotator.core.mask import Mask


EDITING_TOOLS = frozenset({"brush", "eraser", "lasso", "outline", "vertices", "fill", "knife"})
"""Tools that change the pixels of objects."""


class Workspace(Editing):
    """One project, one current image, one open prompt, one selection.

    Args:
        settings: the user's preferences.
        parent: Qt parent.
    """

    project_opened = Signal(object)
    """A `Document` was opened."""
    project_closing = Signal()
    """The project is about to be closed; everything of it is still there."""
    project_closed = Signal()
    """No project is open any more."""
    image_shown = Signal(str)
    """The current image changed to this key; its pixels follow with `image_ready`."""
    image_ready = Signal(object)
    """`LoadedImage` of the current image: first a preview perhaps, then the complete one."""
    image_failed = Signal(str, object)
    """The current image cannot be read: key and `UserError`."""
    tool_changed = Signal(str)
    """Id of the tool, a key of `annotator.ui.tools.TOOLS`."""
    draft_changed = Signal(object)
    """The open `PromptDraft` changed (marks or choice)."""
    candidates_changed = Signal(object)
    """tuple of `MaskCandidate` for the open draft, () while there is none."""
    preview_changed = Signal(object)
    """`MaskCandidate` under the pointer (or of the box being dragged), or None."""
    working_changed = Signal(bool)
    """Whether an answer the user waits for is being computed."""
    finishing_changed = Signal(object)
    """tuple of (key, `MaskCandidate`) accepted a moment ago whose exact masks are being made."""
    active_category_changed = Signal(object)
    """The category id new objects get, or None."""
    suggestions_changed = Signal(object)
    """tuple of `Suggestion`, best first, for the open draft or the selected annotation."""
    model_changed = Signal(object)
    """The `SegmenterSpec` in use."""
    name_wanted = Signal()
    """The user accepted an object while there is no class yet: ask for a name, without a dialog."""

    def __init__(self, settings: SettingsStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._models = TaskQueue("models", self)
        embeddings = Embeddings()
        self.assistant = Assistant(self._models, self, embeddings)
        self.everything = Everything(self.assistant, self)
        self._naming = TaskQueue("names", self)
        self.namer = Namer(self._naming, embeddings, self)
        self._suggesting = Suggesting(self, self.namer)
        self._loader = self._make_loader()
        self._scan = FolderScan(self)
        self._travel = 1
        self._prepared = ""
        self._segmentation = settings.settings.segmentation
        self._draft = PromptDraft()
        self._drafts: dict[str, PromptDraft] = {}
        self._answer: Answer | None = None
        self._working = False
        self._accept_when_ready = False
        self._finishing: list[tuple[str, MaskCandidate]] = []
        self._tool = "smart"
        self._active: int | None = None
        self._order: Callable[[str, int], str | None] = self._document_neighbour
        self._wire()

    def _wire(self) -> None:
        self._scan.found.connect(self._add_images)
        self._scan.failed.connect(self.reported)
        self._scan.skipped.connect(self.reported)
        # The first image is shown before its neighbours are found.
        self._scan.finished.connect(lambda _: self._prefetch())
        self.assistant.answered.connect(self._take_answer)
        self.assistant.previewed.connect(self._take_preview)
        self.assistant.prepared.connect(self._take_prepared)
        self.assistant.sharpened.connect(self._sharpen)
        self.assistant.failed.connect(self._fail_question)
        self.everything.failed.connect(self.reported)
        self._suggesting.changed.connect(self.suggestions_changed)
        self.namer.failed.connect(self.reported)
        self.everything.finished.connect(self._tell_proposed)
        self.selection_changed.connect(lambda _: self._suggesting.refresh())
        self.project_opened.connect(self.proposals.follow_project)
        self.project_closing.connect(self.proposals.stop)
        self._settings.changed.connect(self._follow_settings)
        self._follow_settings(self._settings.settings)

    def _make_loader(self) -> ImageLoader:
        loader = ImageLoader(parent=self)
        loader.loaded.connect(self._show_pixels)
        loader.failed.connect(self._fail_image)
        return loader

    # --- What is open ---

    def open_folder(
        self, folder: Path, project_dir: Path | None = None, *, recover: bool = False
    ) -> None:
        """Open a folder as a project; the images are looked for in the background.

        Args:
            folder: the images.
            project_dir: where the journal and the COCO file go; beside the images by default.
            recover: the journal is damaged: keep it aside and take over what can be read.

        Raises:
            DamagedJournal: the journal cannot be read; open again with `recover`.
            UserError: the folder cannot be used; what was open stays open.
        """
        if self._document is not None and self._document.folder == folder.resolve():
            return
        open_document = Document.recover if recover else Document.open
        document = open_document(folder, project_dir)
        self.close_project()
        self._document = document
        document.setParent(self)
        self._suggesting.tell_names()
        document.annotations_changed.connect(self._follow_annotations)
        document.categories_changed.connect(self._follow_categories)
        document.reported.connect(self.reported)
        document.use_rle_only(self._settings.settings.segmentation == "rle")
        document.exporter.keep_versions(self._settings.settings.coco_versions)
        self._settings.remember_folder(document.folder)
        self.project_opened.emit(document)
        self.masks.overlap_changed.emit(self.masks.overlap)
        self._restore_place(document)
        self._scan.start(document.folder)
        self.assistant.warm_up()

    def _restore_place(self, document: Document) -> None:
        active = document.note("active_category")
        known = {category.id for category in document.categories()}
        self.set_active_category(active if active in known else None)
        last = document.note("last_image")
        if isinstance(last, str) and file_of(document.path(last)).is_file():
            self.show(last)

    def open_path(self, path: Path, project_dir: Path | None = None) -> None:
        """Open a folder, or the folder of an image with that image shown, or import a COCO file.

        Raises:
            UserError: neither an image nor a folder.
        """
        if path.is_dir():
            self.open_folder(path, project_dir)
            return
        if not path.is_file():
            raise UserError(f"“{path}” does not exist.", "Check the spelling, or choose a folder.")
        if path.suffix.lower() == ".json":
            self.import_coco(path)
            return
        is_video = is_video_name(path.name)
        if not (is_video or is_image_name(path.name)):
            raise UserError(
                f"“{path.name}” is not an image this program reads.",
                "Choose a folder of JPEG, PNG, BMP, TIFF or WebP images, or a video.",
            )
        path = path.resolve()
        if self._document is None or not path.is_relative_to(self._document.folder):
            self.open_folder(path.parent, project_dir)
        if self._document is not None:
            key = path.relative_to(self._document.folder).as_posix()
            key = frame_key(key, 0) if is_video else key
            if key not in self._document.keys():  # noqa: SIM118 - a sequence, not a mapping
                self._document.add_images([key])
            self.show(key)

    def import_coco(self, path: Path) -> None:
        """Add the objects of a COCO file to the open project.

        Raises:
            UserError: no project is open, or the file is not COCO.
        """
        if self._document is None:
            raise UserError(f"“{path.name}” needs images.", "Open the folder of its images first.")
        self.noticed.emit(self._document.import_coco(path))

    def close_project(self) -> None:
        """Finish what was accepted, save, and forget the project."""
        if self._document is None:
            return
        self.project_closing.emit()
        self._scan.stop()
        self.everything.stop()
        self.leave_image()
        self._wait_for_finishing()
        self.assistant.leave()
        document, self._document = self._document, None
        self._drafts.clear()
        self._key = self._image = None
        # Keys mean other images in the next project, so nothing may be kept by key.
        self._loader.close()
        self._loader.deleteLater()
        self._loader = self._make_loader()
        self.project_closed.emit()
        try:
            document.close()
        finally:
            document.deleteLater()

    def _wait_for_finishing(self) -> None:
        # The mask of an object accepted a moment ago is still being made: it belongs to the user.
        while self.assistant.pending:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    def close(self) -> None:
        """Close the project and end all threads; an encoder at work is not waited for.

        Raises:
            UserError: the disk does not take the last edits; the message says where they are.
        """
        try:
            self.close_project()
        finally:
            self._scan.stop()
            self._loader.close()
            self.namer.close()
            self.assistant.close()
            self._naming.close(patience=CLOSING_S)
            self._models.close(patience=CLOSING_S)

    def _add_images(self, keys: list[str]) -> None:
        if self._document is None:
            return
        self._document.add_images(keys)
        if self._key is None and keys:
            self.show(keys[0])

    # --- The current image ---

    def set_order(self, neighbour: Callable[[str, int], str | None]) -> None:
        """Next and previous follow this order: (key, step) to key, or None at the end."""
        self._order = neighbour

    def _document_neighbour(self, key: str, step: int) -> str | None:
        keys = self._document.keys() if self._document else ()
        place = keys.index(key) + step if key in keys else 0
        return keys[place] if 0 <= place < len(keys) else None

    def show(self, key: str) -> None:
        """Make this the current image. An open prompt is kept and comes back with its image."""
        if self._document is None or key == self._key:
            return
        self.leave_image()
        back = self._key is not None and self._order(self._key, -1) == key
        self._travel = -1 if back else 1
        self._key = key
        self._document.set_note("last_image", key)
        self.image_shown.emit(key)
        self._loader.request(key, self._document.path(key))
        self._expect()
        self._prefetch()
        if key in self._drafts:
            self.set_draft(self._drafts.pop(key))

    def leave_image(self) -> None:
        """Put the open prompt aside and forget the image."""
        self.masks.finish()
        if self._key is not None and self._draft:
            self._drafts[self._key] = self._draft
        self._reset_draft()
        self.select(())
        self._image = None

    def step(self, step: int) -> None:
        """Show the image `step` places further in the list (negative: back)."""
        if self._key is not None and (key := self._order(self._key, step)) is not None:
            self.show(key)

    def show_next_untouched(self) -> None:
        """Show the next image nobody has worked on; proposals alone are nobody's work."""
        waiting = (ImageState.UNTOUCHED, ImageState.PROPOSALS)
        if not self._show_next(lambda record: record.state in waiting):
            self.noticed.emit("No untouched image further down the list.")

    def show_next_proposals(self) -> None:
        """Show the next image that has proposals."""
        if not self._show_next(lambda record: record.proposals > 0):
            self.noticed.emit("No image with proposals further down the list.")

    def _show_next(self, is_wanted: Callable[[ImageRecord], bool]) -> bool:
        key = self._key
        while self._document is not None and key is not None:
            key = self._order(key, 1)
            if key is not None and is_wanted(self._document.record(key)):
                self.show(key)
                return True
        return False

    def show_next_to_review(self) -> None:
        """Show the next image that has objects nobody reviewed, or needs another look."""
        waiting = (ImageState.ANNOTATED, ImageState.LOOK)
        if not self._show_next(lambda record: record.state in waiting):
            self.noticed.emit("Nothing to review further down the list.")

    def set_status(self, status: Status) -> None:
        """Say what you think of the current image."""
        if self._document is not None and self._key is not None:
            self._document.set_review(self._key, status)
            waiting = self._document.record(self._key).proposals
            if status is Status.DONE and waiting:
                noun = "proposal is" if waiting == 1 else "proposals are"
                self.noticed.emit(
                    f"Reviewed. {waiting} {noun} still undecided and will not be in the COCO file."
                )

    def reload(self) -> None:
        """Read the current image from disk again."""
        if self._document is not None and self._key is not None:
            self._loader.forget(self._key)
            self._loader.request(self._key, self._document.path(self._key))
            self._expect()
            self._prefetch()

    def _prefetch(self) -> None:
        if self._document is None or self._key is None:
            return
        around = [self._order(self._key, step) for step in (1, -1)]
        self._loader.prefetch([(key, self._document.path(key)) for key in around if key])
        ahead = self._order(self._key, self._travel)
        then = self._order(ahead, self._travel) if ahead else None
        likely = (ahead, then, self._order(self._key, -self._travel))
        self.assistant.look_ahead([self._document.path(key) for key in likely if key])

    def _expect(self) -> None:
        if self._document is not None and self._key is not None:
            self._prepared = ""
            self.assistant.expect(self._key, self._document.path(self._key))

    def _take_prepared(self, key: str) -> None:
        if key != self._key or self._prepared == key:
            return
        self._prepared = key
        if self.picture() is None and self._draft.prompt:
            self._ask()

    def _sharpen(self) -> None:
        """The same question again, unless the user has chosen among the answers already."""
        if self._draft.prompt and not self._draft.choice:
            self._ask()

    def _show_pixels(self, image: LoadedImage) -> None:
        if image.key != self._key or self._document is None:
            return
        self._image = image
        self._document.set_size(image.key, image.width, image.height, image.orientation)
        self.image_ready.emit(image)
        if image.complete and image.note:
            self.noticed.emit(image.note)
        if (picture := self.picture(preview=True)) is not None:
            self.assistant.prepare(picture)
        if self.askable_picture() is not None:
            self._ask()
            if self._accept_when_ready:
                self.accept()

    def _fail_image(self, key: str, error: UserError) -> None:
        if key == self._key:
            self.image_failed.emit(key, error)
            self.reported.emit(error)

    def picture(self, *, preview: bool = False) -> Picture | None:
        """The current image with its pixels, or None while they are being read.

        Args:
            preview: a smaller picture of it will do.
        """
        image, document = self._image, self._document
        if image is None or document is None or not (image.complete or preview):
            return None
        file = ImageFile(document.path(image.key), *image.stamp)
        return Picture(image.key, file, image.pixels, image.complete)

    def askable_picture(self) -> Picture | None:
        """The picture prompts can be answered for: complete, or known from an earlier time."""
        return self.picture(preview=self._prepared == self._key)

    # --- The prompt ---

    @property
    def draft(self) -> PromptDraft:
        """The open prompt."""
        return self._draft

    @property
    def candidates(self) -> tuple[MaskCandidate, ...]:
        """The newest answer to the open prompt, kept until a newer one arrives."""
        return self._answer.candidates if self._answer else ()

    @property
    def candidate(self) -> MaskCandidate | None:
        """The candidate shown."""
        found = self.candidates
        return found[min(self._draft.choice, len(found) - 1)] if found else None

    @property
    def working(self) -> bool:
        """Whether the open prompt waits for its answer."""
        return self._working

    def set_draft(self, draft: PromptDraft) -> None:
        """Replace the open prompt; the newest state wins, earlier answers are dropped."""
        asked = draft.prompt != self._draft.prompt
        self._draft = draft
        if draft:
            self.select(())
        self.draft_changed.emit(draft)
        if asked:
            self._ask()
        else:
            self._suggesting.refresh()

    def begin(self, draft: PromptDraft) -> None:
        """Let the model start on what `set_draft` will probably ask; nothing is shown."""
        picture = self.askable_picture()
        if draft.prompt and picture is not None:
            self.assistant.begin(picture, draft.prompt)

    def _ask(self) -> None:
        prompt = self._draft.prompt
        picture = self.askable_picture()
        if prompt and self._key is not None:
            self._set_working(True)
            self.preview_changed.emit(None)
            if picture is not None:
                self.assistant.ask(picture, prompt)
        else:
            self.assistant.forget_questions()
            self._set_working(False)
            self._set_answer(None)

    def _set_working(self, working: bool) -> None:
        if working != self._working:
            self._working = working
            self.working_changed.emit(working)

    def _set_answer(self, answer: Answer | None) -> None:
        if answer is not self._answer:
            self._answer = answer
            self._suggesting.forget_candidates()
            self.candidates_changed.emit(self.candidates)
        self._suggesting.refresh()

    def _take_answer(self, answer: Answer) -> None:
        if answer.key != self._key or answer.prompt != self._draft.prompt:
            return
        self._set_working(False)
        self._set_answer(answer)

    def _fail_question(self, error: UserError) -> None:
        self._set_working(False)
        self.reported.emit(error)

    def _reset_draft(self) -> None:
        self.assistant.forget_questions()
        self._accept_when_ready = False
        self._set_working(False)
        self._draft = PromptDraft()
        self.draft_changed.emit(self._draft)
        self._set_answer(None)
        self.preview_changed.emit(None)

    def clear_draft(self) -> None:
        """Throw the open prompt away; an object that was refined is as it was, and selected."""
        draft = self._draft
        self._reset_draft()
        self._select_refined(self._key, draft)

    def take_back(self) -> None:
        """Remove the newest point or box of the open prompt."""
        before = self._draft
        self.set_draft(before.without_last())
        if not self._draft:
            self._select_refined(self._key, before)

    def cycle_candidate(self, step: int) -> None:
        """Show the next or previous candidate."""
        self.set_draft(self._draft.choosing(step, len(self.candidates)))

    def preview(self, prompt: Prompt | None) -> None:
        """Ask what this prompt would give, without opening it; None ends the preview."""
        picture = self.askable_picture()
        if prompt and picture is not None and self._settings.settings.hover_preview:
            self.assistant.preview(picture, prompt)
        else:
            self._models.cancel("preview")
            self.preview_changed.emit(None)

    def _take_preview(self, answer: Answer) -> None:
        if answer.key == self._key and answer.candidates:
            self.preview_changed.emit(answer.candidates[0])

    def accept(self, category_id: int | None = None) -> None:
        """Keep the candidate shown under this class, or under the active one.

        Works before the answer has arrived, too. The next prompt can start at once.
        """
        prompt, picture = self._draft.prompt, self.picture()
        if not prompt or self._document is None:
            return
        if category_id is not None:
            self.set_active_category(category_id)
        self._accept_when_ready = picture is None
        if picture is None:
            return
        draft = self._draft
        chosen = self._active if draft.target is None else category_id
        known = self.candidates if not self._working else ()
        shown = (picture.key, self.candidate) if self.candidate is not None else None
        if shown is not None:
            self._finishing.append(shown)
            self.finishing_changed.emit(tuple(self._finishing))

        def done(finished: Finished | UserError) -> None:
            if shown is not None:
                self._finishing = [entry for entry in self._finishing if entry is not shown]
            if isinstance(finished, UserError):
                self._give_back(picture.key, draft, finished)
            else:
                self._keep(finished, draft, chosen)
            self.finishing_changed.emit(tuple(self._finishing))

        self.assistant.finish(picture, prompt, draft.choice, known, done)
        self._reset_draft()

    def _give_back(self, key: str, draft: PromptDraft, reason: UserError) -> None:
        if key == self._key and not self._draft:
            self.set_draft(draft)
        elif key != self._key:
            self._drafts.setdefault(key, draft)
        self.reported.emit(reason)

    def refine_selected(self) -> None:
        """Open a prompt that goes on from the selected object's mask.

        Raises:
            UserError: not one mask is selected.
        """
        draft = refinement.opened(self.selected)
        self.set_tool("smart")
        self.set_draft(draft)

    def _keep(self, finished: Finished, draft: PromptDraft, category_id: int | None) -> None:
        document = self._document
        if document is None:
            return
        if refinement.kept(document, self.masks, finished, draft, category_id):
            self._select_refined(finished.key, draft)
            return
        prompt = replace(draft.prompt, start=None)
        origin = Origin(
            Source.MODEL, finished.model.id, finished.model.version, finished.score, prompt
        )
        annotation = Annotation(document.new_id(), finished.mask, category_id, origin)
        name = self.name_of(category_id)
        before = document.annotations(finished.key)
        objects = self.masks.settled(before, (*before, annotation))
        document.edit(finished.key, objects, f"Add {name}")
        if finished.key == self._key and self._tool in EDITING_TOOLS and not self._draft:
            self.select((annotation.id,))
        self._suggesting.remember(annotation.id, finished.vector)
        picture = self.picture()
        if picture is not None and picture.key == finished.key:
            self._suggesting.describe_for_names(picture, finished.mask, annotation.id)

    def _select_refined(self, key: str | None, draft: PromptDraft) -> None:
        if draft.target is not None and key == self._key and not self._draft:
            self.select({draft.target} & {a.id for a in self.annotations})

    def add_shape(
        self, shape: Mask | Box, polygons: tuple[tuple[float, ...], ...] | None = None
    ) -> None:
        """Keep a shape drawn by hand under the active class and select it."""
        document, key = self._document, self._key
        if document is None or key is None:
            return
        annotation = Annotation(document.new_id(), shape, self._active, polygons=polygons)
        before = document.annotations(key)
        after = self.masks.settled(before, (*before, annotation))
        document.edit(key, after, f"Draw {self.name_of(self._active)}")
        self.select({annotation.id} & {a.id for a in after})
        self._suggesting.describe(annotation)

    def propose_everything(self) -> None:
        """Look for all objects of the current image, while the user goes on.

        Raises:
            UserError: the image is not there yet, or another one is being searched.
        """
        picture = self.picture()
        if self._document is None or picture is None:
            raise UserError("The image is still being read.", "Try again in a moment.")
        self.everything.start(self._document, picture, options_of(self._settings.settings))

    def _tell_proposed(self, key: str, text: str) -> None:
        self.noticed.emit(text if key == self._key else f"{key}: {text}")

    # --- Classes and names ---

    @property
    def active_category(self) -> int | None:
        """The class new objects get."""
        return self._active

    def set_active_category(self, category_id: int | None) -> None:
        """New objects get this class."""
        if category_id == self._active:
            return
        self._active = category_id
        if self._document is not None:
            self._document.set_note("active_category", category_id)
        self.active_category_changed.emit(category_id)

    def choose_category(self, category_id: int) -> None:
        """What a digit, a click on a class or a suggestion means.

        With an open prompt: accept it under this class. With a selection: rename it. Always: new
        objects get this class from now on.
        """
        self.set_active_category(category_id)
        if self._draft.prompt:
            self.accept(category_id)
        elif self._selection:
            self.rename_selected(category_id)

    def choose_name(self, name: str) -> None:
        """`choose_category` by name; a name the project does not know becomes a class."""
        clean = " ".join(name.split())
        if clean and self._document is not None:
            self.choose_category(self._document.add_category(clean).id)

    def accept_or_ask(self) -> None:
        """What Enter means: keep the open object, or accept the selected proposals.

        Asks for a name first where there is no class yet. A selected proposal without a class gets
        the active one, as the open object does.
        """
        if self._document is None:
            return
        chosen = [a for a in self.selected if a.proposed]
        unnamed = bool(self._draft.prompt and self._draft.target is None) or any(
            a.category_id is None for a in chosen
        )
        if unnamed and not self._document.categories():
            self.name_wanted.emit()
        elif chosen:
            self.proposals.decide_selected(accept=True, category_id=self._active)
        else:
            self.accept()

    def suggestions(self) -> tuple[Suggestion, ...]:
        """Ranked names for the open prompt, or for the one selected annotation."""
        return self._suggesting.now()

    def _follow_categories(self) -> None:
        if self._document is not None:
            known = {category.id for category in self._document.categories()}
            if self._active not in known:
                self.set_active_category(None)
        self._suggesting.tell_names()
        self._suggesting.refresh()

    def undo(self) -> None:
        """Take back the last point of an open prompt, else the last step of this image."""
        self.masks.finish()
        if self._draft:
            self.take_back()
        elif self._document is not None and self._key is not None:
            text = self._document.undo(self._key)
            self.noticed.emit(f"Undone: {text}" if text else "Nothing to undo in this image.")

    def redo(self) -> None:
        """Do the last undone step of this image again."""
        self.masks.finish()
        if self._document is not None and self._key is not None:
            text = self._document.redo(self._key)
            self.noticed.emit(f"Redone: {text}" if text else "Nothing to redo in this image.")

    # --- Tools, models, settings ---

    @property
    def tool(self) -> str:
        """The current tool's id."""
        return self._tool

    def set_tool(self, tool: str) -> None:
        """Change the tool; the open prompt stays until it is accepted or cleared.

        A tool that changes pixels accepts it: its object is selected, to be changed.
        """
        if tool != self._tool:
            self._tool = tool
            if tool in EDITING_TOOLS and self._draft.prompt:
                self.accept()
            self.preview(None)
            self.tool_changed.emit(tool)

    def _follow_settings(self, settings: Settings) -> None:
        if self._document is not None and settings.segmentation != self._segmentation:
            self._document.use_rle_only(settings.segmentation == "rle")
            self._document.save()
        if self._document is not None:
            self._document.exporter.keep_versions(settings.coco_versions)
        self._segmentation = settings.segmentation
        try:
            self.namer.use(settings.names)
        except ModelError as error:
            self.reported.emit(UserError(str(error), "Choose another one in Settings."))
        wanted = settings.model or DEFAULT_SEGMENTER
        try:
            changed = self.assistant.use(wanted, settings.device)
        except ModelError as error:
            changed = self.assistant.use(DEFAULT_SEGMENTER, settings.device)
            self.reported.emit(UserError(str(error), "The default model is used instead."))
        if changed:
            self.everything.stop()
            self.model_changed.emit(self.assistant.model)
            if (picture := self.picture()) is not None:
                self.assistant.prepare(picture)
                self._ask()
