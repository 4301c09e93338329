"""Started programs serve inside their context, and are gone outside of it, however it ends."""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from benchmarks.programs import PYTHON, Program
from service.demo.google_emulator import free_port
from tests.waiting import until

STUBBORN = """
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child == 0:
    time.sleep(600)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(child, flush=True)
while True:
    server.accept()[0].close()
"""


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def http_server(tmp_path: Path) -> Program:
    port = free_port()
    command: list[str | Path] = [PYTHON, "-m", "http.server", "--bind", "127.0.0.1", "--directory", tmp_path, str(port)]
    return Program("files", command, port, tmp_path)


def test_a_program_serves_inside_and_is_gone_outside(tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("there")
    with http_server(tmp_path) as program:
        assert program.get("/hello") == b"there"
        assert program.cpu_s > 0
        assert program.memory_bytes() > 1_000_000
        pid = program.pid
    assert not is_alive(pid)


def test_it_is_gone_after_ctrl_c_too(tmp_path: Path) -> None:
    program = http_server(tmp_path)
    with pytest.raises(KeyboardInterrupt), program:
        raise KeyboardInterrupt
    assert not is_alive(program.pid)


async def test_one_that_does_not_end_is_killed_with_all_its_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with Program("stubborn", [sys.executable, "-c", STUBBORN, str(port)], port, tmp_path) as program:
        child = int(program.log_end())
        assert is_alive(child)
        monkeypatch.setattr("benchmarks.programs.PATIENCE_S", 0.1)
    assert not is_alive(program.pid)
    await until(lambda: not is_alive(child), "its child, killed with it, is gone")


def test_one_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"broken did not start:\nno such thing"),
        Program("broken", [PYTHON, "-c", "print('no such thing')"], free_port(), tmp_path),
    ):
        pass
