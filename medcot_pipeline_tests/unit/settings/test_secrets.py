import json
import traceback
from pathlib import Path

import pytest

from medcot_pipeline.settings import Settings, load_settings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.profiles import complaint, profile

SECRET = "sk-geheim-4711"


@pytest.fixture
def with_secret(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("MEDCOT_JUDGE__API_KEY", SECRET)
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("MEDCOT_JUDGE__MODEL", "judge-1")
    return load_settings("demo")


def test_the_key_of_the_judge_is_read(with_secret: Settings) -> None:
    assert with_secret.judge.api_key.get_secret_value() == SECRET


@pytest.mark.parametrize("show", [repr, str, lambda s: json.dumps(s.model_dump(mode="json")), Settings.model_dump_json])
def test_the_key_of_the_judge_is_never_shown(with_secret: Settings, show: object) -> None:
    assert callable(show)
    assert SECRET not in show(with_secret)


def test_the_key_of_the_judge_is_not_in_the_traceback_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOT_JUDGE__API_KEY", SECRET)
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(MedcotError) as raised:
        load_settings("demo")
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("key", ["sk-very-secret", "4711"])
def test_a_secret_in_a_profile_is_refused_without_being_shown(tmp_path: Path, key: str) -> None:
    message = complaint(profile(tmp_path, f"judge: {{api_key: {key}}}"))
    assert message.endswith("judge.api_key is a secret. Set MEDCOT_JUDGE__API_KEY instead.")
    assert key not in message
    message = complaint(profile(tmp_path, f"judge: {{second: {{api_key: {key}}}}}"))
    assert message.endswith("judge.second.api_key is a secret. Set MEDCOT_JUDGE__SECOND__API_KEY instead.")
    assert key not in message
    message = complaint(profile(tmp_path, f"answers: {{endpoint: {{api_key: {key}}}}}"))
    assert message.endswith("endpoint.api_key is a secret. Set MEDCOT_ANSWERS__ENDPOINT__API_KEY instead.")
    assert key not in message


KEYS = ("MEDCOT_JUDGE__API_KEY", "MEDCOT_JUDGE__SECOND__API_KEY", "MEDCOT_ANSWERS__ENDPOINT__API_KEY")


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {} "])
def test_a_key_is_read_without_the_line_end_that_a_file_leaves(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    for variable in KEYS:
        monkeypatch.setenv(variable, around.format(SECRET))
        monkeypatch.setenv(variable.replace("API_KEY", "BASE_URL"), "http://127.0.0.1:1/v1")
    for name in (
        "JUDGE__MODEL",
        "JUDGE__SECOND__MODEL",
        "ANSWERS__ENDPOINT__BASE_MODEL",
        "ANSWERS__ENDPOINT__TUNED_MODEL",
    ):
        monkeypatch.setenv(f"MEDCOT_{name}", name)
    monkeypatch.setenv("MEDCOT_ANSWERS__BACKEND", "endpoint")
    monkeypatch.setenv("MEDCOT_AUTOMATION__WEBHOOK_URL", around.format(f"https://hook.example.org/{SECRET}"))
    settings = load_settings("demo")
    read = (settings.judge.api_key, settings.judge.second.api_key, settings.answers.endpoint.api_key)
    assert {key.get_secret_value() for key in read} == {SECRET}
    assert settings.automation.webhook_url.get_secret_value() == f"https://hook.example.org/{SECRET}"


@pytest.mark.parametrize("variable", [*KEYS, "MEDCOT_AUTOMATION__WEBHOOK_URL"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"“{SECRET}”", "it holds a character outside of ASCII, such as a curly quote from a word processor"),
        (f"{SECRET}\u200b", "it holds a character outside of ASCII, such as a curly quote from a word processor"),
        (f"{SECRET}\n{SECRET}", "it holds a blank, a line end or another character that cannot be sent"),
        (f"Bearer {SECRET}", "it holds a blank, a line end or another character that cannot be sent"),
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_by_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, key: str, said: str
) -> None:
    monkeypatch.setenv(variable, key)
    with pytest.raises(MedcotError) as raised:
        load_settings("demo")
    setting = variable.removeprefix("MEDCOT_").lower().replace("__", ".")
    assert str(raised.value) == f"Setting {setting}: {said} (from {variable})."
    assert SECRET not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"https://user:{SECRET}@judge.example.org/v1", "a key goes into api_key"),
        (f"https://{SECRET}@judge.example.org/v1", "a key goes into api_key"),
        (f"https://judge.example.org/v1?key={SECRET}", "a key goes into api_key"),
        ("judge.example.org/v1", "it begins with http:// or https://"),
        ("“https://judge.example.org/v1”", "it begins with http:// or https://"),
        ("https://judge.example.org:port/v1", "base_url is no web address"),
        ("https://[judge/v1", "base_url is no web address"),
        ("https://judge.example.org/ v1", "base_url is no web address"),
    ],
)
def test_an_address_that_holds_a_secret_or_is_none_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("MEDCOT_JUDGE__BASE_URL", url)
    monkeypatch.setenv("MEDCOT_JUDGE__MODEL", "judge-1")
    with pytest.raises(MedcotError) as raised:
        load_settings("demo")
    assert said in str(raised.value)
    assert "MEDCOT_JUDGE__BASE_URL" in str(raised.value)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
