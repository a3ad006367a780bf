"""`annotator statistics FOLDER`: classes, sizes, places and progress as plots and tables."""

from __future__ import annotations

import argparse
import sqlite3
from pathlib import Path

from annotator.commands.format_options import guarded, progress
from annotator.commands.progress import say


def run(arguments: list[str]) -> int:
    """Run `annotator statistics` with these arguments.

    Returns:
        0 when all was written, 1 otherwise.

    Raises:
        SystemExit: after --help (0) and for bad arguments (2).
    """
    parser = argparse.ArgumentParser(
        prog="annotator statistics",
        description="Write plots (PNG) and tables (CSV) of a project, open in a window or not.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of the images")
    parser.add_argument("--project", type=Path, metavar="DIR", help="where the journal is")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR",
                        help="where to write; files of the same names are replaced")  # fmt: skip
    given = parser.parse_args(arguments)
    return guarded("statistics", lambda: _write(given.folder, given.project, given.out))


def _write(folder: Path, project: Path | None, out: Path) -> int:
    from annotator.core.charts import write_png
    from annotator.core.files import explain
    from annotator.core.statistics import write_csv
    from annotator.services.checking import journal_of
    from annotator.services.journal import connect_beside
    from annotator.services.project_facts import read_statistics
    from annotator.services.store import explain_failure

    journal = journal_of(folder, project)
    try:
        db = connect_beside(journal)
        try:
            found = read_statistics(db, progress())
        finally:
            db.close()
    except sqlite3.Error as error:
        raise explain_failure(error, journal) from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        files = [*write_png(found, out), *write_csv(found, out)]
    except OSError as error:
        raise explain(error, out) from error
    say(
        f"{len(files)} files in “{out}”: {found.objects:,} objects, {len(found.classes):,} classes."
    )
    return 0
