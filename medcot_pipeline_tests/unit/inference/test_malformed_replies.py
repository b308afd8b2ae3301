"""What a server can send in place of a completion, each over a real socket to both clients: judge and answers.

Each gives a usable result or one line, what was kept stays readable, and the next pass over it works.
"""

import gzip
import json
import re
import socket
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from medcot_pipeline.evaluation.answers.generation import generate_answers, served_model
from medcot_pipeline.evaluation.judging.judge import judge_answers
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import ARMS
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import AnswerSettings, JudgeSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.support.json_files import read_json, write_model
from medcot_pipeline.support.table_files import write_jsonl
from medcot_pipeline_tests.support.chat_endpoint import completion
from medcot_pipeline_tests.support.wire import Send, Wire, response, says, wire

SECRET = "sk-never-to-be-seen"
PROMPTS = [Prompt("q1", "zh", "用药", "成人发热时如何服用对乙酰氨基酚？")]
ANSWERS = [
    Answer("q1", "base", "", "按说明书服用。", True, True, 9),
    Answer("q1", "tuned", "", "多喝水。", True, True, 9),
]
BOTH = ("r1", "r1-medcot")
VERDICT = '{"winner": "tie", "reason": "一样"}'
USED = ""
GOOD = completion(VERDICT, "judge-1")
MEBIBYTE = b" " * 2**20


def with_message(**fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": VERDICT, **fields}
    return {**GOOD, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


def with_choice(**fields: Any) -> dict[str, Any]:
    return {**GOOD, "choices": [{**GOOD["choices"][0], **fields}]}


def with_usage(value: str) -> str:
    """The tokens as they stand in the JSON text."""
    return json.dumps({**GOOD, "usage": "HERE"}).replace('"HERE"', value)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def flood(connection: socket.socket) -> None:
    """More than anybody should take in, never ending by itself."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 838860800\r\n\r\n")
    for _ in range(800):
        connection.sendall(MEBIBYTE)


def chunked_flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(800):
        connection.sendall(b"100000\r\n" + MEBIBYTE + b"\r\n")


def error_flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 838860800\r\n\r\n")
    for _ in range(800):
        connection.sendall(MEBIBYTE)


def bomb(encoding: str) -> Send:
    """300 MiB of blanks in 300 KiB."""
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    packed = b"".join(packer.compress(MEBIBYTE) for _ in range(300)) + packer.flush()
    return says(packed, "200 OK", f"Content-Encoding: {encoding}")


def cut_chunks(connection: socket.socket) -> None:
    body = json.dumps(GOOD).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + body[:64] + b"\r\n")


def bad_chunks(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    for _ in range(40):
        connection.sendall(b" ")
        time.sleep(0.02)


def silence(connection: socket.socket) -> None:
    time.sleep(0.6)


def header_flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"x" * 100))


def sends_on(status: str) -> Send:
    return says("", status, "Location: http://127.0.0.2:1/v1/chat/completions")


def refuses(status: str, *headers: str) -> Send:
    return says({"error": {"message": f"no, Bearer {SECRET}", "param": SECRET}}, status, *headers)


NESTED = "[" * 100_000 + "]" * 100_000
HALF = "\\ud83d"
CASES: dict[str, tuple[Send, str]] = {
    # The shape of a completion.
    "choices as text": (says({**GOOD, "choices": "none"}), "no completion"),
    "choices as an object": (says({**GOOD, "choices": {"0": {}}}), "no completion"),
    "no choice": (says({**GOOD, "choices": []}), "no completion"),
    "choices null": (says({**GOOD, "choices": None}), "no completion"),
    "a choice that is text": (says({**GOOD, "choices": ["none"]}), "no completion"),
    "message null": (says(with_choice(message=None)), "no completion"),
    "message as text": (says(with_choice(message="hello")), "no completion"),
    "content as a number": (says(with_message(content=7)), "content"),
    "content as an object": (says(with_message(content={"text": VERDICT})), "content"),
    "content as parts": (says(with_message(content=[{"type": "text", "text": VERDICT}])), USED),
    "content as parts of other kinds": (
        says(with_message(content=[{"type": "image_url"}, 7, {"type": "text", "text": VERDICT}, {"text": 7}])),
        USED,
    ),
    "reasoning as a number": (says(with_message(reasoning_content=7)), USED),
    "no finish reason": (says({**GOOD, "choices": [{"message": GOOD["choices"][0]["message"]}]}), USED),
    "a finish reason that is a list": (says(with_choice(finish_reason=["stop"])), USED),
    "model as a list": (says({**GOOD, "model": ["judge-1"]}), USED),
    "model null": (says({**GOOD, "model": None}), USED),
    "a model's name without end": (says({**GOOD, "model": "m" * 100_000}), USED),
    "no model": (says(without("model")), USED),
    "usage null": (says({**GOOD, "usage": None}), USED),
    "no usage": (says(without("usage")), USED),
    "usage as a list": (says({**GOOD, "usage": [1]}), USED),
    "tokens as a word": (says(with_usage('{"prompt_tokens": "many", "completion_tokens": "many"}')), USED),
    "tokens null": (says(with_usage('{"prompt_tokens": null, "completion_tokens": null}')), USED),
    "tokens NaN": (says(with_usage('{"prompt_tokens": NaN, "completion_tokens": NaN}')), USED),
    "tokens below zero": (says(with_usage('{"prompt_tokens": -9, "completion_tokens": -9}')), USED),
    "tokens without bound": (says(with_usage('{"prompt_tokens": 1e999, "completion_tokens": 1e999}')), USED),
    "tokens of 4,000 digits": (says(with_usage(f'{{"completion_tokens": {"9" * 4000}}}')), USED),
    "tokens of 5,000 digits": (says(with_usage(f'{{"completion_tokens": {"9" * 5000}}}')), "not JSON"),
    "tokens as true": (says(with_usage('{"prompt_tokens": true, "completion_tokens": true}')), USED),
    "nested usage": (says(with_usage(NESTED)), "not JSON"),
    "a list of completions": (says([GOOD]), "no completion"),
    "a bare word": (says("true"), "no completion"),
    "an error with status 200": (says({"error": {"message": f"no, {SECRET}"}}), "no completion"),
    # Text.
    "half an emoji in the text": (
        says(json.dumps(with_message(content=f"HERE {VERDICT}")).replace("HERE", HALF)),
        USED,
    ),
    "half an emoji in the reason": (
        says(with_message(content='{"winner": "tie", "reason": "\\ud83d"}')),
        USED,
    ),
    "half an emoji in the model's name": (says(json.dumps({**GOOD, "model": "HERE"}).replace("HERE", HALF)), USED),
    "NUL in the text": (says(with_message(content=f"\0 {VERDICT}")), USED),
    "NUL in the reason": (says(with_message(content='{"winner": "tie", "reason": "\\u0000"}')), USED),
    "a reason that is a list": (says(with_message(content='{"winner": "tie", "reason": [[1]]}')), USED),
    "the key in every text": (
        says(
            {
                **with_message(
                    content=json.dumps({"winner": "tie", "reason": SECRET}), reasoning_content=f"Bearer {SECRET}"
                ),
                "model": SECRET,
            }
        ),
        USED,
    ),
    "text longer than any answer": (says(with_message(content="长" * 2_000_000)), "longer than"),
    # The body.
    "an empty body": (says(""), "not JSON"),
    "cut JSON": (says(json.dumps(GOOD)[:-40]), "not JSON"),
    "deep nesting": (says(NESTED), "not JSON"),
    "deep nesting of objects": (says('{"choices":' * 100_000), "not JSON"),
    "not UTF-8": (says(json.dumps(GOOD, ensure_ascii=False).encode("gbk")), "not JSON"),
    "UTF-16": (says(json.dumps(GOOD).encode("utf-16")), "not JSON"),
    "a byte order mark": (says(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()), USED),
    "a page": (says("<html><body>Sign in</body></html>", "200 OK", "Content-Type: text/html"), "not JSON"),
    "another content type": (says(GOOD, "200 OK", "Content-Type: text/plain"), USED),
    "an unknown charset": (says(GOOD, "200 OK", "Content-Type: application/json; charset=klingon"), USED),
    "events": (says('data: {"choices": []}\n\n', "200 OK", "Content-Type: text/event-stream"), "not JSON"),
    "800 MiB": (flood, "larger than"),
    "800 MiB in chunks": (chunked_flood, "larger than"),
    "800 MiB with status 400": (error_flood, "HTTP 400"),
    "a gzip bomb": (bomb("gzip"), "larger than"),
    "a deflate bomb": (bomb("deflate"), "larger than"),
    "gzip": (says(gzip.compress(json.dumps(GOOD).encode()), "200 OK", "Content-Encoding: gzip"), USED),
    "gzip that is none": (says(GOOD, "200 OK", "Content-Encoding: gzip"), "not compressed as its header says"),
    "an unknown packing": (says(GOOD, "200 OK", "Content-Encoding: br"), "compressed"),
    # The connection.
    "chunks that break off": (cut_chunks, "the connection broke off in the middle of its reply"),
    "chunks without a size": (bad_chunks, "connection"),
    "a length larger than the body": (
        lambda connection: connection.sendall(response(json.dumps(GOOD).encode(), length=99_999)),
        "the connection broke off in the middle of its reply",
    ),
    "a length below zero": (
        lambda connection: connection.sendall(response(json.dumps(GOOD).encode(), length=-5)),
        "connection",
    ),
    "a reset": (reset, "it closed the connection without an HTTP reply"),
    "closed without a word": (lambda connection: None, "it closed the connection without an HTTP reply"),
    "no HTTP": (
        lambda connection: connection.sendall(f"SSH-2.0 {SECRET}\r\n".encode()),
        "it closed the connection without an HTTP reply",
    ),
    "headers without end": (header_flood, "connection"),
    "a drip": (drip, "within 0.2 s"),
    "silence": (silence, "within 0.2 s"),
    # The status.
    "204": (says("", "204 No Content"), "not JSON"),
    "301": (sends_on("301 Moved Permanently"), "sends its callers on to http://127.0.0.2:1"),
    "302": (sends_on("302 Found"), "sends its callers on to http://127.0.0.2:1"),
    "303": (sends_on("303 See Other"), "sends its callers on to http://127.0.0.2:1"),
    "307": (sends_on("307 Temporary Redirect"), "sends its callers on to http://127.0.0.2:1"),
    "308": (sends_on("308 Permanent Redirect"), "sends its callers on to http://127.0.0.2:1"),
    "307 to nowhere": (says("", "307 Temporary Redirect"), "HTTP 307"),
    "307 to what is no address": (says("", "307 Temporary Redirect", f"Location: http://[{SECRET}"), ""),
    "400": (refuses("400 Bad Request"), "HTTP 400"),
    "401": (refuses(f"401 {SECRET}"), "HTTP 401"),
    "402": (refuses("402 Payment Required"), "HTTP 402"),
    "403": (refuses("403 Forbidden"), "HTTP 403"),
    "404": (refuses("404 Not Found"), "HTTP 404"),
    "422": (refuses("422 Unprocessable Content"), "HTTP 422"),
    "429": (refuses("429 Too Many Requests"), "HTTP 429"),
    "429 with a time to wait": (refuses("429 Too Many Requests", "Retry-After: 1"), "HTTP 429"),
    "429 with a time that is none": (refuses("429 Too Many Requests", "Retry-After: soon"), "HTTP 429"),
    "429 with a time below zero": (refuses("429 Too Many Requests", "Retry-After: -1"), "HTTP 429"),
    "429 with a year to wait": (refuses("429 Too Many Requests", "Retry-After: 31536000"), "HTTP 429"),
    "500": (refuses("500 Internal Server Error"), "HTTP 500"),
    "503": (refuses("503 Service Unavailable", "Retry-After: nan"), "HTTP 503"),
    "599": (refuses("599 Unheard Of"), "HTTP 599"),
    "a status that is none": (
        lambda connection: connection.sendall(b"HTTP/1.1 99999 ?\r\n\r\n"),
        "connection",
    ),
}
PROPER = says(with_message(content=f"想。\n</think>\n\n{VERDICT}"))


def judge(server: Wire, folder: Path, patience: float = 10.0) -> str:
    """One pass of the judge, with its record written as the asset writes it."""
    settings = JudgeSettings(
        base_url=server.url, model="judge-1", api_key=SecretStr(SECRET), max_retries=0, timeout_s=patience
    )
    outcome = judge_answers(PROMPTS, ANSWERS, settings, folder / "judge.jsonl", lambda done, total: None, probing=False)
    write_model(folder / "judge.json", outcome.record(settings))
    assert [verdict.outcome for verdict in outcome.verdicts] == ["tie"]
    tokens = outcome.tokens.model_dump()
    assert all(isinstance(count, int) and 0 <= count < 10**6 for count in tokens.values()), tokens
    return json.dumps(read_json(folder / "judge.json"))


def answers(server: Wire, folder: Path, patience: float = 10.0) -> str:
    """One pass of the answers, with its records written as the asset writes them."""
    there = {"base_url": server.url, "base_model": BOTH[0], "tuned_model": BOTH[1], "api_key": SecretStr(SECRET)}
    settings = AnswerSettings(backend="endpoint", endpoint={**there, "max_retries": 0, "timeout_s": patience})
    given = []
    for arm in ARMS:
        model = served_model(settings, arm, "…")
        generated = generate_answers(model, arm, PROMPTS, settings, folder / "work" / arm, lambda line: None)
        given += generated.answers
    write_jsonl(folder / "answers.jsonl", given)
    assert [answer.arm for answer in given] == list(ARMS)
    assert all(answer.tokens is None or 0 < answer.tokens < 10**6 for answer in given)
    return (folder / "answers.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("client", [judge, answers])
@pytest.mark.parametrize("name", CASES)
def test_a_malformed_reply_is_used_or_one_line_and_the_next_pass_works(name: str, client: Any, tmp_path: Path) -> None:
    send, said = CASES[name]
    with wire(send, BOTH) as server:
        try:
            shown = client(server, tmp_path, 0.2 if "within" in said else 10.0)
        except MedcotError as error:
            shown = str(error)
            assert said != USED or "307" in name, shown
            assert said in shown and "\n" not in shown and len(shown) < 600
            assert error.__suppress_context__ or error.__context__ is None, "nothing foreign hangs on to it"
            assert error.__cause__ is None
        else:
            assert said == USED
        assert SECRET not in shown and not re.search("[\ud800-\udfff\0]", shown)
        server.send = PROPER
        client(server, tmp_path)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept


LISTS: dict[str, bytes | dict[str, Any] | list[Any] | str] = {
    "nothing": "",
    "a page": "<html></html>",
    "a list": ["r1", "r1-medcot"],
    "data as text": {"data": "r1"},
    "deep nesting": NESTED,
    "not UTF-8": '{"data": [{"id": "模型"}]}'.encode("gbk"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_models_that_is_none_counts_as_no_list(name: str, tmp_path: Path) -> None:
    with wire(PROPER) as server:
        server.lists = says(LISTS[name])
        answers(server, tmp_path)


@pytest.mark.parametrize("listed", [{"data": []}, {"data": [7, {"id": ["r1"]}, {"id": f"{SECRET}\ud83d"}, {}]}])
def test_names_in_a_list_of_models_are_read_where_they_are_names(listed: dict[str, Any], tmp_path: Path) -> None:
    with wire(PROPER) as server, pytest.raises(MedcotError, match="serves no model 'r1'") as raised:
        server.lists = says(listed)
        answers(server, tmp_path)
    assert SECRET not in str(raised.value) and not re.search("[\ud800-\udfff]", str(raised.value))
