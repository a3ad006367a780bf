"""`ImageLabelling`: a model that needs no prompts proposes everything with a name in one image."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.core.vocabulary import parse
from annotator.services.priority import lower_priority
from annotator.services.task_queue import CLOSING_S, TaskQueue
from models.api import ModelError
from models.encoding import EncodingStoppedError, Passed, watched

if TYPE_CHECKING:
    from annotator.core.annotation import Annotations, Category
    from annotator.core.prelabel.proposing import Outcome
    from annotator.services.answering import Picture
    from annotator.services.document import Document
    from annotator.services.settings import SettingsStore
    from annotator.services.workspace import Workspace
    from models.labelling import Labeller, LabellerSpec, Name
    from models.runtimes import Device

SLOT = "label"
TELLING = 0.2
"""Share of the work from which on the rest of the time is estimated."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        key: the image.
        share: 0 to 1.
        part: what was done last, for people; "" while the model is loaded.
        left: seconds, None while nobody can say.
        device: where it runs, and why; sentences for people, "" while nobody can say.
    """

    key: str
    share: float = 0.0
    part: str = ""
    left: float | None = None
    device: str = ""


@dataclass(frozen=True, slots=True)
class Labelled:
    """What came of it.

    Attributes:
        key: the image.
        new: proposals.
        known: objects that were there already.
        only: the name that was looked for, "" for all of them.
        seconds: it took, without loading the model and learning names.
        device: where the model runs, and why; sentences for people.
        model: `LabellerSpec.id`.
    """

    key: str
    new: int
    known: int
    only: str
    seconds: float
    device: str
    model: str


@dataclass(slots=True, eq=False)
class _Job:
    document: Document
    picture: Picture
    spec: LabellerSpec
    names: tuple[Name, ...]
    only: str
    stopped: threading.Event


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    outcome: Outcome
    seconds: float
    device: str


class ImageLabelling(QObject):
    """One image at a time, on a thread of its own that gives way to clicks.

    It belongs to the image it was started for: it goes on when the user looks at another one, and
    its proposals arrive there, in one step that can be undone.

    Args:
        workspace: what is open.
        settings: what models may run on.
        parent: Qt parent.
    """

    running_changed = Signal(bool)
    """Whether an image is being labelled."""
    progressed = Signal(object)
    """`Progress`."""
    finished = Signal(object)
    """`Labelled`."""
    failed = Signal(object)
    """A `UserError`: the model cannot do it."""

    def __init__(
        self, workspace: Workspace, settings: SettingsStore, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._workspace, self._settings = workspace, settings
        self._queue: TaskQueue | None = None
        self._job: _Job | None = None
        self._seconds: dict[str, float] = {}
        # The thread's own.
        self._loaded: tuple[LabellerSpec, Device, Labeller] | None = None
        workspace.project_closing.connect(self.stop)

    @property
    def running(self) -> bool:
        """Whether an image is being labelled."""
        return self._job is not None

    def seconds(self, model: str) -> float | None:
        """How long a model took for the last image here; None before the first one."""
        return self._seconds.get(model)

    def start(self, spec: LabellerSpec, names: Sequence[Name], only: str = "") -> None:
        """Label the current image.

        Args:
            spec: the model.
            names: what is looked for.
            only: the one name, if it is one that somebody asked for; then proposals with other
                names stay.

        Raises:
            UserError: there is no image, or one is being labelled already.
        """
        workspace = self._workspace
        document, picture = workspace.document, workspace.picture()
        if document is None or picture is None:
            raise UserError("The image is still being read.", "Try again in a moment.")
        if self._job is not None:
            raise UserError(
                f"“{self._job.picture.key}” is still being labelled.",
                "Wait until that is done, or press Esc to stop it.",
            )
        job = _Job(document, picture, spec, tuple(names), only, threading.Event())
        self._job = job
        if self._queue is None:
            self._queue = TaskQueue("label", self)
            self._queue.submit("priority", lower_priority, lambda _: None, lambda _: None)
        device = self._settings.settings.device
        self._queue.submit(
            SLOT,
            lambda: self._work(job, device),
            partial(self._take, job),
            partial(self._fail, job),
        )
        self.running_changed.emit(True)
        self.progressed.emit(Progress(picture.key))

    def stop(self) -> None:
        """End it after the step the model is at; nothing is proposed."""
        if (job := self._job) is not None:
            self._end(job)

    def close(self) -> None:
        """End the thread; what it works at is not waited for."""
        self.stop()
        if self._queue is not None:
            self._queue.close(patience=CLOSING_S)
            self._queue = None

    def _end(self, job: _Job) -> None:
        job.stopped.set()
        self._job = None
        if self._queue is not None:
            self._queue.cancel(SLOT)
        self.running_changed.emit(False)

    def _take(self, job: _Job, found: _Found) -> None:
        if job is not self._job:
            return
        self._seconds[job.spec.id] = found.seconds
        present = job.document.annotations(job.picture.key)
        overlap = self._settings.settings.propose_overlap
        after, new, known = _joined(job, present, found.outcome, overlap)
        if after != present:
            what = f"Find all “{job.only}”" if job.only else "Label"
            text = f"{what}: {new} object{'' if new == 1 else 's'}"
            job.document.edit(job.picture.key, after, text)
        self._end(job)
        self.finished.emit(
            Labelled(job.picture.key, new, known, job.only, found.seconds, found.device,
                     job.spec.id)
        )  # fmt: skip

    def _fail(self, job: _Job, error: Exception) -> None:
        if job is not self._job:
            return
        self._end(job)
        if isinstance(error, EncodingStoppedError):
            return
        if not isinstance(error, UserError | ModelError):
            raise error
        self.failed.emit(error if isinstance(error, UserError) else UserError(str(error)))

    def _tell(self, job: _Job, progress: Progress) -> None:
        if job is self._job:
            self.progressed.emit(progress)

    # --- On the thread ---

    def _work(self, job: _Job, device: Device) -> _Found:
        from annotator.core.prelabel.instances import InstanceOptions, Instances
        from annotator.core.prelabel.proposing import propose
        from models.labelling import Unasked

        model = Unasked(self._load(job.spec, device), job.names)
        source = Instances(job.names, InstanceOptions())
        clock = _Clock()

        def report(passed: Passed) -> None:
            left = clock.left(passed)
            said = Progress(job.picture.key, passed.share, passed.part, left, model.device)
            assert self._queue is not None
            self._queue.tell(lambda: self._tell(job, said))

        with watched(report, job.stopped.is_set):
            outcome = propose(job.picture.pixels, job.picture.key, model, source)
        return _Found(outcome, clock.seconds, model.device)

    def _load(self, spec: LabellerSpec, device: Device) -> Labeller:
        from models.runtimes import using

        if self._loaded is None or self._loaded[:2] != (spec, device):
            self._loaded = None  # two of them may not fit into the memory
            if (missing := spec.available()) is not None:
                raise ModelError(missing)
            with using(device):
                self._loaded = (spec, device, spec.load())
        return self._loaded[2]


class _Clock:
    """How long an image takes, without what is learnt once for all images."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._base = 0.0

    @property
    def seconds(self) -> float:
        """Since the image itself was begun."""
        return time.perf_counter() - self._began

    def left(self, passed: Passed) -> float | None:
        """The seconds that are left, None while nobody can say."""
        if passed.part.startswith(("text model", "names")):
            self._began, self._base = time.perf_counter(), 0.0
            return None
        return self.seconds * (1 - passed.share) / passed.share if passed.share > TELLING else None


def _joined(
    job: _Job, present: Annotations, outcome: Outcome, max_overlap: float
) -> tuple[Annotations, int, int]:
    """The objects of the image with the new proposals, how many these are, and were known."""
    from annotator.core.prelabel.joining import ClassNames, is_replaceable, joined

    document = job.document
    names = ClassNames(document.categories())
    made = []
    for one in outcome.found:
        category = names.find(one.origin.label)
        if category is None:
            category = document.add_category(one.origin.label).id
            names.add(one.origin.label, category)
        made.append(Annotation(document.new_id(), one.mask, category, one.origin, proposed=True))
    kept: Annotations = ()
    if job.only:
        # Proposals with other names stay: nobody looked for them.
        kept = tuple(
            one
            for one in present
            if is_replaceable(one, names, "instances") and one.origin.label != job.only
        )
    staying = {one.id for one in kept}
    rest = tuple(one for one in present if one.id not in staying)
    after, new = joined(rest, made, max_overlap, {"ask": "instances"}, names)
    if kept:
        place = {one.id: number for number, one in enumerate(present)}
        after = tuple(sorted((*kept, *after), key=lambda one: place.get(one.id, len(place))))
    return after, len(new), len(made) - len(new)


def told(done: Labelled) -> str:
    """What came of it, in words."""
    if not done.new:
        what = f"“{done.only}”" if done.only else "object with one of your names"
        return f"Found no {what} that is not there yet."
    count = f"{done.new} object{'' if done.new == 1 else 's'}"
    text = f"Found “{done.only}”: {count}" if done.only else f"Proposed {count}"
    return f"{text}; {done.known} known already." if done.known else f"{text}."


def wanted(text: str, categories: Sequence[Category]) -> Name:
    """The name somebody typed as in the vocabulary: "vehicle, car, truck", "~sky" for stuff.

    A class of the project brings its own synonyms, and is stuff if it is that.

    Raises:
        UserError: there is no name.
    """
    from annotator.core.prelabel.joining import ClassNames
    from models.labelling import Name

    entries = parse(text).entries
    if not entries:
        raise UserError("There is no name to look for.", "Type one, for example: dog")
    entry = entries[0]
    number = ClassNames(categories).find(entry.name)
    if number is None:
        return Name(entry.name, entry.synonyms, entry.is_thing is not False)
    own = next(one for one in categories if one.id == number)
    both = dict.fromkeys((*own.synonyms, *entry.synonyms))
    return Name(own.name, tuple(both), own.is_thing and entry.is_thing is not False)
