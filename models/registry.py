"""Which segmentation models exist: the `SPEC` or `SPECS` of every module in `models.segmenters`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import models.segmenters
from models.api import ModelError, SegmenterSpec

DEFAULT_SEGMENTER = "basic"


@cache
def segmenters() -> dict[str, SegmenterSpec]:
    """All known segmenters by id; importing their modules must stay cheap."""
    specs: dict[str, SegmenterSpec] = {}
    for module in pkgutil.iter_modules(models.segmenters.__path__):
        found = importlib.import_module(f"models.segmenters.{module.name}")
        for spec in (getattr(found, "SPEC", None), *getattr(found, "SPECS", ())):
            if isinstance(spec, SegmenterSpec):
                specs[spec.id] = spec
    return specs


def segmenter_spec(model_id: str) -> SegmenterSpec:
    """The spec with this id.

    Raises:
        ModelError: no such model.
    """
    known = segmenters()
    if model_id not in known:
        raise ModelError(f"There is no model “{model_id}”. Known models: {', '.join(known)}.")
    return known[model_id]
