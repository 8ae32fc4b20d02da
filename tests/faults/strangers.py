"""Untrusted suites: mangled ones end with exit code 0 or 2 and one line per fault; no name escapes the folder."""

from __future__ import annotations

import contextlib
import io
import random
import re
import tomllib
from pathlib import Path

from bench_core.cli import guard
from bench_core.planning.planner import clean_jobs, selected_jobs
from bench_core.planning.selection import first_images
from bench_core.run_suite import resolve_suite
from bench_core.suite.find import own_suites, suites_folder
from bench_core.suite.load import load_suite
from tests.conftest import SUITE

from .world import World

TOKENS = [
    "0", "-1", "1e400", "nan", "inf", "true", '""', "[]", "{}", "[[]]", '"16/255"', '"1/0"', "1979-05-27", "''",
    '"\\u0000"', '"../../x"', '"=cmd()"', "9" * 400, '"A"', "[1, 'a']", '{ recipe = "pgd" }', '"pgd"', "\x00", "\udc80",
    "= =", "[", "]", '"""', "#", "a.b.c = 1", "[on.toy.x]", "[[tables]]", "[budgets.linf]", "é", "\u202e",
]  # fmt: skip
VALUES = [
    "0", "-1", "1", "0.5", "1e30", "1e400", "-inf", "nan", "true", "[]", "{}", "[[]]", "[{}]", '""', '"A"', '["A"]',
    '["A", "A"]', '[["A", "B"]]', '[["A", ["B"]]]', "9" * 40, '"16/255"', '"1/0"', '"sqrt(-1)"', '"9**9"', "1979-05-27",
    "07:32:00", "[1, 'a']", '{ recipe = "pgd" }', '{ parts = ["mi", "ir"] }', "{ parts = [] }", "{ recipe = 3 }",
    '{ recipe = "pgd", parts = ["mi"] }', '{ recipe = "mi", decay = "x" }', '{ recipe = "mi", decay = nan }',
    '{ recipe = "ir", grid = 0 }', '{ recipe = "toy", seed = 1e3 }', '{ recipe = "ir", sweep = { samples = [1, 2] } }',
    '{ recipe = "ir", sweep = { x = [] } }', '{ recipe = "", by_source = { A = 1 } }',
]  # fmt: skip

NUMBERS = ("0", "-1", "1", "3", "1000000000000", "0.5")
WORDS = ('""', '"A"', '"pgd"', '"x.y"')


def texts() -> list[str]:
    """Return the suites that fuzzing starts from: the toy suite and bench's own."""
    given = [SUITE]
    for path in own_suites().values():
        with contextlib.suppress(tomllib.TOMLDecodeError):
            given.append(path.read_text())
    return given


def mangled(text: str, draw: random.Random) -> str:
    """Change a text in a few random places: values, keys, lines, characters."""
    lines = text.splitlines()
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(lines)) if lines else 0
        line = lines[place] if lines else ""
        match draw.randrange(8):
            case 0:
                lines[place : place + 1] = []
            case 1:
                lines.insert(place, draw.choice(lines or [""]))
            case 2:
                lines[place : place + 1] = [re.sub(r"=.*", lambda _m: f"= {draw.choice(TOKENS)}", line)]
            case 3:
                words = re.findall(r"[\w.]+", line) or [""]
                lines[place : place + 1] = [line.replace(draw.choice(words), draw.choice(TOKENS), 1)]
            case 4:
                cut = draw.randrange(len(line) + 1)
                lines[place : place + 1] = [line[:cut] + draw.choice(TOKENS) + line[cut:]]
            case 5:
                cut = draw.randrange(len(line) + 1)
                lines[place : place + 1] = [line[:cut] + line[cut + 1 :]]
            case 6:
                lines.insert(
                    place, f"{draw.choice(['title', 'seed', 'x', 'images', 'on', 'targets'])} = {draw.choice(TOKENS)}"
                )
            case 7:
                other = draw.randrange(len(lines)) if lines else 0
                if lines:
                    lines[place], lines[other] = lines[other], lines[place]
    return "\n".join(lines)


def revalued(text: str, draw: random.Random) -> str:
    """Replace the values of one or two keys by others, so that the file is mostly valid TOML."""
    lines = text.splitlines()
    places = [place for place, line in enumerate(lines) if re.match(r'[\w."]+ *= ', line)]
    values = [lines[place].partition("=")[2] for place in places]
    for place in draw.sample(places, draw.randint(1, 2)):
        key, _, value = lines[place].partition("=")
        match draw.randrange(6):
            case 0:
                lines[place] = f"{key}= {draw.choice(VALUES)}"
            case 1:
                lines[place] = f"{key}={draw.choice(values)}"
            case 2:
                lines[place] = f"{key}= [{value}]"
            case 3:
                lines[place] = ""
            case 4:
                lines[place] = re.sub(
                    r"\d+", lambda _m: draw.choice(("0", "-1", "1", "3", "1000000000000", "0.5")), lines[place]
                )
            case 5:
                lines[place] = re.sub(r'"[^"]*"', lambda _m: draw.choice(('""', '"A"', '"pgd"', '"x.y"')), lines[place])
    return "\n".join(lines)


def fuzzed_values(world: World, trial: int, draw: random.Random) -> str | None:
    """Read and plan a suite with other values."""
    given = texts()
    return _read(world, revalued(given[0] if trial % 2 else draw.choice(given), draw), trial)


def fuzzed(world: World, trial: int, draw: random.Random) -> str | None:
    """Read and plan a mangled suite."""
    given = texts()
    return _read(world, mangled(given[0] if trial % 2 else draw.choice(given), draw), trial)


def _read(world: World, text: str, trial: int) -> str | None:
    path, papers = world.folder / "fuzzed.toml", world.folder / "papers"
    if not papers.exists():
        papers.symlink_to(suites_folder() / "papers")  # which the suites name beside them
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        code = guard(lambda: _plan(world, path), False)
    lines = printed.getvalue().splitlines()
    if code not in (0, 2) or bool(lines) != (code == 2) or any(not _names_it(line, path) for line in lines):
        kept = world.folder / f"fuzzed-{trial}.toml"
        kept.write_text(text, errors="surrogatepass")
        return f"exit code {code}: {lines[:3]} ({kept})"
    return None


def _plan(world: World, path: Path) -> None:
    resolved = resolve_suite(load_suite(str(path)), world.registry)
    if resolved.images is not None:
        clean_jobs(resolved)
        selected_jobs(resolved, first_images(resolved))


def _names_it(line: str, path: Path) -> bool:
    """Return whether a line names the file and, after it, a key or what cannot be read."""
    files = (str(path), "profiles/")
    return line.startswith("bench: ") and any(file in line for file in files) and ": " in line[len("bench: ") :]


HOSTILE = [
    "../../escaped", "..", ".", "/etc/passwd", "a/b", "a\\\\b", "C:\\\\x", "~", "$HOME", "`id`", "$(id)", "; rm -rf x",
    "| cat", "&& x", "-rf", "--help", "=1+1", "+1", "@SUM(A1)", "=cmd|' /C calc'!A0", "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>", "javascript:alert(1)", "\\\" onclick=\\\"x", "a|b", "[x](http://x)",
    "![x](http://x)", "**bold**", "\\\\input{/etc/passwd}", "%s%n", "{0.__class__}", "{{ 7*7 }}", "\\u202eevil",
    "\\u0007bell", "\\u001b[31mred", "a\\nb", "a\\r\\nb", "::error::x", "##[error]x", "CON", "NUL.txt", "a\\tb",
    "x\\u2028y", "é" * 10, "😀", "a" * 300, " ",
]  # fmt: skip


def hostile(world: World, trial: int, _random: random.Random) -> str | None:
    """Run a suite whose attack, model, budget, table and title have a hostile name."""
    name = HOSTILE[trial]
    text = SUITE.replace('title = "toy"', f'title = "{name}"').replace('"PGD"', f'"{name}"').replace('"A"', f'"{name}"')
    text = text.replace("budgets.linf", f'budgets."{name}"').replace('name = "main"', f'name = "{name}"')
    home = world.fresh()
    home.mkdir()
    path = home / "toy.toml"
    path.write_text(text)
    before = everything(world.folder.parent)
    code, printed = world.bench(home / "out", path)
    outside = {path for path in everything(world.folder.parent) - before if home / "out" not in path.parents}
    outside -= {home / "out"}
    if code not in (0, 2) or "Traceback" in printed or (code == 2 and len(printed.splitlines()) < 1):
        return f"{name!r}: exit code {code}: {printed}"
    if outside:
        return f"{name!r}: files outside the output folder: {sorted(map(str, outside))}"
    return _inert(home / "out", name)


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def _inert(out: Path, name: str) -> str | None:
    for path in out.rglob("tables/*"):
        text = path.read_text()
        if re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2028]", text):
            return f"{name!r}: control characters in {path.name}"
        if path.suffix in (".md", ".html") and ("<script" in text or "<img" in text):
            return f"{name!r}: markup in {path.name}"
        if path.suffix == ".csv" and re.search(r'(^|,)"?[=+@]', text, re.MULTILINE):
            return f"{name!r}: a formula in {path.name}"
    return None
