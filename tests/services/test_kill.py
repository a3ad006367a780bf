"""Ten kills of `benchmarks/kill.py`, which says what is checked; `--kills 50` runs the rest."""

import pytest

from benchmarks.kill import kill_once


@pytest.mark.parametrize("seed", range(11, 21))
def test_a_kill_loses_nothing_that_was_shown(qapp, tmp_path, seed):
    outcome = kill_once(tmp_path, seed, longest=1.2)
    assert outcome.shown, "the child worked"
    assert not outcome.problems
