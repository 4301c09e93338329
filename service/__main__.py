"""The command line: parse, run, exit code. `process-status` and `python -m service` are this program.

Exit codes: 2 for wrong usage and wrong settings; 1 if something outside of the program is missing or wrong (a port is
in use, credentials are missing); 130 after Ctrl-C. Each comes with one line on stderr, never a traceback.

Each command imports only what it needs: `--version`, `list` and `watch` load neither gRPC nor the server.
"""

import argparse
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from service import __version__
from service.runtime.process import (
    INTERRUPTED,
    exit_at_once_on_signals,
    interrupt_on_ctrl_c,
    open_standard_streams,
    raise_descriptor_limit,
)

FAILED = 1
WRONG_USE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code."""
    exit_at_once_on_signals()
    open_standard_streams()
    os.environ.setdefault(
        "GRPC_VERBOSITY", "NONE"
    )  # gRPC writes to stderr, whatever the log settings; its errors raise
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
    _add_schema_commands(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="a local Firestore, a simulated workload, and the service on top")
    demo.add_argument("--processes", type=_positive_int, default=200, help="simulated processes (default 200)")
    demo.add_argument("--changes-per-second", type=_positive_float, default=20.0, metavar="N", help="(default 20)")
    demo.add_argument("--port", type=_port, help="where the API listens (default: PORT, or 8080; 0: any free one)")
    demo.add_argument(
        "--schema",
        type=Path,
        metavar="FILE",
        help="write and serve documents of this schema, as those in examples/schemas (default: SCHEMA_FILE)",
    )
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
    watch = commands.add_parser("watch", allow_abbrev=False, help="follow one process until it has ended")
    watch.add_argument("process_id", metavar="ID")
    watch.add_argument(
        "--until",
        type=_statuses,
        default=frozenset(),
        metavar="STATUS[,STATUS…]",
        help="end at one of these statuses too; `stalled`: also if the process stalls",
    )
    watch.add_argument(
        "--timeout", type=_positive_int, metavar="SECONDS", help="end after this time, with exit code 124"
    )
    watch.add_argument(
        "--filter",
        type=_filter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of the process's path, as in uid=ann for users/{uid}/jobs; can be repeated",
    )
    watch.set_defaults(run=_watch)
    listing = commands.add_parser("list", allow_abbrev=False, help="show the newest processes")
    listing.add_argument("--status", help="only those with this status")
    listing.add_argument("--stalled", action="store_true", help="only processes that stall")
    listing.add_argument("--limit", type=_positive_int, default=10, help="(default 10)")
    listing.add_argument("--start-date", metavar="DATE", help="started at or after this ISO 8601 date or date-time")
    listing.add_argument("--end-date", metavar="DATE", help="started at or before it; a date is its whole UTC day")
    listing.add_argument(
        "--filter",
        type=_filter,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only processes with this value of a filter of the service's schema; can be repeated",
    )
    listing.add_argument("--all", action="store_true", help="every page")
    listing.set_defaults(run=_list)
    for command in (watch, listing):
        command.add_argument("--url", help="the service (default: PROCESS_STATUS_URL, or http://127.0.0.1:8080)")
        command.add_argument(
            "--api-key-file",
            type=Path,
            metavar="FILE",
            help="the file with the API key (default: the key itself in PROCESS_STATUS_API_KEY); "
            "no option takes a key, because other users see the arguments of a running command",
        )


def _add_schema_commands(commands: Any) -> None:
    init = commands.add_parser("init", help="draft a schema file from some documents of FIRESTORE_COLLECTION")
    init.set_defaults(run=_init)
    check = commands.add_parser("check", help="check settings, permissions, schema and indexes against the collection")
    check.set_defaults(run=_check)
    for command in (init, check):
        command.add_argument("--documents", type=_positive_int, default=50, help="how many to look at (default 50)")
    indexes = commands.add_parser("indexes", help="print the firestore.indexes.json of the schema in force")
    indexes.set_defaults(run=_indexes)


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


def _statuses(text: str) -> frozenset[str]:
    return frozenset(status.strip() for status in text.split(",") if status.strip())


def _filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError("must be a filter's name and a value, as in owner=ann")
    return name, value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError("must be a port, 0 to 65535")
    return value


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's own output


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command's own message


def _serve(_: argparse.Namespace) -> int:
    from service.runtime.environment import WrongSettings
    from service.settings import read_settings

    try:
        settings = read_settings()
    except WrongSettings as wrong:
        _complain(wrong.report())
        return WRONG_USE
    from service.app import StartFailed
    from service.lifecycle import serve

    raise_descriptor_limit()
    try:
        return _run(lambda: serve(settings))
    except StartFailed as failed:
        _complain(f"process-status: {failed}")
        return FAILED


def _demo(options: argparse.Namespace) -> int:
    from service.app import StartFailed
    from service.demo.run import DemoOptions, demo
    from service.runtime.environment import WrongSettings
    from service.runtime.process import until_signalled

    chosen = DemoOptions(options.processes, options.changes_per_second, options.port, options.emulator, options.schema)
    raise_descriptor_limit()
    try:
        return _run(lambda: until_signalled(lambda: demo(chosen, _say)))
    except WrongSettings as wrong:
        _complain(wrong.report())
        return WRONG_USE
    except StartFailed as failed:
        _complain(f"process-status: the demo can't start: {failed}")
        return FAILED


def _local_firestore(options: argparse.Namespace) -> int:
    from service.local_firestore import serve
    from service.runtime.process import until_signalled

    async def until_cancelled() -> int:
        heartbeat_s = options.heartbeat_s
        await serve(options.host, options.port, options.control_port, heartbeat_s=heartbeat_s, announce=_say)
        return 0

    raise_descriptor_limit()
    try:
        return _run(lambda: until_signalled(until_cancelled))
    except OSError as error:
        _complain(f"process-status: {error}; choose another port with --port or --control-port (0: any free one)")
        return FAILED


def _init(options: argparse.Namespace) -> int:
    from service.terminal.schema_commands import init

    return _on_settings(lambda settings: _run(lambda: init(settings, options.documents, _say)))


def _check(options: argparse.Namespace) -> int:
    from service.terminal.schema_commands import check

    return _on_settings(lambda settings: _run(lambda: check(settings, options.documents, _say)))


def _indexes(_: argparse.Namespace) -> int:
    from service.terminal.schema_commands import indexes

    def command(settings: Any) -> int:
        _say(indexes(settings))
        return 0

    return _on_settings(command)


def _on_settings(command: Callable[[Any], int]) -> int:
    """Run a command that needs the service's settings. If Firestore or Google refuse something, that is one line."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    from service.runtime.environment import WrongSettings
    from service.settings import read_settings

    interrupt_on_ctrl_c()
    try:
        return command(read_settings())
    except WrongSettings as wrong:
        _complain(wrong.report())
        return WRONG_USE
    except (GoogleAPICallError, GoogleAuthError, RetryError) as refused:
        _complain(f"process-status: {refused}; `process-status check` says what to do")
        return FAILED


def _watch(options: argparse.Namespace) -> int:
    from rich.console import Console

    from service.terminal.commands import WatchOptions, watch

    def command(url: str, api_key: str | None) -> Coroutine[Any, Any, int]:
        chosen = WatchOptions(
            options.process_id,
            url,
            api_key,
            until=options.until,
            timeout_s=options.timeout,
            variables=dict(options.filter),
        )
        return watch(chosen, Console())

    return _ask_service(options, command)


def _list(options: argparse.Namespace) -> int:
    from rich.console import Console

    from service.terminal.commands import ListOptions, list_processes

    def command(url: str, api_key: str | None) -> Coroutine[Any, Any, int]:
        chosen = ListOptions(
            url=url,
            api_key=api_key,
            status=options.status,
            limit=options.limit,
            start_date=options.start_date,
            end_date=options.end_date,
            filters=dict(options.filter),
            all=options.all,
            stalled=options.stalled,
        )
        return list_processes(chosen, Console())

    return _ask_service(options, command)


def _ask_service(options: argparse.Namespace, command: Callable[[str, str | None], Coroutine[Any, Any, int]]) -> int:
    """Run a terminal command with the URL and the API key from options and environment."""
    import asyncio

    from service.runtime.environment import WrongSettings
    from service.terminal.settings import read_client_settings

    try:
        environment = read_client_settings()
        api_key = environment.api_key if options.api_key_file is None else _key_in(options.api_key_file)
    except WrongSettings as wrong:
        _complain(wrong.report())
        return WRONG_USE
    interrupt_on_ctrl_c()
    return asyncio.run(command(options.url or environment.url, api_key))


def _key_in(file: Path) -> str:
    """The key in a file, without the newline that editors add. Raises: WrongSettings."""
    from service.runtime.environment import WrongSettings

    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise WrongSettings([f"--api-key-file: can't read {file}: {reason}"]) from None
    if not key:
        raise WrongSettings([f"--api-key-file: {file} is empty"])
    return key


def _run(command: Callable[[], Coroutine[Any, Any, int]]) -> int:
    import uvloop

    return uvloop.run(command())


if __name__ == "__main__":
    sys.exit(main())
