"""nginx `proxy_cache` as a cache for POST, keyed by the address and the body: what a generic gateway would do.

It gets the best of its settings: buffers that hold every body (a body that does not fit is missing from the key), a
lock so that equal bodies at once cost one call, kept connections. Even so a body above about 64 kB is never found
again ("cache file is too small" in its log).
Debian: `apt-get install nginx-light`.
"""

import asyncio
import os
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.processes import READY_S, BrokenError, end

HOW_TO_GET_IT = "nginx is not installed, so nothing stands beside the gateway: `apt-get install nginx-light`"
# `user` is for a bench that root runs; anybody else runs nginx as themselves. Statuses of all kinds are kept, so
# that a spelling which the upstream refuses is not counted again and again.
CONFIG = """\
daemon off;
{user}
worker_processes 1;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    client_max_body_size 40m;
    client_body_buffer_size {buffer};
    keepalive_requests 1000000;
    proxy_cache_path {home}/cache levels=1:2 keys_zone=answers:64m max_size=4g inactive=1d use_temp_path=off;
    upstream sandbox {{ server {upstream}; keepalive 64; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://sandbox;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache answers;
            proxy_cache_methods POST;
            proxy_cache_key "$request_uri|$request_body";
            proxy_cache_valid any 1d;
            proxy_cache_lock on;
            proxy_cache_lock_timeout 60s;
            proxy_cache_lock_age 60s;
            proxy_buffer_size 2m;
            proxy_buffers 8 2m;
            proxy_busy_buffers_size 4m;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"""


def found() -> str | None:
    """Where nginx is; Debian puts it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def caching(directory: Path, upstream: str, buffer: str = "16m") -> AsyncIterator[str]:
    """Its address, in front of this upstream (`host:port`); everything of it under `directory`."""
    binary = found()
    if binary is None:
        raise BrokenError(HOW_TO_GET_IT)
    home = directory / "nginx"
    home.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = home / "nginx.conf"
    config.write_text(CONFIG.format(home=home, port=port, upstream=upstream, user=user, buffer=buffer))
    words = (binary, "-p", str(home), "-c", str(config), "-e", str(home / "error.log"))
    process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL)
    try:
        if not await _listens(port, process):
            raise BrokenError(f"nginx did not start: {(home / 'error.log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}"
    finally:
        await end(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def _listens(port: int, process: asyncio.subprocess.Process) -> bool:
    deadline = time.monotonic() + READY_S
    while process.returncode is None and time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return True
    return False
