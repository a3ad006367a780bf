"""A real HTTP server on this computer that misbehaves as it is told."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from models.weights import Licence, Weight


def body_of(size: int, seed: int = 1) -> bytes:
    """Bytes without a pattern, the same every time."""
    block = b"".join(hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(512))
    return (block * (size // len(block) + 1))[:size]


@dataclass
class Answer:
    """How one address answers.

    Attributes:
        body: what it serves.
        status: other than 200: an error without a body.
        ranges: whether it resumes.
        etag: validator.
        send: for the first, second … request: how many bytes are sent before the connection is
            closed (positive) or goes silent (negative: sends -n bytes, then nothing).
        lengths: for the first, second … request: a Content-Length that lies.
        kind: Content-Type.
        redirect: answer with this address.
        fail: this many 503 first.
        pace: seconds to wait after every 64 kB.
        range_status: what a request with a range gets instead.
    """

    body: bytes = b""
    status: int = 200
    ranges: bool = True
    etag: str = '"one"'
    send: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    kind: str = "application/octet-stream"
    redirect: str = ""
    fail: int = 0
    pace: float = 0.0
    range_status: int = 0


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    sent: int = 0


class FileServer:
    """Use as a context: addresses in `answers`, requests in `seen`."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[Seen] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # A proxy is asked with the whole address.
                path = "/" + self.path.rsplit("/", 1)[-1]
                seen = Seen(self.path, dict(self.headers))
                outer.seen.append(seen)
                try:
                    outer._answer(self, outer.answers[path], seen)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ranges(self) -> list[str | None]:
        """The Range headers received, in order."""
        return [seen.headers.get("Range") for seen in self.seen]

    @property
    def sent(self) -> int:
        """All bytes of bodies that were sent."""
        return sum(seen.sent for seen in self.seen)

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Answer, seen: Seen) -> None:
        if answer.redirect:
            handler.send_response(302)
            handler.send_header("Location", answer.redirect)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if answer.fail > 0 or answer.status != 200:
            answer.fail -= 1
            handler.send_error(answer.status if answer.status != 200 else 503)
            return
        asked = handler.headers.get("Range", "")
        if asked and answer.range_status:
            handler.send_error(answer.range_status)
            return
        wanted = handler.headers.get("If-Range", answer.etag) == answer.etag
        start = int(asked[6:-1]) if asked and answer.ranges and wanted else 0
        whole = len(answer.body)
        if asked and start >= whole and answer.ranges and wanted:
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        handler.send_header("ETag", answer.etag)
        handler.send_header("Content-Type", answer.kind)
        length = answer.lengths.pop(0) if answer.lengths else whole - start
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        self._send(handler, answer, answer.body[start:], seen)

    def _send(
        self, handler: BaseHTTPRequestHandler, answer: Answer, rest: bytes, seen: Seen
    ) -> None:
        limit = answer.send.pop(0) if answer.send else len(rest)
        for at in range(0, min(abs(limit), len(rest)), 1 << 16):
            piece = rest[at : min(at + (1 << 16), abs(limit))]
            handler.wfile.write(piece)
            seen.sent += len(piece)
            if answer.pace:
                self.released.wait(answer.pace)
        if limit < 0:
            handler.wfile.flush()
            self.released.wait(20)
        handler.close_connection = True


TERMS = Licence("Test Licence", "http://127.0.0.1/licence", True, "For tests only.")


def weight_of(body: bytes, *urls: str, **changes: object) -> Weight:
    """A weight with this content."""
    values: dict[str, object] = {
        "id": "tiny",
        "title": "Tiny",
        "file_name": "tiny.pth",
        "urls": urls,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "licence": TERMS,
        "origin": "here",
        "good_for": "Tests.",
    }
    return Weight(**{**values, **changes})  # type: ignore[arg-type]
