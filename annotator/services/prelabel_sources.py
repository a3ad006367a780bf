"""What a run in the window can ask a model: a table; each row says what people choose for it.

A further source of proposals is one more `SourceKind` in `KINDS`: the dialog builds its form from
the options, and the run calls `make` on its own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from annotator.core.formats.detections.values import Known

if TYPE_CHECKING:
    from annotator.core.annotation import Category
    from annotator.core.prelabel.as_is import AnySource
    from annotator.core.troubles import Trouble
    from annotator.services.prelabel_names import NamesWanted
    from annotator.services.settings import Settings
    from models.api import SegmenterSpec
    from models.everything import Options

Values = Mapping[str, Any]
"""What was chosen: JSON values by `Option.name`."""
AUTO = -1.0
"""A share that suits the model."""


@dataclass(frozen=True, slots=True)
class Option:
    """One thing people choose.

    Attributes:
        name: of the value.
        title: in the form, with a mnemonic.
        kind: "whole" (int), "percent" (share 0 to 1, or `AUTO` where `auto` is said), "path"
            (text, "" for none) or "choice" (one of `choices`).
        default: the value at first.
        tip: a sentence.
        least: of whole numbers.
        most: of whole numbers.
        suffix: unit of a whole number.
        auto: what `AUTO` is called, "" if it cannot be chosen.
        choices: values and titles.
        folder: whether a path may be a folder, too.
        patterns: of files, as in "Text (*.txt)".
        when: another choice and the values with which this one is asked; ("", ()): always.
    """

    name: str
    title: str
    kind: Literal["whole", "percent", "path", "choice"]
    default: Any
    tip: str = ""
    least: int = 0
    most: int = 1_000_000
    suffix: str = ""
    auto: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    folder: bool = False
    patterns: str = ""
    when: tuple[str, tuple[str, ...]] = ("", ())


@dataclass(frozen=True, slots=True)
class Context:
    """What a source may need to know of the project.

    Attributes:
        folder: of the images.
        keys: all images.
        known: what numbers of images and classes mean in the project.
        project_dir: where the project's own files are, None for beside the images.
        categories: its classes.
    """

    folder: Path
    keys: Sequence[str]
    known: Known
    project_dir: Path | None = None
    categories: Sequence[Category] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A source, ready to be asked.

    Attributes:
        source: decides what the model is asked.
        troubles: what could not be used.
        known: what the numbers mean that a file uses.
        model: the model, if it brings its own.
    """

    source: AnySource
    troubles: Sequence[Trouble] = ()
    known: Known = field(default_factory=Known)
    model: SegmenterSpec | None = None


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source.

    Attributes:
        id: in notes of projects.
        title: for people.
        hint: a sentence or two.
        options: what people choose, with the user's preferences as the first values.
        problem: why it cannot begin with these values, "" if it can. Must be quick.
        make: makes the source; on the thread of the run. May raise UserError or ModelError.
        asks_model: it asks the segmenter people choose.
        can_name: what it finds can get names from a vocabulary.
        note: what else there is to know now, as what is missing; "" for nothing.
    """

    id: str
    title: str
    hint: str
    options: Callable[[Settings], tuple[Option, ...]]
    problem: Callable[[Values], str]
    make: Callable[[Values, Context], Made]
    asks_model: bool = True
    can_name: bool = True
    note: Callable[[], str] = lambda: ""


def kind_of(source_id: str) -> SourceKind | None:
    """The kind with this id, None if this version does not know it."""
    return next((kind for kind in KINDS if kind.id == source_id), None)


# --- Every object ---


def _everything_options(settings: Settings) -> tuple[Option, ...]:
    suits = "As suits the model"
    return (
        Option("side", "&Points along each side:", "whole", settings.propose_side,
               "More find smaller objects and take longer.", 2, 64),
        Option("min_score", "Least &confidence:", "percent", settings.propose_score,
               "How good the model thinks a mask is.", auto=suits),
        Option("min_stability", "Least s&tability:", "percent", settings.propose_stability,
               "How little a mask changes with its threshold.", auto=suits),
        Option("max_overlap", "Most &overlap:", "percent", settings.propose_overlap,
               "Of masks that overlap more only the best is proposed, and none where you have an "
               "object already."),
        Option("min_area", "S&mallest object:", "whole", settings.propose_area, suffix=" px²"),
    )  # fmt: skip


def _everything(values: Values, context: Context) -> Made:
    from annotator.core.prelabel.everything_mode import EverythingMode

    return Made(EverythingMode(_grid(values)))


def _grid(values: Values) -> Options:
    from models.everything import Options

    def share(name: str) -> float | None:
        return float(values[name]) if values[name] >= 0 else None

    return Options(
        side=values["side"],
        min_score=share("min_score"),
        min_stability=share("min_stability"),
        max_overlap=values["max_overlap"],
        min_area=values["min_area"],
    )


# --- Boxes ---


def _boxes_options(settings: Settings) -> tuple[Option, ...]:
    return (
        Option("path", "&Boxes:", "path", "",
               "COCO results (one JSON file), or a folder of YOLO text or Pascal VOC files.",
               folder=True, patterns="Boxes (*.json *.xml *.txt)"),
        Option("names", "&Names:", "path", "",
               "What the numbers in the boxes mean, if the project does not say it: a COCO file "
               "with images and categories, or for YOLO a text with one name a line.",
               patterns="Names (*.json *.txt *.names *.yaml)"),
        Option("classes", "New c&lasses:", "choice", "add",
               "What becomes of boxes whose label is no class of the project yet.",
               choices=(("add", "Add them to the project"), ("existing", "Leave their boxes out"))),
        Option("min_score", "Least &confidence:", "percent", 0.0,
               "Of the box; boxes without one stay."),
        Option("min_stability", "Least s&tability:", "percent", 0.0,
               "How little a mask changes with its threshold."),
        Option("min_area", "S&mallest object:", "whole", 1, suffix=" px²", least=1),
    )  # fmt: skip


def _boxes_problem(values: Values) -> str:
    return _file_problem(values, "Choose the file or folder with the boxes.")


def _masks_problem(values: Values) -> str:
    return _file_problem(values, "Choose the file with the masks.")


def _file_problem(values: Values, choose: str) -> str:
    for name in ("path", "names"):
        text = values[name].strip()
        if not text and name == "path":
            return choose
        if text and not Path(text).exists():
            return f"“{text}” does not exist."
    return ""


def _boxes(values: Values, context: Context) -> Made:
    from annotator.core.formats.detections.reading import read_boxes
    from annotator.core.prelabel.boxes import Boxes, BoxOptions

    names = Path(values["names"]) if values["names"].strip() else None
    found = read_boxes(Path(values["path"]), context.keys, "auto", context.known, names)
    kept = BoxOptions(values["min_score"], values["min_stability"], float(values["min_area"]))
    return Made(Boxes(found, kept), found.troubles, found.known)


# --- The same objects again ---


def _again_options(settings: Settings) -> tuple[Option, ...]:
    return (
        Option("min_score", "Least &likeness:", "percent", AUTO,
               "How much it has to look like an object of that name.",
               auto="As your objects suggest"),
        Option("min_stability", "Least s&tability:", "percent", 0.0,
               "How little a mask changes with its threshold."),
        Option("max_overlap", "Most &overlap:", "percent", settings.propose_overlap,
               "Of masks that overlap more only the best is proposed, and none where you have an "
               "object already."),
        Option("min_area", "S&mallest object:", "whole", settings.propose_area, suffix=" px²"),
    )  # fmt: skip


def _again(values: Values, context: Context) -> Made:
    from annotator.core.prelabel.again import Again, AgainOptions
    from annotator.core.troubles import Trouble
    from annotator.services.object_memory import some_examples

    troubles: list[Trouble] = []
    examples = some_examples(
        context.folder,
        context.project_dir,
        lambda error: troubles.append(Trouble("images with objects to look for", str(error))),
    )
    least = float(values["min_score"])
    kept = AgainOptions(least if least >= 0 else None, values["min_stability"],
                        float(values["min_area"]), values["max_overlap"])  # fmt: skip
    return Made(Again(examples, kept), troubles)


# --- Masks as they are ---


def _masks_options(settings: Settings) -> tuple[Option, ...]:
    boxes = {option.name: option for option in _boxes_options(settings)}
    return (
        Option("path", "&Masks:", "path", "",
               "COCO results with masks, or a COCO file; what annotator prelabel --out wrote.",
               patterns="Masks (*.json)"),
        replace(boxes["names"], patterns="Names (*.json)",
                tip="What the numbers in the file mean, if neither it nor the project says it: a "
                "COCO file with images and categories."),
        boxes["classes"],
        replace(boxes["min_score"], tip="Masks without one stay."),
        boxes["min_area"],
    )  # fmt: skip


def _masks(values: Values, context: Context) -> Made:
    from annotator.core.formats.detections.masks import read_masks
    from annotator.core.prelabel.as_is import AsIs, AsIsOptions

    names = Path(values["names"]) if values["names"].strip() else None
    found = read_masks(Path(values["path"]), context.keys, context.known, names)
    kept = AsIsOptions(values["min_score"], float(values["min_area"]))
    return Made(AsIs(found, kept), found.troubles, found.known)


# --- Models that need no prompts ---


def _labeller_options(settings: Settings) -> tuple[Option, ...]:
    from models.labelling import labellers

    here = [(spec.id, spec.title) for spec in labellers().values() if spec.available() is None]
    return (
        Option("labeller", "Mo&del:", "choice", here[0][0] if here else "",
               "A network that finds and names everything by itself.", choices=tuple(here)),
        Option("min_score", "Least &confidence:", "percent", 0.3,
               "How sure the model is of an object."),
        Option("max_overlap", "Most &overlap:", "percent", settings.propose_overlap,
               "Of masks of one name that overlap more only the best is proposed, and none where "
               "you have an object already."),
        Option("min_area", "S&mallest object:", "whole", settings.propose_area, suffix=" px²"),
    )  # fmt: skip


def _labeller_problem(values: Values) -> str:
    return "" if values["labeller"] else "No such model is on this computer."


def _labeller_note() -> str:
    from models.labelling import labellers

    missing = [(spec, spec.available()) for spec in labellers().values()]
    named = [spec.title for spec, problem in missing if problem is not None]
    slow = {spec.effort for spec, problem in missing if problem is None} - {""}
    notes = [f"{effort}; how long the rest takes is told after the first one." for effort in slow]
    if named:
        notes.append(f"Not here yet: {'; '.join(named)}. Settings → Model gets them.")
    return " ".join(sorted(notes))


def _labeller(values: Values, context: Context) -> Made:
    from annotator.core.prelabel.instances import InstanceOptions, Instances, vocabulary
    from annotator.core.prelabel.run import RefusedError
    from models.labelling import labeller_spec, unasked

    spec = labeller_spec(values["labeller"])
    names = vocabulary(context.categories) if spec.takes_names else spec.names
    if spec.takes_names and not names:
        raise RefusedError(
            f"{spec.title} looks for the classes of the project, and there are none.",
            "Add them with Ctrl+Shift+L, and try again.",
        )
    kept = InstanceOptions(values["min_score"], min_area=float(values["min_area"]),
                           max_overlap=values["max_overlap"])  # fmt: skip
    return Made(Instances(names, kept), model=unasked(spec, names if spec.takes_names else ()))


# --- Names ---


def names_options() -> tuple[Option, ...]:
    """What people choose about names, for every kind that can be named."""
    return (
        Option("vocabulary", "Names f&rom:", "choice", "",
               "What the text model chosen in Settings → Names may call objects that have no "
               "name. It looks at each of them, which takes longer.",
               choices=(("", "What you named before"), ("project", "The classes of this project"),
                        ("coco", "COCO, 80 classes"), ("lvis", "LVIS, 1,203 classes"),
                        ("file", "A list in a file"))),
        Option("vocabulary_file", "Li&st of names:", "path", "",
               "A text with one class a line, synonyms after commas.",
               patterns="Lists (*.txt *.csv *.json)", when=("vocabulary", ("file",))),
        Option("min_name_score", "Least s&ureness of names:", "percent", AUTO,
               "Objects whose best name is less probable get none.", auto="Not in doubt",
               when=("vocabulary", ("project", "coco", "lvis", "file"))),
    )  # fmt: skip


def names_of(kind: SourceKind, values: Values, model: str) -> NamesWanted | None:
    """Which names were asked for, None for those the project has.

    Args:
        kind: what is asked.
        values: what was chosen.
        model: id of the model for names, "" for the first that is here.
    """
    from annotator.services.prelabel_names import NamesWanted

    vocabulary = str(values.get("vocabulary", "")) if kind.can_name else ""
    if not vocabulary:
        return None
    least = float(values.get("min_name_score", AUTO))
    if vocabulary == "file":
        vocabulary = str(values.get("vocabulary_file", ""))
    return NamesWanted(vocabulary, model, least if least >= 0 else None)


def problem_of(kind: SourceKind, values: Values, settings: Settings) -> str:
    """Why a run cannot begin with these values, "" if it can. Quick."""
    wanted = names_of(kind, values, settings.names)
    if (problem := kind.problem(values)) or wanted is None:
        return problem
    from annotator.services.prelabel_names import missing_model

    if values.get("vocabulary") == "file" and not Path(wanted.vocabulary).is_file():
        return "Choose the file with the list of names."
    _, missing = missing_model(wanted.model)
    return "" if missing is None else f"{missing.message} Settings → Names gets one."


KINDS: tuple[SourceKind, ...] = (
    SourceKind(
        "everything",
        "Every object the model sees",
        "Objects get a name where those you named leave no doubt.",
        _everything_options,
        lambda values: "",
        _everything,
    ),
    SourceKind(
        "boxes",
        "Boxes or results from a file",
        "Each box of a detector becomes a mask and keeps its label and score. Images without "
        "boxes are left alone.",
        _boxes_options,
        _boxes_problem,
        _boxes,
    ),
    SourceKind(
        "again",
        "The same objects again",
        "What looks nearly like an object you accepted and named is proposed by its name: for "
        "series in which the same things come again.",
        _again_options,
        lambda values: "",
        _again,
        can_name=False,
    ),
    SourceKind(
        "labeller",
        "Everything, by a model that needs no prompts",
        "Instance and panoptic networks find all objects at once; those that take names look for "
        "the classes of this project.",
        _labeller_options,
        _labeller_problem,
        _labeller,
        asks_model=False,
        note=_labeller_note,
    ),
    SourceKind(
        "masks",
        "Masks from a file, as they are",
        "No model is asked: the masks of COCO results, or of a COCO file, become proposals with "
        "their label and score.",
        _masks_options,
        _masks_problem,
        _masks,
        asks_model=False,
        can_name=False,
    ),
)
"""What can be asked; the first is the default."""
