"""Vectors of names: every name in every template once, kept on disk for the next time.

A name's vector is the mean over the templates of its unit vectors, made a unit vector again
(spec/ovsam_omgseg.md, A.3). One file for each model and set of templates; a name that joins a
vocabulary costs its own sentences and no other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.api import ModelError
from models.naming.classifier import Names
from models.weight_files import put_in_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Encode = Callable[[Sequence[str]], Floats]

SENTENCES = 64
"""How many are encoded at once: bounds the time until somebody can stop it."""
SAVED_EVERY = 512
"""Names after which what was computed is written down."""


def default_folder() -> Path:
    """Where the programs of this user keep them."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("annotator")) / "names"


class NameVectors:
    """The vectors of one model and one set of templates; for one thread.

    A file that cannot be read is made anew; one that cannot be written costs time, not work.

    Args:
        folder: where they are kept; it is made when something is written.
        model: id of the model that encodes the sentences.
        templates: sentences with one `{}` each.

    Raises:
        ModelError: there are no templates.
    """

    def __init__(self, folder: Path, model: str, templates: Sequence[str]) -> None:
        if not templates:
            raise ModelError("Names need at least one template, for example “a photo of a {}.”.")
        self._templates = tuple(templates)
        key = hashlib.sha256("\n".join(self._templates).encode()).hexdigest()[:16]
        self._path = folder / f"{model}-{key}.npz"
        self._vectors = _read(self._path)

    @property
    def path(self) -> Path:
        """The file they are kept in."""
        return self._path

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those whose vectors are not known yet, each once, in their order."""
        return list(dict.fromkeys(name for name in names if name not in self._vectors))

    def learning(self, names: Iterable[str], encode: Encode) -> Generator[int, None, None]:
        """Compute what is missing; tells how many names are left, after every batch.

        Args:
            names: any names.
            encode: n sentences to vectors (n, d); they need not be normalised.
        """
        left = self.missing(names)
        step = max(SENTENCES // len(self._templates), 1)
        unsaved = 0
        try:
            while left:
                some, left = left[:step], left[step:]
                sentences = [t.replace("{}", name) for name in some for t in self._templates]
                vectors = encode(sentences).reshape(len(some), len(self._templates), -1)
                means = _unit(_unit(vectors).mean(axis=1))
                self._vectors.update(zip(some, means, strict=True))
                unsaved += len(some)
                if unsaved >= SAVED_EVERY:
                    self._save()
                    unsaved = 0
                yield len(left)
        finally:
            if unsaved:
                self._save()

    def table(self, classes: Sequence[Sequence[str]]) -> Names:
        """The vectors of classes that have one or more names each.

        Raises:
            KeyError: a name was not learnt.
            ValueError: there are no classes, or one has no name.
        """
        counts = [len(names) for names in classes]
        if not counts or not all(counts):
            raise ValueError("every class needs a name")
        rows = np.stack([self._vectors[name] for names in classes for name in names])
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
        return Names(np.ascontiguousarray(rows, np.float32), starts)

    def _save(self) -> None:
        part = self._path.with_suffix(f".{os.getpid()}.part")
        # Vectors that cannot be kept are computed again next time.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            names = np.frombuffer(json.dumps(list(self._vectors)).encode(), np.uint8)
            with part.open("wb") as file:
                np.savez(file, names=names, vectors=np.stack(list(self._vectors.values())))
            put_in_place(part, self._path)


def _read(path: Path) -> dict[str, Floats]:
    try:
        with np.load(path, allow_pickle=False) as content:
            names = json.loads(content["names"].tobytes())
            vectors = np.asarray(content["vectors"], np.float32)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return {}
    fits = isinstance(names, list) and vectors.ndim == 2 and len(names) == len(vectors)
    if not fits or not np.isfinite(vectors).all():
        return {}
    return {str(name): vector for name, vector in zip(names, vectors, strict=True)}


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)
