"""Hugging Face's files and those of Every Eval Ever, read by the libraries that define them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench_core.errors import UsageError
from bench_core.runs.finished import FinishedRun

CLEAN = "clean.accuracy"


def clean_record(finished: FinishedRun, network: str) -> dict:
    (found,) = [r for r in finished.records() if r["metric"] == CLEAN and r["target"] == network]
    return found


def test_eval_results_are_parsed_by_the_hubs_library(publish, finished: FinishedRun) -> None:
    hub = pytest.importorskip("huggingface_hub")
    if not hasattr(hub, "parse_eval_result_entries"):
        pytest.skip("this huggingface_hub does not know .eval_results")
    yaml = pytest.importorskip("yaml")
    publish("eval-results", dataset="my-lab/robustness", scores=[CLEAN], source_url="https://example.org/run")
    files = sorted(Path("huggingface").rglob("*.yaml"))
    assert [str(file) for file in files] == [f"huggingface/{n}/.eval_results/toy.yaml" for n in ("A", "B")]
    for network, file in zip("AB", files, strict=True):
        (entry,) = hub.parse_eval_result_entries(yaml.safe_load(file.read_text()))
        record = clean_record(finished, network)
        assert (entry.dataset_id, entry.task_id, entry.value) == ("my-lab/robustness", CLEAN, record["value"])
        assert entry.source_url == "https://example.org/run"
        assert re.fullmatch(rf"{CLEAN}; [\d.]+ \[[\d.]+, [\d.]+\], N = {record['n']}; 95% interval", entry.notes)


def test_every_score_is_its_own_task_unless_one_is_named(publish) -> None:
    yaml = pytest.importorskip("yaml")
    publish("eval-results", dataset="d", network="A")
    entries = yaml.safe_load(Path("huggingface/A/.eval_results/toy.yaml").read_text())
    tasks = [entry["dataset"]["task_id"] for entry in entries]
    assert len(tasks) == len(set(tasks)) > 3
    assert not Path("huggingface/B").exists()
    publish("eval-results", dataset="d", network="B", scores=[CLEAN], task="clean")
    with pytest.raises(UsageError, match=r"^--set: task: found \d+ scores for one task \(try scores"):
        publish("eval-results", dataset="d", network="A", task="clean")


def test_a_new_model_card_has_the_index_and_a_table(publish, finished: FinishedRun) -> None:
    hub = pytest.importorskip("huggingface_hub")
    publish("model-card", network="A")
    card = hub.ModelCard.load("huggingface/A/README.md")
    assert card.data.model_name == "A"
    (clean,) = [result for result in card.data.eval_results if result.metric_type == CLEAN]
    record = clean_record(finished, "A")
    assert clean.metric_value == record["value"]
    assert clean.metric_args == {
        "bench": "toy/toy", "n": record["n"], "interval_95": [record["low"], record["high"]],
    }  # fmt: skip
    assert f"N = {record['n']} |" in card.text


def test_a_card_that_exists_keeps_what_is_not_benchs(publish) -> None:
    hub = pytest.importorskip("huggingface_hub")
    path = Path("huggingface/A/README.md")
    path.parent.mkdir(parents=True)
    other = hub.EvalResult("image-classification", "cifar10", "CIFAR-10", "accuracy", 0.9)
    data = hub.ModelCardData(license="mit", model_name="mine", eval_results=[other])
    path.write_text(f"---\n{data.to_yaml()}\n---\n\n# Mine\n\nWritten by hand.\n")
    publish("model-card", network="A")
    first = path.read_text()
    card = hub.ModelCard(first)
    assert (card.data.license, card.data.model_name) == ("mit", "mine")
    assert "Written by hand." in card.text
    assert [result.metric_value for result in card.data.eval_results if result.dataset_type == "cifar10"] == [0.9]
    publish("model-card", network="A")
    assert path.read_text() == first, "publishing again replaces bench's part"


EEE = {"organisation": "Lab", "developer": "lab", "higher": [CLEAN], "lower": ["transfer.success"]}


def records_of_every_eval_ever() -> dict[str, dict]:
    files = sorted(Path("every-eval-ever/data/toy/lab").rglob("*.json"))
    uuid4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json"
    assert all(re.fullmatch(uuid4, file.name) for file in files)
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def test_every_eval_ever_states_direction_interval_and_n(publish, finished: FinishedRun) -> None:
    publish("every-eval-ever", **EEE)
    records = records_of_every_eval_ever()
    assert set(records) == {"A", "B"}
    for network, record in records.items():
        assert record["model_info"]["id"] == f"lab/{network}"
        results = {result["evaluation_result_id"]: result for result in record["evaluation_results"]}
        assert len(results) == len(record["evaluation_results"]), "every result has an id of its own"
        expected = clean_record(finished, network)
        details = results[CLEAN]["score_details"]
        interval = {"lower": expected["low"], "upper": expected["high"], "confidence_level": 0.95}
        assert details == {
            "score": expected["value"], "uncertainty": {"num_samples": expected["n"], "confidence_interval": interval},
        }  # fmt: skip
        lower = {r["metric_config"]["metric_name"]: r["metric_config"]["lower_is_better"] for r in results.values()}
        assert lower == {CLEAN: False, "transfer.success": True}


def test_publishing_again_replaces_the_file(publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    publish("every-eval-ever", **EEE)
    first = records_of_every_eval_ever()
    publish("every-eval-ever", **EEE)
    assert records_of_every_eval_ever() == first


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("every-eval-ever", EEE | {"higher": [], "lower": []}, "higher, lower: name the scores of which"),
        ("every-eval-ever", EEE | {"lower": [CLEAN]}, "clean.accuracy is in both"),
        ("every-eval-ever", EEE | {"higher": ["clean.acuracy"]}, r'higher: unknown score "clean.acuracy" \(did you'),
        ("model-card", {"network": "C"}, 'network: unknown network "C" .known: A, B.'),
        ("model-card", {"scores": ["x"]}, 'scores: unknown score "x"'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written(publish, name: str, options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        publish(name, **options)
    assert len(str(raised.value).splitlines()) == 1
    assert not Path("every-eval-ever").exists()
    assert not Path("huggingface").exists()


@pytest.mark.slow
def test_the_library_of_every_eval_ever_validates_the_files(publish, tmp_path: Path) -> None:
    """Installs the library, which needs Python 3.12, into an environment of its own."""
    found = [sys.executable, *filter(None, map(shutil.which, ("python3.14", "python3.13", "python3.12")))]
    later = "import sys; sys.exit(sys.version_info < (3, 12))"
    python = next((each for each in found if not subprocess.run([each, "-c", later], check=False).returncode), None)
    if python is None:
        pytest.skip("every-eval-ever needs Python 3.12 or later")
    publish("every-eval-ever", **EEE)
    environment = tmp_path / "environment"
    subprocess.run([python, "-m", "venv", environment], check=True)
    program = environment / "bin" / "python"
    subprocess.run([program, "-m", "pip", "install", "--quiet", "every-eval-ever"], check=True)
    files = sorted(str(path.relative_to("every-eval-ever")) for path in Path("every-eval-ever").rglob("*.json"))
    validate = [program, "-m", "every_eval_ever", "validate", *files]
    done = subprocess.run(validate, cwd="every-eval-ever", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
