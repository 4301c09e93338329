"""aiohttp in front of Redis, which somebody else keeps current: one GET of Redis for each request.

`python -m benchmarks.baselines.aiohttp_redis PORT REDIS_PORT`, on uvloop, without an access log.
"""

import sys

import uvloop
from aiohttp import web
from redis.asyncio import Redis


async def application(redis_port: int) -> web.Application:
    """Made on the loop: the client of Redis belongs to it."""
    redis = Redis(host="127.0.0.1", port=redis_port)

    async def status(request: web.Request) -> web.Response:
        body = await redis.get(request.match_info["process_id"])
        if body is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/status/{process_id}", status)
    return app


def main() -> None:
    port, redis_port = map(int, sys.argv[1:])
    loop = uvloop.new_event_loop()
    web.run_app(application(redis_port), host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
