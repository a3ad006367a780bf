"""Vectors of a vocabulary in the space OMG-Seg and RAP-SAM were trained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from models.encoding import passed
from models.naming.templates import TEMPLATES
from models.omgseg.network_files import TOWER

if TYPE_CHECKING:
    from pathlib import Path

    from models.naming.classifier import Names
    from models.naming.texts import Encode

Told = Callable[[str, float], None]
"""See `models.encoding.passed`."""


class Words(Protocol):
    """Names to vectors."""

    def missing(self, classes: Sequence[Sequence[str]]) -> int:
        """How many names have no vector yet: each costs time."""

    def table(self, classes: Sequence[Sequence[str]], told: Told = passed) -> Names:
        """The vectors of classes that have one or more names each.

        Raises:
            ModelError: the text model cannot be loaded.
            EncodingStoppedError: nobody wants them any more; what was learnt is kept.
        """


class TextWords:
    """Every name once in its life, kept on disk (`models.naming.texts`).

    Args:
        open_text: loads the text model; it is let go of when all names are known.
        folder: where vectors are kept; None: where all programs of this user keep them.
        model: names the text model.
    """

    def __init__(
        self, open_text: Callable[[], Encode], folder: Path | None = None, model: str = TOWER
    ) -> None:
        from models.naming.texts import NameVectors, default_folder

        self._open_text = open_text
        self._vectors = NameVectors(folder or default_folder(), model, TEMPLATES)

    def missing(self, classes: Sequence[Sequence[str]]) -> int:
        """See `Words`."""
        return len(self._vectors.missing(_every(classes)))

    def table(self, classes: Sequence[Sequence[str]], told: Told = passed) -> Names:
        """See `Words`."""
        every = _every(classes)
        if count := self.missing(classes):
            told(f"text model for {count:,} new names", 0.0)
            for left in self._vectors.learning(every, self._open_text()):
                told(f"names, {left:,} left", 1 - left / count)
        return self._vectors.table(classes)


def clip_words(device: str) -> TextWords:
    """The text tower of CLIP ConvNeXt-L."""

    def open_text() -> Encode:
        from models.naming.clip import Clip
        from models.naming.towers import find_tower

        return Clip.open(find_tower(TOWER), device).texts

    return TextWords(open_text)


def _every(classes: Sequence[Sequence[str]]) -> list[str]:
    return [name for names in classes for name in names]
