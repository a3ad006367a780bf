"""A large run in parts: the plan, the shards, and what is known about each.

The folder of a run holds

* `images.jsonl`: number and key of every image that is meant, a line each, in their order;
* `plan.json`: what all proposals depend on, and where each shard begins in that list;
* `proposals-FIRST-LAST-DIGEST.json`: COCO results of the images FIRST to LAST of the list;
* `shard-FIRST-LAST.json`: says that they are done, in which file, and which images failed.

The last is written last and in one step, and the name of the results says what is in them. So a
worker can be killed at any moment, and two that do the same shard cannot spoil each other's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from annotator.core.files import from_json, to_json
from annotator.core.prelabel.results_file import BEGIN, BETWEEN, END, NOTHING, framed
from annotator.core.prelabel.run import RefusedError
from annotator.core.prelabel.storage import Storage

PLAN, IMAGES = "plan.json", "images.jsonl"
_PLAN_FORMAT, _SHARD_FORMAT = "annotator plan 1", "annotator shard 1"
_SHARD_NAME = re.compile(r"shard-(\d{12})-(\d{12})\.json")
AT_ONCE = 500
"""Small files that are read together."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        settings: see `annotator.core.prelabel.run.Run`.
        known: names of the project's classes by number, as text, when the run was planned.
        classes: numbers of classes in the results, by name.
        images: how many there are.
        size: images in a shard; the last one has the rest.
        starts: where each shard begins in `images.jsonl`, bytes; and where that ends.
        listed: digest of `images.jsonl`.
    """

    settings: Mapping[str, Any]
    known: Mapping[str, str]
    classes: Mapping[str, int]
    images: int
    size: int
    starts: tuple[int, ...]
    listed: str

    @property
    def id(self) -> str:
        """Its fingerprint: shards of the same plan fit together."""
        return _digest(to_json(_sorted(asdict(self))))

    def __len__(self) -> int:
        """How many shards there are."""
        return len(self.starts) - 1

    def part(self, number: int) -> tuple[int, int]:
        """The first and the last image of a shard."""
        first = number * self.size
        return first, min(first + self.size, self.images) - 1

    def listing(self, storage: Storage, number: int) -> list[tuple[int, str]]:
        """Number and key of the images of a shard.

        Raises:
            UserError: the list cannot be read.
            RefusedError: it is another one.
        """
        data = storage.read(IMAGES, self.starts[number], self.starts[number + 1])
        first, last = self.part(number)
        try:
            found = [(int(one), str(key)) for one, key in map(from_json, data.splitlines())]
        except (ValueError, TypeError):
            found = []
        if len(found) != last - first + 1:
            raise _changed(storage.named(IMAGES))
        return found


def _sorted(value: Any) -> Any:
    """A value whose JSON does not depend on the order things were put into it."""
    if isinstance(value, Mapping):
        return {str(name): _sorted(value[name]) for name in sorted(value, key=str)}
    return [_sorted(one) for one in value] if isinstance(value, (list, tuple)) else value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _changed(name: str) -> RefusedError:
    return RefusedError(
        f"“{name}” is damaged or not what was written.",
        "Copy it again from where it was made, or make it again in a new folder.",
    )


def write_plan(
    storage: Storage,
    images: Iterable[tuple[int, str]],
    size: int,
    settings: Mapping[str, Any],
    known: Mapping[str, str],
    classes: Mapping[str, int],
) -> Plan:
    """Plan a run; memory does not depend on the number of images where the storage is a disk.

    Args:
        storage: gets the plan.
        images: number and key of each, in their order.
        size: images in a shard.
        settings: see `Plan`.
        known: see `Plan`.
        classes: see `Plan`.

    Raises:
        UserError: it cannot be written.
    """
    starts, place, count, digest = [], 0, 0, hashlib.sha256()

    def lines() -> Iterator[bytes]:
        nonlocal place, count
        for image in images:
            line = to_json(image) + b"\n"
            if count % size == 0:
                starts.append(place)
            count, place = count + 1, place + len(line)
            digest.update(line)
            yield line

    storage.write(IMAGES, lines())
    plan = Plan(settings, known, classes, count, size, (*starts, place), digest.hexdigest())
    storage.write(PLAN, [to_json({"format": _PLAN_FORMAT, **asdict(plan)}) + b"\n"])
    return plan


def read_plan(storage: Storage) -> Plan | None:
    """The plan in a folder; None if there is none.

    Raises:
        UserError: it cannot be read.
        RefusedError: it is something else.
    """
    if not storage.exists(PLAN):
        return None
    try:
        value = from_json(storage.read(PLAN))
        if value.pop("format") != _PLAN_FORMAT:
            raise _changed(storage.named(PLAN))
        return Plan(**{**value, "starts": tuple(value["starts"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _changed(storage.named(PLAN)) from error


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a run that is done.

    Attributes:
        plan: `Plan.id`.
        settings: of the run, for people.
        first: place of its first image in the list.
        last: place of its last image.
        results: name of the results file.
        sha256: digest of that.
        proposals: in it.
        failed: reasons by key, of images nothing could be done with.
    """

    plan: str
    settings: Mapping[str, Any]
    first: int
    last: int
    results: str
    sha256: str
    proposals: int
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the file that says so."""
        return shard_name(self.first, self.last)


def shard_name(first: int, last: int) -> str:
    """The name of the file that says that a shard is done."""
    return f"shard-{first:012d}-{last:012d}.json"


def shards_in(storage: Storage) -> list[tuple[int, int]]:
    """The first and the last image of all shards that are done, in their order.

    Raises:
        UserError: the folder cannot be read.
    """
    matches = filter(None, map(_SHARD_NAME.fullmatch, storage.names()))
    return sorted((int(match[1]), int(match[2])) for match in matches)


def read_shards(storage: Storage, parts: Sequence[tuple[int, int]], plan: Plan) -> Iterator[Shard]:
    """What is known about some shards, few at a time.

    Raises:
        UserError: a file cannot be read.
        RefusedError: it is damaged, or belongs to another run.
    """
    expected = plan.id
    for start in range(0, len(parts), AT_ONCE):
        names = [shard_name(*part) for part in parts[start : start + AT_ONCE]]
        for name, data in zip(names, storage.read_many(names), strict=True):
            yield _shard(data, name, storage, plan, expected)


def _shard(data: bytes, name: str, storage: Storage, plan: Plan, expected: str) -> Shard:
    where = storage.named(name)
    try:
        value = from_json(data)
        if value.pop("format") != _SHARD_FORMAT:
            raise _changed(where)
        shard = Shard(**value)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _changed(where) from error
    if shard.plan != expected:
        other = dict(shard.settings)
        raise RefusedError(
            f"“{where}” belongs to another run ({differences(other, plan.settings)}).",
            "Merge only shards of one run; keep those of others in folders of their own.",
        )
    if shard.name != name or "/" in shard.results:
        raise _changed(where)
    return shard


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """What tells the settings of two runs from each other, for people."""
    names = sorted(theirs.keys() | ours.keys())
    different = [name for name in names if theirs.get(name) != ours.get(name)]
    said = [f"{name}: {theirs.get(name)}, not {ours.get(name)}" for name in different]
    return "; ".join(said) or "the same settings, but other images or classes"


def write_shard(
    storage: Storage,
    plan: Plan,
    number: int,
    found: Sequence[bytes],
    failed: Mapping[str, str],
) -> Shard:
    """Put a shard in place.

    Args:
        storage: of the run.
        plan: of the run.
        number: of the shard.
        found: its entries, see `annotator.core.prelabel.results_file.entries`.
        failed: see `Shard`.

    Raises:
        UserError: it cannot be written; then it is not done.
    """
    data = b"".join(framed(found))
    first, last = plan.part(number)
    digest = _digest(data)
    results = f"proposals-{first:012d}-{last:012d}-{digest[:16]}.json"
    shard = Shard(plan.id, plan.settings, first, last, results, digest, len(found), failed)
    storage.write(results, [data])
    storage.write(shard.name, [to_json({"format": _SHARD_FORMAT, **asdict(shard)}) + b"\n"])
    return shard


def entries_of(storage: Storage, shard: Shard) -> dict[str, list[bytes]]:
    """The entries of a shard by the key of their image.

    Raises:
        UserError: they cannot be read.
        RefusedError: they are not what was written.
    """
    data = storage.read(shard.results)
    if _digest(data) != shard.sha256:
        raise _changed(storage.named(shard.results))
    found: dict[str, list[bytes]] = {}
    if data != NOTHING:
        # An entry has no line break: JSON writes it as two characters.
        for entry in data[len(BEGIN) : -len(END)].split(BETWEEN):
            found.setdefault(from_json(entry)["file_name"], []).append(entry)
    return found


def body(storage: Storage, shard: Shard) -> Iterator[bytes]:
    """The entries of a shard with what is between them, little by little.

    Raises:
        UserError: they cannot be read.
        RefusedError: when all has been given: they are not what was written.
    """
    name = storage.named(shard.results)
    digest, held, begun = hashlib.sha256(), b"", False
    for piece in storage.pieces(shard.results):
        digest.update(piece)
        held += piece
        if not begun and len(held) >= len(BEGIN) + len(END):
            held, begun = held[len(BEGIN) :], True
        if begun and len(held) > len(END):
            yield held[: -len(END)]
            held = held[-len(END) :]
    if digest.hexdigest() != shard.sha256 or held != (END if begun else NOTHING):
        raise _changed(name)
