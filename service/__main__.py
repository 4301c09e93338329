"""The command line: parse, run, exit code. `process-status` and `python -m service` are this program.

Each command imports what it needs by itself: `--version` and `list` must not wait for gRPC.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from service import __version__

T = TypeVar("T")

WRONG_SETTINGS = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; usage errors and wrong settings are 2."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC writes its notes to stderr, past every log setting
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="process-status", description="Status polling that costs microseconds and no database read."
    )
    parser.add_argument("--version", action="version", version=f"process-status {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the API; settings come from the environment")
    serve.set_defaults(run=_serve)
    _add_demo(commands)
    _add_local_firestore(commands)
    _add_terminal_commands(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="a local Firestore, a simulated workload, and the service on top")
    demo.add_argument("--processes", type=_positive_int, default=200, help="simulated processes (default 200)")
    demo.add_argument("--changes-per-second", type=_positive_float, default=20.0, metavar="N", help="(default 20)")
    demo.add_argument("--port", type=_port, default=8080, help="where the API listens (default 8080; 0: any free one)")
    demo.add_argument("--emulator", action="store_true", help="use Google's emulator instead of the local Firestore")
    demo.set_defaults(run=_demo)


def _add_local_firestore(commands: Any) -> None:
    local = commands.add_parser("local-firestore", help="an in-memory Firestore for experiments; it keeps nothing")
    local.add_argument("--host", default="127.0.0.1", help="(default 127.0.0.1)")
    local.add_argument("--port", type=_port, default=8089, help="(default 8089; 0: any free one)")
    local.add_argument("--control-port", type=_port, metavar="PORT", help="serve the faults API there")
    local.add_argument("--heartbeat-s", type=_positive_float, default=30.0, metavar="S", help="(default 30)")
    local.set_defaults(run=_local_firestore)


def _add_terminal_commands(commands: Any) -> None:
    watch = commands.add_parser("watch", help="follow one process until it has ended")
    watch.add_argument("process_id", metavar="ID")
    watch.set_defaults(run=_watch)
    listing = commands.add_parser("list", help="show the newest processes")
    listing.add_argument("--status", help="only those with this status")
    listing.add_argument("--limit", type=_positive_int, default=10, help="(default 10)")
    listing.add_argument("--start-date", metavar="DATE", help="started at or after this ISO 8601 date or date-time")
    listing.add_argument("--end-date", metavar="DATE", help="started at or before it; a date is its whole UTC day")
    listing.add_argument("--all", action="store_true", help="every page")
    listing.set_defaults(run=_list)
    for command in (watch, listing):
        command.add_argument("--url", help="the service (default: PROCESS_STATUS_URL, or http://127.0.0.1:8080)")
        command.add_argument("--api-key", metavar="KEY", help="(default: PROCESS_STATUS_API_KEY)")


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError("must be more than 0 and less than a million")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be a port, 0 to 65535")
    return value


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's own output


def _serve(_: argparse.Namespace) -> int:
    from service.settings import WrongSettings, read_settings

    try:
        settings = read_settings()
    except WrongSettings as wrong:
        print(wrong.report(), file=sys.stderr)  # noqa: T201 - logging is set up from what could not be read
        return WRONG_SETTINGS
    from service.lifecycle import serve

    return _run(serve(settings))


def _demo(options: argparse.Namespace) -> int:
    from service.demo.run import DemoOptions, demo

    chosen = DemoOptions(options.processes, options.changes_per_second, options.port, options.emulator)
    return _run(demo(chosen, _say))


def _local_firestore(options: argparse.Namespace) -> int:
    from service.local_firestore import serve

    try:
        _run(serve(options.host, options.port, options.control_port, heartbeat_s=options.heartbeat_s, announce=_say))
    except OSError as error:
        print(f"process-status: {error}", file=sys.stderr)  # noqa: T201 - a command's own message
        return 1
    return 0


def _watch(options: argparse.Namespace) -> int:
    from rich.console import Console

    from service.terminal.commands import WatchOptions, watch

    url, api_key = _service_to_ask(options)
    return asyncio.run(watch(WatchOptions(options.process_id, url, api_key), Console()))


def _list(options: argparse.Namespace) -> int:
    from rich.console import Console

    from service.terminal.commands import ListOptions, list_processes

    url, api_key = _service_to_ask(options)
    chosen = ListOptions(
        url=url,
        api_key=api_key,
        status=options.status,
        limit=options.limit,
        start_date=options.start_date,
        end_date=options.end_date,
        all=options.all,
    )
    return asyncio.run(list_processes(chosen, Console()))


def _service_to_ask(options: argparse.Namespace) -> tuple[str, str | None]:
    from service.settings import ClientSettings

    environment = ClientSettings()
    return options.url or environment.url, options.api_key or environment.api_key


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    import uvloop

    return uvloop.run(coroutine)


if __name__ == "__main__":
    sys.exit(main())
