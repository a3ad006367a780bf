"""`annotator models`: the files of models on the command line."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.adapted import AdaptedStore
from models.api import ModelError
from models.catalog import NEEDS, WEIGHTS, find_weight, needs
from models.weight_files import Progress, Steps, T, finish, size_text
from models.weights import State, Weight, WeightStore

STATES = {
    State.MISSING: "not on this computer",
    State.PARTIAL: "partly downloaded",
    State.UNCHECKED: "here, not checked yet",
    State.READY: "here, verified",
    State.UNVERIFIABLE: "here, cannot be verified",
    State.WRONG: "here, but NOT the right file",
}

Registrar = Callable[["argparse._SubParsersAction[argparse.ArgumentParser]"], None]


def run(arguments: list[str]) -> int:
    """Run `annotator models` with these arguments.

    Returns:
        0 when all went well, 1 when something failed or was declined or interrupted.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    given = _parser().parse_args(arguments)
    try:
        code: int = given.act(given)
        sys.stdout.flush()
    except ModelError as error:
        sys.stderr.write(f"annotator models: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. What was received is kept; the same command goes on.\n")
        return 1
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="annotator models",
        description="The files of models: what they are, where they come from, what is here.",
        epilog=f"Files lie in {WeightStore().folder} (set ANNOTATOR_MODELS for another folder).",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for register in REGISTRARS:
        register(commands)
    for action in commands._choices_actions:
        # What the list of commands says stands also at the top of each page.
        page = commands.choices[action.dest]
        text = action.help or ""
        page.description = page.description or f"{text[:1].upper()}{text[1:]}."
    return parser


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("list", help="all known files: size, licence, origin, SHA-256")
    _accept_names(parser, "*")
    _accept_json(parser)
    parser.set_defaults(act=_list)


def _add_get(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("get", help="download, or go on with a download")
    _accept_names(parser, "+")
    parser.add_argument(
        "--agree-to-licence",
        action="store_true",
        help="you have read the licence (see: annotator models list) and agree to it",
    )
    parser.add_argument(
        "--accept-unverified",
        action="store_true",
        help="download also a file whose publisher states no hash to verify it with",
    )
    _accept_json(parser)
    parser.set_defaults(act=_get)


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("check", help="read files again and compare their SHA-256")
    _accept_names(parser, "*", "; without one, all that are here")
    _accept_json(parser)
    parser.set_defaults(act=_check)


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("import", help="take over local files, without a network")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="stays as it is")
    parser.add_argument(
        "--as",
        dest="claimed",
        type=_weight_argument,
        metavar="ID",
        help="what the file is; needed only where no SHA-256 is known to recognise it by",
    )
    _accept_json(parser)
    parser.set_defaults(act=_import)


def _add_remove(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("remove", help="delete files and interrupted downloads")
    _accept_names(parser, "+")
    _accept_json(parser)
    parser.set_defaults(act=_remove)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "export",
        help="write the ONNX graphs of a checkpoint, compared with torch",
        description="Write the ONNX graphs of a checkpoint of EdgeSAM, SAM, MobileSAM, "
        "EfficientSAM or FastSAM, and compare what they compute with torch. The network is "
        "recognised by its weights, not by the name of the file.",
    )
    parser.add_argument("checkpoint", type=Path, help="a published checkpoint, or one of your own")
    parser.add_argument("folder", type=Path, help="where to; a sub-folder is made for the graphs")
    parser.set_defaults(act=_export)


def _add_devices(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "devices", help="what models run on here, tried out: graphics processors, 16 or 32 bits"
    )
    _accept_json(parser)
    parser.set_defaults(act=_devices)


def _add_adapted(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "adapted", help="models adapted to projects (annotator adapt): list and remove them"
    )
    parser.add_argument("--remove", nargs="+", default=[], metavar="ID", help="delete these")
    _accept_json(parser)
    parser.set_defaults(act=_adapted)


REGISTRARS: tuple[Registrar, ...] = (
    _add_list,
    _add_get,
    _add_check,
    _add_import,
    _add_remove,
    _add_export,
    _add_devices,
    _add_adapted,
)
"""One per sub-command, in the order of the help."""


def _accept_names(parser: argparse.ArgumentParser, count: str, note: str = "") -> None:
    parser.add_argument(
        "names",
        nargs=count,
        type=_weights_argument,
        metavar="ID",
        help=f"id or file name of a file, or id of a model{note}",
    )


def _accept_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the result for programs")


def _weight_argument(name: str) -> Weight:
    try:
        return find_weight(name)
    except ModelError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _weights_argument(name: str) -> tuple[Weight, ...]:
    return needs(name)[0] if name in NEEDS else (_weight_argument(name),)


def _chosen(given: argparse.Namespace) -> list[Weight]:
    named = [weight for group in given.names for weight in group]
    return list(dict.fromkeys(named))


# --- The commands ---


def _list(given: argparse.Namespace) -> int:
    store = WeightStore()
    chosen = _chosen(given) or list(WEIGHTS.values())
    if given.json:
        _write_json([_facts(store, weight) for weight in chosen])
        return 0
    for weight in chosen:
        sys.stdout.write(_described(store, weight) + "\n\n")
    sys.stdout.write(f"Folder: {store.folder}\n")
    return 0


def _get(given: argparse.Namespace) -> int:
    store, chosen = WeightStore(), _chosen(given)
    for weight in chosen:
        if not _agreed(store, weight, given):
            return 1
    for weight in chosen:
        steps = store.downloading(weight, accept_unverified=given.accept_unverified)
        path = _shown(steps, weight.title)
        if not given.json:
            sys.stdout.write(f"{weight.title}: {path} ({STATES[store.state(weight)]})\n")
    if given.json:
        _write_json([_facts(store, weight) for weight in chosen])
    return 0


def _agreed(store: WeightStore, weight: Weight, given: argparse.Namespace) -> bool:
    if store.agreed(weight):
        return True
    sys.stderr.write(_terms(weight) + "\n")
    if given.agree_to_licence or _asked(f"Do you agree to the {weight.licence.name}?"):
        store.agree(weight)
        return True
    sys.stderr.write(f"“{weight.title}” was not downloaded.\n")
    return False


def _asked(question: str) -> bool:
    if not sys.stdin.isatty():
        sys.stderr.write("Nobody is here to ask. If you agree, say --agree-to-licence.\n")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _check(given: argparse.Namespace) -> int:
    store = WeightStore()
    here = [w for w in WEIGHTS.values() if store.state(w) not in (State.MISSING, State.PARTIAL)]
    chosen = _chosen(given) or here
    states = {}
    for weight in chosen:
        states[weight.id] = state = _shown(store.checking(weight), weight.title)
        if not given.json:
            sys.stdout.write(f"{weight.title}: {STATES[state]} ({store.path(weight)})\n")
    if given.json:
        _write_json([_facts(store, weight) for weight in chosen])
    elif not chosen:
        sys.stdout.write(f"No files in {store.folder}.\n")
    return 0 if {State.READY, State.UNVERIFIABLE}.issuperset(states.values()) else 1


def _import(given: argparse.Namespace) -> int:
    store, imported, failed = WeightStore(), [], False
    for file in given.files:
        try:
            steps = store.importing(file, WEIGHTS.values(), claimed=given.claimed)
            weight = _shown(steps, file.name)
        except ModelError as error:
            sys.stderr.write(f"annotator models: {error}\n")
            failed = True
            continue
        imported.append(weight)
        if not given.json:
            sys.stdout.write(f"{file} is {weight.title}: {store.path(weight)}\n")
    if given.json:
        _write_json([_facts(store, weight) for weight in imported])
    return 1 if failed else 0


def _remove(given: argparse.Namespace) -> int:
    store, chosen = WeightStore(), _chosen(given)
    for weight in chosen:
        freed = store.remove(weight)
        if not given.json:
            words = f"{size_text(freed)} freed" if freed else "nothing was here"
            sys.stdout.write(f"{weight.title}: {words}\n")
    if given.json:
        _write_json([_facts(store, weight) for weight in chosen])
    return 0


# --- Words ---


def _export(given: argparse.Namespace) -> int:
    from models.exporting import export_anew
    from models.weight_files import file_hash

    checkpoint: Path = given.checkpoint
    folder = given.folder / f"{checkpoint.stem}-{file_hash(checkpoint)[:8]}"
    program = "models.sam_family.export_any"
    sys.stderr.write(export_anew(folder, program, [str(checkpoint)], f"“{checkpoint.name}”"))
    for path in sorted(folder.glob("*.onnx")):
        sys.stdout.write(f"{path}\n")
    return 0


def _devices(given: argparse.Namespace) -> int:
    from models.runtimes import survey
    from models.sam_family.torch_runtime import best_device, device_text

    tried, notes = survey()
    used = next(one.title for one in tried if not one.problem)
    torch = device_text(best_device())
    if given.json:
        runtimes = [{"title": one.title, "problem": one.problem or None} for one in tried]
        _write_json([{"used": used, "runtimes": runtimes, "notes": notes, "torch": torch}])
        return 0
    for one in tried:
        state = one.problem or ("works, used" if one.title == used else "works")
        sys.stdout.write(f"{one.title}: {state}\n")
    for note in notes:
        sys.stdout.write(f"Not used: {note}\n")
    sys.stdout.write(f"Models that need torch: {torch}\n")
    return 0


def _adapted(given: argparse.Namespace) -> int:
    store = AdaptedStore()
    for model in [store.find(model_id) for model_id in given.remove]:
        store.remove(model)
        if not given.json:
            sys.stdout.write(f"{model.title}: removed\n")
    if given.json:
        _write_json(
            {
                "id": model.id,
                "title": model.title,
                "problem": model.missing,
                "path": str(model.folder),
                "card": asdict(model.card) if model.card else None,
            }
            for model in store.models()
        )
    elif not given.remove:
        for model in store.models():
            text = model.missing or (model.card.summary if model.card else "")
            sys.stdout.write(f"{model.id}: {model.title}\n{textwrap.indent(text, '    ')}\n\n")
        sys.stdout.write(f"Folder: {store.folder}\n")
    return 0


def _write_json(value: Iterable[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps(list(value), indent=2, ensure_ascii=False) + "\n")


def _facts(store: WeightStore, weight: Weight) -> dict[str, Any]:
    licence = weight.licence
    return {
        "id": weight.id,
        "title": weight.title,
        "file": weight.file_name,
        "bytes": weight.bytes or None,
        "sha256": weight.sha256 or None,
        "licence": {
            "name": licence.name,
            "url": licence.url,
            "non_commercial": licence.non_commercial,
            "agreed": store.agreed(weight),
        },
        "origin": weight.origin,
        "urls": list(weight.urls),
        "good_for": weight.good_for,
        "models": [name for name, groups in NEEDS.items() if any(weight.id in g for g in groups)],
        "state": store.state(weight).value,
        "received": store.partial_bytes(weight),
        "path": str(store.path(weight)),
    }


def _described(store: WeightStore, weight: Weight) -> str:
    size = size_text(weight.bytes) if weight.bytes else "size unknown"
    state, partial = STATES[store.state(weight)], store.partial_bytes(weight)
    if partial:
        state += f" ({size_text(partial)} received)"
    terms = " (non-commercial)" if weight.licence.non_commercial else ""
    lines = (
        weight.good_for,
        f"Licence: {weight.licence.name}{terms}, {weight.licence.url}",
        f"Origin:  {weight.origin}",
        f"File:    {weight.file_name}",
        f"SHA-256: {weight.sha256 or 'unknown, cannot be verified'}",
    )
    return f"{weight.id}: {weight.title}, {size}, {state}\n" + textwrap.indent(
        "\n".join(lines), "    "
    )


def _terms(weight: Weight) -> str:
    use = "non-commercial use only" if weight.licence.non_commercial else "commercial use permitted"
    return "\n".join(
        (
            f"“{weight.title}” comes from {weight.origin} under the {weight.licence.name} ({use}).",
            textwrap.fill(weight.licence.text, 88),
            f"Full text: {weight.licence.url}",
        )
    )


# --- Progress ---


def _shown(steps: Steps[T], title: str) -> T:
    """Do the steps and show how far they are: a bar on a terminal, lines elsewhere."""
    show = _Bar(title) if sys.stderr.isatty() else _Lines(title)
    try:
        return finish(steps, show.show)
    finally:
        show.end()


class _Bar:
    """One line that is painted over."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._painted = False

    def show(self, step: Progress) -> None:
        width = shutil.get_terminal_size().columns - 1
        words = f"{self._title}: {_words(step)}"
        room = width - len(words) - 3
        bar = ""
        if step.fraction is not None and room >= 10:
            full = round(step.fraction * min(room, 40))
            bar = f" [{'#' * full}{'.' * (min(room, 40) - full)}]"
        sys.stderr.write(f"\r\x1b[K{(words + bar)[:width]}")
        sys.stderr.flush()
        self._painted = True

    def end(self) -> None:
        if self._painted:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class _Lines:
    """A line at every new phase, tenth, or ten seconds."""

    EVERY = 10.0

    def __init__(self, title: str) -> None:
        self._title = title
        self._said: tuple[str, int] = ("", -1)
        self._at = 0.0

    def show(self, step: Progress) -> None:
        now = step.phase, int(10 * (step.fraction or 0))
        if now == self._said and time.monotonic() - self._at < self.EVERY:
            return
        self._said, self._at = now, time.monotonic()
        sys.stderr.write(f"{self._title}: {_words(step)}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Lines stay."""


def _words(step: Progress) -> str:
    parts = [step.phase]
    if step.done or step.total:
        whole = f" of {size_text(step.total)}" if step.total else ""
        parts.append(f"{size_text(step.done)}{whole}")
    if step.fraction is not None:
        parts.append(f"{100 * step.fraction:.0f} %")
    if step.speed:
        parts.append(f"{size_text(round(step.speed))}/s")
    return ", ".join(parts) + (f" ({step.note})" if step.note else "")
