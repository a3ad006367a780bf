"""Which segmentation models exist: what every module in `models.segmenters` says.

A module has a `SPEC`, or `SPECS`, or a function `specs` for models that come and go.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import models.segmenters
from models.api import FIXED_SIZE, ModelError, ResizableSegmenter, Segmenter, SegmenterSpec

DEFAULT_SEGMENTER = "loupe"


def segmenters() -> dict[str, SegmenterSpec]:
    """All segmenters known at the moment by id, the default first; importing must stay cheap."""
    return {spec.id: spec for find in _sources() for spec in find()}


@cache
def _sources() -> tuple[Callable[[], Sequence[SegmenterSpec]], ...]:
    """What gives the specs of each module."""
    found: list[Callable[[], Sequence[SegmenterSpec]]] = []
    modules = [module.name for module in pkgutil.iter_modules(models.segmenters.__path__)]
    for name in sorted(modules, key=lambda name: not name.startswith(DEFAULT_SEGMENTER)):
        one = importlib.import_module(f"models.segmenters.{name}")
        fixed = (*getattr(one, "SPECS", ()), *filter(None, [getattr(one, "SPEC", None)]))
        found.append(getattr(one, "specs", None) or partial(tuple, fixed))
    return tuple(found)


def segmenter_spec(model_id: str) -> SegmenterSpec:
    """The spec with this id.

    “sam-vit-b@1536” is SAM ViT-B that sees images in a square of 1536 pixels: small objects get
    finer masks for more than the square of the effort. It counts as a model of its own.

    Raises:
        ModelError: no such model, or it cannot encode at that size.
    """
    known = segmenters()
    base, side = split_id(model_id)
    if base not in known:
        raise ModelError(f"There is no model “{base}”. Known models: {', '.join(known)}.")
    return at_side(known[base], side) if side else known[base]


def split_id(model_id: str) -> tuple[str, str]:
    """The id without a size, and the size or ""."""
    base, _, side = model_id.partition("@")
    return base, side


def at_side(spec: SegmenterSpec, side: str) -> SegmenterSpec:
    """The same model with another square.

    Raises:
        ModelError: it cannot encode at that size.
    """
    if side == str(spec.input_size):
        return spec
    if not spec.sides:
        raise ModelError(f"{spec.title} cannot encode images at another size. {FIXED_SIZE}")
    if side not in map(str, spec.sides):
        sizes = ", ".join(map(str, (spec.input_size, *spec.sides)))
        raise ModelError(f"{spec.title} can encode images at {sizes} pixels, not at {side}.")

    def load() -> Segmenter:
        segmenter = spec.load()
        assert isinstance(segmenter, ResizableSegmenter)
        return segmenter.at(other)

    other = replace(
        spec,
        id=f"{spec.id}@{side}",
        title=f"{spec.title} at {side} px",
        load=load,
        input_size=int(side),
        sides=(),
    )
    return other
