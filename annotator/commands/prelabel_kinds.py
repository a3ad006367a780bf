"""`annotator prelabel --again` and `--labeller`: other things to ask than boxes or everything."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from annotator.commands.prelabel_cluster import project_place
from annotator.commands.progress import say
from models.api import ModelError, Segmenter, SegmenterSpec

if TYPE_CHECKING:
    from annotator.core.prelabel.proposing import ProposalSource
    from models.labelling import Name


def add_options(made: argparse.ArgumentParser) -> None:
    """The options."""
    made.add_argument(
        "--again",
        action="store_true",
        help="look for what you accepted and named in other images, and propose it by its name: "
        "for series in which the same objects come again",
    )
    made.add_argument(
        "--labeller",
        metavar="ID",
        help="let a model that needs no prompts find everything (instead of --model); “list” "
        "shows which there are",
    )


def check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> SegmenterSpec | None:
    """The spec of the labeller that is meant, None without one.

    Raises:
        SystemExit: the options make no sense together, or the list was asked for.
    """
    if given.again and (given.boxes or given.labeller or given.side or given.vocabulary):
        parser.error("--again goes with none of --boxes, --labeller, --side and --vocabulary")
    if given.labeller is None:
        return None
    if given.labeller == "list":
        parser.exit(message=_listed())
    if given.boxes or given.side or given.model:
        parser.error("--labeller goes with none of --boxes, --side and --model")
    from models.labelling import labeller_spec, unasked

    try:
        return unasked(labeller_spec(given.labeller), ())
    except ModelError as error:
        parser.error(str(error))


def _listed() -> str:
    from models.labelling import labellers

    lines = []
    for spec in labellers().values():
        missing = spec.available()
        lines.append(f"{spec.id}: {spec.summary} {spec.licence}.")
        lines += [f"    {missing}"] if missing else []
    return "\n".join(lines) + "\n"


def source_of(given: argparse.Namespace) -> ProposalSource | None:
    """What is asked about each image; None for boxes and everything mode.

    Raises:
        RefusedError: there is nothing to look for.
        UserError: the project cannot be read.
    """
    chosen = {name: getattr(given, name) for name in
              ("min_score", "min_stability", "min_area", "max_overlap")}  # fmt: skip
    changed: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    if given.again:
        from annotator.core.prelabel.again import Again, AgainOptions
        from annotator.services.object_memory import some_examples

        examples = some_examples(given.folder, given.project, lambda error: say(str(error)))
        return Again(examples, AgainOptions(**changed))
    if given.labeller is None:
        return None
    from annotator.core.prelabel.instances import InstanceOptions, Instances
    from models.labelling import labeller_spec

    spec = labeller_spec(given.labeller)
    own = labeller_names(given) if spec.takes_names else spec.names
    return Instances(own or (), InstanceOptions(**changed))


def labeller_names(given: argparse.Namespace) -> tuple[Name, ...] | None:
    """The vocabulary of the labeller that is meant, () for one with its own; None without one.

    Raises:
        RefusedError: it needs classes, and the project has none.
        UserError: the project cannot be read.
    """
    if given.labeller is None:
        return None
    from annotator.core.prelabel.instances import vocabulary
    from annotator.core.prelabel.run import RefusedError
    from annotator.services.glance import classes_of
    from models.labelling import labeller_spec

    labeller = labeller_spec(given.labeller)
    if not labeller.takes_names:
        return ()
    names = vocabulary(classes_of(project_place(given), given.project))
    if not names:
        raise RefusedError(
            f"{labeller.title} looks for the classes of the project, and there are none.",
            "Add them in the window (Ctrl+Shift+L), and try again.",
        )
    return names


def segmenter_of(given: argparse.Namespace, spec: SegmenterSpec) -> Segmenter:
    """The model that is asked.

    Raises:
        RefusedError: it needs classes, and the project has none.
        ModelError: it cannot be loaded.
    """
    names = labeller_names(given)
    if names is None:
        return spec.load()
    from models.labelling import labeller_spec, unasked

    labeller = labeller_spec(given.labeller)
    model = unasked(labeller, names).load()
    if labeller.effort:
        say(f"{labeller.effort}. {getattr(model, 'device', '')}".strip())
    return model
