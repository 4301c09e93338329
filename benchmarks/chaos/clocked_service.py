"""Starts `process-status serve` with a wall clock that another process moves: `python -P clocked_service.py FILE`.

FILE holds one double, the seconds by which `time.time` and `time.time_ns` are off. What reads the clock in C
(`datetime.now`, gRPC, the kernel) keeps the machine's time: moving that needs a machine, or a name space, of its own.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

_OFFSET = struct.Struct("d")


def move_clock(file: Path, offset_s: float) -> None:
    """From now on the service's clock is off by so much."""
    with file.open("r+b") as opened:
        opened.write(_OFFSET.pack(offset_s))


def main() -> int:
    with Path(sys.argv[1]).open("rb") as opened:
        shared = mmap.mmap(opened.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    real_time, real_time_ns = time.time, time.time_ns
    time.time = lambda: real_time() + _OFFSET.unpack_from(shared)[0]
    time.time_ns = lambda: real_time_ns() + int(_OFFSET.unpack_from(shared)[0] * 1e9)
    from service.__main__ import main as process_status  # only now: modules keep the functions they find

    return process_status(["serve"])


if __name__ == "__main__":
    sys.exit(main())
