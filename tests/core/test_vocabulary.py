"""Vocabularies as text, their files, and what an edit means for the classes."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.core import vocabulary_files
from annotator.core.annotation import Category
from annotator.core.errors import UserError
from annotator.core.vocabulary import (
    MAX_CLASSES,
    MAX_LENGTH,
    TEMPLATES,
    Entry,
    clean_name,
    parse,
    parse_templates,
    same_name,
    tidy,
    to_text,
    twins,
)
from annotator.core.vocabulary_files import decode, read_vocabulary, shipped
from annotator.core.vocabulary_plan import NEW, plan, settle

SHARED = Path(__file__).parents[3] / "shared"


def pairs(vocabulary):
    return [(entry.name, entry.synonyms) for entry in vocabulary.entries]


def said(vocabulary):
    return [(finding.line, finding.text) for finding in vocabulary.findings]


# --- Names ---


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("  traffic \t light ", "traffic light"),
        ("A\u030angstrom", "Ångstrom"),
        ("two\nlines\u2028more", "two lines more"),
        ("be\x07ll\x00", "bell"),
        ("\u202eevil\u202c", "evil"),
        ("\ufeffdog", "dog"),
        ("lone\ud800", "lone"),
        ("\u200f\u200d", ""),
        (" \u3000\x01 ", ""),
        ("👩\u200d🚒", "👩\u200d🚒"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("מכונית", "מכונית"),
    ],
)
def test_cleans_names(raw, name):
    assert clean_name(raw) == name


@given(st.text())
def test_cleaning_is_final(text):
    once = clean_name(text)
    assert clean_name(once) == once
    assert "\n" not in once
    assert unicodedata.is_normalized("NFC", once)


# --- Text ---


def test_reads_names_synonyms_comments():
    text = "\ufeffdog, puppy , hound\n\n# not this\r\n  cat\rbus,\n"
    vocabulary = parse(text)
    assert pairs(vocabulary) == [("dog", ("puppy", "hound")), ("cat", ()), ("bus", ())]
    assert [entry.line for entry in vocabulary.entries] == [1, 4, 5]
    assert said(vocabulary) == [(5, "An empty name (two commas, or one too many) is left out.")]


def test_merges_duplicates_and_says_so():
    vocabulary = parse("Dog, puppy\ncat\ndog, hound, PUPPY\ncat, Cat, kitten, kitten")
    assert pairs(vocabulary) == [("Dog", ("puppy", "hound")), ("cat", ("kitten",))]
    assert [line for line, _ in said(vocabulary)] == [3, 4]
    assert "stands in line 1 already" in vocabulary.findings[0].text
    assert not any(finding.is_error for finding in vocabulary.findings)


def test_names_that_the_project_keeps_apart_stay_apart():
    names = twins(["Cat", "cat", "dog"])
    assert names == {"Cat", "cat"}
    assert pairs(parse("Cat\ncat\ndog\nDOG", names)) == [("Cat", ()), ("cat", ()), ("dog", ())]


def test_reports_lines_without_a_name_and_shared_synonyms():
    vocabulary = parse(", ,\nbat, mouse\n\u200f\nmouse\n,crow")
    assert pairs(vocabulary) == [("bat", ("mouse",)), ("mouse", ()), ("crow", ())]
    assert [line for line, _ in said(vocabulary)] == [1, 2, 3, 5]
    assert "“mouse” is also the class in line 4" in vocabulary.findings[1].text


def test_refuses_endless_names():
    (finding,) = parse("ok\n" + "x" * (MAX_LENGTH + 1)).findings
    assert (finding.line, finding.is_error) == (2, True)


def test_refuses_a_hundred_thousand_classes():
    vocabulary = parse("\n".join(f"class {i}" for i in range(100_000)))
    (finding,) = vocabulary.findings
    assert (finding.line, finding.is_error) == (MAX_CLASSES + 1, True)
    assert "100,000 classes" in finding.text


_name = st.text(min_size=1, max_size=12).map(clean_name).filter(bool)


@given(st.lists(st.tuples(_name, st.lists(_name, max_size=3)), max_size=8))
def test_text_and_back(classes):
    wanted, seen = [], set()
    for name, synonyms in classes:
        if same_name(name) not in seen:
            seen.add(same_name(name))
            others = {
                same_name(s): s for s in reversed(synonyms) if same_name(s) != same_name(name)
            }
            wanted.append(
                (
                    name,
                    tuple(
                        dict.fromkeys(others[k] for k in map(same_name, synonyms) if k in others)
                    ),
                )
            )
    assert pairs(parse(to_text(wanted))) == wanted


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("chair, wooden", "chair\\, wooden"),
        ("#1", "\\#1"),
        ("~1", "\\~1"),
        ("a\\b", "a\\\\b"),
        ("\\,", "\\\\\\,"),
    ],
)
def test_escapes(name, line):
    assert to_text([(name, ())]) == line
    assert pairs(parse(line)) == [(name, ())]


def test_tidies_names_of_lvis():
    raw = "# a_b\ntape_(sticky_cloth_or_paper)\nsofa_or_couch/settee\nTraffic_Light"
    assert tidy(raw).split("\n") == [
        "# a_b",
        "tape (sticky cloth or paper)",
        "sofa, couch, settee",
        "Traffic Light",
    ]


# --- Sentences ---


def test_sentences_are_those_of_the_published_embeddings():
    cases = SHARED / "fixtures" / "text_classifier" / "cases.npz"
    if not cases.exists():
        pytest.skip("needs ../shared")
    with np.load(cases) as values:
        assert tuple(map(str, values["templates"])) == TEMPLATES


def test_checks_sentences():
    assert parse_templates("\n".join(TEMPLATES) + "\n\n") == (TEMPLATES, ())
    sentences, findings = parse_templates("a {}\n\n{} and {}\nnothing\n{x} {}\na {}")
    assert sentences[0] == "a {}"
    assert [(f.line, f.is_error) for f in findings] == [
        (3, True),
        (4, True),
        (5, True),
        (6, False),
    ]
    assert parse_templates(" \n")[1][0].is_error
    assert parse_templates("\n".join(f"{i} {{}}" for i in range(101)))[1][0].line == 101


# --- Files ---


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_reads_text_files(tmp_path, encoding):
    path = write(tmp_path, "list.txt", "dog, 🐶\nמכונית\n".encode(encoding))
    assert pairs(read_vocabulary(path)) == [("dog", ("🐶",)), ("מכונית", ())]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"dog\ncat\nv\xe9lo\n", ["list.txt", "line 3", "UTF-8"]),
        (b"\x89PNG\r\n\x1a\n\0\0\0", ["list.txt", "line 1"]),
        (b"dog\ncat\0\n", ["list.txt", "line 2", "zero byte"]),
        (b"\xff\xfeA", ["list.txt", "line 1"]),
        (b"", ["list.txt", "no class"]),
        (b"# only this\n\n , ,\n", ["list.txt", "no class", "Line 3"]),
        (b"dog\n" + b"x" * 500, ["list.txt", "line 2", "200"]),
        (
            "\n".join(f"class {i}" for i in range(100_000)).encode(),
            ["list.txt", "100,000", "20,000", "line 20,001"],
        ),
    ],
)
def test_refuses_text_files(tmp_path, content, words):
    with pytest.raises(UserError) as caught:
        read_vocabulary(write(tmp_path, "list.txt", content))
    assert all(word in str(caught.value) for word in words)
    assert caught.value.remedy.startswith("Nothing was changed.")


def test_refuses_files_that_are_not_there_or_huge(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"gone\.txt"):
        read_vocabulary(tmp_path / "gone.txt")
    monkeypatch.setattr(vocabulary_files, "MAX_TEXT", 1 << 20)
    with pytest.raises(UserError, match="2 MB"):
        read_vocabulary(write(tmp_path, "huge.txt", b"a\n" * (1 << 20)))


COCO = {
    "images": [],
    "annotations": [{"categories": [1, 2]}],
    "categories": [
        {"id": 1, "name": "dog", "supercategory": "animal", "annotator": {"color": "#112233"}},
        {"id": 2, "name": "chair, wooden", "annotator": {"synonyms": ["stool"]}},
        {"id": 3, "name": " "},
        {"id": 999_999, "name": "unnamed", "annotator": {"unnamed": True}},
    ],
}
EXPECTED = [("dog", ()), ("chair, wooden", ("stool",))]


def test_reads_categories_of_coco(tmp_path):
    vocabulary = read_vocabulary(write(tmp_path, "coco.json", json.dumps(COCO)))
    assert pairs(vocabulary) == EXPECTED
    assert vocabulary.entries[0] == Entry("dog", (), 0, "#112233", "animal")
    assert [finding.text for finding in vocabulary.findings] == [
        "1 categories without a name are left out."
    ]


def test_reads_only_the_categories_of_large_files(tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary_files, "MAX_JSON", 10)
    path = write(tmp_path, "coco.json", json.dumps(COCO))
    assert pairs(read_vocabulary(path)) == EXPECTED
    with pytest.raises(UserError, match="no list “categories”"):
        read_vocabulary(write(tmp_path, "other.json", json.dumps({"info": "x" * 50})))


def test_reads_lvis(tmp_path):
    categories = [
        {"id": 1, "name": "aerosol_can", "synset": "a", "synonyms": ["aerosol_can", "spray_can"]},
        {"id": 2, "name": "tape_(sticky_cloth_or_paper)", "synset": "t", "synonyms": []},
    ]
    path = write(tmp_path, "lvis.JSON", json.dumps({"categories": categories}))
    assert pairs(read_vocabulary(path)) == [
        ("aerosol can", ("spray can",)),
        ("tape (sticky cloth or paper)", ()),
    ]


@pytest.mark.parametrize("value", [["dog", "cat"], {"0": "dog", "1": "cat"}])
def test_reads_plain_lists_of_names(tmp_path, value):
    path = write(tmp_path, "names.json", json.dumps(value))
    assert pairs(read_vocabulary(path)) == [("dog", ()), ("cat", ())]


@pytest.mark.parametrize("content", ["{", "3", "[]", "[1, 2]", '{"categories": 3}', "\0"])
def test_refuses_json_without_classes(tmp_path, content):
    with pytest.raises(UserError, match=r"odd\.json"):
        read_vocabulary(write(tmp_path, "odd.json", content))


def test_names_the_line_of_bytes_that_are_no_text():
    with pytest.raises(UserError, match="line 3"):
        decode(b"a\nb\n\xff", "x")


# --- What ships ---


def test_shipped_lists():
    found = {entry.name: entry for entry in shipped()}
    assert set(found) == {"coco.txt", "coco-synonyms.txt", "everyday.txt", "lvis-v1.txt"}
    for entry in found.values():
        vocabulary = entry.read()
        assert vocabulary.findings == ()
        assert f"{len(vocabulary.entries):,} classes" in entry.title
    plain, rich = found["coco.txt"].read().entries, found["coco-synonyms.txt"].read().entries
    assert [e.name for e in plain] == [e.name for e in rich]
    assert len(plain) == 80
    assert plain[0].name == "person"
    assert plain[-1].name == "toothbrush"


def test_lvis_has_its_ids():
    (lvis,) = (entry.read() for entry in shipped() if entry.name == "lvis-v1.txt")
    names = [entry.name for entry in lvis.entries]
    assert len({same_name(name) for name in names}) == 1203
    # Ids of the published annotation file, from 1.
    known = {1: "aerosol can", 17: "arctic (type of shoe)", 35: "handbag", 81: "beef (food)",
             1176: "wedding ring", 1191: "blinder (for horses)", 1203: "zucchini"}  # fmt: skip
    assert {number: names[number - 1] for number in known} == known


# --- What an edit means ---


def classes(*names: str) -> list[Category]:
    return [Category(i + 1, name, f"#00000{i}", "group") for i, name in enumerate(names)]


def planned(present, text: str, written_at=None, used=()):
    return plan(
        present,
        parse(text, twins(c.name for c in present)).entries,
        written_at or {},
        lambda number: "3 objects" if number in used else "",
    )


def ids(result):
    return [(category.id, category.name) for category in result.categories]


def test_nothing_changes_where_nothing_was_edited():
    present = [*classes("dog", "cat"), Category(7, "  odd\nname ", "#000000", synonyms=("a  b",))]
    text = to_text((c.name, c.synonyms) for c in present)
    result = planned(present, text)
    assert result.is_empty
    assert result.summary == "No changes"
    assert list(result.categories) == present


def test_adds_removes_orders():
    present = classes("dog", "cat", "bus")
    result = planned(present, "bus, coach\nzebra\ndog")
    assert ids(result) == [(3, "bus"), (NEW, "zebra"), (1, "dog")]
    assert (result.added, result.removed, result.changed) == (("zebra",), ("cat",), ("bus",))
    assert result.is_reordered
    assert result.summary == "1 new, 1 changed, 1 removed, other order"
    assert result.by_line[2].name == "zebra"


def test_a_line_edited_in_place_renames():
    present = classes("dog", "cat", "bus")
    result = planned(present, "dog\nkitten\nbus", {1: 1, 2: 2, 3: 3})
    assert ids(result) == [(1, "dog"), (2, "kitten"), (3, "bus")]
    assert result.renamed == (("cat", "kitten"),)
    assert result.categories[1].color == "#000001"
    assert result.summary == "1 renamed"


def test_the_same_name_wins_over_the_place():
    present = classes("dog", "cat")
    result = planned(present, "cat\ndog", {1: 1, 2: 2})
    assert result.renamed == ()
    assert ids(result) == [(2, "cat"), (1, "dog")]


def test_upper_case_is_a_new_spelling():
    result = planned(classes("dog"), "Dog")
    assert result.renamed == (("dog", "Dog"),)
    assert ids(result) == [(1, "Dog")]


def test_classes_that_differ_in_upper_case_only_stay():
    present = classes("Cat", "cat")
    assert planned(present, "Cat\ncat").is_empty
    assert ids(planned(present, "cat\nCat")) == [(2, "cat"), (1, "Cat")]


def test_keeps_what_is_used_where_it_was():
    present = classes("dog", "cat", "bus")
    result = planned(present, "bus", used={1, 2})
    assert ids(result) == [(1, "dog"), (2, "cat"), (3, "bus")]
    assert result.kept == (("dog", "3 objects"), ("cat", "3 objects"))
    assert result.is_empty
    assert result.summary == "2 kept"
    assert ids(planned(present, "dog\nbus", used={2})) == [(1, "dog"), (2, "cat"), (3, "bus")]


def test_colours_and_groups_of_entries_count():
    entries = [Entry("dog", (), 1, "#abcdef", ""), Entry("new", (), 2, "", "things")]
    result = plan(classes("dog"), entries, {}, lambda _: "")
    assert result.changed == ("dog",)
    assert result.categories[0].supercategory == ""
    assert result.categories[0].color == "#abcdef"
    assert result.categories[1] == Category(NEW, "new", "", "things")


def test_new_classes_get_ids_and_colours():
    wanted = [Category(4, "dog", "#E69F00"), Category(NEW, "a", ""), Category(NEW, "b", "#111111"),
              Category(NEW, "old", "")]  # fmt: skip
    settled = settle(wanted, [Category(2, "old", "#222222")], 9)
    assert [c.id for c in settled] == [4, 10, 11, 2]
    assert [c.color for c in settled] == ["#E69F00", "#009E73", "#111111", "#222222"]


def test_twenty_thousand_new_colours_repeat():
    settled = settle([Category(NEW, str(i), "") for i in range(20_000)], (), 0)
    assert len({c.color for c in settled[:19]}) == 19
    assert all(c.color.startswith("#") for c in settled)


def test_stuff_is_marked_and_told_apart(tmp_path):
    found = parse("~ sky, heaven\ndog\n\\~approximately")
    assert [(e.name, e.synonyms, e.is_thing) for e in found.entries] == [
        ("sky", ("heaven",), False),
        ("dog", (), True),
        ("~approximately", (), True),
    ]
    text = to_text(pairs(found), {"sky"})
    assert parse(text).entries == found.entries
    assert [e.name for e in parse("~sky\nsky, heaven").entries if e.is_thing is False] == ["sky"]
    (tmp_path / "c.json").write_text(
        '[{"id": 1, "name": "sky", "isthing": 0}, {"id": 2, "name": "dog", "isthing": 1},'
        ' {"id": 3, "name": "cat"}]'
    )
    read = read_vocabulary(tmp_path / "c.json").entries
    assert [entry.is_thing for entry in read] == [False, True, None]


def test_stuff_becomes_isthing_of_the_class():
    present = [Category(1, "sky", "#111111"), Category(2, "sea", "#222222", "", {"isthing": 0})]
    entries = parse("~sky\nsea\n~grass").entries
    made = plan(present, entries, {1: 1, 2: 2}, lambda _: "")
    assert [category.is_thing for category in made.categories] == [False, True, False]
    assert [dict(category.extra) for category in made.categories] == [
        {"isthing": 0}, {"isthing": 1}, {"isthing": 0},
    ]  # fmt: skip
    assert made.changed == ("sky", "sea")
    as_they_are = [Entry("sky", line=1), Entry("sea", line=2)]
    assert plan(present, as_they_are, {1: 1, 2: 2}, lambda _: "").is_empty
