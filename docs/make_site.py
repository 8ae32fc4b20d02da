"""Build the documentation as a site: `python docs/make_site.py [--to DIR]`, with the extra `docs`.

The pages of docs/ and of the repository, a gallery of all suites, and the reference of the public API are written to
one folder, which opens from disk and loads nothing from elsewhere. A warning of Sphinx or a link that leads nowhere
fails.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bench_core.suite.find import own_suites
from bench_core.suite.merge import read_toml

DOCS = Path(__file__).parent
ROOT = DOCS.parent
OF_THE_REPOSITORY = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
PUBLIC = (
    "bench_core", "bench_core.types", "bench_core.hookspecs", "bench_core.errors", "bench_core.statistics",
    "bench_core.logits",
    "bench_core.grid", "bench_core.clouds", "bench_core.batches", "bench_core.files", "bench_core.lazy",
    "bench_core.lean", "bench_core.norms", "bench_core.publishing", "bench_core.queries", "bench_core.recipe_files",
    "bench_core.library_index", "bench_core.testing", "bench_attacks.api",
)  # fmt: skip
# pdoc documents what a module holds, and bench_core imports its names at their first use
PDOC = """
import bench_core, runpy
vars(bench_core).update({name: getattr(bench_core, name) for name in bench_core.__all__})
runpy.run_module("pdoc", run_name="__main__", alter_sys=True)
"""
LAST_GUIDE = "transferattack"
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("source", "src"), ("iframe", "src")}


def stage(folder: Path) -> None:
    """Copy all pages into one folder, with links that lead from there."""
    for name in OF_THE_REPOSITORY:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        (folder / name).write_text(text, encoding="utf-8")
    pages = sorted(DOCS.glob("*.md"))
    for page in pages:
        (folder / page.name).write_text(page.read_text(encoding="utf-8").replace("](../", "]("), encoding="utf-8")
    (folder / "index.md").write_text(index([page.stem for page in pages]), encoding="utf-8")
    shutil.copy(DOCS / "sphinx" / "conf.py", folder)
    shutil.copy(ROOT / "CITATION.cff", folder)
    shutil.copy(DOCS / "tutorial.ipynb", folder)
    (folder / "tutorial.md").write_text(tutorial(), encoding="utf-8")
    shutil.copytree(DOCS / "results", folder / "results")
    (folder / "gallery.md").write_text(gallery(), encoding="utf-8")


def index(pages: list[str]) -> str:
    """Return the front page. Pages that its navigation does not name are added to the guides."""
    text = (DOCS / "sphinx" / "index.md").read_text(encoding="utf-8")
    return text.replace(LAST_GUIDE, "\n".join([LAST_GUIDE, *(page for page in pages if page not in text.splitlines())]))


def tutorial() -> str:
    """Return the cells of the notebook as a page, with a link to the notebook itself."""
    cells = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    title, *texts = [cell_text(cell) for cell in cells]
    return "\n\n".join([title, "[The notebook](tutorial.ipynb), to download and run.", *texts]) + "\n"


def cell_text(cell: dict[str, Any]) -> str:
    """Return a cell of a notebook as Markdown."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return source
    first, _, rest = source.partition("\n")
    if first.startswith("%%writefile"):  # the file, with its name above it
        name = first.split()[1]
        return f"`{name}`:\n\n```{'toml' if name.endswith('.toml') else 'python'}\n{rest}\n```"
    return f"```{'text' if first.startswith('%') else 'python'}\n{source}\n```"


def gallery() -> str:
    """Return the page of all suites: title, first picture, and the command that runs it."""
    sections = (DOCS / "results.md").read_text(encoding="utf-8")
    lines = ["# Gallery of the suites", "", "Every suite that is included, on the profile that it lists first."]
    for name, path in own_suites().items():
        suite = read_toml(path)
        lines += ["", f"## {name}", "", f"{suite['title']}.", ""]
        pictures = sorted((DOCS / "results").glob(f"{name}_*.png"))
        lines += [f"![{suite['title']}](results/{pictures[0].name})", ""] if pictures else []
        lines += ["```sh", f"bench run {name}", "```", ""]
        if f"\n## {name}\n" in sections:
            lines.append(f"[Tables and findings](results.md#{name})")
    return "\n".join(lines) + "\n"


def build(to: Path) -> None:
    """Write the site. Raises SystemExit with the output of the program that failed."""
    with tempfile.TemporaryDirectory() as staged:
        stage(Path(staged))
        call("-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", staged, str(to))
    call("-c", PDOC, "--output-directory", str(to / "reference"), *PUBLIC)
    path = to / "reference" / "bench_core.html"
    path.write_text(from_reference(path.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.rmtree(to / ".doctrees", ignore_errors=True)


def from_reference(text: str) -> str:
    """Return a page of the reference with the links of docstrings to pages of docs/ leading to those of the site."""
    return re.sub(r'href="([\w-]+)\.md(#[^"]*)?"', r'href="../\1.html\2"', text)


def call(*arguments: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        name = "sphinx" if "sphinx" in arguments else "pdoc"
        raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")


class Page(HTMLParser):
    """What a page links to and loads, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif (tag, name) in LOADED and value:
                self.loads.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)


def faults(site: Path) -> Iterator[str]:
    """Yield a line for each link of the site that leads nowhere, and for whatever a page loads from elsewhere."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(site)
        for link in (*page.links, *page.loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    yield f"{where}: loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                yield f"{where}: {link} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where}: {link} has no such anchor"
        for style in re.findall(r"url\((?:https?:)?//[^)]*\)|@import[^;]*//[^;]*", path.read_text(encoding="utf-8")):
            yield f"{where}: loads {style}"
    for path in sorted(site.rglob("*.css")):
        for style in re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*", path.read_text("utf-8")):
            yield f"{path.relative_to(site)}: loads {style}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--to", type=Path, default=ROOT / "build" / "site", help="the folder to write")
    to = parser.parse_args().to
    if to.is_dir() and any(to.iterdir()) and not (to / "objects.inv").is_file():
        raise SystemExit(f"{to} is no site of this script (try another --to)")
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    build(to)
    found = list(faults(to.resolve()))
    if found:
        raise SystemExit("\n".join(found))
    print(f"wrote {to / 'index.html'}")


if __name__ == "__main__":
    main()
