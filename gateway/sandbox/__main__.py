"""Run the stand-in upstream by itself: `python -m gateway.sandbox --port 9000`.

Prints one JSON line with its address once it accepts calls. SIGTERM and Ctrl-C end it at once.
"""

import asyncio
import json
import signal

import click

from gateway.sandbox.app import create_app, start

try:
    from uvloop import run
except ImportError:  # Windows has no uvloop
    from asyncio import run  # type: ignore[assignment]


async def serve(
    host: str, port: int, latency_s: float, *, tells_question: bool = False, is_lenient: bool = False
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    running = await start(create_app(latency_s, tells_question=tells_question, is_lenient=is_lenient), host, port)
    print(json.dumps({"url": running.url}), flush=True)
    await stopped.wait()
    await running.stop()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=9000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one")
@click.option("--latency", default=0.0, show_default=True, type=click.FloatRange(min=0), help="seconds a call")
@click.option("--question", is_flag=True, help="every answer carries the digest of its question")
@click.option("--lenient", is_flag=True, help="5.0 is read as 5, null as absent")
def main(host: str, port: int, latency: float, question: bool, lenient: bool) -> None:
    """A stand-in for the protein-model API: the same wire, no weights, no account."""
    run(serve(host, port, latency, tells_question=question, is_lenient=lenient))


if __name__ == "__main__":
    main()
