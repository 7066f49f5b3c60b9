"""Measure, side by side in one run, and print; `--write` puts the tables into docs/performance.md with the machine named.

    python tests/bench/run.py [startup] [upload] [line] [verbs] [images] [kubernetes] [azureml] [scoring] [grpc] [--write] [--megabytes 1000]

Figures are medians of interleaved runs; ratios are what to quote, since machines are noisy.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), *(str(TOP / part) for part in ("targets", "images", "localstack"))]

from tests.bench import azureml, images, kubernetes, line, startup, upload, verbs  # noqa: E402  the path has to be set first, so that this file runs by itself
from tests.bench.scoring import grpc_peers  # noqa: E402
from tests.bench.scoring import measure as scoring  # noqa: E402
from tests.bench.tables import Table  # noqa: E402

MEASURES: dict[str, Callable[..., Iterator[Table]]] = {
    "startup": startup.measure,
    "upload": upload.measure,
    "line": line.measure,
    "verbs": verbs.measure,
    "images": images.measure,
    "kubernetes": kubernetes.measure,
    "azureml": azureml.measure,
    "scoring": scoring.measure,
    "grpc": grpc_peers.measure,
}
BEGIN, END = "<!-- figures: written by tests/bench/run.py -->", "<!-- end of figures -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measures", nargs="*", default=[], help=f"some of {', '.join(MEASURES)}; default: all")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the model that is packaged and uploaded")
    options = parser.parse_args()
    tables: list[Table] = []
    for name in options.measures or MEASURES:
        print(f"measuring {name} ...", flush=True)
        for table in MEASURES[name](megabytes=options.megabytes):
            print(f"\n{table.text()}\n", flush=True)
            tables.append(table)
    if options.write:
        write(tables)
    return 0


def write(tables: list[Table]) -> None:
    """Put tables into docs/performance.md, in the place of those of the same title; others stay as they are."""
    page = TOP / "docs" / "performance.md"
    before, _, rest = page.read_text().partition(BEGIN)
    body, _, after = rest.partition(END)
    sections = {section.partition("\n")[0].strip(): section.strip() for section in body.split("### ")[1:]}
    sections.update({table.title: table.markdown().removeprefix("### ") for table in tables})
    written = "\n\n".join(f"### {section}" for section in sections.values())
    page.write_text(f"{before}{BEGIN}\nMeasured on {machine()}, {datetime.now(UTC):%Y-%m-%d}.\n\n{written}\n{END}{after}")


def machine() -> str:
    """The machine, as far as a figure depends on it."""
    model = next((text.split(":", 1)[1].strip() for text in _lines("/proc/cpuinfo") if text.startswith("model name")), platform.processor())
    memory = next((int(text.split()[1]) // 2**20 for text in _lines("/proc/meminfo") if text.startswith("MemTotal")), 0)
    return f"{os.cpu_count()} cores ({model}), {memory} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


if __name__ == "__main__":
    sys.exit(main())
