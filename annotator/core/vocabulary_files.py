"""Lists of classes in files: text, the categories of COCO and LVIS files, and those that ship."""

from __future__ import annotations

import codecs
import json
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from annotator.core.annotation import IS_THING
from annotator.core.errors import UserError
from annotator.core.files import explain, from_json
from annotator.core.vocabulary import (
    MAX_CLASSES,
    Entry,
    Finding,
    Vocabulary,
    clean_name,
    parse,
    tidy,
    to_text,
)

MAX_TEXT = 16 << 20
"""Bytes of a text file at most."""
MAX_JSON = 64 << 20
"""Bytes up to which a JSON file is read whole; of larger ones only the categories are."""
_SECTION = 16 << 20
"""Bytes the categories of a large file may take."""

_REMEDY = "Nothing was changed. A list has one class per line, synonyms after commas."
_COLOR = re.compile("#[0-9a-fA-F]{6}")
_ENCODINGS = (
    # Those of 32 bits first: their mark begins like the one of 16 bits.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


@dataclass(frozen=True, slots=True)
class Shipped:
    """A vocabulary that comes with the program.

    Attributes:
        title: what people read, the first comment of the file.
        name: of the file.
    """

    title: str
    name: str

    def read(self) -> Vocabulary:
        """Its classes."""
        return parse(_source(self.name).read_text("utf-8"))


def shipped() -> tuple[Shipped, ...]:
    """The vocabularies in `resources/vocabularies`, by file name."""
    folder = files("resources") / "vocabularies"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".txt"))
    return tuple(Shipped(_title(name), name) for name in names)


def _source(name: str) -> Traversable:
    return files("resources") / "vocabularies" / name


def _title(name: str) -> str:
    with _source(name).open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a list of classes: text, or JSON with categories (".json").

    Raises:
        UserError: the file cannot be read, is no text, holds no class, or far too many.
    """
    try:
        is_json = path.suffix.lower() == ".json"
        vocabulary = _read_json(path) if is_json else parse(_read_text(path))
    except OSError as error:
        raise explain(error, path, "read") from error
    count = len(vocabulary.entries)
    if not count:
        line = f" Line {vocabulary.findings[0].line} has no name." if vocabulary.findings else ""
        raise UserError(f"“{path.name}” holds no class.{line}", _REMEDY)
    if count > MAX_CLASSES:
        first = vocabulary.entries[MAX_CLASSES].line
        where = f" (line {first:,} and what follows is too much)" if first else ""
        raise UserError(
            f"“{path.name}” holds {count:,} classes; a project takes up to {MAX_CLASSES:,}.",
            f"Nothing was changed. Keep only the classes you need{where}.",
        )
    bad = next((finding for finding in vocabulary.findings if finding.is_error), None)
    if bad is not None:
        raise UserError(f"“{path.name}”, line {bad.line:,}: {bad.text}", _REMEDY)
    return vocabulary


# --- Text ---


def _read_text(path: Path) -> str:
    size = path.stat().st_size
    if size > MAX_TEXT:
        raise UserError(
            f"“{path.name}” has {size >> 20:,} MB; lists of up to {MAX_TEXT >> 20} MB are read.",
            _REMEDY,
        )
    return decode(path.read_bytes(), path.name)


def decode(content: bytes, name: str) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Args:
        content: of the file.
        name: of the file, for the message.

    Raises:
        UserError: it is no text; says in which line.
    """
    encoding = next((e for mark, e in _ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"“{name}” is not text in UTF-8 (line {line:,} has bytes that are no characters).",
            "Nothing was changed. Save it as UTF-8, or choose another file.",
        ) from error
    if (place := text.find("\0")) >= 0:
        line = text.count("\n", 0, place) + 1
        raise UserError(
            f"“{name}” is not text (line {line:,} has a zero byte).",
            "Nothing was changed. Choose a text file, or a COCO file in JSON.",
        )
    return text


# --- JSON ---


def _read_json(path: Path) -> Vocabulary:
    content = path.read_bytes() if path.stat().st_size <= MAX_JSON else None
    if content is None:
        value: Any = _large_categories(path)
    else:
        try:
            value = from_json(decode(content, path.name))
        except (ValueError, RecursionError) as error:
            message = f"“{path.name}” is not readable JSON ({error})."
            raise UserError(message, "Nothing was changed. Repair the file.") from error
    if isinstance(value, dict):
        value = value.get("categories", value)
    if isinstance(value, dict):  # number to name
        value = list(value.values())
    if not isinstance(value, list):
        raise _no_list(path)
    return _from_values(value, path)


def _no_list(path: Path) -> UserError:
    return UserError(
        f"“{path.name}” has no list “categories” and is no list of names.",
        "Nothing was changed. Choose a COCO or LVIS file, or a text file.",
    )


def _from_values(values: list[Any], path: Path) -> Vocabulary:
    entries, nameless = [], 0
    for value in values:
        entry = _entry(value)
        if entry is not None and entry.name:
            entries.append(entry)
        elif not (isinstance(value, dict) and _ours(value).get("unnamed")):
            nameless += 1
    if nameless == len(values) and values:
        raise _no_list(path)
    merged = parse(to_text((e.name, e.synonyms) for e in entries))
    looks = {e.name: e for e in reversed(entries)}
    found = tuple(replace(looks[e.name], synonyms=e.synonyms) for e in merged.entries)
    findings = merged.findings
    if nameless:
        findings = (Finding(0, f"{nameless:,} categories without a name are left out."), *findings)
    return Vocabulary(found, findings)


def _entry(value: Any) -> Entry | None:
    """A name, or a category of COCO or LVIS."""
    if isinstance(value, str):
        return Entry(clean_name(value))
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    ours = _ours(value)
    if ours.get("unnamed"):
        return None
    own = ours.get("synonyms", value.get("synonyms"))
    names = [value["name"], *(own if isinstance(own, list) else ())]
    cleaned = [clean_name(name) for name in names if isinstance(name, str)]
    if "synset" in value:  # LVIS; its parentheses stay as they are
        cleaned = [clean_name(part) for name in cleaned for part in tidy(name).split(",")]
    upper, color = value.get("supercategory"), ours.get("color")
    return Entry(
        cleaned[0],
        tuple(name for name in cleaned[1:] if name),
        color=color if isinstance(color, str) and _COLOR.fullmatch(color) else "",
        supercategory=clean_name(upper) if isinstance(upper, str) and upper else None,
        is_thing=bool(value[IS_THING]) if IS_THING in value else None,
    )


def _ours(value: dict[str, Any]) -> dict[str, Any]:
    from annotator.core.formats.coco.dataset import OURS

    own = value.get(OURS)
    return own if isinstance(own, dict) else {}


def _large_categories(path: Path) -> list[Any]:
    """The categories of a file that is too large to be read for them."""
    decoder = json.JSONDecoder()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start in _sections(content):
            text = content[start : start + _SECTION].decode("utf-8", "ignore")
            try:
                value, _ = decoder.raw_decode(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, list) and any(_entry(entry) for entry in value):
                return value
    raise _no_list(path)


def _sections(content: mmap.mmap) -> Iterator[int]:
    """Where lists called "categories" begin."""
    for match in re.finditer(rb'"categories"\s*:\s*(?=\[)', content):
        yield match.end()
