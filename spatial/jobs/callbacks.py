"""Telling a subscriber how his job goes (回调通知): OGC API Processes, requirements class *callback*.

What a job owes stands in rows of its own, written together with the job; whether one is due follows from the state of the
job, so nothing is forgotten when a server or worker is killed. A worker program delivers: at least once, with growing
pauses, and gives up after `MAX_ATTEMPTS`.

A caller names the address, so the server must not become his hand inside the network: only hosts that the operator lists
are called, a private or local address only if its network is listed too, the connection goes to the very address that was
checked, and redirects are not followed.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import or_, select, update

from spatial.errors import InvalidParameter, ServiceUnavailable
from spatial.store.state import Callback, Job, State, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["EVENTS", "MAX_ATTEMPTS", "Deliverer", "Message", "NotDelivered", "owe", "post", "read_subscriber"]

log = logging.getLogger(__name__)

EVENTS = {"successUri": "success", "inProgressUri": "inProgress", "failedUri": "failed"}
"""Member of ``subscriber`` → event."""
MAX_ATTEMPTS = 6
_PAUSES_S = (5, 30, 120, 600, 3600)
_TIMEOUT_S = 10.0
_LOOK_EVERY_S = 0.5
_PORTS = {"http": 80, "https": 443}

Message = Callable[[Job, Callback], Any]
"""Makes the JSON document that is sent."""


class NotDelivered(Exception):
    """The subscriber did not take the message; the text says why."""


def read_subscriber(subscriber: Any, hosts: Collection[str]) -> dict[str, str]:
    """Addresses of an execute request's ``subscriber`` by event, checked against the list of hosts.

    Raises
    ------
    InvalidParameter
        It is malformed, or names a host that is not listed.

    Examples
    --------
    >>> read_subscriber({"successUri": "https://gis.example.cn/done"}, ["gis.example.cn"])
    {'success': 'https://gis.example.cn/done'}
    """
    if not isinstance(subscriber, dict) or not set(subscriber) <= set(EVENTS):
        raise InvalidParameter(
            f"subscriber 应为对象，成员可为 {'、'.join(EVENTS)}",
            f"subscriber must be an object with members among {', '.join(EVENTS)}",
            parameter="subscriber",
            allowed=list(EVENTS),
        )
    if subscriber and not hosts:
        raise InvalidParameter(
            "本服务未开放 subscriber 回调（ONEMAP_CALLBACK_HOSTS 为空）；请轮询 /ogc/jobs/{jobId}，或请管理员登记主机",
            "callbacks are switched off here (ONEMAP_CALLBACK_HOSTS is empty); poll /ogc/jobs/{jobId}, or ask the operator "
            "to list your host",
            parameter="subscriber",
        )
    found = {}
    for member, address in subscriber.items():
        _listed(_parts(address, f"subscriber.{member}"), hosts, f"subscriber.{member}")
        found[EVENTS[member]] = address
    return found


def _parts(address: Any, parameter: str) -> SplitResult:
    try:
        parts = urlsplit(address) if isinstance(address, str) and len(address) <= 2000 and address.isascii() else None
        sound = parts is not None and parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        sound = sound and not any(c <= " " for c in address)
    except ValueError:
        sound = False
    if not sound or parts is None or "@" in parts.netloc or parts.fragment:
        raise InvalidParameter(
            f"{parameter} 应为 http 或 https 地址，不含用户名和 # 片段，收到 {str(address)[:80]!r}",
            f"{parameter} must be an http or https address without user name and fragment, got {str(address)[:80]!r}",
            parameter=parameter,
        )
    return parts


def _listed(parts: SplitResult, hosts: Iterable[str], parameter: str) -> None:
    host = str(parts.hostname)
    port = parts.port or _PORTS[parts.scheme]
    plain = f"[{host}]" if ":" in host else host
    # Without a port in the list the usual one of the scheme is meant.
    allowed = {f"{plain}:{port}", *([plain] if port == _PORTS[parts.scheme] else [])}
    if not allowed & {listed.lower() for listed in hosts}:
        raise InvalidParameter(
            f"{parameter} 的主机 {host[:80]}:{port} 不在允许的回调主机之列，请管理员登记（ONEMAP_CALLBACK_HOSTS）",
            f"{parameter}: {host[:80]}:{port} is not a host that may be called back; ask the operator to list it "
            "(ONEMAP_CALLBACK_HOSTS)",
            parameter=parameter,
        )


def _may_call(found: str, hosts: Iterable[str]) -> bool:
    """Whether a resolved address may be called: a global one, or one of a listed network.

    >>> _may_call("192.168.1.7", ["gis.example.cn"]), _may_call("192.168.1.7", ["192.168.0.0/16"])
    (False, True)
    """
    address = ipaddress.ip_address(found.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_global and not address.is_multicast:
        return True
    for listed in hosts:
        try:
            network = ipaddress.ip_network(listed, strict=False)
        except ValueError:
            continue
        if network.version == address.version and address in network:
            return True
    return False


class _ToAddress(http.client.HTTPConnection):
    """A connection to the address that was checked; a second look-up of the name could give another one."""

    def __init__(self, parts: SplitResult, address: str) -> None:
        super().__init__(str(parts.hostname), parts.port or _PORTS[parts.scheme], timeout=_TIMEOUT_S)
        self._address = address
        self._secure = parts.scheme == "https"

    def connect(self) -> None:
        sock = socket.create_connection((self._address, self.port), timeout=_TIMEOUT_S)
        self.sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self.host) if self._secure else sock


def post(address: str, document: Any, hosts: Collection[str], headers: Mapping[str, str] | None = None) -> int:
    """Send a JSON document to a subscriber; the status of the answer, 200–299.

    Raises
    ------
    NotDelivered
        The host is not listed any more, has a forbidden address, is away, redirects, or refuses.
    """
    try:
        parts = _parts(address, "subscriber")
        _listed(parts, hosts, "subscriber")
    except InvalidParameter as error:
        raise NotDelivered(error.en) from error
    try:
        port = parts.port or _PORTS[parts.scheme]
        places = [str(info[4][0]) for info in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"no address of {parts.hostname}: {error}") from error
    forbidden = [place for place in places if not _may_call(place, hosts)]
    if forbidden or not places:
        raise NotDelivered(f"{parts.hostname} has an address that is not public and not listed: {forbidden[:1]}")
    body = json.dumps(document, ensure_ascii=False, default=str).encode()
    connection = _ToAddress(parts, places[0])
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        sent = {"Content-Type": "application/json", "User-Agent": "onemap-hubei", **(headers or {})}
        connection.request("POST", target, body, sent)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotDelivered(f"answered {status}" + (" (redirects are not followed)" if 300 <= status < 400 else ""))
    return status


def owe(session: Session, job_id: str, subscriber: Mapping[str, str], *, base: str, language: str) -> None:
    """Write down what a new job owes, in the transaction that enters the job."""
    now = utc_now()
    for event, address in subscriber.items():
        session.add(Callback(job_id=job_id, event=event, address=address, base=base, language=language, due=now))


class Deliverer:
    """Sends what is due, in a thread of a worker program. Several programs may run: a message is taken by one at a time.

    Parameters
    ----------
    hosts : collection of str
        `Settings.callback_hosts`.
    message : callable
        Makes the document that is sent.
    """

    def __init__(self, state: State, hosts: Collection[str], message: Message) -> None:
        self._state = state
        self._hosts = tuple(hosts)
        self._message = message
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the message that is on its way; what is left stays in the database."""
        self._stop.set()
        self._thread.join(_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            try:
                self.deliver_due()
            except ServiceUnavailable as error:
                log.warning("%s", error.en)
                self._stop.wait(2.0)
            except Exception:
                log.exception("callbacks")
                self._stop.wait(5.0)

    def deliver_due(self) -> int:
        """Send everything that is due now; how many were taken by their subscribers."""
        delivered = 0
        for row, job in self._due():
            if self._stop.is_set():
                break
            if _is_past(row, job):
                self._close(row, "no longer needed")
            elif self._take(row):
                delivered += self._send(row, job)
        return delivered

    def _due(self) -> list[tuple[Callback, Job]]:
        over = Job.status.in_(("successful", "failed", "dismissed"))
        begun = or_(over, Job.status == "running")
        query = (
            select(Callback, Job)
            .join(Job, Job.id == Callback.job_id)
            .where(Callback.closed.is_(None), Callback.due <= utc_now())
            .where(or_(over, (Callback.event == "inProgress") & begun))
            .order_by(Callback.due)
            .limit(50)
        )
        with self._state.session() as session:
            return [(row[0], row[1]) for row in session.execute(query)]

    def _take(self, row: Callback) -> bool:
        """Count the attempt before it is made, so that a message that kills its sender is not sent for ever."""
        pause = _PAUSES_S[min(row.attempts, len(_PAUSES_S) - 1)]
        values = {"attempts": row.attempts + 1, "due": utc_now() + timedelta(seconds=pause)}
        return self._write(row, values, Callback.attempts == row.attempts)

    def _send(self, row: Callback, job: Job) -> bool:
        attempt = row.attempts + 1
        try:
            headers = {"OneMap-Job": row.job_id, "OneMap-Event": row.event}
            post(row.address, self._message(job, row), self._hosts, headers)
        except NotDelivered as error:
            last = attempt >= MAX_ATTEMPTS
            log.warning("job %s, %s: attempt %d not delivered: %s", row.job_id, row.event, attempt, error)
            self._write(row, {"note": str(error)[:500], **({"closed": utc_now()} if last else {})})
            return False
        self._close(row, "delivered")
        return True

    def _close(self, row: Callback, note: str) -> None:
        self._write(row, {"closed": utc_now(), "note": note})

    def _write(self, row: Callback, values: Mapping[str, Any], *conditions: Any) -> bool:
        mine = (Callback.job_id == row.job_id, Callback.event == row.event, Callback.closed.is_(None))
        with self._state.session() as session:
            options = {"synchronize_session": False, "preserve_rowcount": True}
            done = session.execute(
                update(Callback).where(*mine, *conditions).values(**values), execution_options=options
            )
            return bool(getattr(done, "rowcount", 0))


def _is_past(row: Callback, job: Job) -> bool:
    """Whether the event cannot come any more: the job ended otherwise."""
    if row.event == "inProgress":
        return job.status != "running"
    return job.status != {"success": "successful", "failed": "failed"}[row.event]
