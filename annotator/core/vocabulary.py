"""A vocabulary as text: one class per line, its name first, synonyms after commas.

Lines that begin with "#" are comments; "~" before a name says that it is stuff. A backslash takes
the special meaning from a comma, from "#" and "~" at the beginning and from another backslash, so
that every name can be written.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from models.naming.templates import TEMPLATES as TEMPLATES

MAX_CLASSES = 20_000
"""Classes of one project at most."""
MAX_LENGTH = 200
"""Characters of one name at most."""
MAX_TEMPLATES = 100
"""Sentences every name is put into at most: each takes as long as the first."""

# Marks that turn the text after them around, and a byte order mark that got inside. The marks for
# a single direction (U+200E, U+200F) and the joiners of emoji and Persian stay.
_UNWANTED = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_BREAK = re.compile(r"\r\n|\r|\n")
_PART = re.compile(r"(?:\\.|[^,\\]|\\$)*")
_ESCAPED = re.compile(r"\\([\\,#~])")
_SLASHES = re.compile(r"\([^)]*\)|_or_|/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One class of a vocabulary.

    Attributes:
        name: cleaned, not empty.
        synonyms: cleaned, each once, none equal to the name.
        line: where it stands, from 1; 0 for none.
        color: "#rrggbb", "" for whatever it has.
        supercategory: None for whatever it has.
        is_thing: it can be counted, else it is stuff (sky); None for whatever it is.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    line: int = 0
    color: str = ""
    supercategory: str | None = None
    is_thing: bool | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a line that people should know.

    Attributes:
        line: from 1.
        text: a sentence.
        is_error: the vocabulary cannot be used like this.
    """

    line: int
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a text says.

    Attributes:
        entries: the classes in their order, names unique (upper case does not count).
        findings: by line.
    """

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...] = ()


# --- Names ---


@lru_cache(maxsize=1 << 16)
def clean_name(text: str) -> str:
    """A name as it is stored: composed characters (NFC), single blanks, nothing invisible.

    Returns "" where there is nothing to see.
    """
    if not (text.isascii() and text.isprintable()):
        kept = (" " if c.isspace() else c for c in unicodedata.normalize("NFC", text))
        text = "".join(c for c in kept if c not in _UNWANTED and _category(c) not in ("Cc", "Cs"))
        if all(_category(c) in ("Cf", "Zs") for c in text):
            return ""
    return " ".join(text.split())


def _category(letter: str) -> str:
    return unicodedata.category(letter)


def same_name(name: str) -> str:
    """What two names have in common that differ in upper case only."""
    return unicodedata.normalize("NFC", name.casefold())


def tidy(text: str) -> str:
    """The text with names as LVIS writes them made readable.

    "_or_" and "/" separate synonyms, underscores are blanks; inside parentheses only the latter,
    so that "tape_(sticky_cloth_or_paper)" stays one name.
    """
    lines = _BREAK.split(text)
    return "\n".join(line if line.lstrip().startswith("#") else _tidy(line) for line in lines)


def _tidy(line: str) -> str:
    parts = _SLASHES.sub(lambda m: m[0] if m[0].startswith("(") else ", ", line)
    return parts.replace("_", " ")


# --- Text ---


def to_text(entries: Iterable[tuple[str, Sequence[str]]], stuff: Collection[str] = ()) -> str:
    """Names with their synonyms, one class per line; `parse` is the inverse.

    Args:
        entries: the classes.
        stuff: the names of those that cannot be counted.
    """
    return "\n".join(
        ("~" if name in stuff else "") + _line(name, synonyms) for name, synonyms in entries
    )


def _line(name: str, synonyms: Sequence[str]) -> str:
    names = [clean_name(n).replace("\\", "\\\\").replace(",", "\\,") for n in (name, *synonyms)]
    line = ", ".join(names)
    return f"\\{line}" if line.startswith(("#", "~")) else line


def parse(text: str, distinct: Collection[str] = ()) -> Vocabulary:
    """What a text says, with findings about what could not be taken as it stands.

    Args:
        text: one class per line.
        distinct: names that differ from one another in upper case only and shall stay apart,
            because the project has them already.
    """
    return _Parsing(frozenset(distinct)).parse(text)


def twins(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that differ from another one in upper case only."""
    cleaned = [clean_name(name) for name in names]
    counts = Counter(map(same_name, cleaned))
    return frozenset(name for name in cleaned if counts[same_name(name)] > 1)


class _Parsing:
    """One pass over one text."""

    def __init__(self, distinct: frozenset[str]) -> None:
        self._distinct = distinct
        self._entries: list[Entry] = []
        self._places: dict[str, int] = {}
        self._findings: list[Finding] = []

    def parse(self, text: str) -> Vocabulary:
        """All lines."""
        for number, line in enumerate(_BREAK.split(text), 1):
            stripped = line.strip()
            if stripped and not stripped.startswith("#"):
                self._take(number, stripped)
        if len(self._entries) > MAX_CLASSES:
            number = self._entries[MAX_CLASSES].line
            self._find(
                number,
                f"{len(self._entries):,} classes; a project takes up to {MAX_CLASSES:,}. "
                "Remove what comes from this line on.",
                is_error=True,
            )
        self._look_for_shared()
        self._findings.sort(key=lambda finding: finding.line)
        return Vocabulary(tuple(self._entries), tuple(self._findings))

    def _find(self, line: int, text: str, *, is_error: bool = False) -> None:
        self._findings.append(Finding(line, text, is_error))

    def _take(self, number: int, line: str) -> None:
        is_thing = not line.startswith("~")
        names, is_complete = _names(line.removeprefix("~"))
        if not names:
            self._find(number, "No name in this line; it is left out.")
            return
        if not is_complete:
            self._find(number, "An empty name (two commas, or one too many) is left out.")
        if max(map(len, names)) > MAX_LENGTH:
            self._find(number, f"A name has more than {MAX_LENGTH} characters.", is_error=True)
        name, *synonyms = names
        key = name if name in self._distinct else same_name(name)
        place = self._places.get(key)
        if place is None:
            self._places[key] = len(self._entries)
            entry = Entry(name, _unique(name, synonyms), number, is_thing=is_thing)
            if len(entry.synonyms) < len(synonyms):
                self._find(number, "A name stands twice in this line; once is enough.")
            self._entries.append(entry)
            return
        first = self._entries[place]
        more = _unique(first.name, (*first.synonyms, *synonyms))
        self._entries[place] = replace(first, synonyms=more)
        self._find(number, f"“{name}” stands in line {first.line} already; they are one class.")

    def _look_for_shared(self) -> None:
        for entry in self._entries:
            for synonym in entry.synonyms:
                place = self._places.get(same_name(synonym))
                if place is not None:
                    other = self._entries[place]
                    text = f"The synonym “{synonym}” is also the class in line {other.line}."
                    self._find(entry.line, text)


def _names(line: str) -> tuple[list[str], bool]:
    """The names of a line, and whether none of them was empty."""
    if "\\" in line:
        # The pattern also matches the empty text between a part and its comma.
        parts, place = [], 0
        while (match := _PART.match(line, place)) is not None:
            parts.append(_ESCAPED.sub(r"\1", match[0]))
            place = match.end() + 1
            if place > len(line):
                break
    else:
        parts = line.split(",")
    names = [name for name in map(clean_name, parts) if name]
    return names, len(names) == len(parts)


def _unique(name: str, synonyms: Iterable[str]) -> tuple[str, ...]:
    found = {same_name(name): name}
    for synonym in synonyms:
        found.setdefault(same_name(synonym), synonym)
    return tuple(found.values())[1:]


# --- Sentences ---


def parse_templates(text: str) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The sentences of a text, one per line, and what is wrong with them."""
    sentences: dict[str, int] = {}
    findings = []
    for number, line in enumerate(_BREAK.split(text), 1):
        sentence = clean_name(line)
        if not sentence:
            continue
        if (problem := template_problem(sentence)) is not None:
            findings.append(Finding(number, problem, is_error=True))
        elif sentence in sentences:
            place = sentences[sentence]
            findings.append(Finding(number, f"Stands in line {place} already; it counts once."))
        sentences.setdefault(sentence, number)
    if not sentences:
        findings.append(Finding(1, "At least one sentence is needed; “{}” will do.", is_error=True))
    elif len(sentences) > MAX_TEMPLATES:
        text = f"{len(sentences)} sentences; up to {MAX_TEMPLATES} are possible."
        findings.append(Finding(sentences[list(sentences)[MAX_TEMPLATES]], text, is_error=True))
    return tuple(sentences), tuple(findings)


def template_problem(sentence: str) -> str | None:
    """What is wrong with a sentence, None if it can be used."""
    count = sentence.count("{}")
    if count != 1:
        many = "more than once" if count else "nowhere"
        return f"The name has its place, “{{}}”, {many}; write it exactly once."
    if set(sentence.replace("{}", "")) & {"{", "}"}:
        return "Braces are only for the place of the name, “{}”."
    return None
