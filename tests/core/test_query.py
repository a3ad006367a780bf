"""Queries: read with clear errors, and answered as people mean them."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication

from annotator.core import raster
from annotator.core.annotation import Annotation, Origin, Source, Status
from annotator.core.errors import UserError
from annotator.core.query.parsing import QueryError, parse
from annotator.services.document import Document
from annotator.services.querying import Querying, meant
from models.api import Box

KEYS = ["cats/IMG_1.png", "cats/IMG_2.png", "dogs/a (1).png", "dogs/b.png", "e.png"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("Cats 12:30", ("cats", "12:30")),
        ("a (1) -3 |", ("a", "(1)", "-3", "|")),
        ("sub/img", ("sub/img",)),
        ("class:dog", None),
        ("-name:dog", None),
    ],
)
def test_text_without_fields_is_words_as_they_stand(text, words):
    assert parse(text).words == words


@pytest.mark.parametrize(
    ("text", "start", "end", "says"),
    [
        ("foo:3", 0, 3, "no field"),
        ("x class:", 2, 8, "needs a value"),
        ("(class:a", 0, 1, "never closed"),
        ("class:a)", 7, 8, "closes nothing"),
        ("area:x", 5, 6, "no number"),
        ("area:1..5%", 5, 10, "%"),
        ("date:2026-13-01", 5, 15, "no day"),
        ("name:/(/", 6, 7, "expression"),
        ("class:a |", 8, 10, "|"),
        ("(state:done)", 1, 11, "about the image"),
        ("state:xx", 6, 8, "is no state"),
        ("count:1,2", 0, 9, "one number"),
        ('"abc', 0, 4, "never closed"),
        ("score:>", 6, 7, "no number"),
    ],
)
def test_errors_name_the_place(text, start, end, says):
    with pytest.raises(QueryError, match=r".") as caught:
        parse(text)
    assert (caught.value.start, caught.value.end) == (start, end)
    assert says in str(caught.value)


@pytest.fixture
def project(tmp_path: Path, qapp: QCoreApplication):
    document = Document.open(tmp_path)
    document.add_images(KEYS)
    cat, dog = (document.add_category(name).id for name in ("cat", "big dog"))

    def put(key, *objects):
        made = tuple(
            Annotation(
                document.new_id(), raster.from_box(Box(0, 0, side, side), 100, 50), name, **k
            )
            for side, name, k in objects
        )
        document.edit(key, made, "Add")

    model = Origin(Source.MODEL, "loupe", score=0.5)
    put(KEYS[0], (10, cat, {"origin": model}), (30, cat, {}), (20, None, {}))
    put(KEYS[1], (40, dog, {"attributes": {"colour": "Red", "n": 3.0}}), (5, cat, {}))
    put(KEYS[2], (10, dog, {"status": Status.LOOK, "comment": "Tail is missing"}))
    put(KEYS[3], (10, cat, {"origin": replace(model, score=0.9), "proposed": True}))
    document.set_review(KEYS[1], Status.DONE, "fine work")
    document.set_review(KEYS[4], Status.REJECTED)
    document.flush()
    yield document
    document.close()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "01234"),
        ("cats", "01"),
        ("name:cats -IMG_1", "1"),
        ("name:/IMG_\\d+/", "01"),
        ('name:"b.png"', "3"),
        ("class:cat", "01"),
        ("class:dog", "12"),
        ('class:"big dog",cat', "012"),
        ('class:"dog"', ""),
        ("class:/^big/", "12"),
        ("class:none", "0"),
        ("-class:cat", "234"),
        ("class:cat count:2", "0"),
        ("class:cat count:0", "234"),
        ("count:>1", "01"),
        ("count:0", "34"),
        ("class:cat area:>500", "0"),
        ("class:cat area:<50 -class:none", "1"),
        ("class:cat (class:dog area:>1000)", "1"),
        ("area:>=15%", "01"),
        ("area:30%..40%", "1"),
        ("origin:model", "0"),
        ("origin:lou", "0"),
        ("origin:person class:cat", "01"),
        ("score:0.4..0.6", "0"),
        ("score:<0.4", ""),
        ("is:proposed", "3"),
        ("is:proposed score:>0.8", "3"),
        ("attr.colour:red", "1"),
        ("attr.colour:re", ""),
        ("attr.n:>2", "1"),
        ("attr.n:3", "1"),
        ("status:look", "2"),
        ("(class:dog -status:look)", "1"),
        ("-(class:dog status:look)", "0134"),
        ("is:commented", "2"),
        ("comment:tail", "2"),
        ("comment:fine,tail", "12"),
        ("state:untouched", ""),
        ("state:proposals,rejected", "34"),
        ("state:done", "1"),
        ("-state:annotated", "134"),
        ("proposals:>0", "3"),
        ("width:100", "0123"),
        ("date:today", "0123"),
        ("date:<today", ""),
        ("-date:today", "4"),
        ("date:2020-01-01..", "0123"),
        ("class:none | state:rejected", "04"),
        ('"a (1)" class:dog', "2"),
    ],
)
def test_answers(project: Document, text: str, wanted: str):
    found = meant(project.folder, None, text)
    assert "".join(str(i) for i, key in enumerate(KEYS) if key in found) == wanted


def test_a_wrong_query_and_a_folder_without_a_project_are_told(project: Document, tmp_path: Path):
    with pytest.raises(UserError, match="letter 6"):
        meant(project.folder, None, "area:x")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="no project"):
        meant(tmp_path / "other", None, "class:cat")


def test_days_begin_and_end_where_people_live():
    (case,) = parse("date:yesterday", today=date(2026, 11, 2)).cases
    (span,) = case.terms[0].values
    begin = time.mktime((2026, 11, 1, 0, 0, 0, 0, 0, -1))
    assert span.contains(begin)
    assert span.contains(begin + 86_399)
    assert not span.contains(begin + 86_400)
    assert not span.contains(begin - 1)


def test_the_newest_question_is_answered_and_follows_the_work(project: Document, qtbot):
    querying = Querying(project)
    heard = []
    querying.answered.connect(heard.append)
    for text in ("class:c", "class:ca", "class:cat area:<50"):
        querying.ask(parse(text))
    qtbot.waitUntil(lambda: frozenset({KEYS[1]}) in heard)
    (small,) = [a for a in project.annotations(KEYS[0]) if a.category_id is None]
    shape = raster.from_box(Box(0, 0, 4, 4), 100, 50)
    changed = replace(small, shape=shape, category_id=1)
    project.edit(KEYS[0], (*project.annotations(KEYS[0])[:-1], changed), "Shrink")
    qtbot.waitUntil(lambda: heard[-1] == {KEYS[0], KEYS[1]})
    project.undo(KEYS[0])
    qtbot.waitUntil(lambda: heard[-1] == {KEYS[1]})
    querying.ask(None)
    querying.close()


def test_more_objects_in_one_image_than_eight_bits_count(project: Document):
    shape = raster.from_box(Box(0, 0, 3, 3), 100, 50)
    many = tuple(Annotation(project.new_id(), shape, 1) for _ in range(700))
    project.edit(KEYS[4], many, "Add")
    project.flush()
    assert meant(project.folder, None, "class:cat count:700 area:9") == {KEYS[4]}
