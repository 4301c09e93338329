"""The ceiling of aiohttp: constant bytes from the smallest handler, on uvloop, without an access log.

`python -m benchmarks.baselines.bare_aiohttp PORT FILE` answers everything with that file.
"""

import sys
from pathlib import Path

import uvloop
from aiohttp import web

ETAG = '"v1"'


def main() -> None:
    port, file = sys.argv[1:]
    body = Path(file).read_bytes()
    headers = {"Content-Type": "application/json; charset=utf-8", "ETag": ETAG}

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == ETAG:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
