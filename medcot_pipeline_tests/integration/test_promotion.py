"""Adapters that take over and that do not, over the real chain in the profile `tiny`."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.support.json_files import read_json
from medcot_pipeline_tests.support.chat_endpoint import endpoint
from medcot_pipeline_tests.support.home import Home

pytestmark = pytest.mark.long

WORSE = {"MEDCOT_TRAINING__LEARNING_RATE": "1e-6", "MEDCOT_TRAINING__MAX_TRAIN_TOKENS": "4000"}
BETTER = {"MEDCOT_TRAINING__MAX_TRAIN_TOKENS": "40000"}


@pytest.fixture(scope="module")
def trained(chain: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy of the chain, in which one adapter was trained and promoted; the tests go on where the last one ended."""
    return chain.copy_to(tmp_path_factory.mktemp("promotion"))


def even(messages: list[dict[str, str]]) -> str:
    """A judge to whom all answers are alike."""
    return '{"winner": "tie", "reason": "一样"}'


def judged(url: str) -> dict[str, str]:
    return {"MEDCOT_JUDGE__BASE_URL": url, "MEDCOT_JUDGE__MODEL": "judge-1"}


def promoted(home: Home) -> str:
    """The fingerprint of what the link leads to."""
    return str(read_json(home.data / "promoted" / "qlora_adapter" / "manifest.json")["fingerprint"])


def decided(home: Home) -> Any:
    return read_json(home.current("promotion") / "decision.json")


def report(home: Home) -> Any:
    return read_json(home.current("eval_report") / "report.json")


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_fresh(home: Home, **settings: str) -> bool:
    return "Everything is fresh." in succeed(home.run("medcot", "plan", **settings))


def test_the_first_adapter_is_promoted_against_the_base(trained: Home) -> None:
    assert promoted(trained) == trained.current("qlora_adapter").name
    decision = decided(trained)
    assert (decision["event"], decision["incumbent"]) == ("promoted", None)
    assert {each["against"] for each in decision["requirements"]} == {"base"}
    assert is_fresh(trained)


def test_a_worse_adapter_stays_candidate_and_says_why(trained: Home) -> None:
    before, figures = promoted(trained), report(trained)["perplexity"]
    answers = (trained.current("model_answers") / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    done = trained.run("medcot", "sync", **WORSE)
    succeed(done)
    assert "perplexity ratio against the incumbent: " in done.stderr
    made = re.findall(r"(\w+): published in", done.stderr)
    assert not {"base_perplexity", "base_answers", "base_exams"} & set(made), "the base was measured before"
    assert [made.count(asset) for asset in ("tuned_perplexity", "tuned_answers")] == [1, 1], "and so was the incumbent"
    assert promoted(trained) == before
    decision = decided(trained)
    assert (decision["event"], decision["incumbent"]) == ("stays candidate", before)
    now = report(trained)
    assert now["perplexity"]["base"] == figures["base"], "the base's figures do not depend on who stands beside it"
    beside_now = now["incumbent"]["perplexity"]["incumbent"]["value"]
    assert beside_now == pytest.approx(figures["tuned"]["value"], rel=1e-5), (
        "the incumbent is measured as it was before"
    )
    beside = (trained.current("model_answers") / "incumbent.jsonl").read_text(encoding="utf-8")
    tuned_before = [line.replace('"tuned"', '"incumbent"') for line in answers if '"arm": "tuned"' in line]
    assert beside.splitlines() == tuned_before, "and answers as it did"
    assert is_fresh(trained, **WORSE)


def test_verdicts_of_a_judge_that_fails_its_gates_promote_nothing(trained: Home) -> None:
    before = promoted(trained)
    with endpoint(even) as (url, _):
        succeed(trained.run("medcot", "sync", **BETTER, **judged(url)))
    decision = decided(trained)
    assert (decision["event"], decision["incumbent"]) == ("stays candidate", before)
    preferences = [each for each in decision["requirements"] if each["figure"] == "net preference"]
    assert [(each["value"], each["passed"]) for each in preferences] == [(0.0, False), (0.0, False)]
    assert all("does not pass its gates" in each["problem"]["en"] for each in preferences)
    assert promoted(trained) == before


def test_a_better_adapter_takes_over_and_leaves_everything_fresh(trained: Home) -> None:
    before = promoted(trained)
    succeed(trained.run("medcot", "sync", **BETTER))
    again = trained.run("medcot", "sync", **BETTER)
    assert "Everything is fresh." in succeed(again)
    decision = decided(trained)
    assert (decision["event"], decision["incumbent"]) == ("promoted", before)
    assert [each["n"] for each in decision["requirements"] if each["figure"] == "net preference"] == [0, 0]
    assert promoted(trained) == trained.current("qlora_adapter").name != before
    assert "Against the incumbent" in (trained.current("eval_report") / "report.html").read_text(encoding="utf-8")


def test_a_rollback_promotes_the_adapter_before_and_holds(trained: Home, chain: Home) -> None:
    after, before = promoted(trained), promoted(chain)
    said = succeed(trained.run("medcot", "rollback"))
    assert said.startswith(f"Promoted is {before[:12]} again, and {after[:12]} no more: ")
    assert Path(trained.data / "promoted" / "qlora_adapter" / "adapter_model.safetensors").is_file()
    assert is_fresh(trained, **BETTER)
    again = trained.run("medcot", "rollback")
    assert again.returncode == 1
    assert again.stderr == (
        f"medcot: The promoted adapter {before[:12]} has no predecessor: there is nothing to go back to.\n"
    )
    assert promoted(trained) == before
