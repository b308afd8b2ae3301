"""Errors about options as servers really word them: the request goes out again in the form that is taken.

The bodies are those that users of other projects reported, each named after where it was seen.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.inference.endpoint import CallFailed, OptionRefused
from medcot_pipeline.inference.served.refusals import Refusal, refusal
from medcot_pipeline_tests.field.test_endpoint_client import ask
from medcot_pipeline_tests.support.chat_endpoint import endpoint

ASKED = {"max_tokens": 2048, "temperature": 0.6, "top_p": 0.95, "seed": 7}


def openai(message: str, param: str | None = None, code: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}})


NOT_TAKEN = {
    "OpenAI, gpt-5 (QwenLM/qwen-code#921)": (
        "temperature",
        openai(
            "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
            "supported.",
            "temperature",
            "unsupported_value",
        ),
    ),
    "OpenAI, o3-mini (npiv/chatblade#100)": (
        "temperature",
        openai(
            "Unsupported parameter: 'temperature' is not supported with this model.",
            "temperature",
            "unsupported_parameter",
        ),
    ),
    "OpenAI, o-series (decolua/9router#560)": (
        "max_tokens",
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
    ),
    "OpenAI, o1-preview": (
        "temperature",
        openai("This model has beta-limitations: temperature, n are fixed at 1, penalties are fixed at 0."),
    ),
    "the field alone": ("temperature", openai("Bad request.", "temperature")),
    "the field and a code": ("top_p", openai("Bad request.", "top_p", "unsupported_parameter")),
    "escaped quotes, as .NET writes them": (
        "max_tokens",
        '{"error": {"message": "Unsupported parameter: \\u0027max_tokens\\u0027 is not supported with this model."}}',
    ),
    "Azure": ("seed", openai("Unrecognized request argument supplied: seed")),
    "Anthropic (The-PR-Agent/pr-agent#2456)": (
        "temperature",
        json.dumps(
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "`temperature` is deprecated for this model."},
            }
        ),
    ),
    "Anthropic, thinking": (
        "temperature",
        openai("`temperature` may only be set to 1 when thinking is enabled."),
    ),
    "Anthropic (SalesforceAIResearch/MCP-Universe#49)": (
        "top_p",
        openai(
            '{"message":"`temperature` and `top_p` cannot both be specified for this model. Please use only one."}. '
            "Received Model Group=claude-opus-4-5-20251101",
            "None",
            "400",
        ),
    ),
    "Bedrock through a gateway (RooCodeInc/Roo-Code#12162)": (
        "temperature",
        openai(
            'litellm.BadRequestError: BedrockException - {"message":"The model returned the following errors: '
            '{\\"error\\":{\\"message\\":\\"`temperature` is deprecated for this model.\\"}}"}'
        ),
    ),
    "LiteLLM": (
        "temperature",
        openai("litellm.UnsupportedParamsError: O-series models don't support temperature=0. Only temperature=1 is."),
    ),
    "Bedrock": ("seed", '{"message": "Malformed input request: extraneous key [seed] is not permitted"}'),
    "Gemini (Vali-98/ChatterUI#227)": (
        "seed",
        json.dumps(
            [
                {
                    "error": {
                        "code": 400,
                        "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                        "status": "INVALID_ARGUMENT",
                    }
                }
            ]
        ),
    ),
    "vLLM, Mistral": (
        "seed",
        '{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", '
        '"input": {"max_tokens": 5, "messages": [{"content": "temperature is not supported"}]}}]}',
    ),
    "Groq": ("seed", openai("property 'seed' is unsupported")),
    "Moonshot (opencyvis/opencyvis-phone#12)": (
        "temperature",
        '{"error":{"message":"invalid temperature: only 1 is allowed for this model","type":"invalid_request_error"}}',
    ),
    "Zhipu (songquanpeng/one-api#1141)": (
        "temperature",
        '{"error":{"code":"1214","message":"temperature参数非法。请检查文档。"}}',
    ),
    "Zhipu, as ASCII (songquanpeng/one-api#1045)": (
        "top_p",
        json.dumps({"error": {"code": "1214", "message": "top_p参数非法。请检查文档。"}}),
    ),
    "DashScope (mnfst/modelparams.dev#232)": (
        "temperature",
        openai("<400> InternalError.Algo.InvalidParameter: Temperature should be in [0.0, 2.0)"),
    ),
    "GigaChat (ai-forever/gigachain#237)": (
        "temperature",
        '{"status":422,"message":"Invalid params: temperature must be in range (0, +inf)"}',
    ),
    "TGI (vibrantlabsai/ragas#264)": (
        "temperature",
        '{"error":"Input validation error: `temperature` must be strictly positive","error_type":"validation"}',
    ),
    "a server that lists what it takes": (
        "seed",
        openai("Unsupported parameter: seed. Supported are max_tokens, temperature and top_p."),
    ),
    "no JSON": ("seed", "seed: unknown parameter"),
    "an error within an error": (
        "max_tokens",
        json.dumps(
            {
                "error": {
                    "message": "Provider returned error",
                    "metadata": {"raw": openai("max_tokens is not supported")},
                }
            }
        ),
    ),
}
VALUES = {
    "OpenAI": openai(
        "max_tokens is too large: 99999. This model supports at most 16384 completion tokens, whereas you provided "
        "99999.",
        "max_tokens",
        "invalid_value",
    ),
    "DashScope (open-webui/open-webui#10507)": (
        '{"error":{"code":"invalid_parameter_error","param":null,"message":"<400> '
        'InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]"}}'
    ),
    "DeepSeek (we0-dev/we0#56)": openai("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]"),
    "Volcengine (yiliqi78/TOKENICODE#3)": (
        '{"error":{"code":"InvalidParameter","message":"The parameter max_tokens specified in the request is not '
        'valid: integer above maximum value, expected a value <= 32768, but got 64000","param":"max_tokens"}}'
    ),
    "Anthropic": openai("max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for this model"),
    "Zhipu (lobehub/lobehub#1398)": '{"error":{"code":"1214","message":"max_tokens参数非法。请检查文档。"}}',
}
CONTEXTS = {
    "vLLM": openai(
        "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 4096 "
        "tokens and your request has 500 input tokens (4096 > 4096 - 500)."
    ),
    "vLLM (vllm-project/vllm#20409)": openai(
        "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens (112946 in the "
        "messages, 10000 in the completion). Please reduce the length of the messages or completion."
    ),
    "DashScope": openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"),
}
ELSEWHERE = {
    "a filter": openai("The response was filtered: the prompt speaks of temperature."),
    "a prompt": openai("This prompt is not allowed."),
    "nothing": "",
    "Zhipu (MetaGLM/zhipuai-sdk-python-v4#14)": '{"error":{"code":"1214","message":"messages 参数非法。请检查文档。"}}',
    "another parameter": openai("Unsupported parameter: 'top_k' is not supported.", "top_k", "unsupported_parameter"),
    "deep nesting": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("server", NOT_TAKEN)
def test_an_option_that_is_not_taken_is_found_however_a_server_says_so(server: str) -> None:
    option, body = NOT_TAKEN[server]
    assert refusal(body.encode(), list(ASKED)) == Refusal("option", option)


@pytest.mark.parametrize("server", VALUES)
def test_a_limit_whose_value_is_not_taken_is_told_from_one_that_is_not(server: str) -> None:
    assert refusal(VALUES[server].encode(), list(ASKED)) == Refusal("value", "max_tokens")


@pytest.mark.parametrize("server", CONTEXTS)
def test_a_request_that_does_not_fit_is_no_matter_of_options(server: str) -> None:
    assert refusal(CONTEXTS[server].encode(), list(ASKED)) == Refusal("context")


@pytest.mark.parametrize("server", ELSEWHERE)
def test_an_error_about_something_else_is_none_about_options(server: str) -> None:
    assert refusal(ELSEWHERE[server].encode(), list(ASKED)) is None


WORDS = st.sampled_from([*ASKED, "max_completion_tokens", "top_k", "unsupported", "range", "param", "context length"])
ANY_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
)


@settings(deadline=None)
@given(ANY_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
def test_whatever_an_error_holds_only_what_was_sent_is_named(body: bytes) -> None:
    found = refusal(body, list(ASKED))
    assert found is None or (found.option in ASKED) == (found.what != "context")


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("server", NOT_TAKEN)
def test_a_server_is_asked_again_without_what_it_refuses(server: str, status: int) -> None:
    option, body = NOT_TAKEN[server]

    def refuses(messages: list[dict[str, str]]) -> Any:
        return (status, body.encode()) if option in requests[-1] else "好"

    with endpoint(refuses) as (url, requests):
        reply = ask(url, options=ASKED)
    assert len(requests) == 2
    said = "max_tokens as max_completion_tokens" if option == "max_tokens" else f"without {option}"
    assert reply.changed == (said,)
    assert {name for name in ASKED if name in requests[-1]} == set(ASKED) - {option}


def test_a_model_that_refuses_limit_and_temperature_is_asked_in_its_own_form() -> None:
    """As gpt-5 and the o-series do, one error after the other."""
    bodies = (NOT_TAKEN["OpenAI, o-series (decolua/9router#560)"], NOT_TAKEN["OpenAI, gpt-5 (QwenLM/qwen-code#921)"])
    with endpoint(lambda messages: "好", not_taken=dict(bodies)) as (url, requests):
        reply = ask(url, calls=2, options={"temperature": 0, "max_tokens": 2048})
    assert reply.changed == ("max_tokens as max_completion_tokens", "without temperature")
    assert len(requests) == 4, "the second call goes out in that form at once"
    assert {"temperature", "max_tokens"} & set(requests[-1]) == set()
    assert requests[-1]["max_completion_tokens"] == 2048


def test_a_server_that_takes_a_limit_under_neither_name_is_asked_without() -> None:
    not_taken = {
        "max_tokens": openai("Unknown parameter: 'max_tokens'."),
        "max_completion_tokens": openai("Unknown parameter: 'max_completion_tokens'."),
    }
    with endpoint(lambda messages: "好", not_taken=not_taken) as (url, requests):
        assert ask(url, options=ASKED).changed == ("without max_tokens",)
    assert len(requests) == 3


@pytest.mark.parametrize("server", VALUES)
def test_a_value_that_is_refused_ends_with_its_name_and_no_word_of_the_server(server: str) -> None:
    with endpoint(lambda messages: (400, VALUES[server].encode())) as (url, requests):
        with pytest.raises(OptionRefused) as raised:
            ask(url, options=ASKED)
        assert len(requests) == 1
    assert str(raised.value) == "it does not take this value of max_tokens, HTTP 400"
    assert (raised.value.option, raised.value.stops) == ("max_tokens", True)


@pytest.mark.parametrize("server", CONTEXTS)
def test_a_request_that_does_not_fit_is_refused_alone(server: str) -> None:
    with endpoint(lambda messages: (400, CONTEXTS[server].encode())) as (url, _), pytest.raises(CallFailed) as raised:
        ask(url, options=ASKED)
    assert str(raised.value) == "prompt and longest reply do not fit into the model's context, HTTP 400"
    assert (raised.value.refused, raised.value.stops) == (True, False)


def test_an_option_that_is_refused_though_it_was_left_out_is_named() -> None:
    """Staged after MoonshotAI/Kimi-K2#124: the error comes without the option too."""
    body = NOT_TAKEN["Moonshot (opencyvis/opencyvis-phone#12)"][1]
    with endpoint(lambda messages: (400, body.encode())) as (url, requests), pytest.raises(CallFailed) as raised:
        ask(url, options=ASKED)
    assert ["temperature" in request for request in requests] == [True, False]
    assert str(raised.value) == "it names temperature, which it was not sent, HTTP 400"
    assert (raised.value.refused, raised.value.stops) == (True, False), "it may speak of the prompt"
