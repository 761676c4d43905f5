"""The baseline: the plainest aiohttp server there is. It reads the body and answers a constant; it looks at nothing.

`python -m bench.bare --answer small=9000 --answer big=560000` serves POST /small and POST /big with answers of those
sizes and prints its address as one JSON line. SIGTERM ends it.
"""

import asyncio
import json
import signal
from functools import partial

import click
import uvloop
from aiohttp import web


async def answer(body: bytes, request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=body, content_type="application/json")


def create_app(sizes: dict[str, int]) -> web.Application:
    app = web.Application(client_max_size=2**26)
    for name, size in sizes.items():
        app.router.add_post(f"/{name}", partial(answer, b'"' + b"x" * (size - 2) + b'"'))
    return app


async def serve(sizes: dict[str, int]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    runner = web.AppRunner(create_app(sizes), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await stopped.wait()
    await runner.cleanup()


@click.command()
@click.option("--answer", "answers", multiple=True, required=True, help="NAME=BYTES: a path and the size of its answer")
def main(answers: tuple[str, ...]) -> None:
    # The same event loop as the gateway's workers run on.
    uvloop.run(serve({name: int(size) for name, _, size in (text.partition("=") for text in answers)}))


if __name__ == "__main__":
    main()
