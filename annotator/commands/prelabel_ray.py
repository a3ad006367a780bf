"""`annotator prelabel --engine ray`: the run as shards, done by workers of a Ray cluster."""

from __future__ import annotations

import argparse
import logging
import math
import os
import pickle
import sys
import time
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands import prelabel_options as options
from annotator.commands.images import image_keys
from annotator.commands.prelabel_cluster import project_place, shards_of
from annotator.commands.prelabel_kinds import labeller_names, segmenter_of
from annotator.commands.prelabel_parts import detections_of, source_of
from annotator.commands.prelabel_report import Result
from annotator.commands.progress import progress, say
from annotator.core.errors import UserError
from annotator.core.formats.detections.values import Known
from annotator.core.prelabel.joining import in_scope
from annotator.core.prelabel.storage import Storage
from annotator.core.vocabulary import TEMPLATES
from models.api import ModelError, Segmenter, SegmenterSpec

if TYPE_CHECKING:
    from annotator.core.formats.detections.masks import ReadyMasks
    from annotator.core.formats.detections.values import Detections
    from annotator.core.prelabel.joining import Namer
    from annotator.core.prelabel.proposing import ProposalSource
    from annotator.core.prelabel.shards import Plan
    from annotator.core.prelabel.worker import Job, Order, Report
    from annotator.services.glance import Glance

WORKERS, CPUS = 2, 1.0
MOST_SAID = 20
MOST_BLOCKS = 10_000
"""Pieces of work Ray keeps books about; a worker that dies loses one shard all the same."""
RETRIES = 5
"""How often a worker may die of the same shard before the run stops."""
_STORE = 256 << 20
"""Bytes of Ray's own memory on this machine: orders and reports are small."""


def prelabel(given: argparse.Namespace, spec: SegmenterSpec, result: Result) -> int:
    """Do what was asked for.

    Returns:
        0 when all images are done, 1 when some failed or it was stopped.

    Raises:
        RefusedError: what was asked for makes no sense.
        UserError: something cannot be read or written, or the cluster does not work.
        ModelError: the model cannot be loaded.
    """
    missing = spec.available()
    if missing is not None:
        raise ModelError(missing)
    began = time.monotonic()
    shards = shards_of(given)
    result.out = str(given.out or shards.url)
    try:
        job, orders = _planned(given, spec, shards, result)
        if orders:
            _work(given, job, orders, result)
        if given.out is not None and not result.stopped:
            from annotator.core.prelabel.merging import merge

            result.failed.update(merge([shards], given.out).failed)
    finally:
        result.seconds = round(time.monotonic() - began, 3)
    return 1 if result.stopped or result.failed else 0


# --- The plan ---


@dataclass(frozen=True, slots=True)
class _Project:
    """What the numbers of classes and images mean; see `annotator.services.prelabelling`."""

    glance: Glance
    plan: Plan | None

    def known(self, *, resume: bool) -> Known:
        """See `annotator.services.prelabelling.Target`."""
        categories: Mapping[Any, str] = {one.id: one.name for one in self.glance.categories}
        if resume and self.plan is not None:
            categories = {int(number): name for number, name in self.plan.known.items()}
        return Known({one.id: one.key for one in self.glance.records.values()}, categories)

    def namer(self, *, resume: bool) -> Namer:
        """See `annotator.services.prelabelling.Target`."""
        from annotator.core.prelabel.joining import Namer

        return Namer(self.glance.categories, *self.glance.memory)

    @property
    def templates(self) -> tuple[str, ...]:
        """See `annotator.services.prelabelling.Target`."""
        return TEMPLATES


def _planned(
    given: argparse.Namespace, spec: SegmenterSpec, shards: Storage, result: Result
) -> tuple[Job, list[Order]]:
    """What workers do, and the shards that are left."""
    from annotator.core.prelabel.run import RefusedError, Run
    from annotator.core.prelabel.shards import read_plan
    from annotator.core.prelabel.worker import Job, without_parts
    from models.runtimes import using

    plan = read_plan(shards)
    if plan is not None and not given.resume:
        raise RefusedError(
            f"“{shards.url}” holds a run already.",
            "Continue it with --resume, or name another folder with --shards.",
        )
    if plan is None and given.resume:
        say("There is nothing to go on with: this begins with the first image.")
    project = _Project(_glance(given), plan)
    folder = Storage.at(given.folder)
    keys = _keys(given, folder, shards, plan)
    if given.boxes is not None:
        keys = list(keys)
    detections = detections_of(given, keys if isinstance(keys, list) else (), project, result)
    device = options.settings().device
    with using(device):
        segmenter = segmenter_of(given, spec)
        source = _source(given, detections, project, segmenter)
        run = Run.of(segmenter, source, classes=given.classes)
    known = detections.known if detections is not None else Known()
    if plan is None:
        plan = _new_plan(given, shards, keys, run, source, known, project.glance)
    else:
        run.check(plan.settings)
    result.images = plan.images
    job = Job(
        folder, shards, plan, spec.id, labeller_names(given), device, without_parts(source),
        project.glance.categories, project.glance.memory, given.classes == "existing",
        max(1, int(_or(given.cpus_per_worker, CPUS))),
    )  # fmt: skip
    return job, list(_orders(shards, plan, source, result))


def _source(
    given: argparse.Namespace,
    detections: Detections | ReadyMasks | None,
    project: _Project,
    segmenter: Segmenter,
) -> ProposalSource:
    from annotator.commands.prelabel_names import named
    from annotator.core.prelabel.as_is import AsIs

    source = source_of(given, detections)
    assert not isinstance(source, AsIs), "refused with the options"
    return source if given.vocabulary is None else named(given, source, project, segmenter)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _glance(given: argparse.Namespace) -> Glance:
    from annotator.services.glance import glance
    from models.describe import BasicDescriber

    space = BasicDescriber().id
    return glance(project_place(given), given.project, space)


def _keys(
    given: argparse.Namespace, folder: Storage, shards: Storage, plan: Plan | None
) -> Iterator[str] | list[str]:
    """All images, or those of the plan."""
    if plan is not None:
        return (key for n in range(len(plan)) for _, key in plan.listing(shards, n))
    if isinstance(given.folder, Path):
        return image_keys(given.folder)
    return folder.image_keys()


def _new_plan(
    given: argparse.Namespace,
    shards: Storage,
    keys: Iterator[str] | list[str],
    run: Any,
    source: ProposalSource,
    listed: Known,
    project: Glance,
) -> Plan:
    from annotator.core.prelabel.numbering import class_numbers, image_numbers
    from annotator.core.prelabel.shards import write_plan

    own = [(record.id, key) for key, record in project.records.items()]
    numbers = image_numbers(listed, own, keys if isinstance(keys, list) else ())
    meant = (
        (number, key)
        for number, key in numbers.each(keys)
        if in_scope(project.records.get(key), given.scope)
    )
    plan = write_plan(
        shards,
        islice(meant, given.limit),
        given.shard_size,
        run.settings,
        {str(one.id): one.name for one in project.categories},
        class_numbers(listed.categories, project.categories, source.labels),
    )
    if not plan.images and not isinstance(keys, list):
        say(f"There are no images in “{given.folder}”.")
    return plan


def _orders(shards: Storage, plan: Plan, source: ProposalSource, result: Result) -> Iterator[Order]:
    """The shards that are not done, and those in which images failed."""
    from annotator.core.prelabel.shards import read_shards, shards_in
    from annotator.core.prelabel.worker import Order, part_of

    done, again = set(), set()
    for shard in read_shards(shards, shards_in(shards), plan):
        number = shard.first // plan.size
        done.add(number)
        result.resumed += shard.last - shard.first + 1 - len(shard.failed)
        if shard.failed:
            again.add(number)
    for number in range(len(plan)):
        if number in done and number not in again:
            continue
        part = part_of(source, partial(_keys_in, plan, shards, number))
        yield Order(number, part, number in again)


def _keys_in(plan: Plan, shards: Storage, number: int) -> list[str]:
    return [key for _, key in plan.listing(shards, number)]


# --- The work ---


class RayWorker:
    """What Ray Data calls with every row: one process, one model.

    Args:
        job: a pickled `annotator.core.prelabel.worker.Job`.
    """

    def __init__(self, job: bytes) -> None:
        from annotator.core.prelabel.worker import Worker

        self._worker = Worker(pickle.loads(job))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Do the shard of a row; the report is the row that comes back."""
        return {"report": pickle.dumps(self._worker.do(pickle.loads(row["order"])))}


def _work(given: argparse.Namespace, job: Job, orders: Sequence[Order], result: Result) -> None:
    with (
        progress(result) as show,
        _quiet(),
        _cluster(given),
        closing(_reports(given, job, orders)) as coming,
    ):
        for report in coming:
            _take(report, result)
            show()
            if result.stopped:
                return


def _take(report: Report, result: Result) -> None:
    from annotator.core.prelabel.worker import troubles_of

    result.stopped = report.stopped
    result.made += report.made
    result.proposals += report.proposals
    result.named += report.named
    result.classes += [name for name in report.classes if name not in result.classes]
    for name, count in report.skipped.items():
        result.skipped[name] = result.skipped.get(name, 0) + count
    result.troubles.add(troubles_of(report))
    for key, reason in report.failed.items():
        if len(result.failed) < MOST_SAID:
            say(f"{key}: {reason}")
        result.failed[key] = reason
    if report.worker not in result.workers:
        result.workers.append(report.worker)


def _reports(
    given: argparse.Namespace, job: Job, orders: Sequence[Order]
) -> Generator[Report, None, None]:
    import ray.data
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = [{"order": pickle.dumps(order)} for order in orders]
    worker: Any = RayWorker  # Ray's types know only functions
    workers = min(given.workers or WORKERS, len(rows))
    with warnings.catch_warnings():
        # It wants named parameters, and has none for retries; without a limit an image that kills
        # its worker would be tried for ever.
        warnings.simplefilter("ignore", DeprecationWarning)
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map(
            worker,
            fn_constructor_args=(pickle.dumps(job),),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=_or(given.cpus_per_worker, CPUS),
            num_gpus=_or(given.gpus_per_worker, 0),
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
    try:
        for row in data.iter_rows():
            yield pickle.loads(row["report"])
    except RayError as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"Ray gave up ({why[-1]}).",
            "If workers died of too little memory, use fewer; then go on with --resume.",
        ) from error


@contextmanager
def _cluster(given: argparse.Namespace) -> Iterator[None]:
    """Ray, started for this run or joined."""
    # Before it is imported: nothing is sent to anybody.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Else it says on every start that arguments of workers are kept in its object store.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if given.address is None:
            cpus = math.ceil((given.workers or WORKERS) * _or(given.cpus_per_worker, CPUS))
            ray.init(
                address="local", num_cpus=max(cpus, os.cpu_count() or 1),
                object_store_memory=_STORE, include_dashboard=False, **quiet,
            )  # fmt: skip
        else:
            ray.init(address=given.address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"Ray cannot be used: {error}", "Check --address.") from error
    try:
        cluster: Any = ray
        _check_gpus(given, cluster.cluster_resources())
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Standard output belongs to the summary: what Ray's native code says there goes elsewhere."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _check_gpus(given: argparse.Namespace, there: Mapping[str, float]) -> None:
    from annotator.core.prelabel.run import RefusedError

    wanted = (given.workers or WORKERS) * _or(given.gpus_per_worker, 0)
    if given.address is None and wanted > there.get("GPU", 0):
        raise RefusedError(
            f"This machine has {there.get('GPU', 0):g} GPUs for Ray, not {wanted:g}.",
            "Say fewer --workers, a smaller --gpus-per-worker, or --address of a cluster.",
        )
