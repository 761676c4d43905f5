"""`esm-gateway serve`: the gateway as an operator runs it."""

import click

from gateway.cli.options import CommandOptions, with_options
from gateway.cli.processes import run_until_signal, say, worker_command
from gateway.settings import Settings
from gateway.wiring.service import ServedAt, ServiceOptions, lock_data_dir, serve_until_stopped


@click.command()
@with_options
@click.pass_context
def serve(ctx: click.Context, options: CommandOptions) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends at once."""

    def announce(serving: ServedAt) -> None:
        if options.as_json:
            options.show({"url": serving.url, "metrics_url": serving.metrics_url}, ())
        else:
            say(f"ready at {serving.url}; metrics at {serving.metrics_url}")

    ctx.exit(run_until_signal(_serve(options.settings(), ServiceOptions(worker_command, say, announce))))


async def _serve(settings: Settings, plan: ServiceOptions) -> int:
    async with lock_data_dir(settings.data_dir) as place:
        return await serve_until_stopped(settings, plan, place)
