"""Training, validation and test: which image goes where, the same for the same seed."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from annotator.core.errors import UserError
from annotator.core.formats.api import Content, LabelledImage

NAMES = ("train", "val", "test")
GROUPS = ("", "folder", "sequence")
_NUMBER = re.compile(r"\d+(?=\D*$)")


@dataclass(frozen=True, slots=True)
class Splits:
    """How images are divided.

    Attributes:
        ratios: of `NAMES`, in any unit; 0 leaves one out.
        seed: another one gives another division.
        stratify: whether every class is divided in the same ratio, as far as that goes.
        group: "folder" or "sequence" (names that differ in their last number only) keeps such
            images together; "" divides image by image.
    """

    ratios: tuple[float, ...] = (0.8, 0.1, 0.1)
    seed: int = 0
    stratify: bool = True
    group: str = ""

    def names(self) -> tuple[str, ...]:
        """Those that get images."""
        return tuple(n for n, ratio in zip(NAMES, self.ratios, strict=False) if ratio > 0)


def parse_ratios(text: str) -> tuple[float, ...]:
    """Ratios such as "80/10/10" or "0.9,0.1" as numbers.

    Raises:
        UserError: not two or three numbers.
    """
    try:
        ratios = tuple(float(part) for part in re.split(r"[/,:]", text))
    except ValueError:
        ratios = ()
    if not 2 <= len(ratios) <= len(NAMES) or min(ratios) < 0 or not 0 < sum(ratios) < 1e6:
        raise UserError(
            f"“{text}” is no way to divide images.", "Give ratios for train/val/test: 80/10/10."
        )
    return ratios


def divided(content: Content, splits: Splits) -> Content:
    """The same content with every image in a split. Goes over all images once.

    Memory: a few numbers for each group and class, a byte for each image.
    """
    groups: dict[str, int] = {}
    member_of: list[int] = []
    sizes: Counter[int] = Counter()
    classes: dict[int, Counter[int | None]] = defaultdict(Counter)
    for image in content.images():
        name = _group(image.record.key, splits.group)
        number = groups.setdefault(name, len(groups))
        member_of.append(number)
        sizes[number] += 1
        if splits.stratify:
            classes[number].update(image.used())
    names = splits.names()
    homes = _assign(sizes, classes, splits)
    places = bytes(homes[number] for number in member_of)

    def images() -> Iterator[LabelledImage]:
        for image, place in zip(content.images(), places, strict=True):
            yield replace(image, split=names[place])

    return replace(content, images=images, splits=names)


def _group(key: str, kind: str) -> str:
    folder, _, name = key.rpartition("/")
    if kind == "folder":
        return folder
    if kind == "sequence":
        stem, _, ending = name.rpartition(".")
        return f"{folder}/{_NUMBER.sub('', stem or ending)}"
    return key


def _assign(
    sizes: Counter[int], classes: dict[int, Counter[int | None]], splits: Splits
) -> dict[int, int]:
    """The split of each group, rarest classes first: they have the least choice."""
    total = sum(splits.ratios)
    shares = [ratio / total for ratio in splits.ratios if ratio > 0]
    usage: Counter[int | None] = Counter()
    for counts in classes.values():
        usage.update(counts)
    order = sorted(sizes)
    random.Random(splits.seed).shuffle(order)
    order.sort(key=_rarity(classes, usage))
    images_left = [share * sum(sizes.values()) for share in shares]
    class_left = {name: [share * count for share in shares] for name, count in usage.items()}
    homes = {}
    for number in order:
        counts = classes.get(number, Counter[int | None]())
        rarest = min(counts, key=lambda name: (usage[name], str(name)), default=None)
        wants = class_left[rarest] if counts else images_left
        home = max(range(len(shares)), key=lambda i: (wants[i], images_left[i]))
        homes[number] = home
        images_left[home] -= sizes[number]
        for name, count in counts.items():
            class_left[name][home] -= count
    return homes


def _rarity(
    classes: dict[int, Counter[int | None]], usage: Counter[int | None]
) -> Callable[[int], tuple[bool, int]]:
    def key(number: int) -> tuple[bool, int]:
        counts = classes.get(number)
        return (not counts, min((usage[name] for name in counts), default=0) if counts else 0)

    return key
