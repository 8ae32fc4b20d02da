"""Writes a site. Pages of runs with unchanged content are not rendered again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ...digests import digest, folder_digest
from ...errors import Fault, UsageError
from ...registry import Registry, discover
from ...runs.load import load_result
from ...runs.record import read_record
from ...store import write_atomically
from ...tables.formats.html import page, templates
from ..page.figures import PagePlot, figures
from .boards import Boards, SummarisedRun, make_boards
from .content import Site
from .found import FoundRun
from .index import index_json
from .pages import pages
from .places import ASSETS, SiteLinks
from .run_page import run_page_parts
from .summary import Entries, Summary, summarise_run
from .views import UP

CACHE, IGNORE, DIGESTS = ".cache", ".gitignore", "digests.json"
MARK = "bench-site"  # in the cache: many folders have a .cache, such as a home folder, but no other has this
FOLDERS = ("runs", "boards", "attacks", "networks", ASSETS)
BENCH = Path(__file__).parents[2]
Kept = TypeVar("Kept", bound=BaseModel)


def is_site(folder: Path) -> bool:
    """Return whether a folder is a site, so that what is in its way may be replaced and removed."""
    return any((folder / CACHE / name).is_file() for name in (MARK, DIGESTS))  # older sites have no mark


@dataclass(frozen=True)
class Built:
    """The numbers of all runs, of runs that were rendered now and of pages, and the size in bytes."""

    runs: int
    rendered: int
    pages: int
    size: int


@dataclass
class Builder:
    """Writes a site into a folder.

    Attributes:
        to: The folder.
        title: The title of the site.
        gallery: How many attacked images of each attack the pages of runs show.
        registry: The installed plugins; found when the first run is rendered.
    """

    to: Path
    title: str
    gallery: int = 0
    given_registry: Registry | None = None

    def __post_init__(self) -> None:
        self.written: set[Path] = set()
        self.asked: set[Path] = set()  # files of the cache
        self.rendered = 0
        self.runs_done = 0
        self.front_done = False

    @cached_property
    def registry(self) -> Registry:
        return self.given_registry or discover()

    @cached_property
    def code(self) -> str:
        """What pages depend on besides runs: bench's code and templates, and the options of the builder."""
        texts = sorted((BENCH / "reports" / "page" / "templates").iterdir())
        return digest(
            [folder_digest(BENCH), [path.read_text(encoding="utf-8") for path in texts], self.title, self.gallery]
        )

    def build(self, found: Sequence[FoundRun]) -> Built:
        """Write all pages, and remove those of deleted runs."""
        write_atomically(self.to / CACHE / MARK, b"")
        write_atomically(self.to / CACHE / IGNORE, b"*\n")
        runs = []
        for each_found in found:
            runs.append(self._run(each_found))
            self.runs_done += 1
        groups: dict[tuple[str, str], list[SummarisedRun]] = {}
        for run in runs:
            if run.summary.overall:
                groups.setdefault(run.summary.group, []).append(run)
        boards = [board for group in groups.values() for board in self._boards(group).boards]
        site = Site(self.title, runs, boards)
        for each in pages(site):
            text = page(
                "site_page.html", title=each.title, site=each.links, sections=each.sections, facts=each.facts,
                intro=each.intro,
            )  # fmt: skip
            self._write(each.place, text.encode())
            self.front_done = True  # the front page is the first
        for name in ("site.css", "site.js"):
            self._write(f"{ASSETS}/{name}", templates().get_template(name).render().encode())
        self._write("index.json", index_json(site).encode())
        self._write(".nojekyll", b"")
        self._remove_others()
        size = sum(path.stat().st_size for path in self.written)
        return Built(len(runs), self.rendered, sum(path.suffix == ".html" for path in self.written), size)

    def state(self, runs: int) -> str:
        """Return what the folder has of a site over some runs if the builder was stopped."""
        if self.front_done:
            return f"{self.to} has the page of every run, but not all leaderboards and lists are up to date"
        front = "its front page is of an earlier call" if (self.to / "index.html").is_file() else "no front page yet"
        return f"{self.to} has the pages of {self.runs_done} of {runs} runs, and {front}"

    def _run(self, run: FoundRun) -> SummarisedRun:
        """Return a run's summary, and write its page unless there is one for the same content."""
        key = digest(["run", self.code, run.digest, run.name, run.when])
        kept = self._kept(key, Summary)
        if kept is not None and self._path(f"{key}.entries").is_file():
            summarised = SummarisedRun(run, kept, lambda: self._entries(key))
            files = self._files_before.get(f"{summarised.place}.html".removeprefix("runs/"), [])
            if files:
                self.written |= {*files}
                return summarised
        record, result = read_record(run.folder), load_result(run.folder, self.registry)
        summary, entries = summarise_run(result, record)
        summarised = SummarisedRun(run, summary, lambda: self._entries(key))
        parts = run_page_parts(summarised, record, result, self.registry, self.gallery)
        plots = figures(result, self.registry, small=True, drawn=parts.pop("heatmaps"))
        drawn = [self._plot_file(plot, f"{summarised.place}-plot-{number}") for number, plot in enumerate(plots, 1)]
        title, links = record.suite.title, SiteLinks(self.title, UP)
        text = page("run.html", title=title, site=links, figures=drawn, **parts)
        self._write(f"{summarised.place}.html", text.encode())
        self._keep(f"{key}.entries", entries)
        self._keep(key, summary)
        self.rendered += 1
        return summarised

    @cached_property
    def _files_before(self) -> dict[str, list[Path]]:
        """The pages of runs that an earlier call wrote, by name, each with its pictures."""
        found: dict[str, list[Path]] = {}
        for path in sorted((self.to / "runs").glob("*")):
            name, picture, _ = path.name.rpartition("-plot-")
            found.setdefault(f"{name}.html" if picture else path.name, []).append(path)
        return {name: files for name, files in found.items() if any(path.name == name for path in files)}

    def _entries(self, key: str) -> Entries:
        """Return the cached scores of a run. Raises UsageError if another process has removed them."""
        kept = self._kept(f"{key}.entries", Entries)
        if kept is None:
            raise UsageError(Fault(str(self._path(f"{key}.entries")), "", "cannot be read (try again)"))
        return kept

    def _plot_file(self, plot: PagePlot, place: str) -> PagePlot:
        """Write a picture as a file of its own, and return the plot with the address of the file."""
        if not plot.url:
            return plot
        kind, _, content = plot.url.partition(",")
        file = f"{place}.{'webp' if 'webp' in kind else 'svg'}"
        self._write(file, base64.b64decode(content))
        return replace(plot, url=UP + file)

    def _boards(self, group: list[SummarisedRun]) -> Boards:
        key = digest(["boards", self.code, [[run.found.digest, run.found.when] for run in group]])
        return self._kept(key, Boards) or self._keep(key, make_boards(group))

    def _path(self, key: str) -> Path:
        path = self.to / CACHE / f"{key}.json"
        self.asked.add(path)
        return path

    def _kept(self, key: str, kind: type[Kept]) -> Kept | None:
        try:
            return kind.model_validate_json(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def _keep(self, key: str, value: Kept) -> Kept:
        write_atomically(self._path(key), value.model_dump_json().encode())
        return value

    def _write(self, place: str, content: bytes) -> None:
        """Write a file, unless it has this content."""
        path = self.to / place
        self.written.add(path)
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)

    def _remove_others(self) -> None:
        for folder in FOLDERS:
            for path in (self.to / folder).glob("*"):
                if path not in self.written and (path.is_symlink() or not path.is_dir()):
                    path.unlink()
        for path in (self.to / CACHE).glob("*.json"):
            if path not in self.asked and path.name != DIGESTS:
                path.unlink()
