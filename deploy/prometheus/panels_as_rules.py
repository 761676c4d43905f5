"""Print every dashboard query as a recording rule, so that promtool can check that it is valid PromQL.

Grafana's variables are replaced by any instance and five minutes. Standard library only.
"""

import json
import sys
from pathlib import Path

DASHBOARDS = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"


def queries(dashboard: Path) -> list[str]:
    panels = json.loads(dashboard.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def as_rule(number: int, query: str) -> dict[str, str]:
    filled = query.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$instance", ".+")
    return {"record": f"panel:query:{number}", "expr": filled}


def main() -> None:
    everything = [query for path in sorted(DASHBOARDS.glob("*.json")) for query in queries(path)]
    rules = [as_rule(number, query) for number, query in enumerate(everything)]
    json.dump({"groups": [{"name": "panels", "rules": rules}]}, sys.stdout)


if __name__ == "__main__":
    main()
