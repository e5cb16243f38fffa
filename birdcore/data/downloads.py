"""Polite, careful HTTP: one request at a time to start, https only, one host, and downloads that go on where they broke.

Nothing a server says is trusted: where it may send us, how much it may send, and how long it may let us wait are all
bounded here. A secret parameter (an access key) goes to the one address it is for; it is in no message and no log.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from birdcore import __version__
from birdcore.errors import BirdcoreError, ConfigError, DataError
from birdcore.files import write_text

__all__ = ["Connection", "Stopped", "Unavailable", "check_base_address"]

logger = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often a request is made before it counts as failed; a download that gets on starts counting anew."""

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
TIMEOUT_SECONDS = (10.0, 60.0)  # to connect, and between two pieces of an answer
LONGEST_PAUSE_SECONDS = 600.0
LARGEST_REPLY_BYTES = 32_000_000  # 500 recordings' metadata are about 1.5 MB
SHORTEST_MASKED = 8  # a shorter one, such as the public key "demo", would also be found where it is a word
CHUNK_BYTES = 16_384  # what a broken connection loses at most


class Unavailable(DataError):
    """The server cannot be reached, is too busy or broke off, again and again: the same request may succeed later."""


class Stopped(BirdcoreError):
    """Somebody else stopped the connection while this request was under way."""


class Connection:
    """Requests to one server, from any number of threads.

    Parameters
    ----------
    base_address : https, or http on this machine; every address asked for must lie on the same host (or, with a
        name, a subdomain of it) and port, redirections included
    interval : seconds between the starts of two requests, whoever makes them
    secrets : parameters that are added to what :meth:`read_json` asks, and shown nowhere

    Raises
    ------
    ConfigError
        If the base address is not as described.
    """

    def __init__(self, base_address: str, *, interval: float, secrets: dict[str, str] | None = None) -> None:
        self.base_address = check_base_address(base_address)
        self._secrets = dict(secrets or {})
        self._pace = _Pace(interval)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._mask = _SecretsFilter(self._secrets)
        # At level DEBUG it would write each address with its parameters.
        logging.getLogger("urllib3.connectionpool").addFilter(self._mask)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the connection holds."""
        self.stop()
        for session in self._sessions:
            session.close()
        logging.getLogger("urllib3.connectionpool").removeFilter(self._mask)

    def stop(self) -> None:
        """Make every request under way, and every later one, raise :class:`Stopped`; what was downloaded stays."""
        self._pace.stop()

    def read_json(self, path: str, parameters: dict[str, str]) -> tuple[int, Any]:
        """Status and content of a JSON reply; the content is None where it is not JSON.

        Parameters
        ----------
        path : below the base address
        parameters : those of the query, besides the secrets

        Raises
        ------
        Unavailable
            If no answer came in several attempts.
        DataError
            If the server sends us elsewhere, or more than a reply can hold.
        """
        address = f"{self.base_address}/{path.lstrip('/')}"
        for attempt in range(ATTEMPTS):
            with self._ask(address, parameters=parameters | self._secrets) as response:
                if response.status_code in REDIRECTS:
                    # Not followed: the key is for this address alone.
                    raise DataError(
                        f"{address}: the server sends us to {_host_of(response)} instead; is the address right?"
                    )
                content = self._body(response, address)
            if content is not None:
                try:
                    return response.status_code, json.loads(self._without_secrets(content))
                except ValueError:
                    return response.status_code, None
            if attempt < ATTEMPTS - 1:
                self._pace.back_off(attempt)
        raise Unavailable(f"{address}: the connection broke off {ATTEMPTS} times; try again later")

    def _without_secrets(self, content: bytes) -> bytes:
        """A reply in which the server does not echo what it was told in confidence."""
        for secret in self._secrets.values():
            if len(secret) >= SHORTEST_MASKED:
                content = content.replace(secret.encode(), b"***")
        return content

    def _body(self, response: requests.Response, address: str) -> bytes | None:
        """All of a reply; None where the connection broke."""
        content = bytearray()
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                self._pace.check()
                content += chunk
                if len(content) > LARGEST_REPLY_BYTES:
                    raise DataError(f"{address}: the reply is larger than {LARGEST_REPLY_BYTES:,} bytes")
        except requests.RequestException as error:
            logger.info("%s: %s", address, _fault(error))
            return None
        return bytes(content)

    def download(self, address: str, part: Path, *, max_bytes: int) -> None:
        """Download a file, going on where an earlier download of it stopped.

        What is there of the file is only continued if the server vouches that it has not changed since (``If-Range``
        with the entity tag or date kept in ``<part>.tag``); otherwise the download starts anew.

        Parameters
        ----------
        address : absolute, or relative to the base address; redirections are followed on the same host
        part : the file to write; complete when this returns
        max_bytes : size above which a file is refused

        Raises
        ------
        Unavailable
            If the connection fails again and again without getting on.
        DataError
            If the server refuses, sends us elsewhere, or the file is too large: it will do so again.
        Stopped
            After :meth:`stop`; what was downloaded stays.
        """
        tag_file = part.with_name(f"{part.name}.tag")
        idle = furthest = 0
        while True:
            tag = tag_file.read_text(encoding="utf-8") if tag_file.is_file() else ""
            have = part.stat().st_size if part.is_file() and tag else 0
            # Compressed on the way, a byte range would not be one of the file.
            headers = {"Accept-Encoding": "identity"}
            if have:
                headers |= {"Range": f"bytes={have}-", "If-Range": tag}
            with self._follow(address, headers) as response:
                start, size = _extent(response, have)
                if start is None:  # no such range: what is here is not of this file
                    part.unlink(missing_ok=True)
                    tag_file.unlink(missing_ok=True)
                    broke = True
                else:
                    if size is not None and size > max_bytes:
                        raise DataError(f"{size:,} bytes, more than the limit of {max_bytes:,}")
                    if start == 0:
                        part.unlink(missing_ok=True)
                        write_text(tag_file, _tag_of(response))
                    broke = self._save(response, part, start=start, max_bytes=max_bytes)
            reached = part.stat().st_size if part.is_file() else 0
            if not broke and size in (None, reached):
                tag_file.unlink(missing_ok=True)
                return
            if size is not None and reached > size:
                part.unlink()
            idle = 0 if reached > max(have, furthest) else idle + 1
            furthest = max(furthest, reached)
            if idle >= ATTEMPTS:
                raise Unavailable(f"the connection broke off {ATTEMPTS} times")
            self._pace.back_off(idle)

    def _save(self, response: requests.Response, part: Path, *, start: int, max_bytes: int) -> bool:
        """Append a body to a file; True where the connection broke before its end."""
        reached = start
        with part.open("ab") as file:
            try:
                for chunk in response.iter_content(CHUNK_BYTES):
                    self._pace.check()
                    reached += len(chunk)
                    if reached > max_bytes:
                        raise DataError(f"more than the limit of {max_bytes:,} bytes")
                    file.write(chunk)
            except requests.RequestException as error:
                logger.info("%s: %s after %d bytes", part.name, _fault(error), reached)
                return True
        return False

    def _follow(self, address: str, headers: dict[str, str]) -> requests.Response:
        """A good answer (200, 206 or 416), from wherever on the same host the server sends us."""
        address = self._checked(address)
        for _ in range(MOST_REDIRECTS + 1):
            response = self._ask(address, headers=headers)
            status = response.status_code
            if status in (200, 206, 416):
                if response.headers.get("Content-Encoding", "identity").lower() == "identity":
                    return response
                response.close()
                raise DataError("the server sends it compressed, though asked not to")
            response.close()
            if status not in REDIRECTS:
                raise DataError(f"the server answers with status {status}")
            address = self._checked(urljoin(address, response.headers.get("Location", "")))
        raise DataError(f"the server sends us on more than {MOST_REDIRECTS} times")

    def _checked(self, address: str) -> str:
        """The address, absolute, if it lies where we may go."""
        absolute = urljoin(f"{self.base_address}/", address)
        fault = _address_fault(absolute)
        if fault:
            raise DataError(f"the server names an address that {fault}")
        ours, theirs = urlsplit(self.base_address), urlsplit(absolute)
        host = (ours.hostname or "").removeprefix("www.")
        same_host = theirs.hostname == ours.hostname or theirs.hostname == host
        below = not _is_number(host) and str(theirs.hostname).endswith(f".{host}")
        if not (same_host or below) or (theirs.scheme, theirs.port) != (ours.scheme, ours.port):
            raise DataError(f"the server sends us to another host ({theirs.netloc[:100]}), which is not followed")
        return absolute

    def _ask(
        self, address: str, *, parameters: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        """An answer that is not merely "later", its body still to be read."""
        fault = ""
        for attempt in range(ATTEMPTS):
            self._pace.wait()
            asked_to_wait = None
            try:
                response = self._session().get(
                    address,
                    params=parameters,
                    headers=headers,
                    stream=True,
                    allow_redirects=False,
                    timeout=TIMEOUT_SECONDS,
                )
            except requests.RequestException as error:
                fault = _fault(error)  # what the error itself says holds the parameters
            else:
                if response.status_code not in RETRIED_STATUSES:
                    return response
                response.close()
                fault = f"answers with status {response.status_code}"
                asked_to_wait = _retry_after(response.headers.get("Retry-After", ""))
                if asked_to_wait is not None and asked_to_wait > LONGEST_PAUSE_SECONDS:
                    raise Unavailable(
                        f"{_shown(address)}: the server asks to be left alone for {asked_to_wait / 60:.0f} minutes; "
                        "try again then"
                    )
            logger.info("%s: %s", _shown(address), fault)
            if attempt < ATTEMPTS - 1:
                self._pace.back_off(attempt, at_least=asked_to_wait)
        raise Unavailable(f"{_shown(address)}: {fault} ({ATTEMPTS} attempts); try again later")

    def _session(self) -> requests.Session:
        """The session of this thread: sessions are not made to be shared."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = f"birdcore/{__version__}"
            self._sessions.append(session)
        return session


class _Pace:
    """Lets one request start per interval, and none before a pause is over; waiting ends at once when stopped."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Return when it is this request's turn."""
        while True:
            self.check()
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._interval
                    return
                remaining = self._next - now
            self._stopped.wait(remaining)

    def back_off(self, attempt: int, *, at_least: float | None = None) -> None:
        """Let nobody ask for 1, 2, 4, 8 … intervals, or for as long as the server said."""
        pause = max(self._interval * 2**attempt, at_least or 0.0)
        with self._lock:
            self._next = max(self._next, time.monotonic() + pause)

    def check(self) -> None:
        if self._stopped.is_set():
            raise Stopped("stopped")

    def stop(self) -> None:
        self._stopped.set()


class _SecretsFilter(logging.Filter):
    """Masks secrets in records of other libraries."""

    def __init__(self, secrets: dict[str, str]) -> None:
        super().__init__()
        names = "|".join(map(re.escape, secrets))
        self._pattern = re.compile(rf"\b({names})=[^&\s]*") if names else None

    def filter(self, record: logging.LogRecord) -> bool:
        if self._pattern:
            record.msg = self._pattern.sub(r"\1=***", record.getMessage())
            record.args = ()
        return True


def check_base_address(address: str) -> str:
    """A server's address without its final slash.

    Raises
    ------
    ConfigError
        If it is not https (http is allowed on this machine), names a user, or has a query.
    """
    fault = _address_fault(address)
    parts = urlsplit(address) if not fault else None
    if parts and (parts.query or parts.fragment):
        fault = "has a query; give the server's address alone"
    if fault:
        # Only its beginning: a query may hold a key.
        raise ConfigError(f"address {address.split('?')[0].split('@')[-1][:100]!r}: {fault}")
    return address.rstrip("/")


def _address_fault(address: str) -> str:
    """What is wrong with an address, or ""."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "cannot be read"
    if not host:
        return "names no host"
    if parts.username is not None or parts.password is not None:
        return "names a user"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return ""
    return "is not https"


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _shown(address: str) -> str:
    """An address fit for a message."""
    return address.split("?")[0]


def _host_of(response: requests.Response) -> str:
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return (host or "another address")[:100]


def _fault(error: requests.RequestException) -> str:
    """What went wrong, in words that hold nothing of the request."""
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy named in the environment does not answer"
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
        return "the connection broke off"
    return "cannot be reached, or the connection broke off"


def _retry_after(text: str) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number, or a date."""
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _tag_of(response: requests.Response) -> str:
    """What ``If-Range`` may name: a strong entity tag, else the date of the last change, else nothing."""
    tag = response.headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', tag):
        return tag
    changed = response.headers.get("Last-Modified", "")
    return changed if re.fullmatch(r"[\x20-\x7e]{1,60}", changed) else ""


def _extent(response: requests.Response, have: int) -> tuple[int | None, int | None]:
    """Where in the file a body begins (None: nowhere), and how long the whole file is (None: not said)."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:
        return 0, int(length) if re.fullmatch(r"\d{1,15}", length) else None
    found = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)", response.headers.get("Content-Range", ""))
    if response.status_code != 206 or not found or int(found[1]) != have:
        return None, None
    return have, None if found[2] == "*" else int(found[2])
