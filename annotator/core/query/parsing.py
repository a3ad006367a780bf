r"""The query language: what people type to find images, as a value, or where it is wrong.

    class:dog area:<500 count:>3 -class:cat state:untouched name:/IMG_\d+/ date:>=2026-11-01

Text without any field is words of file names, as they stand. `field:value` is a term; values are
words, “quoted text”, /regular expressions/, or numbers and days with <, <=, >, >= or a range a..b;
commas mean “or”. Terms about objects that stand together are about the same object; parentheses
make a further object. A minus says that no object is so (or that the image is not), “|” means “or”.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

from annotator.core.query.values import (
    CHOICES,
    IMAGE_FIELDS,
    OBJECT_FIELDS,
    Case,
    Objects,
    Query,
    Span,
    Term,
    Text,
    Value,
)

_SYNONYMS = {"done": "reviewed"}
_NUMBERS = frozenset({"count", "area", "score", "width", "height", "proposals"})
_FIELD = re.compile(r"([A-Za-z]+)(?:\.([^\s:()|]+))?:")
_IS_QUERY = re.compile(r"(?:^|[\s(|-])[A-Za-z]+(?:\.[^\s:()|]+)?:|[\"“]")
_BARE = re.compile(r"[^\s,()|]+")
_COMPARED = re.compile(r"(<=|>=|<|>|=)?(.+)")


class QueryError(ValueError):
    """A query that means nothing.

    Attributes:
        start: place of the first letter that is wrong.
        end: place behind the last one.
    """

    def __init__(self, text: str, start: int, end: int) -> None:
        super().__init__(text)
        self.start, self.end = start, end


def parse(text: str, *, today: date | None = None) -> Query:
    """What a query means.

    Args:
        text: as it was typed; empty means all images.
        today: what “today” and “yesterday” refer to; the day of the clock by default.

    Raises:
        QueryError: it means nothing, with the place.
    """
    if not _IS_QUERY.search(text):
        words = (Text(word.casefold()) for word in text.split())
        return Query((Case(tuple(Term("name", (word,)) for word in words)),))
    return _Parser(text, today or date.today()).query()


@dataclass(slots=True)
class _Draft:
    """A case that is being read."""

    terms: list[Term] = field(default_factory=list)
    together: list[Term] = field(default_factory=list)
    counts: list[Span] = field(default_factory=list)
    objects: list[Objects] = field(default_factory=list)
    unless: list[Objects] = field(default_factory=list)

    def case(self) -> Case:
        """What was read so far."""
        objects = list(self.objects)
        if self.together or self.counts:
            spans = self.counts or [Span(low=1)]
            objects += [Objects(tuple(self.together), span) for span in spans]
        return Case(tuple(self.terms), tuple(objects), tuple(self.unless))


class _Parser:
    """Reads one query from the left."""

    def __init__(self, text: str, today: date) -> None:
        self._text = text
        self._today = today
        self._at = 0

    def query(self) -> Query:
        """All of it."""
        cases: list[Case] = []
        draft = _Draft()
        while (found := self._next()) is not None:
            negative, mark, start = found
            if mark == "|":
                cases.append(self._closed(draft, start))
                draft = _Draft()
            elif mark == "(":
                self._group(draft, start, negative=negative)
            elif mark == ")":
                raise QueryError("“)” closes nothing", start, self._at)
            else:
                self._item(draft, negative=negative)
        if cases:
            return Query((*cases, self._closed(draft, len(self._text))))
        return Query((draft.case(),))

    def _closed(self, draft: _Draft, at: int) -> Case:
        case = draft.case()
        if case == Case():
            raise QueryError("nothing stands beside “|”", max(at - 1, 0), at + 1)
        return case

    def _next(self) -> tuple[bool, str, int] | None:
        """Whether a minus comes, and which mark; stops before anything else."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        start = self._at
        if start >= len(self._text):
            return None
        rest = self._text[start:]
        negative = rest[0] == "-" and len(rest) > 1 and not rest[1].isspace()
        self._at += negative
        mark = self._text[self._at]
        if mark in "()|":
            self._at += 1
            return negative, mark, start
        return negative, "", start

    def _item(self, draft: _Draft, *, negative: bool) -> None:
        term, start = self._term(negative=negative)
        if term.field in IMAGE_FIELDS:
            draft.terms.append(term)
        elif term.field == "count":
            draft.counts.append(self._span_of(term, start))
        elif negative:
            # No object of the image is so; a minus on each of the objects needs parentheses.
            draft.unless.append(Objects((replace(term, negative=False),)))
        else:
            draft.together.append(term)

    def _span_of(self, term: Term, start: int) -> Span:
        (value, *more) = term.values
        if more or term.negative or not isinstance(value, Span) or value.share:
            raise QueryError("count takes one number or range", start, self._at)
        return value

    def _group(self, draft: _Draft, start: int, *, negative: bool) -> None:
        terms: list[Term] = []
        count: Span | None = None
        while True:
            found = self._next()
            if found is None:
                raise QueryError("“(” is never closed", start, start + 1)
            minus, mark, at = found
            if mark == ")":
                break
            if mark:
                raise QueryError(f"“{mark}” cannot stand inside parentheses", at, at + 1)
            term, at = self._term(negative=minus)
            if term.field in IMAGE_FIELDS:
                raise QueryError(
                    f"“{term.field}” is about the image; parentheses are about one object",
                    at, self._at,
                )  # fmt: skip
            if term.field == "count":
                count = self._span_of(term, at)
            else:
                terms.append(term)
        if not terms and count is None:
            raise QueryError("nothing stands between the parentheses", start, self._at)
        made = Objects(tuple(terms), count or Span(low=1))
        (draft.unless if negative else draft.objects).append(made)

    # --- Terms ---

    def _term(self, *, negative: bool) -> tuple[Term, int]:
        start = self._at
        match = _FIELD.match(self._text, start)
        if match is None:
            return Term("name", (self._text_value(),), negative=negative), start
        name, key = match[1].casefold(), match[2] or ""
        known = name in IMAGE_FIELDS or name in OBJECT_FIELDS or (name == "attr" and key)
        if not known or (key and name != "attr"):
            fields = ", ".join([*IMAGE_FIELDS, *OBJECT_FIELDS])
            raise QueryError(
                f"there is no field “{match[0][:-1]}” (fields: {fields}; quote text with “:”)",
                start, match.end() - 1,
            )  # fmt: skip
        self._at = match.end()
        values = [self._value(name, match.end())]
        while self._text[self._at : self._at + 1] == ",":
            self._at += 1
            values.append(self._value(name, self._at))
        return Term(name, tuple(values), key, negative), start

    def _value(self, name: str, start: int) -> Value:
        if self._at >= len(self._text) or self._text[self._at].isspace():
            known = {**IMAGE_FIELDS, **OBJECT_FIELDS}.get(name, OBJECT_FIELDS["attr.NAME"])
            raise QueryError(f"“{name}:” needs a value ({known})", start - len(name) - 1, start)
        if name in _NUMBERS:
            return self._number(name)
        if name == "date":
            return self._day()
        if name == "attr" and self._text[self._at] in "<>":
            return self._number(name)
        value = self._text_value()
        if name in CHOICES:
            word = _SYNONYMS.get(value.value, value.value) if name == "state" else value.value
            if word not in CHOICES[name]:
                choices = ", ".join(CHOICES[name])
                raise QueryError(
                    f"“{value.value}” is no {name}: it is one of {choices}", start, self._at
                )
            return Text(word, "whole")
        return value

    def _text_value(self) -> Text:
        text, start = self._text, self._at
        opening = text[start]
        closing = {'"': '"', "“": "”", "/": "/"}.get(opening)
        if opening == "/" and not self._is_pattern(start):
            closing = None
        if closing is None:
            match = _BARE.match(text, start)
            if match is None:
                raise QueryError("a value is missing here", start, start + 1)
            self._at = match.end()
            return Text(match[0].casefold())
        end = self._closing(start, closing)
        inner = text[start + 1 : end]
        self._at = end + 1
        if opening != "/":
            quoted = start == 0 or text[start - 1] not in ":,"
            return Text(inner.casefold(), "part" if quoted else "whole")
        if text[self._at : self._at + 1] == "i":
            self._at += 1
            inner = f"(?i:{inner})"
        try:
            re.compile(inner)
        except re.error as error:
            place = start + 1 + (error.pos or 0)
            raise QueryError(f"the expression is wrong: {error.msg}", place, place + 1) from error
        return Text(inner, "pattern")

    def _is_pattern(self, start: int) -> bool:
        """A slash begins an expression behind a field only: plain words are parts of paths."""
        return start > 0 and self._text[start - 1] in ":,"

    def _closing(self, start: int, closing: str) -> int:
        at = start + 1
        while at < len(self._text):
            if self._text[at] == "\\" and closing == "/":
                at += 2
                continue
            if self._text[at] == closing:
                return at
            at += 1
        raise QueryError(f"“{self._text[start]}” is never closed", start, len(self._text))

    def _bare(self) -> tuple[str, str, int]:
        """The comparison sign ("=" without), the rest of the word, and where it begins."""
        start = self._at
        match = _BARE.match(self._text, start)
        if match is None:
            raise QueryError("a value is missing here", start, start + 1)
        self._at = match.end()
        parts = _COMPARED.fullmatch(match[0])
        if parts is None:
            raise QueryError("a number is missing behind the sign", start, self._at)
        return parts[1] or "=", parts[2], start

    def _number(self, name: str) -> Span:
        sign, rest, start = self._bare()
        ends = rest.split("..")
        try:
            shares = {end.endswith("%") for end in ends if end}
            numbers = [float(end.rstrip("%")) / (100 if end.endswith("%") else 1) if end else None
                       for end in ends]  # fmt: skip
        except ValueError:
            numbers, shares = [], set()
        finite = all(n is None or math.isfinite(n) for n in numbers)
        if not numbers or len(numbers) > 2 or not finite or numbers == [None, None]:
            raise QueryError(f"“{rest}” is no number or range", start, self._at)
        if len(shares) > 1 or (True in shares and name != "area"):
            raise QueryError("“%” is for areas, at both ends", start, self._at)
        share = True in shares
        if len(numbers) == 2:
            if sign != "=":
                raise QueryError("a range takes no sign", start, self._at)
            low, high = numbers
            return Span(-math.inf if low is None else low, math.inf if high is None else high,
                        share=share)  # fmt: skip
        assert numbers[0] is not None
        return _compared(sign, numbers[0], share=share)

    def _day(self) -> Span:
        sign, rest, start = self._bare()
        ends = rest.split("..")
        if len(ends) == 2 and sign == "=":
            first, last = (self._date(end, start) if end else None for end in ends)
            low = -math.inf if first is None else _seconds(first)
            return Span(low, math.inf if last is None else _seconds(last, 1), open_high=True)
        day = self._date(rest, start)
        low, high = _seconds(day), _seconds(day, 1)
        if sign == "=":
            return Span(low, high, open_high=True)
        spans = {"<": Span(high=low, open_high=True), "<=": Span(high=high, open_high=True),
                 ">": Span(low=high), ">=": Span(low=low)}  # fmt: skip
        return spans[sign]

    def _date(self, text: str, start: int) -> date:
        word = text.casefold()
        if word in ("today", "yesterday"):
            return self._today - timedelta(days=word == "yesterday")
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise QueryError(
                f"“{text}” is no day; write 2026-11-01, today or yesterday", start, self._at
            ) from error


def _seconds(day: date, later: int = 0) -> float:
    """When a day begins here; `later` days after it."""
    return datetime.combine(day + timedelta(days=later), time()).timestamp()


def _compared(sign: str, number: float, *, share: bool) -> Span:
    if sign in ("<", "<="):
        return Span(high=number, open_high=sign == "<", share=share)
    if sign in (">", ">="):
        return Span(low=number, open_low=sign == ">", share=share)
    return Span(number, number, share=share)
