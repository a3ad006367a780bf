"""Completion of a name from a few letters: names that contain them first, then likely typos."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

Span = tuple[int, int]
"""Start and end (exclusive) of matched characters, positions in the name as it is written."""

TYPO_SCORE = 72.0
"""Similarity, 0 to 100, from which a name counts as a mistyped version of what was entered."""
WORD_BREAKS = "_-/.,;:()"
_TO_BLANK = {code: " " for code in range(128) if chr(code) in WORD_BREAKS or chr(code).isspace()}


@dataclass(frozen=True, slots=True)
class Completion:
    """One name that fits.

    Attributes:
        index: position in the names given.
        spans: the characters to emphasise, ascending, not touching.
        literal: the name contains every word entered; False for abbreviations and typos.
    """

    index: int
    spans: tuple[Span, ...]
    literal: bool


class _Folded(NamedTuple):
    text: str
    offsets: Sequence[int]
    """For each folded character the position of the written one it comes from."""


def complete(query: str, names: Sequence[str], limit: int) -> list[Completion]:
    """The names that fit what was entered, best first; upper case and accents do not matter.

    The whole name, then its beginning, the beginnings of its words, any part of it, letters in
    order ("tfl" for "traffic light") and typos. An empty query fits everything, in order.
    """
    wanted = fold(query)
    if not wanted:
        return [Completion(i, (), True) for i in range(min(limit, len(names)))]
    folded = [_fold(name) for name in names]
    found = [
        (key, index, spans)
        for index, name in enumerate(folded)
        if (hit := _contained(wanted, name.text)) is not None
        for key, spans in (hit,)
    ]
    # The very spelling wins: ")O" is not "other", though both begin with an o.
    found.sort(key=lambda e: (names[e[1]] != query, e[0], len(folded[e[1]].text), e[1]))
    literal = [(index, spans, True) for _, index, spans in found[:limit]]
    if len(literal) < limit:
        taken = {index for _, index, _ in found}
        texts = {i: name.text for i, name in enumerate(folded) if i not in taken}
        close = _abbreviations(wanted, texts)
        near = {index for index, _ in close}
        close += _typos(wanted, {i: t for i, t in texts.items() if i not in near}, limit)
        literal += [(index, spans, False) for index, spans in close]
    return [
        Completion(index, _written(spans, folded[index], names[index]), exact)
        for index, spans, exact in literal[:limit]
    ]


def fold(text: str) -> str:
    """The text as it is compared: lower case, no accents, single blanks between words."""
    return " ".join(_fold(text).text.split())


# As many as a large vocabulary has, synonyms included: a smaller cache would only churn.
@lru_cache(maxsize=1 << 16)
def _fold(text: str) -> _Folded:
    if text.isascii():
        return _Folded(text.translate(_TO_BLANK).lower(), range(len(text)))
    letters: list[str] = []
    offsets: list[int] = []
    for position, written in enumerate(text):
        if written in WORD_BREAKS or written.isspace():
            letters.append(" ")
            offsets.append(position)
            continue
        for letter in unicodedata.normalize("NFKD", written).casefold():
            if not unicodedata.combining(letter):
                letters.append(letter)
                offsets.append(position)
    return _Folded("".join(letters), tuple(offsets))


def _contained(wanted: str, name: str) -> tuple[tuple[int, int], tuple[Span, ...]] | None:
    """Sort key (kind, place) and folded spans when the name contains what was entered."""
    place = name.find(wanted)
    end = place + len(wanted)
    if place == 0:
        return (0 if len(name) == len(wanted) else 1, 0), ((0, end),)
    if place > 0 and (start := (" " + name).find(" " + wanted)) >= 0:
        return (2, start), ((start, start + len(wanted)),)
    words = wanted.split()
    if len(words) > 1 and (spans := _word_starts(words, name)) is not None:
        return (3, spans[0][0]), spans
    return ((4, place), ((place, end),)) if place > 0 else None


def _word_starts(words: Sequence[str], name: str) -> tuple[Span, ...] | None:
    """Where the words entered begin different words of the name, in any order."""
    padded = " " + name
    spans: list[Span] = []
    for word in words:
        start = padded.find(" " + word)
        while start >= 0 and any(a <= start < b for a, b in spans):
            start = padded.find(" " + word, start + 1)
        if start < 0:
            return None
        spans.append((start, start + len(word)))
    return tuple(sorted(spans))


def _abbreviations(wanted: str, names: dict[int, str]) -> list[tuple[int, tuple[Span, ...]]]:
    """Names with the letters entered in order, beginning with the first of them."""
    letters = wanted.replace(" ", "")
    if len(letters) < 2:
        return []
    found = []
    for index, name in names.items():
        if name[:1] == letters[0] and (spans := _in_order(letters, name)) is not None:
            found.append((len(spans), len(name), index, spans))
    return [(index, spans) for *_, index, spans in sorted(found)]


def _in_order(letters: str, name: str) -> tuple[Span, ...] | None:
    """Spans of the letters in the name, beginnings of words preferred; None if one is missing."""
    padded = " " + name
    positions: list[int] = []
    at = 0
    for i, letter in enumerate(letters):
        place = name.find(letter, at)
        start = padded.find(" " + letter, at)
        # Take the beginning of a later word only if the rest still follows it.
        if place >= 0 and start > place and _follows(letters[i + 1 :], name, start + 1):
            place = start
        if place < 0:
            return None
        positions.append(place)
        at = place + 1
    return _runs(positions)


def _follows(letters: str, name: str, at: int) -> bool:
    for letter in letters:
        at = name.find(letter, at) + 1
        if not at:
            return False
    return True


def _typos(wanted: str, names: dict[int, str], limit: int) -> list[tuple[int, tuple[Span, ...]]]:
    """Names that are a few slips of the finger away."""
    if len(wanted) < 3:
        return []
    from rapidfuzz import fuzz, process
    from rapidfuzz.distance import Indel

    found = process.extract(
        wanted, names, scorer=fuzz.ratio, processor=None, limit=limit, score_cutoff=TYPO_SCORE
    )
    # What was entered may be only the beginning: compare with as much of each name.
    cut = {i: name[: len(wanted) + 1] for i, name in names.items() if len(name) > len(wanted) + 1}
    found += process.extract(
        wanted, cut, scorer=fuzz.ratio, processor=None, limit=limit, score_cutoff=TYPO_SCORE
    )
    found.sort(key=lambda hit: (-hit[1], hit[2]))
    result: dict[int, tuple[Span, ...]] = {}
    for text, _, index in found:
        blocks = Indel.opcodes(wanted, text)
        same = [p for op in blocks if op.tag == "equal" for p in range(op.dest_start, op.dest_end)]
        result.setdefault(index, _runs(same))
    return list(result.items())


def _runs(positions: Sequence[int]) -> tuple[Span, ...]:
    """Ascending positions joined to spans."""
    spans: list[Span] = []
    for position in positions:
        if spans and spans[-1][1] == position:
            spans[-1] = (spans[-1][0], position + 1)
        else:
            spans.append((position, position + 1))
    return tuple(spans)


def _written(spans: Sequence[Span], name: _Folded, text: str) -> tuple[Span, ...]:
    """Folded spans as spans of the written name, marks of accented letters included."""
    covered: set[int] = set()
    for start, end in spans:
        covered.update(name.offsets[start:end])
        last = name.offsets[end - 1] + 1
        while last < len(text) and unicodedata.combining(text[last]):
            covered.add(last)
            last += 1
    return _runs(sorted(covered))
