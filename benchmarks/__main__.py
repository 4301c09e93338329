"""Measure what this service is for, beside what one would pick instead.

python -m benchmarks [BENCHMARK …] [--quick] …                every benchmark, or those named (see --help)
python -m benchmarks load --url URL --rate N --duration S    load any deployment (see load --help)
python -m benchmarks report [--write]                        the tables of benchmarks/results
"""

import sys


def main(arguments: list[str]) -> int:
    """Run one of the commands. Returns its exit code. Each imports what it needs by itself."""
    match arguments:
        case ["load", *options]:
            from benchmarks.load import command

            return command.main(options)
        case ["report", *options]:
            from benchmarks import runner

            return runner.report_command(options)
        case options:
            from benchmarks import runner

            return runner.main(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
