"""Missing weights: listed by a plan, an error before a run, fetched with their digests verified."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench_core import cli
from bench_core.errors import UsageError
from bench_core.hookspecs import hookimpl
from bench_core.planning.describe import plan_record
from bench_core.planning.fetch import fetch, published_size
from bench_core.planning.plan import make_plan
from bench_core.progress import Silent
from bench_core.registry import Origin
from bench_core.reports.plan import plan_text
from bench_core.run_suite import resolve_suite, run
from bench_core.store import Store
from bench_core.suite.load import load_suite
from bench_core.types import ModelRecipe, WeightsFile

from ..toys import toy_network

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class FromFile:
    """Offers a toy network that needs a file."""

    file: WeightsFile
    built: list[str] = field(default_factory=list)

    @hookimpl
    def bench_models(self):
        def build():
            self.built.append(self.file.path)
            return toy_network(1)

        return {"from_file": ModelRecipe(build, lambda: {}, "wants a file", files=lambda: [self.file])}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A local web server."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.pth").write_bytes(CONTENT)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def suite_on(file: WeightsFile, registry, write_suite) -> str:
    registry.register(FromFile(file), Origin("from_file", "tests", "1", "from-file"))
    return write_suite(('"A" = { recipe = "toy", seed = 1 }', '"A" = { recipe = "from_file" }'))


def test_a_plan_lists_missing_weights_and_a_run_does_not_start(registry, write_suite, tmp_path: Path) -> None:
    file = WeightsFile(str(tmp_path / "cache" / "a.pth"), "https://example.org/a.pth", 5 * 2**20)
    suite = suite_on(file, registry, write_suite)
    plan = make_plan(resolve_suite(load_suite(suite), registry), Store(tmp_path / "store"))
    assert plan_record(plan)["weights_missing"] == [
        {"model": "A", "file": file.path, "url": file.url, "bytes": file.size}
    ]
    assert f"A: {file.path} (https://example.org/a.pth, 5.0 MiB)" in plan_text(plan)
    with pytest.raises(UsageError, match=r"models\.A: weights are not on this machine: looked for .*/cache/a\.pth"):
        run(suite, out=tmp_path, registry=registry, executor="inline")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a.pth").write_bytes(CONTENT)
    assert run(suite, out=tmp_path, registry=registry, executor="inline").complete
    assert (
        plan_record(make_plan(resolve_suite(load_suite(suite), registry), Store(tmp_path / "s")))["weights_missing"]
        == []
    )


def test_a_fetched_file_has_its_digest_and_size(server: str, tmp_path: Path) -> None:
    file = WeightsFile(str(tmp_path / "cache" / "a.pth"), f"{server}/a.pth", sha256=DIGEST[:8])
    size = published_size(file)
    assert size == len(CONTENT)
    fetch("A", file, size, Silent())
    assert Path(file.path).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a.pth"]


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_wrong_digest_leaves_no_file(server: str, scheme: str, tmp_path: Path) -> None:
    url = f"{server}/a.pth" if scheme == "http" else (tmp_path / "web" / "a.pth").as_uri()
    file = WeightsFile(str(tmp_path / "cache" / "a.pth"), url, sha256="00000000")
    with pytest.raises(UsageError, match=f"a.pth has the digest {DIGEST}, not 00000000; nothing was kept"):
        fetch("A", file, None, Silent())
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_incomplete_download_leaves_no_file(tmp_path: Path) -> None:
    class Half(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:100])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Half) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        file = WeightsFile(str(tmp_path / "cache" / "a.pth"), f"http://127.0.0.1:{running.server_port}/a.pth")
        with pytest.raises(UsageError, match="broke off after 100 bytes"):
            fetch("A", file, None, Silent())
        running.shutdown()
    assert list((tmp_path / "cache").iterdir()) == []


def command(arguments: list[str], registry, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("bench_core.registry.discover", lambda: registry)
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    return int(left.value.code or 0)


def test_the_command_prints_sizes_first_and_fetches_what_it_can(
    server: str, registry, write_suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    file = WeightsFile(str(tmp_path / "cache" / "a.pth"), f"{server}/a.pth", sha256=DIGEST)
    suite = suite_on(file, registry, write_suite)
    assert command(["fetch", suite], registry, monkeypatch) == 0
    output = capsys.readouterr().err
    assert output.index(f"A: 6.8 KiB: {server}/a.pth -> {file.path}") < output.index("A: done")
    assert Path(file.path).read_bytes() == CONTENT
    assert command(["fetch", suite], registry, monkeypatch) == 0
    assert "no weights are missing" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.pth", ""])
def test_a_failed_download_is_reported_with_exit_code_3(
    url: str, registry, write_suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    suite = suite_on(WeightsFile(str(tmp_path / "a.pth"), url), registry, write_suite)
    assert command(["fetch", suite], registry, monkeypatch) == 3
    output = capsys.readouterr().err
    assert ("refused" in output) == bool(url)
    assert len(output.splitlines()) == (3 if url else 2)
    assert str(tmp_path / "a.pth") in output.splitlines()[0]
    assert ("not downloaded: " in output) == bool(url)
    assert "Traceback" not in output


def test_a_librarys_own_downloader_is_used(registry, write_suite, tmp_path: Path, monkeypatch, capsys) -> None:
    path = tmp_path / "a.pth"
    file = WeightsFile(str(path), "http://127.0.0.1:9/a", 7, download=lambda: path.write_bytes(CONTENT))
    assert command(["fetch", suite_on(file, registry, write_suite)], registry, monkeypatch) == 0
    assert path.read_bytes() == CONTENT
