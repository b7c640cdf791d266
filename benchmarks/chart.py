"""A bar chart of the ratios, as SVG written by hand."""

from __future__ import annotations

from benchmarks.plan import AIMS, CASES, TITLES
from benchmarks.result import Result

_WIDTH, _LEFT, _ROW, _BAR = 760, 190, 74, 18
_COLOURS = {"crm": "#0b6e4f", "raw": "#8d99ae", "orm": "#d08c60"}
_NAMES = {"crm": "crm-api", "raw": "raw", "orm": "orm"}


def chart(result: Result) -> str:
    """Requests per second at the highest number of connections, each as a part of `raw`'s; a line marks the aim."""
    apps = ("crm", "raw", "orm")
    most = max(result.ratio(case, result.busy, app) for case in CASES for app in apps)
    scale = (_WIDTH - _LEFT - 110) / max(most, 1.0)
    height = 64 + _ROW * len(CASES)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif" '
        f'font-size="13" role="img" aria-label="Requests per second beside raw">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="600">Requests per second at {result.busy} connections, '
        "beside raw (FastAPI + asyncpg, no auth, no tenants)</text>",
    ]
    for number, case in enumerate(CASES):
        top = 46 + number * _ROW
        parts.append(f'<text x="12" y="{top + 34}">{TITLES[case]}</text>')
        for place, app in enumerate(apps):
            ratio, y = result.ratio(case, result.busy, app), top + place * (_BAR + 2)
            rate = result.figures[case, app, result.busy].requests_per_second
            width = max(ratio * scale, 1)
            parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{_COLOURS[app]}"/>')
            label = f"{_NAMES[app]} {ratio:.2f}× · {rate:,.0f}/s"
            parts.append(f'<text x="{_LEFT + width + 6:.1f}" y="{y + 14}" fill="#333333" font-size="12">{label}</text>')
        if (aim := AIMS.get(case)) is not None:
            x = _LEFT + aim * scale
            parts.append(
                f'<line x1="{x:.1f}" y1="{top - 3}" x2="{x:.1f}" y2="{top + _BAR + 3}" stroke="#c1121f" '
                'stroke-width="2"/>'
            )
    return "\n".join([*parts, "</svg>", ""])
