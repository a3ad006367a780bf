"""Downloading one file over HTTP: resumed, verified, patient with bad servers and bad networks.

What a server says about a file (length, type, range) is a hint; the size and the SHA-256 from the
catalogue decide. Bytes live in a .part file whose size is the only record of how far it got.
"""

from __future__ import annotations

import http.client
import queue
import re
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from models.api import ModelError
from models.weight_files import (
    TICK,
    Cancelled,
    Flag,
    Progress,
    Steps,
    disk_error,
    hashing,
    read_record,
    size_text,
    write_record,
)

PIECE = 1 << 17
WORTH = 1 << 16
"""Bytes an attempt must bring to count as progress; a server that drips is given up in the end."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long bad networks are borne with; all in seconds but `tries`.

    Attributes:
        stall: no byte for this long ends an attempt.
        tries: attempts in a row without progress before the next address.
        pause: wait before the second attempt; doubles every time.
        longest_pause: the wait never gets longer than this.
    """

    stall: float = 30.0
    tries: int = 5
    pause: float = 1.0
    longest_pause: float = 30.0


@dataclass(frozen=True, slots=True)
class Source:
    """What to download.

    Attributes:
        title: for messages.
        urls: the same file at several addresses, the best first.
        bytes: its size; 0 when unknown.
        sha256: lower-case hexadecimal; "" when unknown.
    """

    title: str
    urls: tuple[str, ...]
    bytes: int
    sha256: str


class _TryAgain(Exception):
    """This attempt failed; another one may succeed. `cost`: how many tries it takes up."""

    def __init__(self, reason: str, cost: int = 1, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.cost = cost
        self.wait = wait


class _Unusable(Exception):
    """This address does not have the file."""


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    reason: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None = None


_Item: TypeAlias = "_Head | bytes | _End"


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to a plain one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.lower().startswith("https:"):
            raise urllib.error.HTTPError(
                newurl, code, "redirects to an unsafe address", headers, fp
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Reader:
    """Reads a response on its own thread, so that a silent server cannot hold up a cancel.

    It touches no file: when it is given up, it ends by itself as soon as its socket times out.
    """

    def __init__(self, request: urllib.request.Request, timeout: float) -> None:
        self._items: queue.Queue[_Item] = queue.Queue(maxsize=16)
        self._stopped = threading.Event()
        self._request = request
        self._timeout = timeout
        threading.Thread(target=self._run, name="download", daemon=True).start()

    def get(self, seconds: float) -> _Item | None:
        """The next item, or None when there is none yet."""
        try:
            return self._items.get(timeout=seconds)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop reading soon."""
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._read()
            self._put(_End())
        except urllib.error.HTTPError as error:
            with error:
                self._put(_Head(error.code, str(error.reason), dict(error.headers.items())))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._put(_End(error))

    def _read(self) -> None:
        # The default handlers take the proxies from the environment (and from the system
        # settings on Windows and macOS).
        opener = urllib.request.build_opener(_SafeRedirects)
        with opener.open(self._request, timeout=self._timeout) as response:
            self._put(_Head(response.status, response.reason, dict(response.headers.items())))
            while not self._stopped.is_set() and (piece := response.read1(PIECE)):
                self._put(piece)

    def _put(self, item: _Item) -> None:
        while not self._stopped.is_set():
            try:
                self._items.put(item, timeout=TICK)
            except queue.Full:
                continue
            return


class _Meter:
    """Bytes per second over the last seconds."""

    WINDOW = 4.0

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        now = time.monotonic()
        self._seen.append((now, count))
        while self._seen and now - self._seen[0][0] > self.WINDOW:
            self._seen.popleft()

    @property
    def speed(self) -> float:
        if len(self._seen) < 2:
            return 0.0
        span = max(time.monotonic() - self._seen[0][0], TICK)
        return sum(count for _, count in self._seen) / span


class Fetch:
    """One download into a .part file.

    Args:
        source: what.
        part: where the bytes go; what is there already is used.
        memo: a small file beside it that remembers where the part came from.
        patience: see there.
        stopped: asked often; True cancels.
    """

    def __init__(
        self, source: Source, part: Path, memo: Path, patience: Patience, stopped: Flag
    ) -> None:
        self._source = source
        self._part = part
        self._memo = memo
        self._patience = patience
        self._stopped = stopped
        self._meter = _Meter()
        self._complete = False
        self._total = source.bytes
        self._foreign = self._size() > 0
        self._short = False
        self._no_ranges = False

    def steps(self) -> Steps[str]:
        """Download and verify; the result is the SHA-256 of the complete .part file.

        Raises:
            ModelError: no address has the file, or the disk does not take it; what was received
                stays unless it is proven wrong.
            Cancelled: stopped; what was received stays.
        """
        problems = []
        for url in self._source.urls:
            self._short = self._no_ranges = False
            try:
                return (yield from self._from(url))
            except _Unusable as problem:
                problems.append(f"{urllib.parse.urlsplit(url).hostname}: {problem}")
            except OSError as error:
                raise disk_error(error, self._part) from error
        kept = f" {size_text(self._size())} received so far are kept." if self._size() else ""
        raise ModelError(
            f"“{self._source.title}” could not be downloaded ({'; '.join(problems)}).{kept} "
            "Check the network and try again, or download the file elsewhere and import it."
        )

    def _from(self, url: str) -> Steps[str]:
        while True:
            yield from self._receive_all(url)
            digest = yield from hashing(self._part, self._stopped)
            if not self._source.sha256 or digest == self._source.sha256:
                return digest
            self._drop()
            if not self._foreign:
                raise _Unusable(f"serves another file (SHA-256 {digest[:12]}…)")
            # Bytes of an earlier session or of another address may be to blame: once more, all.
            self._foreign = False
            yield Progress("retrying", 0, self._source.bytes, note="Damaged; starting again.")

    def _receive_all(self, url: str) -> Steps[None]:
        self._complete = bool(self._source.bytes) and self._size() == self._source.bytes
        failures, best = 0, self._size()
        while not self._complete:
            try:
                yield from self._attempt(url)
            except _TryAgain as problem:
                gained = self._size() - best
                best = max(best, self._size())
                failures = 0 if gained >= WORTH else failures + problem.cost
                if failures >= self._patience.tries:
                    raise _Unusable(str(problem)) from problem
                yield from self._rest(failures, problem)

    def _rest(self, failures: int, problem: _TryAgain) -> Steps[None]:
        patience = self._patience
        wait = max(problem.wait, patience.pause * 2 ** max(0, failures - 1))
        until = time.monotonic() + min(wait, patience.longest_pause)
        while (left := until - time.monotonic()) > 0:
            note = f"{problem}; trying again in {left:.0f} s"
            yield Progress("retrying", self._size(), self._total, note=note)
            self._heed()
            time.sleep(min(TICK, left))

    def _attempt(self, url: str) -> Steps[None]:
        offset = self._usable(url)
        reader = _Reader(self._request(url, offset), self._patience.stall)
        try:
            head = yield from self._next(reader, "connecting")
            if isinstance(head, _End):
                raise _network_problem(head.error)
            assert isinstance(head, _Head), "a response begins with its head"
            offset = self._begin(head, offset)
            self._remember(url, head)
            self._total = self._source.bytes or offset + (_length(head) or 0)
            with self._part.open("ab" if offset else "wb") as file:
                yield from self._receive(reader, file)
            self._judge(head, offset)
        finally:
            reader.close()

    def _usable(self, url: str) -> int:
        """How many bytes of the part can be built on with this address."""
        size, total = self._size(), self._source.bytes
        memo = read_record(self._memo)
        # Without a hash nothing would notice two halves of different files.
        mixed = not self._source.sha256 and (memo.get("url") != url or not memo.get("validator"))
        if size and (self._no_ranges or mixed or (total and size > total)):
            self._drop()
            return 0
        return size

    def _request(self, url: str, offset: int) -> urllib.request.Request:
        headers = {"User-Agent": "annotator", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            memo = read_record(self._memo)
            if memo.get("url") == url and memo.get("validator"):
                headers["If-Range"] = str(memo["validator"])
            elif memo.get("url") != url:
                self._foreign = True
        return urllib.request.Request(url, headers=headers)

    def _next(self, reader: _Reader, phase: str) -> Steps[_Item]:
        quiet_since = time.monotonic()
        while (item := reader.get(TICK)) is None:
            self._heed()
            if time.monotonic() - quiet_since > self._patience.stall:
                raise _TryAgain(f"nothing came for {self._patience.stall:.0f} seconds")
            yield Progress(phase, self._size(), self._total, self._meter.speed)
        self._heed()
        return item

    def _begin(self, head: _Head, offset: int) -> int:
        """Where the bytes that follow belong."""
        total = self._source.bytes
        if head.status == 206 and offset:
            start, whole = _content_range(head.headers.get("Content-Range", ""))
            if start != offset or (total and whole and whole != total):
                self._drop()
                raise _TryAgain("the server answered with another part of the file")
            return offset
        if head.status == 200:
            if head.headers.get("Content-Type", "").lower().startswith("text/html"):
                raise _Unusable("serves a web page instead of the file")
            self._foreign = False
            return 0
        if offset and head.status in (400, 405, 416, 501):
            self._no_ranges = True
            self._drop()
            if self._short:
                raise _Unusable(f"serves a file of {offset} bytes instead of {total}")
            raise _TryAgain("the server does not resume")
        if head.status in (408, 425, 429) or head.status >= 500:
            wait = head.headers.get("Retry-After", "")
            raise _TryAgain(_answer(head), wait=float(wait) if wait.isdecimal() else 0.0)
        raise _Unusable(_answer(head))

    def _receive(self, reader: _Reader, file: IO[bytes]) -> Steps[None]:
        done, total, told = file.tell(), self._source.bytes, 0.0
        began, base = time.monotonic(), done
        while not total or done < total:
            if time.monotonic() - began > 2 * self._patience.stall:
                if done - base < WORTH:
                    raise _TryAgain("the server sends next to nothing")
                began, base = time.monotonic(), done
            item = yield from self._next(reader, "downloading")
            if isinstance(item, _End):
                if item.error is not None:
                    raise _network_problem(item.error)
                return
            assert isinstance(item, bytes), "after the head come bytes"
            piece = item[: total - done] if total else item
            file.write(piece)
            # At once: the size of the part says how much there is, also after a kill.
            file.flush()
            done += len(piece)
            self._meter.add(len(piece))
            if time.monotonic() - told >= TICK:
                told = time.monotonic()
                yield Progress("downloading", done, self._total, self._meter.speed)

    def _judge(self, head: _Head, offset: int) -> None:
        """Whether all is here, now that the server has no more to say."""
        size, total = self._size(), self._source.bytes
        length = _length(head)
        promised = None if length is None else offset + length
        self._complete = size == total if total else promised is None or size >= promised
        if self._complete:
            return
        if size == promised and head.status == 200:
            # All that the server claims to have: another file, or it lies about the length. The
            # second time settles it; the first time, asking for the rest does.
            if self._short:
                self._drop()
                raise _Unusable(f"serves a file of {size} bytes instead of {total}")
            self._short = True
        raise _TryAgain(f"the connection ended after {size_text(size)}")

    def _remember(self, url: str, head: _Head) -> None:
        tag = head.headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        validator = head.headers.get("Last-Modified", "") if not tag or tag[:2] == "W/" else tag
        write_record(self._memo, {"url": url, "validator": validator})

    def _size(self) -> int:
        try:
            return self._part.stat().st_size
        except FileNotFoundError:
            return 0

    def _drop(self) -> None:
        self._part.unlink(missing_ok=True)
        self._memo.unlink(missing_ok=True)

    def _heed(self) -> None:
        if self._stopped():
            raise Cancelled(f"Stopped; {size_text(self._size())} are kept.")


def _content_range(text: str) -> tuple[int, int]:
    """Start and whole size of "bytes 5-9/10"; -1 and 0 stand for what is not said."""
    found = re.match(r"bytes\s+(\d+)-\d+/(\d+|\*)", text)
    if found is None:
        return -1, 0
    whole = found.group(2)
    return int(found.group(1)), 0 if whole == "*" else int(whole)


def _length(head: _Head) -> int | None:
    said = head.headers.get("Content-Length", "")
    return int(said) if said.isdecimal() else None


def _answer(head: _Head) -> str:
    return f"answers {head.status} {head.reason}".strip()


def _network_problem(error: Exception | None) -> _TryAgain | _Unusable:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _Unusable("its certificate cannot be verified")
    if isinstance(cause, socket.gaierror):
        return _TryAgain("the address is not found, is this computer online?", cost=3)
    if isinstance(cause, ConnectionRefusedError):
        return _TryAgain("refuses the connection", cost=3)
    if isinstance(cause, TimeoutError):
        return _TryAgain("does not answer")
    if isinstance(cause, ValueError):
        return _Unusable(str(cause))
    return _TryAgain(f"the connection broke ({cause or 'nothing was sent'})")
