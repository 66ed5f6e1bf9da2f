"""A small HTTP/1.1 client on keep-alive connections: it costs little beside what it measures.

The measured time goes from sending a request to the last byte of the answer; nothing is decoded or decompressed (no
``Accept-Encoding`` is sent, so nobody compresses).
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

__all__ = ["Connection", "HTTPFailure", "load"]

TIMEOUT_S = 60.0
LAST_CHUNK = b"\r\n0\r\n\r\n"


class HTTPFailure(RuntimeError):
    """An answer that is neither 200 nor 204, or none."""


class Connection:
    """One keep-alive connection to 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> bytes:
        """Body of ``GET path``; only 200, and 204 for a tile with nothing on it, are answers."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: */*\r\n\r\n".encode())
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(path)
        head = bytes(data[:end]).lower()
        del data[: end + 4]
        if head.startswith(b"http/1.1 204"):
            return b""
        if not head.startswith(b"http/1.1 200"):
            raise HTTPFailure(f"{self.port}{path}: {head[:60]!r} {bytes(data[:300])!r}")
        _, named, rest = head.partition(b"\r\ncontent-length:")
        if named:
            wanted = int(rest.partition(b"\r\n")[0])
            while len(data) < wanted:
                data += self._more(path)
            return bytes(data)
        while not data.endswith(LAST_CHUNK):
            data += self._more(path)
        return bytes(data)

    def _more(self, path: str) -> bytes:
        received = self._socket.recv(1 << 18)
        if not received:
            raise HTTPFailure(f"{self.port}{path}: the server closed the connection")
        return received

    def document(self, path: str) -> bytes:
        """Body of ``GET path`` with the frames of a chunked answer taken away."""
        body = self.get(path)
        if not body.endswith(LAST_CHUNK):
            return body
        pieces, at = [], 0
        while True:
            line = body.index(b"\r\n", at)
            size = int(body[at:line].partition(b";")[0], 16)
            if size == 0:
                return b"".join(pieces)
            pieces.append(body[line + 2 : line + 2 + size])
            at = line + 2 + size + 2

    def timed(self, path: str) -> float:
        """Milliseconds of one request."""
        started = time.perf_counter()
        self.get(path)
        return (time.perf_counter() - started) * 1000

    def close(self) -> None:
        """Close."""
        self._socket.close()


def load(port: int, paths: Sequence[str], requests: int, clients: int) -> float:
    """Send `requests` requests over `clients` connections at once, each path in turn; requests per second.

    Raises
    ------
    HTTPFailure
        The first failure of any client.
    """
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            connection = Connection(port)
            for number in range(first, requests, clients):
                connection.get(paths[number % len(paths)])
            connection.close()
        except (OSError, HTTPFailure) as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return requests / (time.perf_counter() - started)
