"""Listening sockets. They are bound before anything else is built, so a port in use is noticed at once.

No socket here uses SO_REUSEPORT: with it a second service could bind the same port unnoticed, and requests would
alternate between the two. Workers of one service inherit one socket instead.
"""

import errno
import os
import socket
from collections.abc import Iterable, Sequence

from service.runtime.addresses import ANY_IPV4, ANY_IPV6, authority, bind_addresses

BACKLOG = 1024
"""Connections that wait in the kernel until they are accepted."""

_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CannotListen(Exception):
    """`address` can't be bound; `reason` is the system's."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"can't listen on {address}: {reason}")


def listening_sockets(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """One socket for each address of each host, all on one port; port 0 is any free one. Raises: CannotListen.

    A name can have several addresses; those that this machine does not have are left out.
    """
    names = {address: host for host in hosts for address in _addresses(host, port)}
    addresses = bind_addresses(names)
    opened: list[socket.socket] = []
    failed: CannotListen | None = None
    for address in addresses:
        taken = opened[0].getsockname()[1] if opened else port
        try:
            opened.append(_listen(address, taken))
        except OSError as error:
            failed = CannotListen(authority(names.get(address, address), taken), os.strerror(error.errno or 0))
            if error.errno not in _NO_SUCH_ADDRESS or names.get(address, address) == address:
                close_all(opened)
                raise failed from None
    if failed is not None and not opened:
        raise failed
    return opened


def inherited_sockets(descriptors: Iterable[str]) -> list[socket.socket]:
    """The sockets on which the parent process listens, for use in this process."""
    return [socket.socket(fileno=int(descriptor)) for descriptor in descriptors]


def close_all(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()


def bound_urls(sockets: Iterable[socket.socket]) -> list[str]:
    """The addresses of the sockets as URLs, unchanged: for example `http://[::]:8080`."""
    return [f"http://{authority(*each.getsockname()[:2])}" for each in sockets]


def local_url(sockets: Sequence[socket.socket]) -> str:
    """A URL with which this machine can reach the first socket."""
    host, port = sockets[0].getsockname()[:2]
    return f"http://{authority('127.0.0.1' if host in (ANY_IPV4, ANY_IPV6) else host, port)}"


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(authority(host, port), error.strerror or str(error)) from None
    return [str(address[0]) for _, _, _, _, address in found]


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != ANY_IPV6))
        opened.setblocking(False)
        opened.bind((address, port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened
