"""What a load run may be sent to, and with which requests.

Loopback is free to load. Any other host has to be named and confirmed: it is somebody's bill, and somebody's service.
"""

import ipaddress
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

CONFIRMATION = "--i-may-load-this-host"
NEWEST = 100


class Refused(Exception):
    """The run does not begin, and this is why."""


@dataclass(frozen=True)
class Target:
    """Where to connect, and what every request carries."""

    url: str
    host: str
    port: int
    tls: bool
    path: str
    """"": the URL names a service, not a resource of it."""
    headers: Sequence[str] = ()

    @classmethod
    def of(cls, url: str, *, api_key: str | None = None, confirmed: bool = False) -> "Target":
        """Raises: Refused."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"{url}: not an http:// or https:// URL")
        if parts.username or parts.password:
            raise Refused("the URL holds credentials; use --api-key")
        if not is_loopback(parts.hostname) and not confirmed:
            raise Refused(f"{parts.hostname} is not this machine: add {CONFIRMATION} if you may load it")
        tls = parts.scheme == "https"
        path = parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")
        authority = parts.netloc
        headers = [f"Host: {authority}", "User-Agent: process-status-load", "Accept: */*"]
        headers += [f"X-API-Key: {api_key}"] if api_key else []
        return cls(f"{parts.scheme}://{authority}", parts.hostname, _port(url, tls=tls), tls, path, headers)

    def requests(self, process_ids: Sequence[str]) -> list[bytes]:
        """A poll of each process, or of the URL's own path where it has one."""
        paths = [self.path] if self.path else [f"/status/{quote(each, safe='')}" for each in process_ids]
        return ["\r\n".join([f"GET {path} HTTP/1.1", *self.headers, "", ""]).encode() for path in paths]


def _port(url: str, *, tls: bool) -> int:
    try:
        return urlsplit(url).port or (443 if tls else 80)
    except ValueError:
        raise Refused(f"{url}: not a port") from None


def is_loopback(host: str) -> bool:
    """Whether this name can only mean this machine. Names are not looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ids_of_file(file: Path) -> list[str]:
    """One a line. Raises: Refused."""
    try:
        ids = [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"can't read {file}: {error}") from None
    if not ids:
        raise Refused(f"{file} names no process")
    return ids


def newest_ids(target: Target, timeout_s: float = 10) -> list[str]:
    """Those the service itself lists first. Raises: Refused."""
    headers = dict(header.split(": ", 1) for header in target.headers)
    request = urllib.request.Request(f"{target.url}/status?limit={NEWEST}", headers=headers)  # noqa: S310 - http(s) only
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - as above
            ids = [str(process["process_id"]) for process in json.load(answer)["processes"]]
    except urllib.error.HTTPError as error:
        error.close()
        raise Refused(f"{target.url}/status answered {error.code}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"can't list the processes of {target.url}: {error}") from None
    if not ids:
        raise Refused(f"{target.url} lists no process: name some with --ids")
    return ids
