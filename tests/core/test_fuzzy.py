"""Completion of names."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.core.fuzzy import complete, fold

NAMES = ["traffic light", "light bulb", "lightning", "flashlight", "night", "zebra"]


def found(query: str, names: list[str], limit: int = 99) -> list[str]:
    return [names[hit.index] for hit in complete(query, names, limit)]


def marked(query: str, name: str) -> str:
    """The name with [brackets] around what matched."""
    (hit,) = complete(query, [name], 1)
    result, end = "", 0
    for start, stop in hit.spans:
        result += f"{name[end:start]}[{name[start:stop]}]"
        end = stop
    return result + name[end:]


def test_whole_name_then_prefix_then_word_then_part_then_typo():
    names = ["slight", "traffic light", "lighter", "light", "ligth"]
    assert found("light", names) == ["light", "lighter", "traffic light", "slight", "ligth"]


def test_shorter_names_come_first_and_ties_keep_their_order():
    assert found("ca", ["cabbage", "car", "cat"]) == ["car", "cat", "cabbage"]


def test_an_empty_query_fits_everything_in_order():
    assert found("", NAMES) == NAMES
    assert found("  ", NAMES, 2) == NAMES[:2]
    assert complete("x", [], 5) == []


@pytest.mark.parametrize(
    ("query", "name", "expected"),
    [
        ("LIG", "traffic light", "traffic [lig]ht"),
        ("cafe", "Café au lait", "[Café] au lait"),
        ("cafe", "Cafe\u0301", "[Cafe\u0301]"),
        ("é", "cafe", "caf[e]"),
        ("strasse", "Straße", "[Straße]"),
        ("li tra", "traffic light", "[tra]ffic [li]ght"),
        ("traffic light", "traffic_light", "[traffic_light]"),
        ("tfl", "traffic light", "[t]ra[f]fic [l]ight"),
        ("girafe", "giraffe", "[giraf]f[e]"),
        ("bra", "ze🦓bra", "ze🦓[bra]"),
        ("سي", "سيارة", "[سي]ارة"),
        ("猫", "黒猫", "黒[猫]"),
        ("🦓", "zebra 🦓", "zebra [🦓]"),
    ],
)
def test_spans_name_the_matching_characters(query, name, expected):
    assert marked(query, name) == expected


def test_only_names_that_contain_the_words_are_literal():
    literal = {q: complete(q, ["traffic light"], 1)[0].literal for q in ("raff", "li tr", "tfl")}
    assert literal == {"raff": True, "li tr": True, "tfl": False}
    assert not complete("trafic light", ["traffic light"], 1)[0].literal


def test_typos_are_forgiven_but_not_invented():
    assert found("trafic lihgt", NAMES) == ["traffic light"]
    assert found("zebar", NAMES)[0] == "zebra"
    assert found("giraff", ["bicycle", "person"]) == []
    assert found("qx", NAMES) == []


def test_the_limit_counts_all_kinds_together():
    assert len(complete("light", ["light", "slight", "ligth", "lihgt"], 3)) == 3


@given(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=8), st.integers(1, 8))
def test_any_text_gives_sound_spans(query, names, limit):
    hits = complete(query, names, limit)
    assert len(hits) <= limit
    assert len({hit.index for hit in hits}) == len(hits)
    for hit in hits:
        flat = [position for span in hit.spans for position in span]
        assert flat == sorted(set(flat))
        assert not flat or 0 <= flat[0] < flat[-1] <= len(names[hit.index])


@given(st.text(min_size=1, max_size=10))
def test_a_name_always_completes_itself(name):
    if fold(name):
        assert complete(name, ["other", name], 1)[0].index == 1


def test_a_long_list_is_searched_between_two_keystrokes():
    rng = random.Random(1)
    words = ["cat", "traffic", "light", "zebra", "giraffe", "bicycle", "stop", "café", "board"]
    names = [" ".join(rng.sample(words, rng.randint(1, 3))) + f" {i}" for i in range(1203)]
    complete("warm", names, 9)
    for query in ("a", "tfl", "girafe", "trafic lihgt", "bo ca", "qqq"):
        times = []
        for _ in range(5):
            began = time.perf_counter()
            complete(query, names, len(names))
            times.append(time.perf_counter() - began)
        assert min(times) < 0.010, query
