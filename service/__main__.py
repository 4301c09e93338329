"""The command line: parse, run, exit code. `process-status` and `python -m service` are this program."""

import argparse
import sys
from collections.abc import Sequence

from service import __version__

WRONG_SETTINGS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; usage errors and wrong settings are 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="process-status", description="Status polling from a cached read model.")
    parser.add_argument("--version", action="version", version=f"process-status {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the API; settings come from the environment")
    serve.set_defaults(run=_serve)
    return parser


def _serve(_: argparse.Namespace) -> int:
    import uvloop

    from service.life_cycle import serve
    from service.settings import WrongSettings, read_settings

    try:
        settings = read_settings()
    except WrongSettings as wrong:
        print(wrong.report(), file=sys.stderr)  # noqa: T201 - logging is set up from what could not be read
        return WRONG_SETTINGS
    return uvloop.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
