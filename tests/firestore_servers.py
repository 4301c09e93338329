"""Local Firestore servers for tests, in one process beside the test's own, so that both kinds of test can use them.

gRPC's asyncio flavour is not made for two event loops in one process: with the server on a thread, clients on
the test's loop now and then lose a message. The process starts with the first server and ends with the test run;
a server in it takes milliseconds to start. Everything here may be called from any thread, blocks for about a
millisecond, and returns once its effect is in force.
"""

import asyncio
import atexit
import functools
import itertools
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import IO, Any, Self

import grpc

from service.local_firestore import CommitRecord, Fault, LocalFirestore

PATIENCE_S = 30


class BackgroundFirestore:
    """A running LocalFirestore at `host` ("127.0.0.1:port"); takes its options. A context manager."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._lock = threading.Lock()
        self.faults = BackgroundFaults(self)

    def start(self) -> Self:
        self._connection = _connect()
        self._server, self.host = self._ask("start", self._options)
        return self

    def stop(self) -> None:
        self.ask("stop")
        self._connection.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def ask(self, what: str, *arguments: Any) -> Any:
        """The answer of the method of this name in `_Servers`, below."""
        return self._ask(what, self._server, *arguments)

    def _ask(self, what: str, *arguments: Any) -> Any:
        with self._lock:
            return _asked(self._connection, what, *arguments)

    def ask_at_leisure(self, what: str, *arguments: Any) -> Any:
        """The same for what may take long: meanwhile others can be asked."""
        with _connect() as connection:
            return _asked(connection, what, self._server, *arguments)

    def commit(self, project: str, documents: Mapping[str, Mapping[str, object] | None]) -> int:
        """One commit of plain fields by path ("jobs/a"), None deletes; returns its time in microseconds."""
        commit_time_us: int = self.ask("commit", project, documents)
        return commit_time_us

    def history(self, project: str, collection: str | None = None) -> list[CommitRecord]:
        """See Database.history; empty unless the server was started with `max_history`."""
        records: list[CommitRecord] = self.ask("history", project, collection)
        return records

    @property
    def calls(self) -> Counter[str]:
        """How often each call has come in."""
        calls: Counter[str] = self.ask("calls")
        return calls

    @property
    def documents_read(self) -> Counter[str]:
        """How many documents each call has returned, Listen aside."""
        documents: Counter[str] = self.ask("documents_read")
        return documents

    @property
    def streams(self) -> int:
        """How many Listen streams are open."""
        return len(self.sent)

    @property
    def sent(self) -> list[int]:
        """How many messages each open Listen stream has been sent."""
        sent: list[int] = self.ask("sent")
        return sent


class BackgroundFault:
    """A Fault of a background server. A context manager that releases it."""

    def __init__(self, firestore: BackgroundFirestore, number: int) -> None:
        self._firestore = firestore
        self._number = number

    @property
    def hits(self) -> int:
        """How often it has struck."""
        hits: int = self._firestore.ask("hits", self._number)
        return hits

    def struck(self, times: int = 1) -> None:
        """Block until it has struck so often. Where that needs this thread's event loop: `until_struck`."""
        self._firestore.ask_at_leisure("struck", self._number, times)

    async def until_struck(self, times: int = 1) -> None:
        await asyncio.to_thread(self.struck, times)

    def release(self) -> None:
        self._firestore.ask("release", self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()


class BackgroundFaults:
    """The methods of `Faults`; what they mean is said there."""

    def __init__(self, firestore: BackgroundFirestore) -> None:
        self._firestore = firestore

    def _fault(self, name: str, *arguments: Any, **options: Any) -> BackgroundFault:
        return BackgroundFault(self._firestore, self._firestore.ask("fault", name, arguments, options))

    def _effect(self, name: str, *arguments: Any, **options: Any) -> int:
        targets: int = self._firestore.ask("effect", name, arguments, options)
        return targets

    def end_streams(
        self,
        code: grpc.StatusCode = grpc.StatusCode.OK,
        detail: str = "ended by a fault",
        *,
        after_messages: int = 0,
        new_streams: int = 0,
    ) -> BackgroundFault:
        return self._fault("end_streams", code, detail, after_messages=after_messages, new_streams=new_streams)

    def stall_streams(self, *, existing: bool = True, new: bool = True) -> BackgroundFault:
        return self._fault("stall_streams", existing=existing, new=new)

    def send_existence_filter(self, *, off_by: int = 1, document: str = "") -> int:
        return self._effect("send_existence_filter", off_by=off_by, document=document)

    def send_reset(self, *, document: str = "") -> int:
        return self._effect("send_reset", document=document)

    def remove_targets(self, code: grpc.StatusCode, detail: str = "removed by a fault", *, document: str = "") -> int:
        return self._effect("remove_targets", code, detail, document=document)

    def expire_tokens(self) -> None:
        self._effect("expire_tokens")

    def drop_deltas(self, count: int = 1) -> BackgroundFault:
        return self._fault("drop_deltas", count)

    def fail_calls(
        self, rpc: str, code: grpc.StatusCode, *, calls: int | None = 1, detail: str = "failed by a fault"
    ) -> BackgroundFault:
        return self._fault("fail_calls", rpc, code, calls=calls, detail=detail)

    def delay_calls(self, rpc: str, delay_s: float, *, calls: int | None = 1) -> BackgroundFault:
        return self._fault("delay_calls", rpc, delay_s, calls=calls)

    def hold_calls(self, rpc: str, *, calls: int | None = None) -> BackgroundFault:
        return self._fault("hold_calls", rpc, calls=calls)

    def hold_answers(self, rpc: str, *, calls: int | None = None) -> BackgroundFault:
        return self._fault("hold_answers", rpc, calls=calls)

    def refuse_connections(self) -> None:
        self._firestore.ask("refuse_connections")

    def accept_connections(self) -> None:
        self._firestore.ask("accept_connections")

    def release_all(self) -> None:
        """Every fault, refused connections included."""
        self._firestore.ask("release_all")

    @property
    def active(self) -> list[str]:
        """The names of the faults in force."""
        names: list[str] = self._firestore.ask("active")
        return names


# -- the test's side of the connection


@functools.cache
def _process_socket() -> str:
    """Where the servers' process listens; starts it."""
    directory = tempfile.TemporaryDirectory(prefix="local-firestore-")
    socket = str(Path(directory.name) / "socket")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.firestore_servers", socket],
        stdin=subprocess.PIPE,  # closed with this process, however it ends; then the other ends too
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    atexit.register(_end_process, process, process.stdin, process.stdout, directory)
    assert process.stdout.readline() == b"ready\n"
    return socket


def _end_process(
    process: subprocess.Popen[bytes], told: IO[bytes], says: IO[bytes], directory: tempfile.TemporaryDirectory[str]
) -> None:
    told.close()
    process.wait(PATIENCE_S)
    says.close()
    directory.cleanup()


def _connect() -> Connection:
    return Client(_process_socket(), family="AF_UNIX")


def _asked(connection: Connection, what: str, *arguments: Any) -> Any:
    connection.send((what, arguments))
    if not connection.poll(PATIENCE_S):
        raise TimeoutError(f"{what}{arguments} was not done within {PATIENCE_S} s")
    failed, answer = connection.recv()
    if failed:
        raise answer
    return answer


# -- the servers' side


class _Servers:
    """What can be asked; every method but `start` is asked of one server, by its number."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._servers: dict[int, LocalFirestore] = {}
        self._faults: dict[int, Fault] = {}

    async def start(self, options: dict[str, Any]) -> tuple[int, str]:
        number = next(self._numbers)
        self._servers[number] = await LocalFirestore(**options).start()
        return number, self._servers[number].host

    async def stop(self, server: int) -> None:
        await self._servers.pop(server).stop()

    async def commit(self, server: int, project: str, documents: dict[str, Any]) -> int:
        return self._servers[server].database(project).commit_plain(documents)

    async def history(self, server: int, project: str, collection: str | None) -> list[CommitRecord]:
        return self._servers[server].database(project).history(collection)

    async def calls(self, server: int) -> Counter[str]:
        return self._servers[server].calls

    async def documents_read(self, server: int) -> Counter[str]:
        return self._servers[server].documents_read

    async def sent(self, server: int) -> list[int]:
        return [stream.sent for stream in self._servers[server].listening.streams]

    async def fault(self, server: int, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> int:
        number = next(self._numbers)
        self._faults[number] = getattr(self._servers[server].faults, name)(*arguments, **options)
        return number

    async def effect(self, server: int, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return getattr(self._servers[server].faults, name)(*arguments, **options)

    async def hits(self, server: int, fault: int) -> int:
        return self._faults[fault].hits

    async def struck(self, server: int, fault: int, times: int) -> None:
        await self._faults[fault].struck(times)

    async def release(self, server: int, fault: int) -> None:
        self._faults[fault].release()

    async def refuse_connections(self, server: int) -> None:
        await self._servers[server].faults.refuse_connections()

    async def accept_connections(self, server: int) -> None:
        await self._servers[server].faults.accept_connections()

    async def release_all(self, server: int) -> None:
        self._servers[server].faults.release_all()
        await self._servers[server].faults.accept_connections()

    async def active(self, server: int) -> list[str]:
        return [fault.name for fault in self._servers[server].faults.active]


def _answer(connection: Connection, servers: _Servers, loop: asyncio.AbstractEventLoop) -> None:
    """Answer one connection's questions, in order, until it is closed."""
    while True:
        try:
            what, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = asyncio.run_coroutine_threadsafe(getattr(servers, what)(*arguments), loop).result()
        except (ValueError, TypeError) as mistake:
            connection.send((True, mistake))
        except Exception as failed:  # noqa: BLE001 - whatever it is, the test is told
            connection.send((True, RuntimeError(repr(failed))))
        else:
            connection.send((False, answer))


def _accept(listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
    servers = _Servers()
    while True:
        threading.Thread(target=_answer, args=(listener.accept(), servers, loop), daemon=True).start()


def _end_with_the_tests() -> None:
    sys.stdin.read()
    os._exit(0)  # nothing in here is worth keeping, and nobody is left to wait


def _main(socket: str) -> None:
    loop = asyncio.new_event_loop()
    listener = Listener(socket, family="AF_UNIX", backlog=16)
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    threading.Thread(target=_accept, args=(listener, loop), daemon=True).start()
    loop.call_soon(lambda: sys.stdout.write("ready\n") and sys.stdout.flush())
    loop.run_forever()


if __name__ == "__main__":
    _main(sys.argv[1])
