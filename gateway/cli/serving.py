"""`esm-gateway serve`: the gateway as an operator runs it."""

import click

from gateway.cli.program import run_until_signal, say, worker_command
from gateway.cli.shell import Shell, with_shell
from gateway.settings import Settings
from gateway.wiring.service import Plan, Serving, holding, serve_until_stopped


@click.command()
@with_shell
@click.pass_context
def serve(ctx: click.Context, shell: Shell) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends at once."""

    def announce(serving: Serving) -> None:
        if shell.as_json:
            shell.show({"url": serving.url, "metrics_url": serving.metrics_url}, ())
        else:
            say(f"ready at {serving.url}; metrics at {serving.metrics_url}")

    ctx.exit(run_until_signal(_serve(shell.settings(), Plan(worker_command, say, announce))))


async def _serve(settings: Settings, plan: Plan) -> int:
    async with holding(settings.data_dir) as place:
        return await serve_until_stopped(settings, plan, place)
