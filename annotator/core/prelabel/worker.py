"""One of many workers of a run: a model of its own, and shard after shard. Knows nothing of Ray.

What travels to it are values: the model as its id, everything else pickled. It makes the same
proposals as one machine does, or says why it cannot.
"""

from __future__ import annotations

import os
import pickle
import platform
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.core.annotation import Category
from annotator.core.cv import cv2
from annotator.core.errors import UserError
from annotator.core.image_header import file_error
from annotator.core.memory import keep_freed_memory
from annotator.core.prelabel.boxes import Boxes
from annotator.core.prelabel.joining import Namer
from annotator.core.prelabel.naming import Lines, Tally
from annotator.core.prelabel.numbering import class_names
from annotator.core.prelabel.open_names import OpenNames
from annotator.core.prelabel.pipeline import Failed, Read, outcomes
from annotator.core.prelabel.reading import reader
from annotator.core.prelabel.results_file import entries
from annotator.core.prelabel.run import Run
from annotator.core.prelabel.shards import (
    Plan,
    Shard,
    differences,
    entries_of,
    read_shards,
    shard_name,
    write_shard,
)
from annotator.core.prelabel.storage import Storage
from annotator.core.troubles import Trouble
from models.api import ModelError, Segmenter, SegmenterSpec
from models.labelling import Name, labeller_spec, unasked
from models.registry import segmenter_spec
from models.runtimes import Device, using

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from annotator.core.images import LoadedImage
    from annotator.core.prelabel.proposing import ProposalSource


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What all workers of a run do.

    Attributes:
        folder: the images.
        shards: where they and the plan are.
        plan: of the run.
        model: `SegmenterSpec.id`, or `LabellerSpec.id`.
        names: the vocabulary of a labeller; None: the model is a segmenter.
        device: see `models.runtimes.using`.
        source: what is asked.
        categories: of the project.
        memory: classes (n,) and vectors (n, d) of its named objects.
        only_existing: leave boxes out whose class the project does not have.
        cpus: cores each worker may use.
    """

    folder: Storage
    shards: Storage
    plan: Plan
    model: str
    names: tuple[Name, ...] | None
    device: Device
    source: ProposalSource
    categories: tuple[Category, ...]
    memory: tuple[NDArray[np.int64], NDArray[np.float32]]
    only_existing: bool
    cpus: int = 1


@dataclass(frozen=True, slots=True)
class Order:
    """One shard to be done.

    Attributes:
        number: of the shard.
        part: from `part_of`; what is asked about its images, if that is more than `Job.source`
            knows.
        again: try the images again that failed when it was done before.
    """

    number: int
    part: bytes = b""
    again: bool = False


@dataclass(slots=True)
class Report:
    """What became of a shard.

    Attributes:
        made: images.
        proposals: new ones.
        named: those that got a name from the project's memory.
        classes: new ones.
        skipped: how many boxes were left out by label.
        failed: reasons by key.
        troubles: everything else that was not as it should be.
        stopped: why nothing could be done, or "": the run cannot go on.
        worker: machine and process.
    """

    made: int = 0
    proposals: int = 0
    named: int = 0
    classes: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    stopped: str = ""
    worker: str = ""


class Worker:
    """Does shards; one model for all of them.

    Args:
        job: what is done.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._segmenter: Segmenter | None = None
        self._stopped = ""
        self.name = f"{platform.node()}:{os.getpid()}"
        keep_freed_memory()
        cv2.setNumThreads(job.cpus)
        try:
            spec = _spec(job)
            if (missing := spec.available()) is not None:
                raise ModelError(missing)
            with using(job.device):
                self._segmenter = spec.load()
                if isinstance(job.source, OpenNames):
                    job.source.prepare(self._segmenter)
            _check(self._segmenter, job.source, job.plan)
        except (UserError, ModelError) as error:
            # Raised here it would look like a machine that died, and be tried for ever.
            self._stopped = f"{self.name}: {error}"

    def do(self, order: Order) -> Report:
        """Do a shard, unless it is done."""
        report = Report(worker=self.name, stopped=self._stopped)
        if self._segmenter is None or self._stopped:
            return report
        try:
            self._do(order, self._segmenter, report)
        except (UserError, ModelError) as error:
            report.stopped = f"{self.name}: {error}"
        return report

    def _do(self, order: Order, segmenter: Segmenter, report: Report) -> None:
        storage, plan = self._job.shards, self._job.plan
        before = self._before(order.number)
        if before is not None and not (order.again and before.failed):
            # Whoever did it died before it could say so.
            report.made = before.last - before.first + 1 - len(before.failed)
            report.proposals, report.failed = before.proposals, dict(before.failed)
            return
        numbers = {key: number for number, key in plan.listing(storage, order.number)}
        found = {} if before is None else entries_of(storage, before)
        todo = list(numbers if before is None else before.failed)
        source = _whole(self._job.source, order.part)
        found.update(self._found(todo, numbers, segmenter, source, report))
        together = [entry for key in numbers for entry in found.get(key, ())]
        write_shard(storage, plan, order.number, together, report.failed)

    def _before(self, number: int) -> Shard | None:
        part = self._job.plan.part(number)
        if not self._job.shards.exists(shard_name(*part)):
            return None
        return next(read_shards(self._job.shards, [part], self._job.plan))

    def _found(
        self,
        todo: Sequence[str],
        numbers: Mapping[str, int],
        segmenter: Segmenter,
        source: ProposalSource,
        report: Report,
    ) -> dict[str, list[bytes]]:
        """The entries of images by their key."""
        job, tally = self._job, Tally()
        namer = Namer(job.categories, *job.memory)
        lines = Lines(namer, job.only_existing, job.plan.classes, tally)
        names = class_names(job.plan.classes)
        found: dict[str, list[bytes]] = {}
        with tempfile.TemporaryDirectory() as scratch:
            read = reading(job.folder, Path(scratch), segmenter, source)
            for outcome in outcomes(todo, read, segmenter, source):
                key = outcome.key
                if isinstance(outcome, Failed):
                    report.failed[key] = str(outcome.error)
                    continue
                report.troubles += [(one.what, one.where) for one in outcome.troubles]
                values = lines.of(outcome.found)
                found[key] = list(entries(key, numbers[key], values, *names))
        report.made, report.proposals, report.named = len(found), tally.new, tally.named
        report.classes, report.skipped = tally.classes, dict(tally.skipped)
        return found


def troubles_of(report: Report) -> list[Trouble]:
    """The troubles of a report."""
    return [Trouble(*one) for one in report.troubles]


def part_of(source: ProposalSource, keys: Callable[[], Iterable[str]]) -> bytes:
    """What a source knows about some images only, pickled; b"" if it knows the same about all.

    Args:
        source: of the run.
        keys: reads which images; called only if that matters.
    """
    inner = source.inner if isinstance(source, OpenNames) else source
    return pickle.dumps(inner.only(keys())) if isinstance(inner, Boxes) else b""


def without_parts(source: ProposalSource) -> ProposalSource:
    """A source without what belongs to single images; see `part_of`."""
    if isinstance(source, OpenNames):
        return source.around(without_parts(source.inner))
    return source.only(()) if isinstance(source, Boxes) else source


def _whole(source: ProposalSource, part: bytes) -> ProposalSource:
    """The inverse of `without_parts` for some images."""
    if not part:
        return source
    inner: ProposalSource = pickle.loads(part)
    return source.around(inner) if isinstance(source, OpenNames) else inner


def _spec(job: Job) -> SegmenterSpec:
    if job.names is None:
        return segmenter_spec(job.model)
    return unasked(labeller_spec(job.model), job.names)


def _check(segmenter: Segmenter, source: ProposalSource, plan: Plan) -> None:
    """Refuse to make other proposals than the other workers."""
    classes = plan.settings.get("classes")
    own = Run.of(segmenter, source, classes=classes).settings
    if own != plan.settings:
        raise ModelError(
            "This machine would make other proposals than the one the run was started on "
            f"({differences(own, plan.settings)}). Install the same program and the same weights."
        )


def reading(folder: Storage, scratch: Path, segmenter: Segmenter, source: ProposalSource) -> Read:
    """Reads images for a run, those on object storage through a copy.

    A copy, so that they are read as on one machine, with the same messages.
    """
    if (local := folder.local) is not None:
        return reader(local, segmenter, source)
    read = reader(scratch, segmenter, source)

    def fetched(key: str) -> LoadedImage:
        copy = scratch / key
        try:
            folder.fetch(key, copy)
            return read(key)
        except OSError as error:
            raise file_error(copy, error) from error
        finally:
            copy.unlink(missing_ok=True)

    return fetched
