"""Results as Markdown: what docs/ shows comes from here, so its figures can't differ from the results' files.

`python -m benchmarks report` prints it from `benchmarks/results`; `--write` puts the chaos run's table and those of
some benchmarks between their marks in docs/, and all of them into the README of the results.
"""

import itertools
import json
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

BENCHMARKS, CHAOS = "benchmarks", "chaos"
"""What a page has a place for."""

IN_SHORT = ("hit", "list", "mixed", "propagation", "cost")
"""The benchmarks that docs/benchmarks.md shows."""

NONE = "\N{EN DASH}"
UNITS = {"per_s": "/s", "ms": "ms", "us": "µs", "s": "s", "bytes": "bytes", "cores": "cores", "mib": "MiB"}


def load(directory: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """The results there are, by benchmark."""
    files = {name: directory / f"{name}.json" for name in names}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def page(results: Mapping[str, dict[str, Any]], asks: Mapping[str, str], pictures: Container[str]) -> str:
    """The results' own page: every table, with its picture where there is one."""
    tables = {name: markdown(results, {name: asked}) for name, asked in asks.items()}
    drawn = {name: f"\n\n![{name}]({name}.png)" if f"{name}.png" in pictures else "" for name in asks}
    head = (
        "# What was measured\n\nWritten by `python -m benchmarks report --write` from the JSON files beside it, which "
        "have every figure of every contender.\nThe ratio is that of the first figure, the bold row's over the row's "
        "own: the median of the rounds (lowest to highest)."
    )
    return "\n\n".join([head, *(f"## {name}\n\n{tables[name]}{drawn[name]}" for name in asks)]) + "\n"


def markdown(results: Mapping[str, dict[str, Any]], asks: Mapping[str, str]) -> str:
    """A table for each benchmark, in the order of `asks`; those without a result are named."""
    blocks = [table(results[name]) for name in asks if name in results]
    missing = [f"`{name}`" for name in asks if name not in results]
    if missing:
        blocks.append(f"Not measured yet: {', '.join(missing)}.")
    return "\n\n".join(blocks)


def table(result: Mapping[str, Any]) -> str:
    """One benchmark's: a row for each contender; parts that tell the same figures stand in one table.

    The ratio is that of the first figure: the bold row's over this one's.
    """
    blocks = [f"**{result['benchmark']}**: {result['asks']} {_where(result)}"]
    for headline, parts in itertools.groupby(result["parts"], lambda part: _told(part, result["headline"])):
        columns = [*map(title, headline), "ratio"]
        lines = [f"| | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
        blocks.append("\n".join([*lines, *(row for part in parts for row in _rows(part, headline))]))
    return "\n\n".join(blocks)


def _told(part: Mapping[str, Any], headline: list[str]) -> list[str]:
    """Which of these figures it has."""
    return [name for name in headline if any(name in figures for figures in part["figures"].values())]


def _where(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    names = [name for name in ("Python", "aiohttp", "google-cloud-firestore") if name in machine["versions"]]
    told = [machine["processor"], f"{machine['cores']} cores"]
    told += [f"{name} {machine['versions'][name]}" for name in names]
    told += [f"load by {result['loader']}"] if "requests_per_s" in result["headline"] else []
    return f"({', '.join(told)}, {machine['date']}{', a quick run' if result['quick'] else ''})"


def _rows(part: Mapping[str, Any], headline: list[str]) -> Iterator[str]:
    for contender, figures in part["figures"].items():
        name = f"**{contender}**" if contender == part["subject"] else contender
        cells = [number(figures[each]["median"]) if each in figures else NONE for each in headline]
        ratios = part["ratios"].get(contender, {})
        cells.append(ratio(ratios[headline[0]]) if headline and headline[0] in ratios else "")
        yield f"| {part['part']}: {name} | {' | '.join(cells)} |"
    for contender, why in part["not_measured"].items():
        cells = [*[NONE] * len(headline), f"not measured: {why}"]
        yield f"| {part['part']}: {contender} | {' | '.join(cells)} |"


def title(figure: str) -> str:
    """`requests_per_s` → `requests/s`, `p99_ms` → `p99, ms`."""
    for suffix, unit in UNITS.items():
        if figure.endswith(f"_{suffix}"):
            name = figure[: -len(suffix) - 1].replace("_", " ")
            return f"{name}{unit}" if unit.startswith("/") else f"{name}, {unit}"
    return figure.replace("_", " ")


def number(value: float) -> str:
    """Three digits that mean something, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def ratio(of: Mapping[str, float]) -> str:
    """The median of the rounds, and how far they were apart."""
    return f"{number(of['median'])} ({number(of['min'])}{NONE}{number(of['max'])})"


def marks(name: str) -> tuple[str, str]:
    """The two lines of a page that a block stands between."""
    return f"<!-- {name}: written by `python -m benchmarks report --write` -->", f"<!-- /{name} -->"


def written_into(page: str, blocks: Mapping[str, str]) -> str:
    """The page with each block between its marks. Raises: ValueError where one has none."""
    for name, block in blocks.items():
        begin_mark, end_mark = marks(name)
        before, begin, rest = page.partition(begin_mark)
        _, end, after = rest.partition(end_mark)
        if not begin or not end:
            raise ValueError(f"the page has no place for it: {begin_mark} … {end_mark}")
        page = f"{before}{begin_mark}\n\n{block}\n\n{end_mark}{after}"
    return page
