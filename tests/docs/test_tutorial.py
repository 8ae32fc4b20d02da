"""The tutorial notebook: ten cells that run from the first to the last, as a reader runs them."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def cells() -> list[str]:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def test_it_has_ten_cells_without_outputs() -> None:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert len(cells()) == 10
    assert not any(cell.get("outputs") for cell in content["cells"])


def test_the_first_cell_installs_an_extra_that_there_is() -> None:
    found = re.fullmatch(r'%pip install --quiet "\.\.\[(\w+)\]"', cells()[0])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert found
    assert found[1] in project["optional-dependencies"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Any]]]:
    """Execute every cell but the first, which installs, in an empty folder; return their outputs."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("tutorial")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith("%pip")]
    kernels = folder / "kernels" / "python3"  # this Python, whatever kernels the user has
    kernels.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def html_of(found: list[dict[str, Any]]) -> str:
    return "".join(output["data"].get("text/html", "") for output in found if "data" in output)


@pytest.mark.slow
def test_every_cell_runs_and_shows_what_it_says(outputs: list[list[dict[str, Any]]]) -> None:
    running, table, plot, frame, last = outputs[4:]
    assert "50 of 50 images" in html_of(running)
    assert "attacks: done in" in html_of(running)
    assert not any(output["output_type"] == "stream" for output in running), "progress is HTML"
    assert "Jumps" in html_of(table)
    assert re.search(r"<small>\[[\d.]+, [\d.]+\]</small>", html_of(table))
    assert "image/svg+xml" in plot[0]["data"]
    assert "transfer.success" in html_of(frame)
    (share,) = re.findall(r"\d\.\d+", last[0]["data"]["text/plain"])  # np.float64(0.88)
    assert 0 <= float(share) <= 1
    assert "\\u001b" not in json.dumps(outputs)
