"""What was paid is kept: across passes, kills, torn files and older versions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from medcot_pipeline.evaluation.judging.calls import Call
from medcot_pipeline.evaluation.judging.judge import judge_answers
from medcot_pipeline.records.judgement import Judged, JudgeTokens, PaidCalls
from medcot_pipeline.settings import JudgeSettings
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline_tests.support.chat_endpoint import endpoint, longer_wins
from medcot_pipeline_tests.support.judging import ANSWERS, CALLS, PROMPTS, SECRET, judge
from medcot_pipeline_tests.support.killed_calls import killed_and_begun_again


def test_a_call_in_the_cache_is_not_made_again(tmp_path: Path) -> None:
    with endpoint(longer_wins) as (url, requests):
        first = judge(url, tmp_path / "judge" / "cache.jsonl")
        second = judge(url, tmp_path / "judge" / "cache.jsonl")
        assert len(requests) == CALLS
    assert first.paid == PaidCalls(asked=CALLS, cached=0)
    assert second.paid == PaidCalls(asked=0, cached=CALLS)
    assert second.record(JudgeSettings()) == first.record(JudgeSettings())


def test_another_judge_is_asked_anew(tmp_path: Path) -> None:
    with endpoint(longer_wins) as (url, requests):
        judge(url, tmp_path / "cache.jsonl")
        judge(url, tmp_path / "cache.jsonl", model="judge-2")
        assert len(requests) == 2 * CALLS


@pytest.mark.parametrize("kept_bytes", [0, 1, 40, -1])
def test_a_torn_last_line_costs_that_call_only(tmp_path: Path, kept_bytes: int) -> None:
    cache = tmp_path / "cache.jsonl"
    with endpoint(longer_wins) as (url, requests):
        first = judge(url, cache)
        *whole, last = cache.read_bytes().splitlines(keepends=True)
        cache.write_bytes(b"".join(whole) + last[:-1][:kept_bytes])
        second = judge(url, cache)
        assert len(requests) == CALLS + 1
        judge(url, cache)
        assert len(requests) == CALLS + 1
    assert second.verdicts == first.verdicts


JUDGING = """
import json, sys
from pathlib import Path
from medcot_pipeline.settings import JudgeSettings
from medcot_pipeline_tests.support.judging import judge
outcome = judge(sys.argv[1], Path(sys.argv[2]), max_retries=3)
record = outcome.record(__import__("medcot_pipeline").settings.JudgeSettings())
print(json.dumps([record.model_dump(mode="json"), outcome.paid.model_dump()]))
"""


def judging(url: str, cache: Path) -> subprocess.Popen[str]:
    """A process of its own that judges, so that it can be killed."""
    return subprocess.Popen([sys.executable, "-c", JUDGING, url, str(cache)], stdout=subprocess.PIPE, text=True)


def test_judging_that_was_killed_pays_no_call_twice_and_ends_with_the_same_record(tmp_path: Path) -> None:
    paid, (record, counts) = killed_and_begun_again(longer_wins, judging, tmp_path / "cache.jsonl")
    assert PaidCalls.model_validate(counts) == PaidCalls(asked=CALLS - 5, cached=5)
    assert len(paid) == len(set(paid)) == CALLS
    with endpoint(longer_wins) as (url, _):
        whole = judge(url, tmp_path / "another.jsonl")
    assert Judged.model_validate(record) == whole.record(JudgeSettings())


def test_what_the_judge_was_asked_otherwise_is_known_from_the_cache_too(tmp_path: Path) -> None:
    not_taken = {"max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}
    with endpoint(longer_wins, not_taken=not_taken) as (url, requests):
        first = judge(url, tmp_path / "cache.jsonl", concurrency=1)
        assert len(requests) == CALLS + 1
        second = judge(url, tmp_path / "cache.jsonl")
        assert len(requests) == CALLS + 1
    assert first.changed == ("max_tokens as max_completion_tokens",)
    assert second.record(JudgeSettings()) == first.record(JudgeSettings())


def former_line(url: str, winner: str = "tie", **fields: Any) -> dict[str, Any]:
    """A line without the fields that were added later, for the first call on q1."""
    settings = JudgeSettings(base_url=url, model="judge-1")
    texts = {each.arm: each.answer for each in ANSWERS[:2]}
    call = Call(PROMPTS[0], texts["base"], texts["tuned"])
    kept = {"repaired": False, "prompt_tokens": 100, "completion_tokens": 7, "served": "judge-1"}
    return {"key": call.key(settings), "winner": winner, "reason": "一样", **kept, **fields}


def test_rulings_of_older_versions_are_not_paid_again(tmp_path: Path) -> None:
    with endpoint(longer_wins) as (url, requests):
        (tmp_path / "cache.jsonl").write_text(json.dumps(former_line(url)) + "\n", encoding="utf-8")
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert len(requests) == CALLS - 1
    assert outcome.paid == PaidCalls(asked=CALLS - 1, cached=1)


@pytest.mark.parametrize(
    "junk",
    [
        {"winner": "none", "reason": "no verdict in the reply"},
        {"winner": ["A"]},
        {"winner": "C"},
        {"reason": 7},
        {"served": ["judge-1"]},
        {"completion_tokens": "many"},
        {"prompt_tokens": -9},
        {"prompt_tokens": None},
        {"completion_tokens": float("nan")},
    ],
)
def test_junk_that_older_versions_kept_is_asked_again(tmp_path: Path, junk: dict[str, Any]) -> None:
    with endpoint(longer_wins) as (url, requests):
        lines = [json.dumps({**former_line(url), **junk}), "[1]", "null", "7", '{"key":' * 100_000]
        (tmp_path / "cache.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert len(requests) == CALLS
    assert outcome.tokens == JudgeTokens(prompt=100 * CALLS, completion=7 * CALLS)


def test_half_an_emoji_that_an_older_version_kept_fails_no_pass(tmp_path: Path) -> None:
    with endpoint(longer_wins) as (url, requests):
        line = former_line(url, reason="\ud83d", served="\ud83d")
        (tmp_path / "cache.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert len(requests) == CALLS - 1
    write_model(tmp_path / "judge.json", outcome.record(JudgeSettings()))


def test_progress_counts_what_the_cache_already_holds(tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    with endpoint(longer_wins) as (url, _):
        settings = JudgeSettings(base_url=url, model="judge-1", api_key=SecretStr(SECRET), max_retries=0)
        judge_answers(PROMPTS[:1], ANSWERS, settings, tmp_path / "cache.jsonl", lambda done, total: None)
        judge_answers(
            PROMPTS, ANSWERS, settings, tmp_path / "cache.jsonl", lambda done, total: said.append((done, total))
        )
    assert [total for _, total in said] == [CALLS] * len(said)
    assert [done for done, _ in said] == list(range(said[0][0], CALLS + 1))
    assert said[0][0] > 0
