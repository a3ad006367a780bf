"""The shards of a run as one results file: that of a run on one machine, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from annotator.core.files import explain, write_atomic
from annotator.core.prelabel.results_file import BEGIN, BETWEEN, END, NOTHING
from annotator.core.prelabel.run import RefusedError
from annotator.core.prelabel.shards import (
    PLAN,
    Plan,
    Shard,
    body,
    differences,
    entries_of,
    read_plan,
    read_shards,
    shard_name,
    shards_in,
)
from annotator.core.prelabel.storage import Storage


@dataclass(slots=True)
class Merged:
    """What has been merged.

    Attributes:
        images: of the run.
        shards: of the run.
        twice: shards that were there more than once, with the same content.
        proposals: written.
        failed: reasons by key, of images nothing could be done with.
    """

    images: int
    shards: int = 0
    twice: int = 0
    proposals: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def merge(places: Sequence[Storage], out: Path) -> Merged:
    """Write the results of a run; memory does not depend on how much there is.

    Args:
        places: folders with shards of one run, in any order.
        out: the file.

    Raises:
        UserError: something cannot be read or written; the file is as it was.
        RefusedError: the folders contradict each other, or a shard is missing; likewise.
    """
    plan = _one_plan(places)
    merged = Merged(plan.images)

    def chunks() -> Iterator[bytes]:
        before = BEGIN
        for storage, shard in _in_order(places, plan, merged):
            merged.shards += 1
            merged.proposals += shard.proposals
            merged.failed.update(shard.failed)
            for piece in body(storage, shard):
                yield before + piece
                before = b""
            before = before if before == BEGIN else BETWEEN
        yield NOTHING if before == BEGIN else END

    try:
        write_atomic(out, chunks())
    except OSError as error:
        raise explain(error, out) from error
    return merged


def _one_plan(places: Sequence[Storage]) -> Plan:
    plan: Plan | None = None
    for storage in places:
        other = read_plan(storage)
        if other is None:
            raise RefusedError(
                f"“{storage.url}” holds no “{PLAN}”, so no run wrote its shards there.",
                "Name the folder that was named with --shards.",
            )
        if plan is not None and other.id != plan.id:
            why = differences(other.settings, plan.settings)
            raise RefusedError(
                f"“{storage.named(PLAN)}” is the plan of another run than "
                f"“{places[0].named(PLAN)}” ({why}).",
                "Merge the shards of one run at a time.",
            )
        plan = plan or other
    assert plan is not None
    return plan


def _in_order(
    places: Sequence[Storage], plan: Plan, merged: Merged
) -> Iterator[tuple[Storage, Shard]]:
    """Every shard once, in the order of the images."""
    streams = [_Stream(storage, plan) for storage in places]
    for number in range(len(plan)):
        part = plan.part(number)
        found = [(stream.storage, shard) for stream in streams if (shard := stream.take(part))]
        if not found:
            raise RefusedError(
                f"The shard of the images {part[0]} to {part[1]} is missing: there is no "
                f"“{places[0].named(shard_name(*part))}”.",
                "Continue the run with --resume, or name the other folders with its shards.",
            )
        best = min(found, key=lambda one: len(one[1].failed))
        for storage, shard in found:
            _check_same(best, (storage, shard))
        merged.twice += len(found) - 1
        yield best
    for stream in streams:
        stream.check_end()


def _check_same(one: tuple[Storage, Shard], other: tuple[Storage, Shard]) -> None:
    """Refuse two shards that say different things about an image that failed in neither."""
    if one[1].sha256 == other[1].sha256:
        return
    first, second = entries_of(*one), entries_of(*other)
    failed = one[1].failed.keys() | other[1].failed.keys()
    if any(first.get(key) != second.get(key) for key in (first.keys() | second.keys()) - failed):
        raise RefusedError(
            f"“{other[0].named(other[1].results)}” and “{one[0].named(one[1].results)}” say "
            "different things about the same images.",
            "Name only the folder that is right.",
        )


class _Stream:
    """The shards of one folder, in the order of the images."""

    def __init__(self, storage: Storage, plan: Plan) -> None:
        self.storage = storage
        self._shards = read_shards(storage, shards_in(storage), plan)
        self._next = next(self._shards, None)

    def take(self, part: tuple[int, int]) -> Shard | None:
        """The shard of these images, if it is here."""
        shard = self._next
        if shard is None or shard.first > part[1]:
            return None
        if (shard.first, shard.last) != part:
            raise RefusedError(
                f"“{self.storage.named(shard.name)}” overlaps others.",
                "Take it away: it is of no run that was planned here.",
            )
        self._next = next(self._shards, None)
        return shard

    def check_end(self) -> None:
        """Refuse shards of images that are not in the plan."""
        if self._next is not None:
            raise RefusedError(
                f"“{self.storage.named(self._next.name)}” is about images the run does not have.",
                "Take it away: it is of no run that was planned here.",
            )
