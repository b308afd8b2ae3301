import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from medcot_pipeline.evaluation.answers.checks import SERVED, two_models_answered
from medcot_pipeline.evaluation.answers.generation import Given, generate_answers, served_model
from medcot_pipeline.inference.finished import NAME
from medcot_pipeline.inference.served.calls import GIVE_UP_AFTER
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS, Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.journals import read_lines
from medcot_pipeline.support.json_files import write_json
from medcot_pipeline.support.progress import Say
from medcot_pipeline_tests.support.chat_endpoint import COMPLETION_TOKENS, Reply, completion, endpoint

SECRET = "sk-never-to-be-seen"
PROMPTS = [Prompt(f"p{number}", "zh", "用药", f"问题{number}？") for number in range(8)]
BOTH = ("r1", "r1-medcot")
LONGEST = 2048
TEMPLATE = "<｜User｜>…<｜Assistant｜><think>\n"


def silent(line: str) -> None:
    """Progress that nobody reads."""


def settings(url: str, **changes: Any) -> AnswerSettings:
    there = {"base_url": url, "base_model": BOTH[0], "tuned_model": BOTH[1], "api_key": SecretStr(SECRET)}
    return AnswerSettings(backend="endpoint", endpoint={**there, "max_retries": 1, **changes})


def ask(
    url: str, work: Path, prompts: list[Prompt] = PROMPTS, *, arm: Arm = "base", say: Say = silent, **changes: Any
) -> Given:
    asked = settings(url, **changes)
    return generate_answers(served_model(asked, arm, TEMPLATE), arm, prompts, asked, work, say)


def thoughtful(messages: list[dict[str, str]]) -> str:
    return f"想一想{messages[-1]['content']}\n</think>\n\n答：多休息。"


def complaint(reply: Reply, work: Path, models: tuple[str, ...] | int = BOTH, **changes: Any) -> str:
    with endpoint(reply, models) as (url, _), pytest.raises(MedcotError) as raised:
        ask(url, work, **changes)
    assert SECRET not in str(raised.value)
    return str(raised.value).replace(url, "URL")


def test_both_arms_are_asked_under_their_own_name_with_the_seed_of_their_prompt(tmp_path: Path) -> None:
    with endpoint(thoughtful, BOTH) as (url, requests):
        for arm in ARMS:
            generated = ask(url, tmp_path / arm, arm=arm)
            assert [(each.prompt_id, each.arm) for each in generated.answers] == [(each.id, arm) for each in PROMPTS]
    assert sorted(request["model"] for request in requests) == sorted(BOTH * len(PROMPTS))
    assert {(request["temperature"], request["top_p"], request["max_tokens"]) for request in requests} == {
        (0.6, 0.95, 2048)
    }
    seeds = {request["messages"][0]["content"]: set[int]() for request in requests}
    for request in requests:
        seeds[request["messages"][0]["content"]].add(request["seed"])
    assert all(len(both) == 1 for both in seeds.values())
    assert len(set.union(*seeds.values())) == len(PROMPTS)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (completion("想。\n</think>\n\n答。", "r1"), ("想。", "答。", True, True)),
        (completion("答。", "r1", reasoning_content="想。"), ("想。", "答。", True, True)),
        (completion(None, "r1", "length", LONGEST, reasoning_content="想了又想"), ("想了又想", "", False, False)),
        (completion("想了又想", "r1", "length", LONGEST), ("想了又想", "", False, False)),
        (
            completion("<｜User｜>问题0？<｜Assistant｜>", "r1", "length", LONGEST, reasoning_content="想了又想"),
            ("想了又想", "", False, False),
        ),
        (completion("想。\n</think>\n\n答到一半", "r1", "length", LONGEST), ("想。", "答到一半", True, False)),
    ],
)
def test_a_response_is_read_as_an_answer_however_the_server_gives_reasoning(
    tmp_path: Path, response: dict[str, Any], expected: tuple[str, str, bool, bool]
) -> None:
    with endpoint(lambda messages: json.dumps(response).encode(), BOTH) as (url, _):
        answer = ask(url, tmp_path, PROMPTS[:1]).answers[0]
    assert answer == Answer("p0", "base", *expected, COMPLETION_TOKENS if expected[-1] else LONGEST)


@pytest.mark.parametrize(
    ("models", "missing", "variable"), [(("r1",), "r1-medcot", "TUNED_MODEL"), (("r1-medcot", "x"), "r1", "BASE_MODEL")]
)
def test_an_endpoint_without_a_model_is_told_apart_from_one_that_answers_to_any_name(
    tmp_path: Path, models: tuple[str, ...], missing: str, variable: str
) -> None:
    said = complaint(thoughtful, tmp_path, models)
    assert said == (
        f"URL serves no model '{missing}' (it serves {', '.join(sorted(models))}). "
        f"Serve it there, or correct MEDCOT_ANSWERS__ENDPOINT__{variable}."
    )


@pytest.mark.parametrize("status", [301, 401, 402])
def test_an_endpoint_that_lets_nobody_in_stops_before_anything_is_asked(tmp_path: Path, status: int) -> None:
    said = complaint(thoughtful, tmp_path, status)
    assert said.startswith("MEDCOT_ANSWERS__ENDPOINT__BASE_URL=URL does not list its models (")
    assert f"HTTP {status}" in said


def test_no_endpoint_is_named_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(MedcotError, match=r"BASE_URL=http://127.0.0.1:9/v1 does not list its models"):
        ask("http://127.0.0.1:9/v1", tmp_path, max_retries=0)


def test_answers_that_came_are_kept_when_others_fail_and_are_not_asked_for_again(tmp_path: Path) -> None:
    def some(messages: list[dict[str, str]]) -> str | int:
        return 500 if "问题3" in messages[-1]["content"] else thoughtful(messages)

    with endpoint(some, BOTH) as (url, requests), pytest.raises(MedcotError) as raised:
        ask(url, tmp_path)
    assert f"1 of {len(PROMPTS)} answers did not come (HTTP 500). The first is p3 (base): HTTP 500." in str(
        raised.value
    )
    assert len(requests) == len(PROMPTS) + 1, "a failed call is tried once more"
    with endpoint(thoughtful, BOTH) as (url, requests):
        generated = ask(url, tmp_path)
    assert {request["messages"][0]["content"] for request in requests} == {"问题3？"}
    assert len(generated.answers) == len(PROMPTS)


ANSWERING = """
import sys
from pathlib import Path
from medcot_pipeline_tests.unit.evaluation.answers.test_endpoint_answers import ask
ask(sys.argv[1], Path(sys.argv[2]))
"""


def test_asking_that_was_killed_and_resumed_pays_no_call_twice_and_gives_the_same_answers(tmp_path: Path) -> None:
    paid, gone, lock = list[str](), threading.Event(), threading.Lock()

    def five_then_silence(messages: list[dict[str, str]]) -> str | int:
        with lock:
            answered = len(paid) < 5 or gone.is_set()
            if answered:
                paid.append(messages[-1]["content"])
        return thoughtful(messages) if answered else 500 * gone.wait(60)

    with endpoint(five_then_silence, BOTH) as (url, _):
        killed = subprocess.Popen([sys.executable, "-c", ANSWERING, url, str(tmp_path / "work")])
        deadline = time.monotonic() + 60
        while len(read_lines(tmp_path / "work" / NAME)) < 1 + 5:
            assert killed.poll() is None and time.monotonic() < deadline, "five answers did not come"
            time.sleep(0.02)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        gone.set()
        resumed = ask(url, tmp_path / "work")
    assert sorted(paid) == sorted(prompt.prompt for prompt in PROMPTS), "each prompt once"
    with endpoint(thoughtful, BOTH) as (url, _):
        assert resumed.answers == ask(url, tmp_path / "another").answers


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_an_endpoint_without_a_list_of_models_is_asked_all_the_same(tmp_path: Path, status: int) -> None:
    """Staged after yihong0618/bilingual_book_maker#527: a server without /models."""
    said: list[str] = []
    with endpoint(thoughtful, status) as (url, _):
        generated = ask(url, tmp_path, PROMPTS[:1], say=said.append)
    assert len(generated.answers) == 1
    assert said[0].startswith("the endpoint does not list its models")


def test_what_was_asked_otherwise_is_known_after_a_resumed_run_too(tmp_path: Path) -> None:
    not_taken = {"seed": "Unrecognized request argument supplied: seed"}
    with endpoint(thoughtful, BOTH, not_taken) as (url, requests):
        assert ask(url, tmp_path, PROMPTS[:1]).changed == ("without seed",)
        made = len(requests)
        assert ask(url, tmp_path, PROMPTS[:1]).changed == ("without seed",)
        assert len(requests) == made


def test_an_endpoint_whose_limit_is_below_ours_is_named_with_the_setting(tmp_path: Path) -> None:
    refused = b'{"error": {"message": "max_tokens is too large: 2048. This model supports at most 1024.", "code": 400}}'
    said = complaint(lambda messages: (400, refused), tmp_path)
    assert (
        f"{len(PROMPTS)} of {len(PROMPTS)} answers did not come (1 it does not take this value of max_tokens, " in said
    )
    assert said.endswith("Set MEDCOT_ANSWERS__MAX_NEW_TOKENS below 2,048, for both arms.")


def test_an_endpoint_that_fails_every_time_is_not_asked_for_ever(tmp_path: Path) -> None:
    more = [dataclasses.replace(prompt, id=f"{prompt.id}-2") for prompt in PROMPTS]
    with endpoint(lambda messages: 429, BOTH) as (url, requests), pytest.raises(MedcotError) as raised:
        ask(url, tmp_path, [*PROMPTS, *more], concurrency=1)
    assert f"({GIVE_UP_AFTER} HTTP 429; {len(PROMPTS) + len(more) - GIVE_UP_AFTER} not asked)" in str(raised.value)
    assert len(requests) == 2 * GIVE_UP_AFTER


def test_an_endpoint_that_hangs_ends(tmp_path: Path) -> None:
    def slow(messages: list[dict[str, str]]) -> str:
        time.sleep(0.5)
        return "太晚"

    said = complaint(slow, tmp_path, timeout_s=0.05, max_retries=0, concurrency=16)
    assert "no reply within 0.05 s" in said


@pytest.mark.parametrize("reply", [b"{}", b'{"choices": []}', b"not json"])
def test_a_response_that_is_no_completion_is_an_answer_that_did_not_come(tmp_path: Path, reply: bytes) -> None:
    assert "answers did not come" in complaint(lambda messages: reply, tmp_path)


@pytest.mark.parametrize(
    ("endpoint_settings", "said"),
    [
        ({}, "backend=endpoint needs endpoint.base_url"),
        ({"base_url": "http://x/v1", "base_model": "a", "tuned_model": "a"}, "both arms are 'a' at the endpoint"),
    ],
)
def test_one_name_for_both_arms_is_refused(endpoint_settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnswerSettings(backend="endpoint", endpoint=endpoint_settings)


@pytest.mark.parametrize("template", [TEMPLATE, "<|user|>…<|assistant|>\n"])
@pytest.mark.parametrize("thought", ["想。", "<think>\n想。"])
def test_reasoning_that_a_server_gives_apart_is_reasoning_whoever_opens_the_thinking_block(
    tmp_path: Path, template: str, thought: str
) -> None:
    said = json.dumps(completion("答。", "r1", reasoning_content=thought)).encode()
    with endpoint(lambda messages: said, BOTH) as (url, _):
        asked = settings(url)
        model = served_model(asked, "base", template)
        (answer,) = generate_answers(model, "base", PROMPTS[:1], asked, tmp_path, silent).answers
    assert (answer.reasoning, answer.answer, answer.closed) == ("想。", "答。", True)


def test_answers_of_another_model_in_the_same_folder_are_not_mixed_in(tmp_path: Path) -> None:
    said: list[str] = []
    with endpoint(thoughtful, (*BOTH, "r1-new")) as (url, requests):
        ask(url, tmp_path, PROMPTS[:2])
        ask(url, tmp_path, PROMPTS[:2], base_model="r1-new", say=said.append)
    assert [request["model"] for request in requests] == ["r1", "r1", "r1-new", "r1-new"]
    assert said == ["starting over: the finished requests were written on another device or with other versions"]


def test_what_answers_took_is_the_time_that_passed_however_many_calls_were_in_flight(tmp_path: Path) -> None:
    started = time.monotonic()
    with endpoint(thoughtful, BOTH) as (url, _):
        given = ask(url, tmp_path, concurrency=8)
    assert 0 < given.seconds < time.monotonic() - started


@pytest.mark.parametrize(
    ("base", "tuned", "same", "passes"),
    [
        (["x.gguf"], ["x.gguf"], 2, False),
        (["x.gguf"], ["x.gguf"], 1, True),
        (["r1"], ["r1-medcot"], 2, True),
        (["x-1", "x-2"], ["x-1", "x-2"], 2, True),
        ([], [], 2, True),
        (None, None, 2, True),
    ],
    ids=["one model", "texts differ", "two names", "many names", "no name", "answers of an older version"],
)
def test_one_model_for_both_arms_is_one_that_names_itself_twice_and_writes_the_same(
    tmp_path: Path, base: list[str] | None, tuned: list[str] | None, same: int, passes: bool
) -> None:
    write_json(tmp_path / "figures.json", {"same": same, "prompts": 2})
    inputs = {"base_answers": tmp_path / "base", "tuned_answers": tmp_path / "tuned"}
    for folder, served in zip(inputs.values(), (base, tuned), strict=True):
        (folder / "aside").mkdir(parents=True)
        if served is not None:
            write_json(folder / "aside" / SERVED, served)
    assert two_models_answered(tmp_path, inputs)[0] is passes
