"""Models adapted to a person's own images: where they lie, what is known of them, how they go.

Each is a folder in `adapted` of the folder of models, made elsewhere and put there whole. Nothing
here needs torch; `models.training.adapting` makes them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

from models.api import ModelError
from models.weight_files import FileLock, disk_error, read_record, write_record
from models.weights import default_folder

Parts = Literal["decoder", "decoder+last"]
"""What is trained: the decoder, or also the encoder's last stages and its pyramid."""

MIN_OBJECTS = 30
MIN_IMAGES = 8
"""Accepted masks, and images with them, from which a model can be adapted."""
STEPS = 300
"""Training steps, unless it is over earlier or a person wants another number."""
MIN_GAIN = 0.005
"""Mean IoU by which a model has to get better to be worth another entry in a list."""
MEASURED = ("box", "point", "point +1")
"""The prompts before and after are compared with, as the evaluation names them."""

GRAPHS = ("encoder.onnx", "decoder.onnx")
WEIGHTS = "weights.pt"
CARD = "card.json"
PREFIX = "adapted-"
"""Ids of adapted models begin with it."""
ORIGINAL = "loupe"
"""Id of the model that ships and can be adapted."""

_FORMAT = "annotator-adapted-1"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_MAKING = ".making-"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Before and after, on the same prompts about the same objects.

    Attributes:
        before: mean IoU for each of `MEASURED`.
        after: likewise.
        images: how many were measured.
        objects: how many were measured.
        least: what the mean IoU rose by at least, with 95 % confidence; negative if it may have
            fallen.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    images: int
    objects: int
    least: float

    @property
    def gain(self) -> float:
        """What the mean IoU rose by, over all prompts."""
        return sum(self.after[step] - self.before[step] for step in MEASURED) / len(MEASURED)

    @property
    def helps(self) -> bool:
        """Whether the gain is worth having and no chance."""
        return self.gain >= MIN_GAIN and self.least > 0


class Refused(ModelError):
    """There is too little to learn from, or it does not help; the text says which.

    Args:
        reason: for people.
        comparison: what was measured, if it came to that.
    """

    def __init__(self, reason: str, comparison: Comparison | None = None) -> None:
        super().__init__(reason)
        self.comparison = comparison


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of an adapted model.

    Attributes:
        title: what people read.
        origin: id of the model it was made from.
        project: name of the project.
        date: day it was made, as in "2026-11-21".
        parts: what was trained.
        learned_images: images it learned from.
        learned_objects: objects it learned from.
        held_images: images it was measured on and did not learn from.
        held_objects: objects it was measured on.
        step: training steps that were of use.
        before: mean IoU of the original for each of `MEASURED`.
        after: its own mean IoU.
        fingerprint: of its graphs.
    """

    title: str
    origin: str
    project: str
    date: str
    parts: str
    learned_images: int
    learned_objects: int
    held_images: int
    held_objects: int
    step: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    fingerprint: str = ""

    @property
    def summary(self) -> str:
        """Its numbers for people."""
        numbers = ", ".join(f"{s} {self.before[s]:.3f} → {self.after[s]:.3f}" for s in MEASURED)
        return (
            f"Adapted on {self.date} to {self.learned_objects} objects of “{self.project}”. "
            f"Mean IoU on {self.held_objects} others, before → after: {numbers}."
        )


@dataclass(frozen=True, slots=True)
class AdaptedModel:
    """One folder of the store.

    Attributes:
        folder: graphs, weights and card.
        card: None when it is damaged or missing.
    """

    folder: Path
    card: Card | None

    @property
    def id(self) -> str:
        """Its id in the registry."""
        return PREFIX + self.folder.name

    @property
    def title(self) -> str:
        """What people read."""
        return self.card.title if self.card else f"Adapted model “{self.folder.name}”"

    @property
    def missing(self) -> str | None:
        """Why it cannot be used, None if it looks as it should."""
        if self.card is None:
            return (
                f"“{self.folder / CARD}” is missing or damaged. Remove the model and adapt again."
            )
        for name in GRAPHS:
            path = self.folder / name
            if not path.is_file() or not path.stat().st_size:
                return f"“{path}” is missing or empty. Remove the model and adapt again."
        return None


@dataclass(frozen=True, slots=True)
class AdaptedStore:
    """The folder of adapted models. Any number of processes may use it at once.

    Args:
        folder: it is made when the first model arrives.
    """

    folder: Path = field(default_factory=lambda: default_folder() / "adapted")

    def stamp(self) -> tuple[int, int, int]:
        """Changes when a model comes or goes; takes a microsecond."""
        try:
            status = self.folder.stat()
        except OSError:
            return 0, 0, 0
        return status.st_mtime_ns, status.st_nlink, status.st_ino

    def models(self) -> tuple[AdaptedModel, ...]:
        """All of them by name, damaged ones too, so that people can remove them."""
        try:
            folders = sorted(path for path in self.folder.iterdir() if path.is_dir())
        except OSError:
            return ()
        names = (folder for folder in folders if _NAME.fullmatch(folder.name))
        return tuple(AdaptedModel(folder, _read_card(folder / CARD)) for folder in names)

    def find(self, model_id: str) -> AdaptedModel:
        """The model with this id.

        Raises:
            ModelError: there is none.
        """
        models = self.models()
        for model in models:
            if model.id == model_id:
                return model
        known = ", ".join(model.id for model in models) or "none"
        raise ModelError(f"There is no adapted model “{model_id}”. Adapted models: {known}.")

    def remove(self, model: AdaptedModel) -> None:
        """Delete a model; it is gone at once for everybody, or everything stays.

        Raises:
            ModelError: the folder does not allow it.
        """
        aside = self.folder / f"{_MAKING}{os.getpid()}-{model.folder.name}"
        try:
            # Renamed first: half a model is never offered.
            model.folder.replace(aside)
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_error(error, model.folder) from error
        shutil.rmtree(aside, ignore_errors=True)

    def put(self, made: Path, card: Card) -> AdaptedModel:
        """Offer a model from now on.

        Args:
            made: folder with everything but the card, on the same disk (see `work`); it moves.
            card: its title gets a number if there is another model of this name.

        Raises:
            ModelError: the disk is full, or cannot be written.
        """
        name = slug(card.project)
        for number in range(1, 1000):
            target = self.folder / (name if number == 1 else f"{name}-{number}")
            if target.exists():
                continue
            suffix = "" if number == 1 else f" ({number})"
            final = Card(**{**_plain(card), "title": card.title + suffix})
            try:
                write_record(made / CARD, {"format": _FORMAT, **_plain(final)})
                _sync(made)
                made.rename(target)
            except OSError as error:
                if target.exists():  # another process was quicker with this name
                    continue
                raise disk_error(error, target) from error
            return AdaptedModel(target, final)
        raise ModelError(f"There are too many adapted models called “{name}”. Remove some of them.")

    @contextlib.contextmanager
    def work(self) -> Iterator[Path]:
        """A folder to make a model in, gone at the end; what dead processes left goes as well.

        Raises:
            ModelError: the disk is full, or cannot be written.
        """
        folder = self.folder / f"{_MAKING}{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            folder.mkdir()
            lock = FileLock(folder / "lock")
            lock.acquire()
        except OSError as error:
            raise disk_error(error, folder) from error
        try:
            yield folder
        finally:
            lock.release()
            shutil.rmtree(folder, ignore_errors=True)

    def discard_work(self, process: int) -> None:
        """Delete what a process that was killed left behind."""
        shutil.rmtree(self.folder / f"{_MAKING}{process}", ignore_errors=True)

    def _sweep(self) -> None:
        for folder in self.folder.glob(f"{_MAKING}*"):
            lock = FileLock(folder / "lock")
            with contextlib.suppress(OSError):
                if lock.acquire():
                    lock.release()
                    shutil.rmtree(folder, ignore_errors=True)


def slug(name: str) -> str:
    """A name as part of an id and of a path: small Latin letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "project"


def trainable_folder(model_id: str) -> Path:
    """Where the graphs and weights of a model lie that can be trained further.

    Raises:
        ModelError: it is no Loupe, or its weights are not there.
    """
    if model_id == ORIGINAL:
        with as_file(files("resources") / "models" / "loupe") as folder:
            found = folder
    elif model_id.startswith(PREFIX):
        found = AdaptedStore().find(model_id).folder
    else:
        raise ModelError(
            f"“{model_id}” cannot be adapted: only “{ORIGINAL}” can, and models adapted from it."
        )
    if not (found / WEIGHTS).is_file():
        raise ModelError(f"“{found / WEIGHTS}” is missing: “{model_id}” cannot be trained further.")
    return found


def can_adapt(model_id: str) -> bool:
    """Whether `trainable_folder` would find it."""
    try:
        trainable_folder(model_id)
    except ModelError:
        return False
    return True


def _plain(card: Card) -> dict[str, Any]:
    return {**asdict(card), "before": dict(card.before), "after": dict(card.after)}


def _read_card(path: Path) -> Card | None:
    value = read_record(path)
    if value.pop("format", None) != _FORMAT:
        return None
    try:
        card = Card(**value)
    except TypeError:
        return None
    kinds = {"str": str, "int": int, "Mapping[str, float]": dict}
    for entry in fields(Card):
        if not isinstance(getattr(card, entry.name), kinds[str(entry.type)]):
            return None
    for values in (card.before, card.after):
        if not all(isinstance(values.get(step), float | int) for step in MEASURED):
            return None
    return card


def _sync(folder: Path) -> None:
    """Everything in a folder reaches the disk before the folder gets its name."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
