"""Judges that refuse, break off, never answer or cost too much."""

import contextlib
import json
import socketserver
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.inference.served.calls import GIVE_UP_AFTER
from medcot_pipeline.records.judgement import JudgeCalls, PaidCalls
from medcot_pipeline_tests.support.chat_endpoint import completion, endpoint, longer_wins
from medcot_pipeline_tests.support.judging import CALLS, SECRET, complaint, judge


def test_calls_without_an_answer_are_not_done_and_the_next_pass_asks_those_alone(tmp_path: Path) -> None:
    broken = True

    def breaks_on_q2(messages: list[dict[str, str]]) -> str | int:
        return 500 if broken and "突发胸痛半小时" in messages[1]["content"] else longer_wins(messages)

    with endpoint(breaks_on_q2) as (url, requests):
        assert complaint(url, tmp_path / "cache.jsonl") == (
            "MEDCOT_JUDGE__BASE_URL=URL: the judge 'judge-1' left 4 of 122 calls unanswered (4 HTTP 500). Run "
            "`medcot sync` again: answered calls are kept and not paid again. Without MEDCOT_JUDGE__BASE_URL the "
            "report is made without a judge."
        )
        broken, before = False, len(requests)
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert len(requests) - before == 4
    assert [verdict.outcome for verdict in outcome.verdicts] == ["tuned", "base", "tie"]


def test_a_call_that_the_judge_refuses_makes_its_prompt_invalid_and_is_asked_again(tmp_path: Path) -> None:
    filtered = True

    def refuses_q2(messages: list[dict[str, str]]) -> str | int:
        return 400 if filtered and "突发胸痛半小时" in messages[1]["content"] else longer_wins(messages)

    with endpoint(refuses_q2) as (url, requests):
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert [verdict.outcome for verdict in outcome.verdicts] == ["tuned", "invalid", "tie"]
        assert outcome.verdicts[1].reason == "HTTP 400"
        assert (outcome.calls.failed, outcome.errors) == (4, {"HTTP 400": 4})
        filtered, before = False, len(requests)
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert len(requests) - before == 4
    assert outcome.verdicts[1].outcome == "base"


def cut(messages: list[dict[str, str]]) -> bytes:
    return json.dumps(completion("<think>先看两者的内容", "judge-1", "length")).encode()


def test_a_reply_cut_at_the_token_limit_is_no_verdict_and_names_the_setting(tmp_path: Path) -> None:
    """Staged after BerriAI/litellm#39817 and confident-ai/deepeval#3054: a cut verdict is paid for and unreadable."""
    with endpoint(
        lambda messages: cut(messages) if "突发胸痛半小时" in str(messages[1]) else longer_wins(messages)
    ) as (
        url,
        asked,
    ):
        said = complaint(url, tmp_path / "cache.jsonl")
        assert "left 4 of 122 calls unanswered (4 cut at the token limit before a verdict)" in said
        assert "Set MEDCOT_JUDGE__MAX_TOKENS above 2,048: answered calls are not paid again." in said
        assert len(asked) == CALLS, "what was cut is not repaired"
    assert "none" not in [json.loads(line)["winner"] for line in (tmp_path / "cache.jsonl").read_bytes().splitlines()]


def test_a_larger_reply_limit_asks_only_for_what_was_cut(tmp_path: Path) -> None:
    limits = []

    def thinks_long(messages: list[dict[str, str]]) -> str | bytes:
        limits.append(asked[-1]["max_tokens"])
        return cut(messages) if limits[-1] < 4096 and "突发胸痛半小时" in str(messages[1]) else longer_wins(messages)

    with endpoint(thinks_long) as (url, asked):
        complaint(url, tmp_path / "cache.jsonl", concurrency=1)
        outcome = judge(url, tmp_path / "cache.jsonl", max_tokens=4096, concurrency=1)
    assert limits == [2048] * CALLS + [4096] * 4
    assert outcome.calls == JudgeCalls(answered=CALLS, invalid=0, repaired=0, failed=0)


def test_a_verdict_that_was_given_before_the_reply_was_cut_counts(tmp_path: Path) -> None:
    said = json.dumps(completion('{"winner": "tie", "reason": ""} 因为', "judge-1", "length")).encode()
    with endpoint(lambda messages: said) as (url, _):
        assert {verdict.outcome for verdict in judge(url, tmp_path / "cache.jsonl").verdicts} == {"tie"}


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda messages: 402, "HTTP 402"),
        (lambda messages: (429, b'{"error": {"code": "insufficient_quota"}}'), "HTTP 429"),
        (lambda messages: (400, b'{"code": "Arrearage", "message": "Access denied"}'), "HTTP 400"),
    ],
)
def test_an_empty_account_stops_the_pass_at_once_and_the_next_one_asks_the_rest(
    tmp_path: Path, reply: Any, said: str
) -> None:
    paid = 5

    def pays_for_five(messages: list[dict[str, str]]) -> Any:
        return longer_wins(messages) if len(asked) <= paid else reply(messages)

    with endpoint(pays_for_five) as (url, asked):
        line = complaint(url, tmp_path / "cache.jsonl", concurrency=1, max_retries=3)
        kinds = f"1 the account has no credit left, {said}; {CALLS - 6} not asked"
        assert f"left {CALLS - 5} of {CALLS} calls unanswered ({kinds})" in line
        assert len(asked) == 6
        paid = 999
        outcome = judge(url, tmp_path / "cache.jsonl")
        assert len(asked) == 6 + CALLS - 5
    assert outcome.paid == PaidCalls(asked=CALLS - 5, cached=5)


def test_a_judge_that_refuses_every_call_is_none_whatever_another_one_left_in_the_cache(
    tmp_path: Path,
) -> None:
    with endpoint(longer_wins) as (url, _):
        judge(url, tmp_path / "cache.jsonl")
    with endpoint(lambda messages: 400) as (url, _):
        said = complaint(url, tmp_path / "cache.jsonl", model="judge-2")
    assert "the judge 'judge-2' answers no call" in said


def test_an_endpoint_that_limits_the_rate_is_asked_again_after_a_pause(tmp_path: Path) -> None:
    limited = iter([429, 429, 503, 429])
    with endpoint(lambda messages: next(limited, None) or longer_wins(messages)) as (url, requests):
        outcome = judge(url, tmp_path / "cache.jsonl", max_retries=4)
    assert (outcome.calls.answered, outcome.calls.failed, len(requests)) == (CALLS, 0, CALLS + 4)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (lambda messages: 429, "HTTP 429"),
        (lambda messages: 500, "HTTP 500"),
        (lambda messages: 500 + threading.Event().wait(1), "no reply within 0.25 s"),
        (lambda messages: b"{}", "unusable reply: no completion in it"),
    ],
)
def test_a_judge_that_never_answers_is_given_up_with_the_counts(tmp_path: Path, reply: Any, error: str) -> None:
    with endpoint(reply) as (url, requests):
        said = complaint(url, tmp_path / "cache.jsonl", concurrency=2, timeout_s=0.25 if "within" in error else 5.0)
        made = len(requests)
    assert GIVE_UP_AFTER <= made <= GIVE_UP_AFTER + 1
    assert f"the judge 'judge-1' answers no call ({made} {error}; {CALLS - made} not asked)" in said


def test_a_judge_that_drips_its_reply_ends_with_the_call_and_not_with_the_reply(tmp_path: Path) -> None:
    """A byte before each pause keeps every time limit of a single read from being met."""
    stop = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n")
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    self.request.sendall(b" ")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        said = complaint(url, tmp_path / "cache.jsonl", timeout_s=0.15)
        stop.set()
        server.shutdown()
    assert "no reply within 0.15 s" in said


def test_no_more_calls_are_in_flight_than_the_setting_allows(tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def slow(messages: list[dict[str, str]]) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return longer_wins(messages)

    with endpoint(slow) as (url, _):
        judge(url, tmp_path / "cache.jsonl", concurrency=3)
    assert most == 3


def test_a_refused_connection_names_the_setting_and_the_url(tmp_path: Path) -> None:
    with endpoint(longer_wins) as (url, _):
        """Once closed, nothing listens there."""
    assert complaint(url, tmp_path / "cache.jsonl") == (
        "MEDCOT_JUDGE__BASE_URL=URL: the judge 'judge-1' answers no call (1 no connection; 121 not asked). Start the "
        "endpoint, or correct MEDCOT_JUDGE__BASE_URL, MEDCOT_JUDGE__MODEL or MEDCOT_JUDGE__API_KEY. Without "
        "MEDCOT_JUDGE__BASE_URL the report is made without a judge."
    )


@pytest.mark.parametrize(("status", "requests_made"), [(404, 1), (401, 1), (400, GIVE_UP_AFTER), (403, GIVE_UP_AFTER)])
def test_an_endpoint_without_the_model_or_access_stops_the_run_and_its_words_stay_unsaid(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int, requests_made: int
) -> None:
    with endpoint(lambda messages: status) as (url, requests), caplog.at_level("DEBUG"):
        said = complaint(url, tmp_path / "cache.jsonl", concurrency=1)
        assert len(requests) == requests_made
    assert f"HTTP {status}" in said
    assert SECRET not in caplog.text


def test_a_judge_whose_limit_is_below_ours_is_named_with_the_setting_and_asked_once(tmp_path: Path) -> None:
    said = b'{"error": {"message": "Range of max_tokens should be [1, 1024]", "code": "invalid_parameter_error"}}'
    with endpoint(lambda messages: (400, said)) as (url, requests):
        line = complaint(url, tmp_path / "cache.jsonl")
        assert len(requests) == 1, "every other call would meet the same"
    assert line == (
        f"MEDCOT_JUDGE__BASE_URL=URL: the judge 'judge-1' answers no call (1 it does not take this value of "
        f"max_tokens, HTTP 400; {CALLS - 1} not asked). Set MEDCOT_JUDGE__MAX_TOKENS below 2,048. Without "
        "MEDCOT_JUDGE__BASE_URL the report is made without a judge."
    )


def test_a_judge_that_takes_neither_limit_nor_temperature_judges_all_the_same(tmp_path: Path) -> None:
    """As gpt-5 and the o-series."""
    not_taken = {
        "max_tokens": '{"error": {"message": "Unsupported parameter: \'max_tokens\' is not supported with this model. '
        'Use \'max_completion_tokens\' instead.", "param": "max_tokens", "code": "unsupported_parameter"}}',
        "temperature": '{"error": {"message": "Unsupported value: \'temperature\' does not support 0 with this model. '
        'Only the default (1) value is supported.", "param": "temperature", "code": "unsupported_value"}}',
    }
    with endpoint(longer_wins, not_taken=not_taken) as (url, requests):
        outcome = judge(url, tmp_path / "cache.jsonl")
    assert (outcome.calls.answered, outcome.calls.failed, len(requests)) == (CALLS, 0, CALLS + 2)
    assert outcome.changed == ("max_tokens as max_completion_tokens", "without temperature")
