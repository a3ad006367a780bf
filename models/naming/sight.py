"""What looks at an object to find its name: CLIP at a crop, OVSAM at what it keeps of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from models.api import CropFrame, ModelError, ObjectDescriber
from models.naming.towers import TOWERS, Tower, find_tower

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.api import Box, Embedding, Segmenter
    from models.naming.clip import Clip

    View = tuple[NDArray[np.uint8], NDArray[np.bool_], Box]
    Embed = Callable[[Segmenter], Embedding]

SEGMENTERS = ("ovsam",)
"""Segmenters that name objects in boxes."""


class Sight(Protocol):
    """Objects to vectors; for one thread."""

    @property
    def id(self) -> str:
        """What the settings call it."""

    @property
    def frame(self) -> CropFrame:
        """What it wants to see of an object."""

    def vector(self, view: View, embed: Embed) -> NDArray[np.float32]:
        """A unit vector (d,); zeros for an object without area.

        Args:
            view: crop, mask and box of the object.
            embed: gives the embedding of the image for a segmenter, made now if need be.
        """


def space(model_id: str) -> str:
    """The vector space of a model, without loading it.

    Raises:
        ModelError: there is no such model.
    """
    if model_id in SEGMENTERS:
        from models.registry import segmenter_spec

        return f"{text_tower(model_id)}-{model_id}-{segmenter_spec(model_id).version}"
    from models.naming import describer

    return describer.space(_tower(model_id))


def text_tower(model_id: str) -> str:
    """The `Tower.id` that names are encoded with."""
    return "clip-rn50x16" if model_id in SEGMENTERS else model_id


def open_sight(
    model_id: str, open_clip: Callable[[str], Clip], loaded: Segmenter | None = None
) -> Sight:
    """Load a model.

    Args:
        model_id: what the settings call it.
        open_clip: loads the network of a tower.
        loaded: a segmenter that is there already: it need not be loaded again.

    Raises:
        ModelError: its files are missing or damaged.
    """
    if model_id in SEGMENTERS:
        return _Boxes(model_id, loaded)
    return _Crops(_tower(model_id), open_clip(model_id))


def opened_clip() -> Callable[[str], Clip]:
    """Opens the network of a tower, each once."""
    known: dict[str, Clip] = {}

    def clip(tower: str) -> Clip:
        if tower not in known:
            from models.naming.clip import Clip

            known[tower] = Clip.open(find_tower(tower))
        return known[tower]

    return clip


class LazySight:
    """A `Sight` that is loaded when it is first needed, and travels to other processes as its id.

    Args:
        model_id: what the settings call it.
    """

    def __init__(self, model_id: str) -> None:
        self.id = model_id
        self._sight: Sight | None = None

    def __reduce__(self) -> tuple[type[LazySight], tuple[str]]:
        return LazySight, (self.id,)

    def open(
        self, loaded: Segmenter | None = None, open_clip: Callable[[str], Clip] | None = None
    ) -> Sight:
        """The model itself; see `open_sight`.

        Raises:
            ModelError: its files are missing or damaged.
        """
        if self._sight is None:
            self._sight = open_sight(self.id, open_clip or opened_clip(), loaded)
        return self._sight

    @property
    def frame(self) -> CropFrame:
        """See `Sight`."""
        return self.open().frame

    def vector(self, view: View, embed: Embed) -> NDArray[np.float32]:
        """See `Sight`."""
        return self.open().vector(view, embed)


def _tower(model_id: str) -> Tower:
    try:
        return find_tower(model_id)
    except ModelError:
        known = ", ".join((*(tower.id for tower in TOWERS), *SEGMENTERS))
        raise ModelError(f"There is no model for names “{model_id}”. Known: {known}.") from None


class _Crops:
    """CLIP's image tower, which looks at a crop."""

    def __init__(self, tower: Tower, clip: Clip) -> None:
        from models.naming.describer import ClipDescriber

        self.id = tower.id
        self._describer = ClipDescriber(tower, clip)

    @property
    def frame(self) -> CropFrame:
        return self._describer.frame

    def vector(self, view: View, embed: Embed) -> NDArray[np.float32]:
        del embed
        return self._describer.describe(*view)


class _Boxes:
    """A segmenter that keeps what is needed to name anything in the image."""

    frame = CropFrame()

    def __init__(self, model_id: str, loaded: Segmenter | None) -> None:
        from models.registry import segmenter_spec

        self.id = model_id
        if loaded is None or loaded.spec.id != model_id:
            loaded = segmenter_spec(model_id).load()
        self._segmenter = loaded

    def vector(self, view: View, embed: Embed) -> NDArray[np.float32]:
        assert isinstance(self._segmenter, ObjectDescriber), "SEGMENTERS lists only such"
        return self._segmenter.vector(embed(self._segmenter), view[2])
