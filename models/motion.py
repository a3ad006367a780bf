"""An object of one image found again in the next one of a sequence, whatever model is in use.

Dense optical flow moves the mask; the moved mask says where a promptable segmenter is to look; and
how far the flows there and back, the colours and the two masks agree is the confidence.

Flow is computed at a working size: pictures whose longest side is `SIDE`. Its unit is a pixel of
that size. The flow is OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse
Search", 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.api import Box, Point, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.api import Embedding, Segmenter

    Mask = NDArray[np.bool_]
    Flow = NDArray[np.float32]

SIDE = 640
"""Longest side of the working size, pixels: fast motion in large photographs stays short."""
SLACK = 1.0, 0.05
"""How far a pixel that went there and back may come out beside its start: working pixels, and
parts of the way it went."""
CONTRAST = 40.0
"""Mean difference of colours (0 to 255) at which they agree to 1/e."""
LOOSE = 0.03
"""What the box of a prompt is wider than the moved mask on each side, as a share of its side."""
CRUMB = 0.05
"""Pieces of a moved mask that are smaller than this share of the largest one are dropped."""
PARTLY = 0.5
"""An object at the edge of which no more than this share was to be seen, and then nothing for sure,
has left the image."""
LEAST_PIXELS = 12
"""A moved mask with fewer pixels (of the working size) is no object any more."""
CORE = 7
"""Width of the border of a mask where the flow is mixed with that of the ground, working pixels."""
SMOOTH = 0.12
"""Parts of an object that move alike: their size as a share of the side of the object."""
POINTS = 2000
"""As many pixels at most say how an object moved as a whole."""
FAINT = 0.02
"""Weight of the motion as a whole where no part is near."""
APART = 3.0
"""What moved so much otherwise than the object does not belong to it, working pixels."""
THICK = 9
"""A thing in front of an object is at least so thick, working pixels."""
CALIBRATION = (0.0, 0.3, 0.85), (0.2, 0.7, 1.0)
"""`Moved.confidence` and the overlap with the truth it stood for, on machine-made sequences."""
DOUBT = 0.5
"""Power of the agreement with the segmenter, relative to the usual one, in the confidence."""
HELPLESS = 0.2
"""A segmenter that gave back less of the known mask has nothing to say about the object."""
MARGIN = 0.1
"""How much better the segmenter's mask must be expected to be than the moved one, to be taken."""
LEAST = 0.6
"""From this expected overlap on an object is followed without asking: in 40 machine-made sequences
no mask above it overlapped the truth by less than half (`benchmarks/propagation.py --sequences 40
--seed 11`, built-in segmenter)."""
GONE = 0.15
"""An object at the edge of the image has left it when less than this share of it is to be seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image of a sequence at the working size.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        width: of the image itself, pixels.
        height: of the image itself, pixels.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What moved between two images.

    Attributes:
        before: the earlier one.
        after: the later one, on the grid of the earlier one.
        forward: (h, w, 2) where every pixel of `before` went: x and y.
        backward: (h, w, 2) where every pixel of `after` came from.
        returned: (h, w) bool, in the grid of `before`: went forward and came back to its place.
        arrived: (h, w) bool, in the grid of `after`: went backward and came back to its place.
    """

    before: Frame
    after: Frame
    forward: Flow
    backward: Flow
    returned: Mask
    arrived: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """A mask after a motion.

    Attributes:
        mask: (H, W) bool at the size of the later image.
        confidence: 0 to 1, how much of the object was found again and looks as before.
        left: it went out of the image: there is nothing to ask about.
    """

    mask: Mask
    confidence: float
    left: bool


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """An object in the next image.

    Attributes:
        mask: (H, W) bool, empty if it is not to be seen or has left.
        confidence: 0 to 1, how much the mask is expected to overlap the truth, after what the
            segmenter says of it.
        believed: the same without the segmenter: what the next image begins with.
        prompt: what the segmenter was, or would be, asked.
        agreement: overlap of its answer and the moved mask; None if it was not asked.
        left: the object went out of the image.
        refined: `mask` is the segmenter's.
    """

    mask: Mask
    confidence: float
    believed: float
    prompt: Prompt
    agreement: float | None
    left: bool
    refined: bool = False

    @property
    def sure(self) -> bool:
        """Whether it is worth going on from here without a person."""
        return self.confidence >= LEAST


def frame(pixels: NDArray[np.uint8], like: Frame | None = None) -> Frame:
    """An image at the working size.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        like: take the grid of this one, so that the two can be compared.
    """
    height, width = pixels.shape[:2]
    if like is not None:
        size = like.pixels.shape[1], like.pixels.shape[0]
    else:
        scale = min(1.0, SIDE / max(width, height))
        size = max(round(width * scale), 1), max(round(height * scale), 1)
    # Thinned out first: averaging 12 megapixels costs more than their flow.
    step = max(min(width // size[0], height // size[1]) // 2, 1)
    small = cv2.resize(pixels[::step, ::step], size, interpolation=cv2.INTER_AREA)
    return Frame(np.asarray(small, np.uint8), width, height)


def between(before: Frame, after: Frame) -> Motion:
    """The motion from one image to the next; both on one grid (see `frame`)."""
    first, second = _grey(before), _grey(after)
    forward, backward = _flow(first, second), _flow(second, first)
    return Motion(
        before, after, forward, backward, _returns(forward, backward), _returns(backward, forward)
    )


def _grey(frame: Frame) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Flow:
    flow = np.zeros((*first.shape, 2), np.float32)
    if min(first.shape) < 16:  # DIS compares patches of 8 pixels
        return flow
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(dis.calc(first, second, flow), np.float32)


def _ends(flow: Flow) -> Flow:
    """(h, w, 2) where every pixel goes to: x and y."""
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.asarray(np.dstack((columns, rows)) + flow, np.float32)


def _sampled(
    values: NDArray[np.float32], where: Flow, border: int = cv2.BORDER_CONSTANT
) -> NDArray[np.float32]:
    """`values` (h, w) or (h, w, n) at the places (h, w, 2), x and y; outside by default 0."""
    across, down = cv2.split(where)
    found = cv2.remap(values, across, down, cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(found, np.float32)


def _returns(there: Flow, back: Flow) -> Mask:
    ends = _ends(there)
    homeward = _sampled(back, ends, cv2.BORDER_REPLICATE)
    error = np.linalg.norm(there + homeward, axis=2)
    return np.asarray(error <= SLACK[0] + SLACK[1] * np.linalg.norm(there, axis=2))


def moved(mask: Mask, motion: Motion) -> Moved:
    """Where the flow takes a mask (H, W) of the earlier image."""
    after = motion.after
    height, width = after.pixels.shape[:2]
    shrunk = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    soft = np.asarray(shrunk, np.float32)
    inside = soft > min(0.5, float(soft.max()) / 2)
    if not inside.any():
        return Moved(np.zeros((after.height, after.width), np.bool_), 0.0, False)
    came = _came(motion, inside)
    clean = _cleaned(_sampled(soft, came), _elsewhere(motion, came))
    found = clean > 0.5
    share = float(found.sum()) / int(inside.sum())
    left = _inside_share(motion, came, inside) < GONE or (share < GONE and _at_edge(inside))
    full = cv2.resize(clean, (after.width, after.height), interpolation=cv2.INTER_LINEAR) > 0.5
    if int(found.sum()) < LEAST_PIXELS:
        return Moved(np.zeros_like(full), 0.0, left)
    return Moved(full, _confidence(motion, inside, found, came), left)


def _came(motion: Motion, inside: Mask) -> Flow:
    """(h, w, 2) where every pixel of the later image was if it moved with the object: x and y.

    The flow at the border of an object is a mixture of its motion and that of the ground, which
    would fray its mask. So the motion is taken from the inside and continued outwards: a
    similarity (shift, turn, growth) plus what single parts do otherwise, smoothed.
    """
    core = cv2.erode(inside.astype(np.uint8), np.ones((CORE, CORE), np.uint8)) > 0
    sure = (core if core.any() else inside) & motion.returned
    if int(sure.sum()) < LEAST_PIXELS:
        sure = inside
    height, width = inside.shape
    rows, columns = np.nonzero(sure)
    starts = np.stack((columns, rows), axis=1).astype(np.float32)
    ends = starts + motion.forward[rows, columns]
    turn = _similarity(starts, ends)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    whole = np.dstack((xs, ys)) @ turn[:, :2].T.astype(np.float32) + turn[:, 2].astype(np.float32)
    weight = sure.astype(np.float32)
    rest = (motion.forward + np.dstack((xs, ys)) - whole) * weight[..., None]
    sigma = max(SMOOTH * float(np.sqrt(inside.sum())), 2.0)
    spread = cv2.GaussianBlur(rest, (0, 0), sigma)
    spread /= (cv2.GaussianBlur(weight, (0, 0), sigma) + FAINT)[..., None]
    # The way back is that of the similarity, corrected until forth and back meet.
    home = cv2.invertAffineTransform(turn).astype(np.float32)
    came = np.dstack((xs, ys)) @ home[:, :2].T + home[:, 2]
    straight = came.copy()
    for _ in range(4):
        part = _sampled(spread, came, cv2.BORDER_REPLICATE)
        came = np.asarray(straight - part @ home[:, :2].T, np.float32)
    return came


def _similarity(starts: Flow, ends: Flow) -> NDArray[np.float64]:
    """(2, 3) the shift, turn and growth most of some points (n, 2) agree on."""
    step = max(len(starts) // POINTS, 1)
    if len(starts) >= 2:
        some, others = np.ascontiguousarray(starts[::step]), np.ascontiguousarray(ends[::step])
        turn, _ = cv2.estimateAffinePartial2D(some, others, ransacReprojThreshold=2.0)
        if turn is not None and 0.5 < np.hypot(turn[0, 0], turn[1, 0]) < 2:
            return np.asarray(turn, np.float64)
    shift = np.median(ends - starts, axis=0)
    return np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)


def _elsewhere(motion: Motion, came: Flow) -> Mask:
    """(h, w) pixels of the later image that surely moved otherwise than the object: in front."""
    height, width = came.shape[:2]
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    apart = np.linalg.norm(np.dstack((xs, ys)) + motion.backward - came, axis=2)
    other = (motion.arrived & (apart > APART)).astype(np.uint8)
    # Its border is the mixture again: what is thin is no other object.
    return cv2.morphologyEx(other, cv2.MORPH_OPEN, np.ones((THICK, THICK), np.uint8)) > 0


def _inside_share(motion: Motion, came: Flow, inside: Mask) -> float:
    """The share of a mask that is still inside the image after the motion."""
    kept = _sampled(inside.astype(np.float32), came)
    return float(kept.sum()) / int(inside.sum())


def _at_edge(inside: Mask) -> bool:
    return bool(inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any())


def _cleaned(soft: NDArray[np.float32], covered: Mask) -> NDArray[np.float32]:
    """Without what is covered, and without crumbs; (h, w) float32, above 0.5 inside."""
    smooth = np.where(covered, np.float32(0), soft)
    hard = (smooth > 0.5).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hard, connectivity=8)
    if count > 2:
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0
        smooth[(areas < CRUMB * areas.max())[labels] & (labels > 0)] = 0
    return smooth


def _confidence(motion: Motion, inside: Mask, found: Mask, came: Flow) -> float:
    """How much of the object came back to its place, there and back, and looks as before."""
    back = float(motion.returned[inside].mean())
    there = float(motion.arrived[found].mean())
    warped = _sampled(motion.before.pixels.astype(np.float32), came, cv2.BORDER_REPLICATE)
    difference = np.abs(warped - motion.after.pixels)[found]
    return min(back, there) * float(np.exp(-difference.mean() / CONTRAST))


def prompt_for(mask: Mask) -> Prompt:
    """What to ask a segmenter for the object of a mask (H, W) that is not empty.

    A box a little larger than the mask, and a positive point where the mask is thickest.
    """
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    # A border of background: the edge of the image is an edge of the object, too.
    piece = np.pad(mask[y0:y1, x0:x1].astype(np.uint8), 1)
    _, _, _, (column, row) = cv2.minMaxLoc(cv2.distanceTransform(piece, cv2.DIST_L2, 5))
    across, down = LOOSE * (x1 - x0), LOOSE * (y1 - y0)
    box = Box(x0 - across, y0 - down, x1 + across, y1 + down).clipped(width, height)
    return Prompt((Point(x0 + column - 0.5, y0 + row - 0.5),), box)


def ellipse(box: Box, width: int, height: int) -> Mask:
    """What a plain rectangle most likely encloses: the (H, W) mask of the ellipse in it."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    across = (xs - (box.x0 + box.x1) / 2) / max(box.width / 2, 0.5)
    down = (ys - (box.y0 + box.y1) / 2) / max(box.height / 2, 0.5)
    return np.asarray(across**2 + down**2 <= 1)


def overlap(first: Mask, second: Mask) -> float:
    """Intersection over union; 0 for two empty masks."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 0.0


def answer(
    segmenter: Segmenter, embedding: Embedding, prompt: Prompt, expected: Mask
) -> tuple[Mask, float]:
    """The candidate that agrees best with a mask, rendered (H, W), and its overlap with it."""
    masks = [segmenter.render(embedding, one) for one in segmenter.decode(embedding, prompt)]
    scored = [(overlap(one, expected), one) for one in masks]
    if not scored:
        return np.zeros_like(expected), 0.0
    value, best = max(scored, key=lambda entry: entry[0])
    return best, value


def trust(segmenter: Segmenter, embedding: Embedding, mask: Mask) -> float:
    """How exactly a segmenter gives back an object whose mask is known: overlap, 0 to 1.

    Args:
        segmenter: any promptable one.
        embedding: of the image the mask belongs to.
        mask: (H, W) not empty.
    """
    return answer(segmenter, embedding, prompt_for(mask), mask)[1]


def follow(
    segmenter: Segmenter,
    embedding: Embedding,
    mask: Mask,
    motion: Motion,
    believed: float = 1.0,
    trusted: float | None = None,
    largest: int = 0,
) -> Followed:
    """An object of one image in the next one.

    The mask moved by the flow asks the segmenter; the one of the two whose overlap with the truth
    is expected to be higher is taken. A segmenter that could not give back the object where its
    mask was known is not believed here either.

    Args:
        segmenter: any promptable one.
        embedding: of the later image.
        mask: (H, W) bool, of the earlier image.
        motion: from the earlier to the later image.
        believed: the expected overlap of `mask` with the truth.
        trusted: from `trust`, where a person's mask is known; None: the segmenter is not asked.
        largest: the most pixels of the object that were seen in any image so far.
    """
    there = moved(mask, motion)
    expected = believed * np.interp(there.confidence, *CALIBRATION).item()
    leaving = _at_edge(mask) and int(mask.sum()) < PARTLY * largest
    if there.left or not there.mask.any() or (leaving and expected < LEAST):
        nothing = np.zeros_like(there.mask)
        return Followed(nothing, 0.0, 0.0, Prompt(), None, there.left or leaving)
    prompt = prompt_for(there.mask)
    if trusted is None or trusted < HELPLESS:
        return Followed(there.mask, expected, expected, prompt, None, False)
    refined, agreed = answer(segmenter, embedding, prompt, there.mask)
    usual = min(agreed / max(trusted * expected, 1e-6), 1.0)
    confidence = expected * usual**DOUBT
    # Fitted to what the built-in segmenter answered on machine-made sequences.
    by_model = agreed ** (5 / 8) * trusted ** (1 / 4) * expected ** (1 / 8)
    if by_model <= expected + MARGIN:
        return Followed(there.mask, confidence, expected, prompt, agreed, False)
    believed = float(np.sqrt(by_model * expected))
    return Followed(refined, confidence, believed, prompt, agreed, False, True)
