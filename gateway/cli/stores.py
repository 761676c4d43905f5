"""Check the two stores from here, as the gateway would use them."""

from collections.abc import Sequence

import click

from gateway.cli.options import CommandOptions, run, with_options
from gateway.wiring.store_check import StoreReport, check_stores


@click.group()
def stores() -> None:
    """Check the state store and the cache store."""


@stores.command()
@with_options
@click.pass_context
def check(ctx: click.Context, options: CommandOptions) -> None:
    """Connect to both stores as the gateway would, and say in words what is wrong with them.

    Looks at the address, TLS, user and password, version, eviction, persistence, and every right that is needed, on
    scratch keys of its own. Exit status 0 where both can be used (warnings included), else 1. Embedded stores are
    started for it unless they run.
    """
    reports = run(check_stores(options.settings()))
    rows = [
        {"store": each.store, "usable": each.fault is None, "reason": each.fault, "warnings": list(each.warnings)}
        | {"says": each.words}
        for each in reports
    ]
    options.show(rows, [line for each in reports for line in _lines(each)])
    ctx.exit(0 if all(each.fault is None for each in reports) else 1)


def _lines(report: StoreReport) -> Sequence[str]:
    verdict = f"{report.store} store: can be used" if report.fault is None else f"{report.store} store: CANNOT be used"
    reason = "" if report.fault is None else f" ({report.fault})"
    return (f"{verdict}{reason}: {report.words}.", *(f"  warning: {warning}." for warning in report.warnings))
