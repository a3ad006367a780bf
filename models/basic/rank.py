"""How believable a mask around a click is: which of several sizes the user meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.basic.solver import Scene

    Floats = NDArray[np.float32]

RIM = 0.85  # beyond this coordinate a superpixel counts as at the edge of the tried box


def mask_cues(
    scene: Scene, p: Floats, chosen: NDArray[np.bool_], expected: float, size: tuple[int, int]
) -> Floats:
    """(14,) measurements of one mask made for one tried size.

    Args:
        scene: the window of the tried size, the click at its centre.
        p: (n,) probability per superpixel.
        chosen: (n,) the mask.
        expected: expected IoU of the mask by `p` alone.
        size: width and height of the image, pixels.
    """
    graph = scene.graph
    weight = graph.area * chosen
    total = float(weight.sum()) + 1e-6
    cell = graph.extent.width * graph.extent.height / graph.labels.size
    share = np.log(total * cell / (size[0] * size[1]))
    rim = graph.area * (np.maximum(np.abs(scene.u), np.abs(scene.v)) > RIM) * scene.inside
    along, within = _contrasts(scene, chosen)
    outside = graph.area - weight
    colour = (weight @ graph.colour) / total - (outside @ graph.colour) / (outside.sum() + 1e-6)
    fill = total / float((graph.area * scene.inside).sum() + 1e-6)
    centre = np.hypot(weight @ scene.u / total, weight @ scene.v / total)
    distance = np.hypot(scene.u, scene.v)
    depth = float(distance[~chosen].min()) if not chosen.all() else 1.0
    radius = np.sqrt(fill)
    return np.array(
        [
            1,
            expected,
            share,
            share**2,
            fill,
            fill**2,
            float((rim * chosen).sum() / (rim.sum() + 1e-6)),
            along,
            within,
            float(np.linalg.norm(colour)) / 20,
            centre / radius,
            depth / radius,
            float((graph.area * p * (1 - p)).sum() / ((graph.area * p).sum() + 1e-6)),
            float((weight * (scene.open_u + scene.open_v) * (rim > 0)).sum() / total),
        ],
        np.float32,
    )


def _contrasts(scene: Scene, chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """Log of the mean boundary strength along the outline and inside, against the window's."""
    graph = scene.graph
    one, two = chosen[graph.edges[:, 0]], chosen[graph.edges[:, 1]]
    mass = graph.strength * graph.length
    mean = mass.sum() / (graph.length.sum() + 1e-6) + 1

    def contrast(which: NDArray[np.bool_]) -> float:
        return float(np.log((mass[which].sum() / (graph.length[which].sum() + 1e-6) + 0.5) / mean))

    return contrast(one != two), contrast(one & two)
