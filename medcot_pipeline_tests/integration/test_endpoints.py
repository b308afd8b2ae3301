"""Endpoints that refuse, over real passes: what reaches the terminal, Dagster's storage and the data folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from medcot_pipeline.artifacts import ArtifactStore, Identity
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.support.json_files import read_json
from medcot_pipeline.support.table_files import write_jsonl
from medcot_pipeline_tests.support.artifacts import publish
from medcot_pipeline_tests.support.chat_endpoint import completion, endpoint, longer_wins
from medcot_pipeline_tests.support.home import ROOT, Home

SECRET = "sk-never-to-be-seen-5f1e7c9a"
BOTH = ("r1", "r1-medcot")
PROMPTS = [Prompt(f"q{number}", "zh", "用药", f"发热第{number}天怎么办？") for number in range(2)]


ANSWERING = "base_answers,tuned_answers,model_answers"


def stage(home: Home, asset: str, files: Mapping[str, Any] | Callable[[Path], None]) -> None:
    """An artifact that a pass over other assets takes as it is."""
    publish(ArtifactStore(home.data, ROOT), Identity(asset, "1", {}, {}, {}), files)


@pytest.fixture
def answered(fresh_home: Home) -> Home:
    """A home where answers wait for a judge."""

    def write(folder: Path) -> None:
        write_jsonl(folder / "prompts.jsonl", PROMPTS)
        texts: tuple[tuple[Arm, str], ...] = (
            ("base", "按说明书服用。"),
            ("tuned", "多喝水，体温超过38.5℃时按说明书服用退热药。"),
        )
        write_jsonl(
            folder / "answers.jsonl",
            [Answer(prompt.id, arm, "", text, True, True, 9) for prompt in PROMPTS for arm, text in texts],
        )

    stage(fresh_home, "model_answers", write)
    return fresh_home


@pytest.fixture
def trained(fresh_home: Home) -> Home:
    """A home where an adapter waits to be asked."""
    rows = pl.DataFrame({"row_id": ["r"], "split": ["train"], "key": ["小儿腹泻怎样补液"], "question": ["小儿腹泻？"]})
    stage(fresh_home, "corpus_splits", lambda folder: rows.write_parquet(folder / "rows.parquet"))
    stage(fresh_home, "base_model", {"base_model.json": {"generation_prompt": "…"}})
    stage(fresh_home, "qlora_adapter", {"adapter.json": {}})
    write_jsonl(fresh_home.folder / "prompts.jsonl", PROMPTS)
    return fresh_home


def judged(url: str, key: str = SECRET) -> dict[str, str]:
    return {
        "MEDCOT_JUDGE__BASE_URL": url,
        "MEDCOT_JUDGE__MODEL": "judge-1",
        "MEDCOT_JUDGE__API_KEY": key,
        "MEDCOT_JUDGE__MAX_RETRIES": "0",
    }


def asked(home: Home, url: str, key: str = SECRET) -> dict[str, str]:
    return {
        "MEDCOT_ANSWERS__BACKEND": "endpoint",
        "MEDCOT_ANSWERS__MAX_FURTHER": "0",
        "MEDCOT_ANSWERS__PROMPTS": str(home.folder / "prompts.jsonl"),
        "MEDCOT_ANSWERS__ENDPOINT__BASE_URL": url,
        "MEDCOT_ANSWERS__ENDPOINT__BASE_MODEL": BOTH[0],
        "MEDCOT_ANSWERS__ENDPOINT__TUNED_MODEL": BOTH[1],
        "MEDCOT_ANSWERS__ENDPOINT__API_KEY": key,
        "MEDCOT_ANSWERS__ENDPOINT__MAX_RETRIES": "0",
    }


def holds_no_secret(home: Home, *shown: str) -> None:
    """Neither what was shown nor any file of the data folder and Dagster's home holds the key."""
    assert not [text for text in shown if SECRET in text]
    files = [path for path in home.folder.rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".db"], "the storage was looked into"
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("key", [SECRET, f"{SECRET}\n"], ids=["key", "key and line end"])
def test_a_judge_that_repeats_the_key_leaves_it_nowhere(answered: Home, key: str) -> None:
    with endpoint(lambda messages: 401) as (url, requests):
        done = answered.run("medcot", "sync", "--only", "judgements", **judged(url, key))
    assert requests, done.stderr
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"medcot: MEDCOT_JUDGE__BASE_URL={url}: the judge 'judge-1' answers")
    shown = answered.run("medcot", "status")
    assert "the key is not accepted, HTTP 401" in shown.stdout
    holds_no_secret(answered, done.stdout, done.stderr, shown.stdout)


@pytest.mark.parametrize("key", [SECRET, f"{SECRET}\n"], ids=["key", "key and line end"])
@pytest.mark.parametrize("listed", [True, False], ids=["answers refused", "list refused"])
def test_an_answering_endpoint_that_repeats_the_key_leaves_it_nowhere(trained: Home, key: str, listed: bool) -> None:
    with endpoint(lambda messages: 401, BOTH if listed else 401) as (url, _):
        done = trained.run("medcot", "sync", "--only", ANSWERING, **asked(trained, url, key))
    assert done.returncode == 1
    assert "the key is not accepted, HTTP 401" in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith(f"medcot: MEDCOT_ANSWERS__ENDPOINT__BASE_URL={url}")
    shown = trained.run("medcot", "status")
    assert "the key is not accepted, HTTP 401" in shown.stdout
    holds_no_secret(trained, done.stdout, done.stderr, shown.stdout)


def test_a_pass_with_unanswered_calls_is_not_done_and_the_next_one_asks_them(answered: Home) -> None:
    """Staged after tatsu-lab/alpaca_eval#419 and stanford-crfm/helm#88: failed calls stay failed in the cache."""
    empty = True

    def pays_for_three(messages: list[dict[str, str]]) -> str | int:
        return 402 if empty and len(requests) > 3 else longer_wins(messages)

    with endpoint(pays_for_three) as (url, requests):
        done = answered.run("medcot", "sync", "--only", "judgements", **judged(url), MEDCOT_JUDGE__CONCURRENCY="1")
        assert done.returncode == 1
        assert "calls unanswered (1 the account has no credit left, HTTP 402; " in done.stderr.splitlines()[-1]
        assert "judgements           missing" in answered.run("medcot", "plan", **judged(url)).stdout
        empty, before = False, len(requests)
        done = answered.run("medcot", "sync", "--only", "judgements", **judged(url))
        assert done.returncode == 0, done.stderr
    record = read_json(answered.current("judgements") / "judge.json")
    assert (record["calls"]["failed"], len(record["verdicts"])) == (0, 2)
    assert len(requests) - before == record["calls"]["answered"] - 3


def test_two_judges_leave_a_record_each_and_no_key_of_theirs(answered: Home) -> None:
    """The second one refuses what current models refuse, and is asked in its own form."""
    second_key, tokens = f"{SECRET}-2", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    second = {"MAX_TOKENS": "512", "MODEL": "gpt-judge", "API_KEY": second_key, "MAX_RETRIES": "0"}
    with (
        endpoint(longer_wins) as (url, asked_first),
        endpoint(longer_wins, not_taken={"max_tokens": tokens}) as (other, asked_second),
    ):
        variables = {f"MEDCOT_JUDGE__SECOND__{name}": value for name, value in {**second, "BASE_URL": other}.items()}
        done = answered.run("medcot", "sync", "--only", "judgements", **judged(url), **variables)
        assert done.returncode == 0, done.stderr
    assert len(asked_second) == len(asked_first) + 1
    assert {request.get("max_completion_tokens") for request in asked_second} == {None, 512}
    folder = answered.current("judgements")
    records = [read_json(folder / name) for name in ("judge.json", "second.json")]
    assert [(record["model"], record["family"]) for record in records] == [
        ("judge-1", "unknown"),
        ("gpt-judge", "openai"),
    ]
    assert records[0]["verdicts"] == records[1]["verdicts"]
    assert records[1]["changed"] == ["max_tokens as max_completion_tokens"]
    assert "second judge does not accept every option" in done.stderr
    manifest = read_json(folder / "manifest.json")
    assert manifest["metadata"]["same_verdicts"] == "2 of 2"
    checks = {check["name"]: check for check in manifest["checks"]}
    assert "it prefers the longer text" in checks["second_judge_passes_its_gates"]["description"]
    holds_no_secret(answered, done.stdout, done.stderr)


def test_what_an_endpoint_does_not_take_is_on_record(trained: Home) -> None:
    """Staged after langchain-ai/langchain-azure#82: a model that does not take a seed."""
    not_taken = {"seed": "Unsupported parameter: 'seed' is not supported with this model."}
    with endpoint(lambda messages: "想。\n</think>\n\n答。", 404, not_taken) as (url, _):
        done = trained.run("medcot", "sync", "--only", ANSWERING, **asked(trained, url))
    assert done.returncode == 0, done.stderr
    assert "does not accept every option and was asked without seed" in done.stderr
    for asset in ("base_answers", "tuned_answers"):
        manifest = read_json(trained.current(asset) / "manifest.json")
        assert manifest["metadata"]["asked_otherwise"] == "without seed"


def test_answers_without_a_count_of_tokens_are_published_without_one(trained: Home) -> None:
    """Staged after openai/openai-agents-python#1181: counts of tokens that are null."""
    uncounted = {**completion("想。\n</think>\n\n答。", ""), "usage": {"completion_tokens": None}}
    with endpoint(lambda messages: json.dumps(uncounted).encode(), BOTH) as (url, _):
        done = trained.run("medcot", "sync", "--only", ANSWERING, **asked(trained, url))
    assert done.returncode == 0, done.stderr
    lines = (trained.current("model_answers") / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["tokens"] for line in lines] == [None] * 4
    assert "did not count the tokens of 2 answers: their lengths are not known" in done.stderr


def test_one_model_under_two_names_is_refused_where_the_answers_are_put_side_by_side(trained: Home) -> None:
    """A server that answers to any name with the one model that it has, and says which."""
    alias = completion("想。\n</think>\n\n答。", "model-q4.gguf")
    with endpoint(lambda messages: json.dumps(alias).encode(), BOTH) as (url, _):
        done = trained.run("medcot", "sync", "--only", ANSWERING, **asked(trained, url))
    assert done.returncode == 1
    assert "asked for 'r1', the endpoint says that model-q4.gguf answered" in done.stderr
    said = "The endpoint says that model-q4.gguf answered for both arms, and both wrote the same for all 2 prompts"
    assert said in done.stderr
