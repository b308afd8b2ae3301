"""What was paid is kept, and what ends grading says so: kills, torn files, junk, refusals."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.records.judgement import PaidCalls
from medcot_pipeline_tests.support.chat_endpoint import completion, endpoint
from medcot_pipeline_tests.support.grading import CALLS, complaint, fair, graded
from medcot_pipeline_tests.support.killed_calls import killed_and_begun_again


def test_a_call_in_the_cache_is_not_made_again(tmp_path: Path) -> None:
    with endpoint(fair) as (url, requests):
        first = graded(url, tmp_path / "rubric" / "cache.jsonl")
        second = graded(url, tmp_path / "rubric" / "cache.jsonl")
        assert len(requests) == CALLS
    assert (first.paid, second.paid) == (PaidCalls(asked=CALLS, cached=0), PaidCalls(asked=0, cached=CALLS))
    assert (second.grades, second.gates, second.tokens) == (first.grades, first.gates, first.tokens)


def test_another_judge_is_asked_anew(tmp_path: Path) -> None:
    with endpoint(fair) as (url, requests):
        graded(url, tmp_path / "cache.jsonl")
        graded(url, tmp_path / "cache.jsonl", model="judge-2")
        assert len(requests) == 2 * CALLS


@pytest.mark.parametrize("kept_bytes", [0, 1, 40, -1])
def test_a_torn_last_line_costs_that_call_only(tmp_path: Path, kept_bytes: int) -> None:
    cache = tmp_path / "cache.jsonl"
    with endpoint(fair) as (url, requests):
        first = graded(url, cache)
        *whole, last = cache.read_bytes().splitlines(keepends=True)
        cache.write_bytes(b"".join(whole) + last[:-1][:kept_bytes])
        assert graded(url, cache).grades == first.grades
        assert len(requests) == CALLS + 1


JUNK: list[Any] = [
    {"said": {"c1": ["yes", ""]}},
    {"said": {"c1": [True, 7]}},
    {"said": {"c1": [True]}},
    {"said": {"c1": True}},
    {"said": ["c1"]},
    {"said": 7},
    {"key": 7},
    {"prompt_tokens": -1},
    {"served": None},
    {"more": 1},
]


@pytest.mark.parametrize("junk", JUNK)
def test_junk_in_the_cache_is_asked_again(tmp_path: Path, junk: dict[str, Any]) -> None:
    cache = tmp_path / "cache.jsonl"
    with endpoint(fair) as (url, requests):
        first = graded(url, cache)
        *whole, last = cache.read_text(encoding="utf-8").splitlines()
        lines = [*whole, json.dumps({**json.loads(last), **junk}), "[1]", "null", "7"]
        cache.write_text("\n".join(lines) + "\n", encoding="utf-8")
        assert graded(url, cache).grades == first.grades
        assert len(requests) == CALLS + 1


GRADING = """
import json, sys
from pathlib import Path
from medcot_pipeline_tests.support.grading import graded
outcome = graded(sys.argv[1], Path(sys.argv[2]), max_retries=3)
print(json.dumps([[vars(grade) for grade in outcome.grades], outcome.paid.model_dump()]))
"""


def grading(url: str, cache: Path) -> subprocess.Popen[str]:
    """A process of its own that grades, so that it can be killed."""
    return subprocess.Popen([sys.executable, "-c", GRADING, url, str(cache)], stdout=subprocess.PIPE, text=True)


def test_grading_that_was_killed_pays_no_call_twice_and_ends_with_the_same_grades(tmp_path: Path) -> None:
    paid, (grades, counts) = killed_and_begun_again(fair, grading, tmp_path / "cache.jsonl")
    assert PaidCalls.model_validate(counts) == PaidCalls(asked=CALLS - 5, cached=5)
    assert len(paid) == len(set(paid)) == CALLS
    with endpoint(fair) as (url, _):
        whole = graded(url, tmp_path / "another.jsonl")
    assert grades == [vars(grade) for grade in whole.grades]


def test_calls_without_an_answer_are_not_done_and_the_next_pass_asks_those_alone(tmp_path: Path) -> None:
    broken = True

    def breaks_on_q2(messages: list[dict[str, str]]) -> str | int:
        return 500 if broken and "胸痛" in messages[1]["content"] else fair(messages)

    with endpoint(breaks_on_q2) as (url, requests):
        assert complaint(url, tmp_path / "cache.jsonl") == (
            "MEDCOT_JUDGE__BASE_URL=URL: the judge 'judge-1' left 7 of 21 calls unanswered (7 HTTP 500). Run `medcot "
            "sync` again: answered calls are kept and not paid again. Without MEDCOT_JUDGE__BASE_URL the report is "
            "made without a judge."
        )
        broken, before = False, len(requests)
        graded(url, tmp_path / "cache.jsonl")
        assert len(requests) - before == 7


def test_a_reply_that_is_cut_before_its_grading_names_the_setting(tmp_path: Path) -> None:
    cut = json.dumps(completion('{"grading": "', "judge-1", "length")).encode()
    with endpoint(lambda messages: cut) as (url, _):
        assert "Set MEDCOT_JUDGE__MAX_TOKENS above 2,048" in complaint(url, tmp_path / "cache.jsonl")


def test_calls_that_are_refused_leave_their_criteria_ungradable(tmp_path: Path) -> None:
    def refuses_q2(messages: list[dict[str, str]]) -> str | int:
        return 400 if "多休息" in messages[1]["content"] else fair(messages)

    with endpoint(refuses_q2) as (url, _):
        outcome = graded(url, tmp_path / "cache.jsonl")
    refused = [grade for grade in outcome.grades if grade.ungradable == "call refused"]
    assert {(grade.prompt_id, grade.arm) for grade in refused} == {("q2", "tuned")}
    assert (outcome.calls.failed, outcome.errors) == (2, {"HTTP 400": 2}), "the retest of it too"


def test_what_the_judge_was_asked_otherwise_is_known_from_the_cache_too(tmp_path: Path) -> None:
    not_taken = {"max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}
    with endpoint(fair, not_taken=not_taken) as (url, _):
        first = graded(url, tmp_path / "cache.jsonl", concurrency=1)
        second = graded(url, tmp_path / "cache.jsonl")
    assert first.changed == second.changed == ("max_tokens as max_completion_tokens",)
