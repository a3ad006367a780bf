"""FastSAM's network: YOLOv8-seg with one class, "object".

Sources: Zhao et al., "Fast Segment Anything" (2023); the graph is that of ultralytics'
`yolov8-seg.yaml`. Keys are those of the published `FastSAM-s.pt` and `FastSAM-x.pt`, once their
tensors are out of the pickle (`models.pickled`). FastSAM-x has 26 bins for each side
of a box where YOLOv8, and FastSAM-s, have 16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.fastsam.layers import Conv, Expectation, Prototypes, Pyramid, SplitBlock

STRIDES = (8, 16, 32)
HEAD = 22
"""Number of the head among the network's layers."""


@dataclass(frozen=True, slots=True)
class YoloSizes:
    """Sizes of a network.

    Attributes:
        widths: channels at strides 2, 4, 8, 16 and 32.
        depths: bottlenecks at strides 4, 8, 16 and 32, and in each block of the neck.
        prototypes: channels inside the prototype branch.
        bins: bins of the distribution of each side of a box.
        masks: number of prototypes.
        classes: 1 in FastSAM.
    """

    widths: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int, int]
    prototypes: int
    bins: int = 16
    masks: int = 32
    classes: int = 1


FAST_SAM_S = YoloSizes((32, 64, 128, 256, 512), (1, 2, 2, 1, 1), 128)
FAST_SAM_X = YoloSizes((80, 160, 320, 640, 640), (3, 6, 6, 3, 3), 320, bins=26)
NARROW = YoloSizes((8, 8, 16, 16, 32), (1, 2, 1, 1, 1), 8, bins=6, masks=4)


def sizes_of(state: Mapping[str, Tensor]) -> YoloSizes | None:
    """Read the sizes off a state dict; None when it is of another kind of network."""
    depths = tuple(
        len({key.split(".")[3] for key in state if key.startswith(f"model.{layer}.m.")})
        for layer in (2, 4, 6, 8, 12)
    )
    try:
        widths = tuple(len(state[f"model.{layer}.conv.weight"]) for layer in (0, 1, 3, 5, 7))
        last = [len(state[f"model.{HEAD}.cv{branch}.0.2.weight"]) for branch in (2, 3, 4)]
        hidden = len(state[f"model.{HEAD}.proto.cv1.conv.weight"])
    except KeyError:
        return None
    return YoloSizes(
        (widths[0], widths[1], widths[2], widths[3], widths[4]),
        (depths[0], depths[1], depths[2], depths[3], depths[4]),
        hidden,
        bins=last[0] // 4,
        masks=last[2],
        classes=last[1],
    )


class FastSam(nn.Module):
    """Images (B, 3, H, W), RGB, 0 to 1, sides multiples of 32, to everything that is in them.

    The outputs are those of ultralytics' ONNX export: (B, 4 + classes + masks, N), for each of N
    places the box (centre x, centre y, width, height, in pixels), the probabilities of the classes
    and the weights of the prototypes; and the prototypes (B, masks, H / 4, W / 4).
    """

    def __init__(self, sizes: YoloSizes) -> None:
        super().__init__()
        w, d = sizes.widths, sizes.depths
        self.model = nn.ModuleList(
            [
                Conv(3, w[0], 3, 2),
                Conv(w[0], w[1], 3, 2),
                SplitBlock(w[1], w[1], d[0], residual=True),
                Conv(w[1], w[2], 3, 2),
                SplitBlock(w[2], w[2], d[1], residual=True),
                Conv(w[2], w[3], 3, 2),
                SplitBlock(w[3], w[3], d[2], residual=True),
                Conv(w[3], w[4], 3, 2),
                SplitBlock(w[4], w[4], d[3], residual=True),
                Pyramid(w[4]),
                # Layers without weights keep their numbers.
                nn.Identity(),
                nn.Identity(),
                SplitBlock(w[4] + w[3], w[3], d[4], residual=False),
                nn.Identity(),
                nn.Identity(),
                SplitBlock(w[3] + w[2], w[2], d[4], residual=False),
                Conv(w[2], w[2], 3, 2),
                nn.Identity(),
                SplitBlock(w[2] + w[3], w[3], d[4], residual=False),
                Conv(w[3], w[3], 3, 2),
                nn.Identity(),
                SplitBlock(w[3] + w[4], w[4], d[4], residual=False),
                Head(sizes),
            ]
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Find everything; see the class."""
        result: tuple[Tensor, Tensor] = self.model[HEAD](*self.features(x))
        return result

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps at strides 8, 16 and 32."""
        layer = self.model
        steps = []
        for index in range(10):
            x = layer[index](x)
            steps.append(x)
        middle = layer[12](torch.cat([_doubled(x), steps[6]], dim=1))
        fine = layer[15](torch.cat([_doubled(middle), steps[4]], dim=1))
        middle = layer[18](torch.cat([layer[16](fine), middle], dim=1))
        coarse = layer[21](torch.cat([layer[19](middle), x], dim=1))
        return fine, middle, coarse


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Head(nn.Module):
    """Boxes, probabilities, prototype weights and prototypes.

    Keys: `cv2`, `cv3` and `cv4` (boxes, classes, weights; one each for every stride), `dfl`,
    `proto`.
    """

    def __init__(self, sizes: YoloSizes) -> None:
        super().__init__()
        inputs = sizes.widths[2:]
        self.sizes = sizes
        box = max(16, inputs[0] // 4, 4 * sizes.bins)
        kind = max(inputs[0], min(sizes.classes, 100))
        mask = max(inputs[0] // 4, sizes.masks)
        self.cv2 = nn.ModuleList(_branch(width, box, 4 * sizes.bins) for width in inputs)
        self.cv3 = nn.ModuleList(_branch(width, kind, sizes.classes) for width in inputs)
        self.dfl = Expectation(sizes.bins)
        self.proto = Prototypes(inputs[0], sizes.prototypes, sizes.masks)
        self.cv4 = nn.ModuleList(_branch(width, mask, sizes.masks) for width in inputs)

    def forward(self, *features: Tensor) -> tuple[Tensor, Tensor]:
        """Maps at strides 8, 16 and 32 to the outputs of `FastSam`."""
        sides, kinds, weights = (
            torch.cat([part(x).flatten(2) for part, x in zip(branch, features, strict=True)], dim=2)
            for branch in (self.cv2, self.cv3, self.cv4)
        )
        boxes = placed(self.dfl(sides), [(x.shape[2], x.shape[3]) for x in features])
        return torch.cat([boxes, kinds.sigmoid(), weights], dim=1), self.proto(features[0])


def _branch(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        Conv(inputs, hidden, 3), Conv(hidden, hidden, 3), nn.Conv2d(hidden, outputs, 1)
    )


def placed(distances: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
    """Distances from cell centres to box sides, as boxes in pixels.

    Args:
        distances: (B, 4, N) left, top, right, bottom, in cells; all cells of the first stride row
            by row, then those of the next.
        shapes: rows and columns at each stride.

    Returns:
        (B, 4, N) centre x, centre y, width, height in pixels.
    """
    centres, strides = [], []
    for (rows, columns), stride in zip(shapes, STRIDES, strict=True):
        y, x = torch.meshgrid(
            torch.arange(rows, device=distances.device) + 0.5,
            torch.arange(columns, device=distances.device) + 0.5,
            indexing="ij",
        )
        centres.append(torch.stack([x.flatten(), y.flatten()]))
        strides.append(torch.full((rows * columns,), float(stride), device=distances.device))
    start = torch.cat(centres, dim=1) - distances[:, :2]
    end = torch.cat(centres, dim=1) + distances[:, 2:]
    return torch.cat([(start + end) / 2, end - start], dim=1) * torch.cat(strides)


def narrow_fast_sam(seed: int = 0) -> FastSam:
    """A small FastSAM with random weights, for tests in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FastSam(NARROW)
    return network.eval()
