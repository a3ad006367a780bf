"""`Everything`: proposes the objects of an image in the background, while the user works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from annotator.core.annotation import Annotation, Origin, Source
from annotator.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.mask import Mask
    from annotator.services.answering import Picture
    from annotator.services.assistant import Assistant
    from annotator.services.document import Document
    from annotator.services.settings import Settings
    from models.api import Embedding, Segmenter, SegmenterSpec
    from models.everything import Options, Proposal, Step

SLOT = "everything"
COSTLY_S = 20.0
"""Working time that is explained to the user, seconds."""
TRIAL = 6
"""Points after which the working time is estimated."""
FEWER = 8
"""Points along each side where that many take too long."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the search in an image has come.

    Attributes:
        key: the image.
        share: 0 to 1.
        found: objects so far.
    """

    key: str
    share: float
    found: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a search will take.

    Attributes:
        key: the image.
        seconds: of work in all.
        points: that are asked.
        fewer: seconds with `FEWER` points along each side; None if it has no more than that.
        model: the title of the model.
    """

    key: str
    seconds: float
    points: int
    fewer: float | None
    model: str


@dataclass(frozen=True, slots=True, eq=False)
class _Searched:
    """A step of the search, and the seconds all steps have taken."""

    step: Step
    spent: float


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """One object at full size, how it looks, and how many are still to come."""

    proposal: Proposal
    mask: Mask
    vector: NDArray[np.float32] | None
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Only objects that look like one are wanted.

    Attributes:
        vector: (d,) what that one looks like.
        at_least: the least cosine, -1 to 1.
        category_id: the class those that are found get, None for none.
    """

    vector: NDArray[np.float32]
    at_least: float
    category_id: int | None

    def fits(self, vector: NDArray[np.float32] | None) -> bool:
        """Whether something that looks like this is wanted."""
        if vector is None:
            return False
        from annotator.core.similar import closest

        return bool(closest(vector[None], self.vector, 1, self.at_least)[0].size)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a search came to its end.

    Attributes:
        found: new proposals, None if it was stopped or failed.
        step: the undo step they came in, 0 without any.
        error: why it failed.
    """

    found: int | None = None
    step: int = 0
    error: UserError | None = None


@dataclass(slots=True, eq=False)
class _Job:
    document: Document
    picture: Picture
    options: Options
    model: SegmenterSpec
    alike: Alike | None
    ended: Callable[[Ended], None] | None
    made: list[tuple[Annotation, NDArray[np.float32] | None]]
    found: int = 0
    seen: int = 0
    explained: bool = False


class Everything(QObject):
    """One search at a time, on the model thread, where clicks come first.

    A search belongs to the image it was started for: it goes on when the user looks at another
    one, and its proposals arrive there in one step that can be undone. It ends with its project,
    or when another model is chosen.

    Args:
        assistant: has the model thread.
        parent: Qt parent.
    """

    running_changed = Signal(bool)
    """Whether an image is being searched."""
    progressed = Signal(object)
    """`Progress` of the search."""
    costly = Signal(object)
    """`Cost`: this search will take long; it goes on unless it is stopped."""
    finished = Signal(str, str)
    """The image's key, and what was found in words."""
    failed = Signal(object)
    """A `UserError`: the model cannot do it."""

    def __init__(self, assistant: Assistant, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._assistant = assistant
        self._job: _Job | None = None

    @property
    def key(self) -> str | None:
        """The image that is being searched."""
        return self._job.picture.key if self._job else None

    def start(
        self,
        document: Document,
        picture: Picture,
        options: Options,
        alike: Alike | None = None,
        ended: Callable[[Ended], None] | None = None,
    ) -> None:
        """Search an image.

        Args:
            document: the project.
            picture: the image.
            options: what is asked and what is kept.
            alike: propose only what looks like this; what was proposed before stays then.
            ended: told the end, whatever it is. Nobody else hears of the search then: it is part
                of something that tells how far it is by itself.

        Raises:
            UserError: another image is being searched.
        """
        if self._job is not None:
            raise UserError(
                f"Objects are still being proposed in “{self._job.picture.key}”.",
                "Wait until that is done, or press Esc to stop it.",
            )
        job = _Job(document, picture, options, self._assistant.model, alike, ended, [])
        job.explained = ended is not None
        self._job = job
        self._assistant.work_through(
            SLOT,
            picture,
            lambda segmenter, embedding: _work(segmenter, embedding, picture, options),
            lambda result: self._take(job, result),
            lambda: self._finish(job),
            lambda error: self._fail(job, error),
        )
        if ended is None:
            self.running_changed.emit(True)
            self.progressed.emit(Progress(picture.key, 0.0, 0))

    def restart(self, side: int) -> None:
        """Search the same image again with this many points along each side."""
        if (job := self._job) is not None:
            self.stop()
            options = replace(job.options, side=side)
            self.start(job.document, job.picture, options, job.alike, job.ended)

    def stop(self) -> None:
        """End the search; nothing of it is kept."""
        if self._job is not None:
            self._assistant.stop_work(SLOT)
            self._end(Ended())

    def _end(self, how: Ended) -> None:
        job, self._job = self._job, None
        if job is not None and job.ended is not None:
            job.ended(how)
        else:
            self.running_changed.emit(False)

    def _take(self, job: _Job, result: _Searched | _Made) -> None:
        if job is not self._job:
            return
        if isinstance(result, _Made):
            self._add(job, result)
            job.seen += 1
            share = 0.9 + 0.1 * job.seen / (job.seen + result.left)
        else:
            # Which of them look right is known when all points were asked.
            job.found = len(result.step.found) if job.alike is None else 0
            share = 0.9 * result.step.done / result.step.total
            self._explain(job, result)
        if job.ended is None:
            self.progressed.emit(Progress(job.picture.key, share, job.found))

    def _explain(self, job: _Job, result: _Searched) -> None:
        step = result.step
        if job.explained or step.done < TRIAL:
            return
        job.explained = True
        each = result.spent / step.done
        if each * step.total <= COSTLY_S:
            return
        fewer = each * FEWER**2 if job.options.side > FEWER else None
        cost = Cost(job.picture.key, each * step.total, step.total, fewer, job.model.title)
        self.costly.emit(cost)

    def _add(self, job: _Job, made: _Made) -> None:
        proposal, model, alike = made.proposal, job.model, job.alike
        if alike is not None:
            if not alike.fits(made.vector):
                return
            job.found += 1
        origin = Origin(
            Source.MODEL, model.id, model.version, proposal.candidate.score, proposal.prompt,
            stability=proposal.stability,
        )  # fmt: skip
        if alike is None:
            name = _name(job.document, made.vector)
        else:
            known = {category.id for category in job.document.categories()}
            name = alike.category_id if alike.category_id in known else None
        annotation = Annotation(job.document.new_id(), made.mask, name, origin, proposed=True)
        job.made.append((annotation, made.vector))

    def _finish(self, job: _Job) -> None:
        if job is not self._job:
            return
        key, document = job.picture.key, job.document
        from annotator.core.everything import added, merged

        present = document.annotations(key)
        proposals = [annotation for annotation, _ in job.made]
        join = merged if job.alike is None else added
        after, new = join(present, proposals, job.options.max_overlap)
        what = "Propose everything" if job.alike is None else "Find similar"
        step = 0
        if after != present:
            step = document.edit(key, after, f"{what}: {_count(len(new))}")
            self._remember(job, {annotation.id for annotation in new})
        self._end(Ended(len(new), step))
        if job.ended is None:
            self.finished.emit(key, _told(len(new), len(proposals) - len(new), job.alike))

    def _remember(self, job: _Job, kept: set[int]) -> None:
        from models.describe import BasicDescriber

        for annotation, vector in job.made:
            if vector is not None and annotation.id in kept:
                job.document.set_vector(annotation.id, BasicDescriber().id, vector)

    def _fail(self, job: _Job, error: UserError) -> None:
        if job is self._job:
            self._end(Ended(error=error))
            if job.ended is None:
                self.failed.emit(error)


def options_of(settings: Settings) -> Options:
    """What the user prefers."""
    from models.everything import Options

    score, stability = settings.propose_score, settings.propose_stability
    return Options(
        side=settings.propose_side,
        min_score=score if score >= 0 else None,
        min_stability=stability if stability >= 0 else None,
        max_overlap=settings.propose_overlap,
        min_area=settings.propose_area,
    )


def _told(new: int, known: int, alike: Alike | None) -> str:
    """What was found, in words."""
    if not new:
        like = "" if alike is None else "similar "
        return f"Found no {like}object that is not there yet."
    text = f"Proposed {_count(new)}" if alike is None else f"Found {_count(new, 'similar object')}"
    return f"{text}; {known} known already." if known else f"{text}."


def _count(number: int, noun: str = "object") -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _name(document: Document, vector: NDArray[np.float32] | None) -> int | None:
    """The class that the project's named objects suggest, if they leave no doubt."""
    if vector is None:
        return None
    from annotator.core.suggestions import sure
    from models.describe import BasicDescriber

    _, categories, vectors = document.vectors(BasicDescriber().id)
    found = sure(document.categories(), categories, vectors, vector)
    return found.id if found is not None else None


# The rest runs on the model thread.


def _work(
    segmenter: Segmenter, embedding: Embedding, picture: Picture, options: Options
) -> Iterator[_Searched | _Made]:
    """Search, then make one object after the other at full size; a short step each."""
    from annotator.core import views
    from annotator.core.rendering import mask_of
    from models import everything
    from models.describe import BasicDescriber

    found: tuple[Proposal, ...] = ()
    spent, began = 0.0, time.perf_counter()
    for step in everything.steps(segmenter, embedding, options):
        found = step.found
        # Between two steps the thread may have answered clicks: that is not counted.
        spent += time.perf_counter() - began
        yield _Searched(step, spent)
        began = time.perf_counter()
    describer = BasicDescriber()
    for number, proposal in enumerate(found):
        mask = mask_of(segmenter, embedding, proposal.candidate)
        view = views.of_mask(picture.pixels, mask)
        if view is not None:
            yield _Made(proposal, mask, describer.describe(*view), len(found) - number - 1)
