"""Objects to vectors with CLIP's image tower: crop, and let it look (feature cropping).

The baseline of the talk: the object's crop goes through the image tower and is compared with the
vectors of names. A little of what is around it is shown, as photographs do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from models.api import CropFrame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.api import Box
    from models.naming.clip import Clip
    from models.naming.towers import Tower

Background = Literal["kept", "dimmed", "removed"]
"""What becomes of the pixels around the object."""

MARGIN = 0.15
FILL = (122, 116, 104)
"""CLIP's mean colour: what it has learnt to read nothing into."""
DIMMED = 0.5


class ClipDescriber:
    """Objects to unit vectors of one tower.

    Args:
        tower: which one.
        clip: its network.
        background: what becomes of the pixels around the object.
    """

    def __init__(self, tower: Tower, clip: Clip, background: Background = "kept") -> None:
        self._tower = tower
        self._clip = clip
        self._background: Background = background

    @property
    def id(self) -> str:
        """Name of the vector space."""
        return space(self._tower, self._background)

    @property
    def frame(self) -> CropFrame:
        """The object and a little around it, as large as the tower can see."""
        return CropFrame(self._tower.side, MARGIN)

    def describe(
        self, image: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box
    ) -> NDArray[np.float32]:
        """A unit vector (d,); see `models.api.Describer`."""
        import numpy as np

        del box
        seen = squared(image, mask, self._tower.side, self._background)
        vector = self._clip.images([seen])[0]
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def space(tower: Tower, background: Background = "kept") -> str:
    """The id of the vector space, without loading anything."""
    return f"{tower.id}-crop-1" + ("" if background == "kept" else f"-{background}")


def squared(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], side: int, background: Background
) -> NDArray[np.uint8]:
    """The crop (h, w, 3) in the middle of a square (side, side, 3), proportions kept."""
    import cv2
    import numpy as np

    fill = np.array(FILL, np.float32)
    if background != "kept":
        share = DIMMED if background == "dimmed" else 0.0
        kept = np.where(mask, 1.0, share).astype(np.float32)[..., None]
        image = np.asarray(image * kept + fill * (1 - kept), np.uint8)
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    found = np.full((side, side, 3), fill, np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    found[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=way)
    return found
