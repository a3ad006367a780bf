"""What a run of `annotator prelabel` is made of: its target, its boxes, its source."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from annotator.commands import prelabel_options as options
from annotator.commands.prelabel_report import Result
from annotator.commands.progress import say
from annotator.core.errors import UserError

if TYPE_CHECKING:
    from annotator.core.formats.detections.masks import ReadyMasks
    from annotator.core.formats.detections.values import Detections, Known
    from annotator.core.prelabel.as_is import AnySource
    from annotator.services.prelabelling import Target


class Knows(Protocol):
    """Says what numbers of images and classes mean: a `Target`, or the plan of a cluster's run."""

    def known(self, *, resume: bool) -> Known:
        """See `annotator.services.prelabelling.Target`."""


def target_of(given: argparse.Namespace, keys: Sequence[str]) -> Target:
    """Where the proposals go: the project, or a file."""
    from annotator.services import prelabelling

    only_existing = given.classes == "existing"
    if given.compare:
        from annotator.services.prelabel_comparing import ComparingTarget

        return ComparingTarget(given.folder, given.project, only_existing)
    if given.out is not None:
        return prelabelling.FileTarget(given.out, given.folder, given.project, only_existing)
    from PySide6.QtCore import QCoreApplication

    from annotator.services.document import Document

    # What the journal's thread says arrives through it; it lives as long as the document.
    application = QCoreApplication.instance() or QCoreApplication(["annotator"])
    application.setApplicationName("annotator")
    document = Document.open(given.folder, given.project)
    document.setProperty("application", application)
    document.reported.connect(lambda error: say(str(error)))
    document.add_images(keys)
    overlap = options.settings().propose_overlap if given.max_overlap is None else given.max_overlap
    return prelabelling.ProjectTarget(document, only_existing, overlap)


def detections_of(
    given: argparse.Namespace, keys: Sequence[str], target: Knows, result: Result
) -> Detections | ReadyMasks | None:
    """The boxes or masks that were named, None without.

    Raises:
        RefusedError: they cannot be read.
    """
    if given.boxes is None:
        return None
    from annotator.core.formats.detections.masks import read_masks
    from annotator.core.formats.detections.reading import read_boxes
    from annotator.core.prelabel.run import RefusedError

    known = target.known(resume=given.resume)
    found: Detections | ReadyMasks
    try:
        if given.as_is:
            found = read_masks(given.boxes, keys, known, given.names)
        else:
            found = read_boxes(given.boxes, keys, given.format, known, given.names)
    except UserError as error:
        raise RefusedError(error.message, error.remedy) from error
    result.troubles.add(found.troubles)
    return found


def source_of(given: argparse.Namespace, detections: Detections | ReadyMasks | None) -> AnySource:
    """What is asked about each image.

    Raises:
        RefusedError: there is nothing to ask about.
    """
    from annotator.commands import prelabel_kinds

    other = prelabel_kinds.source_of(given)
    if other is not None:
        return other
    if detections is not None:
        from annotator.core.formats.detections.masks import ReadyMasks
        from annotator.core.prelabel.as_is import AsIs, AsIsOptions
        from annotator.core.prelabel.boxes import Boxes, BoxOptions

        chosen = {"min_score": given.min_score, "min_area": given.min_area}
        if isinstance(detections, ReadyMasks):
            return AsIs(detections, AsIsOptions(**_said(chosen)))
        chosen["min_stability"] = given.min_stability
        return Boxes(detections, BoxOptions(**_said(chosen)))
    from annotator.core.prelabel.everything_mode import EverythingMode
    from annotator.services.everything import options_of

    chosen = {"side": given.side, "min_score": given.min_score, "min_area": given.min_area,
              "min_stability": given.min_stability, "max_overlap": given.max_overlap}  # fmt: skip
    return EverythingMode(replace(options_of(options.settings()), **_said(chosen)))


def _said(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chosen.items() if value is not None}
