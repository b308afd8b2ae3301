"""Servers whose replies are well-formed and not what was asked for, and servers that go away, over a real socket.

Each is one line that names the request and what came; nothing of such a reply is kept, and the rest is.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from medcot_pipeline.evaluation.answers.generation import Given, generate_answers, served_model
from medcot_pipeline.inference.served.replies import Completion
from medcot_pipeline.inference.served.unfit import COUNTED_LOOSELY, NotAsAsked, is_listed, refuse_unfit
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.chat_endpoint import completion
from medcot_pipeline_tests.support.wire import Send, Wire, response, says, wire

BOTH = ("base", "tuned")
MOST = 100
PROMPTS = [Prompt(f"p{number}", "zh", "用药", f"问题{number}？") for number in range(6)]
TEXT = "想。\n</think>\n\n答。"


def ask(url: str, work: Path, *, arm: Arm = "base", said: list[str] | None = None, **there: Any) -> Given:
    there = {"base_url": url, "base_model": BOTH[0], "tuned_model": BOTH[1], "max_retries": 0, **there}
    settings = AnswerSettings(backend="endpoint", max_new_tokens=MOST, endpoint=there)
    said = [] if said is None else said
    return generate_answers(served_model(settings, arm, "…"), arm, PROMPTS, settings, work, said.append)


def complaint(send: Send, work: Path, **asked: Any) -> str:
    """What is said of a server that answers so; nothing of it may have been kept."""
    with wire(send, BOTH) as server:
        with pytest.raises(MedcotError) as raised:
            ask(server.url, work, concurrency=1, **asked)
        server.send = says(completion(TEXT, asked.get("arm", "base")))
        assert {answer.answer for answer in ask(server.url, work, **asked).answers} == {"答。"}
        said = str(raised.value)
        assert "\n" not in said
        return said.replace(server.url, "URL")


@pytest.mark.parametrize(
    ("reply", "came", "way_out"),
    [
        (
            completion(TEXT, "tuned"),
            "asked for 'base', it answers as 'tuned', which is the other arm.",
            "Serve both models, or correct MEDCOT_ANSWERS__ENDPOINT__BASE_MODEL.",
        ),
        (
            completion(TEXT, "tuned:latest"),
            "asked for 'base', it answers as 'tuned:latest', which is the other arm.",
            "Serve both models, or correct MEDCOT_ANSWERS__ENDPOINT__BASE_MODEL.",
        ),
        (
            completion("想了", "base", "length", 40),
            "cut after 40 of 100 tokens.",
            "Raise the server's context and its own limit of tokens, or set MEDCOT_ANSWERS__MAX_NEW_TOKENS below 100, "
            "for both arms.",
        ),
        (
            completion(TEXT, "base", "stop", 3_000),
            "3,000 tokens where 100 were the most: it ignores max_tokens.",
            "Set the limit at the server, or raise MEDCOT_ANSWERS__MAX_NEW_TOKENS, for both arms.",
        ),
        (
            completion(None, "base", "stop", 57),
            "it counts 57 tokens and sends no text.",
            "Turn off whatever removes the text from its replies, such as a parser of reasoning or of tool calls.",
        ),
    ],
    ids=["other arm", "other arm with a tag", "cut early", "too long", "no text"],
)
def test_a_reply_that_is_not_what_was_asked_for_is_refused_by_name(
    tmp_path: Path, reply: dict[str, Any], came: str, way_out: str
) -> None:
    said = complaint(says(reply), tmp_path)
    assert said.startswith("MEDCOT_ANSWERS__ENDPOINT__BASE_URL=URL: 6 of 6 answers did not come (")
    assert said.endswith(f"The first is p0 (base): {came} {way_out}")


def test_a_tuned_model_that_is_the_base_is_refused_too(tmp_path: Path) -> None:
    said = complaint(says(completion(TEXT, "base")), tmp_path, arm="tuned")
    assert "The first is p0 (tuned): asked for 'tuned', it answers as 'base', which is the other arm." in said
    assert said.endswith("correct MEDCOT_ANSWERS__ENDPOINT__TUNED_MODEL.")


@pytest.mark.parametrize("served", ["base", "base:latest", "r1-2025-01-20", "/models/r1-Q4_K_M.gguf", ""])
def test_an_alias_is_let_pass_and_told_once(tmp_path: Path, served: str) -> None:
    said: list[str] = []
    with wire(says(completion(TEXT, served)), BOTH) as server:
        given = ask(server.url, tmp_path, said=said)
    assert len(given.answers) == len(PROMPTS)
    told = [f"asked for 'base', the endpoint says that {served} answered"] if served[:2] in ("r1", "/m") else []
    assert said == told
    assert given.served == ((served,) if served else ())


def test_a_server_that_lists_names_with_a_tag_serves_them_without(tmp_path: Path) -> None:
    with wire(says(completion(TEXT, "base")), ("base:latest", "tuned:latest")) as server:
        assert len(ask(server.url, tmp_path).answers) == len(PROMPTS)


@pytest.mark.parametrize(
    ("name", "listed", "there"),
    [
        ("tuned", ("base", "tuned"), True),
        ("tuned", ("base", "tuned:latest"), True),
        ("base:tuned", ("base", "tuned"), True),
        ("base:tuned", ("base",), False),
        ("base:", ("base",), False),
        ("tuned:q4", ("tuned:latest",), False),
        ("tuned", (), False),
    ],
)
def test_a_name_is_found_in_a_list_as_servers_write_it(name: str, listed: tuple[str, ...], there: bool) -> None:
    assert is_listed(name, listed) is there


@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens": 0}, "absent"])
def test_tokens_that_nobody_counted_are_unknown_and_not_none_at_all(tmp_path: Path, usage: Any) -> None:
    reply = {**completion(TEXT, "base"), "usage": usage}
    if usage == "absent":
        del reply["usage"]
    with wire(says(reply), BOTH) as server:
        assert {answer.tokens for answer in ask(server.url, tmp_path).answers} == {None}


def test_a_model_that_ends_at_once_has_an_empty_answer(tmp_path: Path) -> None:
    with wire(says(completion("", "base", "stop", 1)), BOTH) as server:
        (empty,) = {(each.reasoning, each.answer, each.finished) for each in ask(server.url, tmp_path).answers}
    assert empty == ("", "", True)


def gone(connection: Any) -> None:
    """Closes without a word."""


def cut_off(connection: Any) -> None:
    """Stops in the middle of its body."""
    connection.sendall(response(json.dumps(completion(TEXT, "base")).encode()[:40], length=400))


def cut_chunks(connection: Any) -> None:
    """Stops before the chunk that ends a body."""
    body = json.dumps(completion(TEXT, "base")).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body))


@pytest.mark.parametrize(
    ("send", "came"),
    [
        (gone, "it closed the connection without an HTTP reply"),
        (cut_off, "the connection broke off in the middle of its reply"),
        (cut_chunks, "the connection broke off in the middle of its reply"),
        (says({**completion(TEXT, "base"), "choices": [{}]}), "unusable reply: no completion in it"),
        (says({**completion(TEXT, "base"), "choices": []}), "unusable reply: no completion in it"),
    ],
    ids=["closed", "cut body", "cut chunks", "empty choice", "no choice"],
)
def test_a_reply_that_did_not_come_whole_is_named_with_its_request(tmp_path: Path, send: Send, came: str) -> None:
    said = complaint(send, tmp_path)
    assert f"The first is p0 (base): {came}. Run `medcot sync` again: the answers that came are kept" in said


def stops_after(count: int, server: Callable[[], Wire]) -> Send:
    """Answers that often, then the server is gone with its socket."""
    left = [count]

    def send(connection: Any) -> None:
        left[0] -= 1
        connection.sendall(response(json.dumps(completion(TEXT, "base")).encode()))
        if left[0] == 0:
            threading.Thread(target=server().shutdown).start()
            server().socket.close()

    return send


def test_a_server_that_is_gone_after_half_of_the_answers_is_asked_for_the_others_alone(tmp_path: Path) -> None:
    servers: list[Wire] = []
    with wire(stops_after(3, lambda: servers[0]), BOTH) as server:
        servers.append(server)
        with pytest.raises(MedcotError) as raised:
            ask(server.url, tmp_path, concurrency=1)
    said = str(raised.value)  # the next call may just have been let in
    assert "3 of 6 answers did not come (" in said and "no connection" in said and "The first is p3 (base): " in said
    with wire(says(completion(TEXT, "base")), BOTH) as back:
        assert len(ask(back.url, tmp_path).answers) == len(PROMPTS)
        posts = [body["messages"][0]["content"] for line, _, body in back.asked if line.startswith("POST")]
    assert sorted(posts) == [prompt.prompt for prompt in PROMPTS[3:]]


def reply_of(tokens: int, finish: str, text: str = TEXT, served: str = "base", *changed: str) -> Completion:
    return Completion(text, "", finish, served, 9, tokens, changed)


@drawn(tokens=st.integers(0, 300), most=st.integers(1, 200), finish=st.sampled_from(["stop", "length", ""]))
def test_a_text_is_kept_exactly_where_its_length_is_one_that_was_asked_for(tokens: int, most: int, finish: str) -> None:
    too_long = tokens > most + COUNTED_LOOSELY
    too_short = finish == "length" and 0 < tokens < most - COUNTED_LOOSELY
    try:
        refuse_unfit(reply_of(tokens, finish), most, "base", "tuned")
    except NotAsAsked:
        assert too_long or too_short
    else:
        assert not too_long and not too_short


def test_a_server_that_was_asked_without_a_limit_may_write_longer() -> None:
    refuse_unfit(reply_of(3_000, "stop", TEXT, "base", "without max_tokens"), MOST, "base", "tuned")
