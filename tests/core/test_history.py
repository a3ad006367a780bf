from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.core.annotation import Annotation
from annotator.core.errors import UserError
from annotator.core.history import Change, difference
from models.api import Box


def annotation(number, side=1):
    return Annotation(number, Box(0, 0, side, side))


states = st.lists(
    st.builds(annotation, st.integers(1, 8), st.integers(1, 3)),
    max_size=8,
    unique_by=lambda a: a.id,
).map(tuple)


@settings(max_examples=400)
@given(states, states)
def test_a_change_leads_there_and_back(old, new):
    change = difference(old, new)
    assert change.apply(old) == new
    assert change.inverse.apply(new) == old
    assert bool(change) == (old != new)


@given(states, st.integers(1, 3))
def test_changing_one_object_keeps_one_entry(state, side):
    for place, old in enumerate(state):
        new = (*state[:place], annotation(old.id, side + 5), *state[place + 1 :])
        change = difference(state, new)
        assert [p for p, _ in change.before] == [place] == [p for p, _ in change.after]


def test_appending_keeps_only_the_new_one():
    state = tuple(annotation(i) for i in range(1, 100))
    change = difference(state, (*state, annotation(100)))
    assert change == Change((), ((99, annotation(100)),))


def test_a_step_that_does_not_fit_changes_nothing():
    change = difference((annotation(1),), ())
    with pytest.raises(UserError, match="does not fit"):
        change.apply((annotation(2),))
    with pytest.raises(UserError, match="does not fit"):
        change.apply(())


@given(st.lists(states, min_size=1, max_size=6))
def test_any_chain_of_changes_undone_completely_gives_the_first_state(chain):
    changes = [difference(a, b) for a, b in pairwise(chain)]
    state = chain[-1]
    for change in reversed(changes):
        state = change.inverse.apply(state)
    assert state == chain[0]
