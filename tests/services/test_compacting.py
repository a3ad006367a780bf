"""Trimming the history by age keeps the current state, and every kept step can be reached."""

import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.commands.compact import run
from annotator.core.errors import UserError
from annotator.services.compacting import compact, trimmable
from annotator.services.history_journal import ABANDONED, DONE, UNDONE, StepRow
from annotator.services.history_steps import Past
from tests.services.test_document import add, document, folder, opened  # noqa: F401

DAY = 86_400


def age(folder, days):  # noqa: F811
    """Make all steps so many days older."""
    db = sqlite3.connect(folder / ".annotator" / "journal.sqlite")
    db.execute("UPDATE steps SET time = time - ?", (days * DAY,))
    db.execute("UPDATE parts SET time = time - ?", (days * DAY,))
    db.commit()
    db.close()


def test_old_steps_go_and_the_state_stays(opened, folder, document, capsys):  # noqa: F811
    for place in range(6):
        add(document, x=place)
    document.undo("a.png")
    add(document, x=8)
    add(document, "b.png")
    document.close()
    age(folder, 100)
    again = opened(folder)
    add(again, x=9)
    states = {key: again.annotations(key) for key in again.keys()}  # noqa: SIM118
    again.close()
    assert run([str(folder), "--older-than", "12w", "--dry-run"]) == 0
    assert "8 steps of 2 images" in capsys.readouterr().err
    assert run([str(folder), "--older-than", "12w"]) == 0
    assert "are gone; 1 stay" in capsys.readouterr().err
    after = opened(folder)
    assert {key: after.annotations(key) for key in after.keys()} == states  # noqa: SIM118
    assert after.undo("a.png") == "Add 9"
    assert after.undo("a.png") is None
    assert len(after.annotations("a.png")) == 6
    assert after.redo("a.png") == "Add 9"
    assert after.new_id() > 9
    after.close()
    assert run([str(folder), "--older-than", "1y"]) == 0
    assert "Nothing is older" in capsys.readouterr().err


def test_what_newer_steps_need_stays_and_is_reached(opened, folder, document):  # noqa: F811
    add(document)
    add(document)
    document.close()
    age(folder, 100)
    again = opened(folder)
    again.undo("a.png")
    again.undo("a.png")
    new = again.annotations("a.png")
    add(again)
    again.close()
    done = compact(folder, None, time.time() - 50 * DAY)
    assert (done.steps, done.kept) == (2, 1), "old steps of another line are not needed"
    last = opened(folder)
    past = Past(last.reader().connection(), "a.png", last.record("a.png").id)
    assert past.state(past.rows[0].parent) == new
    assert last.undo("a.png")
    assert last.annotations("a.png") == new


def test_a_project_that_is_open_is_left_alone(folder, document):  # noqa: F811
    add(document)
    document.flush()
    with pytest.raises(UserError, match="already open"):
        compact(folder, None, time.time())


def test_bad_ages_and_missing_projects_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run([str(tmp_path), "--older-than", "soon"])
    assert run([str(tmp_path)]) == 1
    assert "not a project" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@st.composite
def histories(draw):
    """Steps as any sequence of edits, undoing, redoing and jumping would leave them."""
    parents, times, tip = {}, {}, 0
    for number in range(1, draw(st.integers(1, 12)) + 1):
        tip = draw(st.sampled_from([0, *parents]))
        parents[number], times[number] = tip, draw(st.integers(0, 10))
        tip = number
    tip = draw(st.sampled_from([0, *parents]))
    line = set()
    while tip:
        line.add(tip)
        tip = parents[tip]
    top = max(line, default=0)
    rest = [n for n in parents if n not in line]
    undone = next((n for n in rest if parents[n] == top), 0)
    state = {n: DONE if n in line else UNDONE if n == undone else ABANDONED for n in parents}
    return [StepRow(n, times[n], "", state[n], parents[n], 0, "person") for n in parents]


@given(histories(), st.integers(0, 11))
def test_every_kept_step_has_its_way_to_the_current_state(rows, until):
    gone = set(trimmable(rows, until))
    kept = {row.id: row for row in rows if row.id not in gone}
    assert {row.id for row in rows if row.time >= until} <= kept.keys()
    tip = max((row.id for row in rows if row.state == DONE), default=0)

    def up(step):
        path = [step]
        while path[-1] in kept:
            path.append(kept[path[-1]].parent)
        return path

    here = set(up(tip))
    for step in kept:
        assert here & set(up(step)), "there is a common state"
    first_new = next((row.id for row in rows if row.time >= until), None)
    if first_new is None:
        assert not kept, "all are old"
