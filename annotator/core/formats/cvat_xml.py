"""XML read piece by piece: only one image is in memory, and nothing a DTD could do is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from annotator.core.errors import UserError
from annotator.core.files import explain

_CHUNK = 1 << 16
_DEPTH = 50


@dataclass(slots=True)
class Element:
    """An XML element.

    Attributes:
        tag: its name.
        line: of the file, where it begins.
        values: its XML attributes.
        children: the elements in it.
        text: between its tags.
    """

    tag: str
    line: int
    values: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Element]:
        """All elements of this name in it, however deep."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.all(tag)

    def text_of(self, tag: str) -> str:
        """The text of its first child of this name."""
        return next((child.text for child in self.children if child.tag == tag), "")


class _Refused(Exception):
    """Something annotations never have."""


class _Collector:
    """Builds the elements of some names and forgets the others."""

    def __init__(self, tags: Sequence[str], root: str) -> None:
        self.ready: list[Element] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        # Entities that grow without bound, or name other files, need a DTD.
        self.parser.StartDoctypeDeclHandler = self._refuse
        self._tags = tags
        self._root = root
        self._open: list[Element] = []
        self._depth = 0

    def _start(self, tag: str, values: dict[str, str]) -> None:
        if self._depth == 0 and tag != self._root:
            raise _Refused(f"it begins with <{tag}>")
        self._depth += 1
        if self._depth > _DEPTH:
            raise _Refused("its elements are nested too deep")
        if not self._open and tag not in self._tags:
            return
        element = Element(tag, self.parser.CurrentLineNumber, values)
        if self._open:
            self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if self._open:
            element = self._open.pop()
            if not self._open:
                self.ready.append(element)

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].text += text

    def _refuse(self, *_: object) -> None:
        raise _Refused("it has a DTD")


def elements(path: Path, tags: Sequence[str], root: str = "annotations") -> Iterator[Element]:
    """The outermost elements of these names, one after the other.

    Args:
        path: the file.
        tags: names of elements.
        root: what the file has to begin with.

    Raises:
        UserError: it cannot be read, or is no such XML; what comes before the damage was given.
    """
    collector = _Collector(tags, root)
    try:
        with path.open("rb") as file:
            while True:
                chunk = file.read(_CHUNK)
                collector.parser.Parse(chunk, not chunk)
                yield from collector.ready
                collector.ready.clear()
                if not chunk:
                    return
    except OSError as error:
        raise explain(error, path, "read") from error
    except (expat.ExpatError, _Refused, ValueError, LookupError) as error:
        raise UserError(
            f"“{path}” is damaged or no XML of this kind: {error}.", "Export it again."
        ) from error


def heads(path: Path, images: int) -> Iterator[Element]:
    """The labels, and the first few images.

    Raises:
        UserError: as in `elements`.
    """
    for element in elements(path, ("label", "image")):
        yield element
        images -= element.tag == "image"
        if images <= 0:
            return
