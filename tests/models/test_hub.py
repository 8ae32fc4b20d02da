"""Files from the hub are saved where timm looks for them; tested with a local hub."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

pytest.importorskip("bench_models.libraries.timm", exc_type=ImportError)

from bench_core.errors import UsageError
from bench_core.planning.fetch import fetch, published_size
from bench_core.progress import Silent
from bench_models.libraries import timm as timm_models

from .conftest import Caches

NAME = "test_byobnet.r160_in1k"
CONTENT = save({"a": torch.arange(1000)})


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one file as the hub does."""

    content = CONTENT

    def do_HEAD(self) -> None:
        if self.path != f"/timm/{NAME}/resolve/main/model.safetensors":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}"
        constants = "huggingface_hub.constants"
        monkeypatch.setattr(f"{constants}.ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_XET", True)
        yield address
        running.shutdown()


def test_a_fetched_file_is_where_the_library_looks(hub: str, caches: Caches) -> None:
    (file,) = timm_models.files(NAME)
    assert not Path(file.path).exists()
    assert file.url.startswith(hub)
    assert published_size(file) == len(CONTENT)
    fetch("A", file, len(CONTENT), Silent())
    (file,) = timm_models.files(NAME)
    assert Path(file.path).read_bytes() == CONTENT
    assert Path(file.path).is_relative_to(caches.hub)
    assert timm_models.identity(NAME)["weights"] == [hashlib.sha256(CONTENT).hexdigest()]


def test_another_file_than_the_hub_published_is_not_kept(
    hub: str, caches: Caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "content", bytes(len(CONTENT)))
    (file,) = timm_models.files(NAME)
    published = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(UsageError, match=f"has the digest [0-9a-f]{{64}}, not {published}; the download was deleted"):
        fetch("A", file, None, Silent())
    assert timm_models.identity(NAME)["weights"] == ["missing"]
