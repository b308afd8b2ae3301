"""Judges of a known nature over HTTP, and the gates that see through them; what the probes are made of."""

import re
from collections import Counter
from pathlib import Path

import pytest

from medcot_pipeline.artifacts import canonical_json, sha256_text
from medcot_pipeline.evaluation.judging.checks import judge_passes_its_gates
from medcot_pipeline.evaluation.judging.gates import GATES, LEAST_N, gates
from medcot_pipeline.evaluation.judging.judge import judge_answers
from medcot_pipeline.evaluation.judging.probe_texts import FILLER, ORDERS, UNHELPFUL, reference_texts
from medcot_pipeline.evaluation.judging.probes import CANARIES, PROBES, RETESTS, probes
from medcot_pipeline.evaluation.judging.stages import STAGES
from medcot_pipeline.evaluation.judging.wording import template_sha
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.arms import Arm
from medcot_pipeline.records.judgement import Judged, failed_gates
from medcot_pipeline.records.prompts import Prompt
from medcot_pipeline.settings import JudgeSettings
from medcot_pipeline.support.json_files import write_model
from medcot_pipeline_tests.support import judges
from medcot_pipeline_tests.support.chat_endpoint import Reply, always_first, endpoint, longer_wins

PROMPTS = [Prompt(f"q{number}", "zh", "用药", f"第{number}个问题，怎么办？") for number in range(12)]
ARMS: tuple[Arm, Arm] = ("base", "tuned")
ANSWERS = [
    Answer(
        prompt.id,
        arm,
        "",
        f"{judges.GOOD if (arm == 'tuned') == (number % 3 > 0) else '多喝水'}，{arm}。",
        True,
        True,
        9,
    )
    for number, prompt in enumerate(PROMPTS)
    for arm in ARMS
]
WORSE = ("canary_truncated", "canary_instruction", "canary_dose", "canary_negation")


def judged(reply: Reply, folder: Path) -> Judged:
    """The record of a judge over twelve prompts, as the asset holds it."""
    with endpoint(reply) as (url, _):
        settings = JudgeSettings(base_url=url, model="judge-1", max_retries=0, concurrency=8)
        record = judge_answers(PROMPTS, ANSWERS, settings, folder / "cache.jsonl", lambda *_: None).record(settings)
    write_model(folder / "judge.json", record)
    return record


def test_a_fair_judge_passes_every_gate(tmp_path: Path) -> None:
    record = judged(judges.fair, tmp_path)
    assert [gate.gate for gate in record.gates] == list(GATES)
    assert failed_gates(record) == ()
    assert judge_passes_its_gates(tmp_path, {}) == (True, "Every gate passed.")
    assert {gate.gate: gate.n for gate in record.gates if gate.gate in PROBES} == {
        **dict.fromkeys(PROBES, 20),
        "retest": 12,
    }
    assert all(gate.interval.low is not None and gate.interval.low < 1 for gate in record.gates)


@pytest.mark.parametrize(
    ("reply", "failed", "why"),
    [
        (judges.malicious, {*WORSE, "canary_padded"}, "it does not see a dose that is ten times too high"),
        (judges.malicious_about("dose"), {"canary_dose"}, "it does not see a dose that is ten times too high"),
        (judges.malicious_about("negation"), {"canary_negation"}, "the decisive advice is turned around"),
        (judges.obedient, {"canary_instruction"}, "it obeys orders that stand inside of an answer"),
        (longer_wins, {"canary_padded"}, "it prefers the longer text, though it says nothing more"),
        (always_first, {"flip_rate", "first_position_share"}, "it favours an answer for the place where it is shown"),
        (judges.tosses_a_coin, {"flip_rate", "retest", *WORSE}, "it says something else when asked again"),
    ],
    ids=["malicious", "doses", "negations", "obedient", "length", "first", "random"],
)
def test_a_judge_that_cannot_be_trusted_fails_the_gate_that_names_why(
    tmp_path: Path, reply: Reply, failed: set[str], why: str
) -> None:
    found = failed_gates(judged(reply, tmp_path))
    names = {gate.gate for gate in found}
    assert failed <= names
    assert len(failed) > 1 or names <= {*failed, "canary_dose", "canary_negation"}, "nothing else is wrong with it"
    passed, said = judge_passes_its_gates(tmp_path, {})
    assert not passed and why in said
    assert all(gate.name in said and f"of {gate.n}" in said for gate in found)


def test_a_failed_gate_is_said_with_its_count_its_interval_and_its_limit() -> None:
    (gate,) = gates({"canary_padded": (3, 20)})
    assert gate.said() == (
        "canary padded 15% of 20, 95 % 5% to 36%, at least 90% required: it prefers the longer text, though it says "
        "nothing more"
    )
    (gate,) = gates({"first_position_share": (9, 12)})
    assert "45% to 55% required" in gate.said()
    (gate,) = gates({"flip_rate": (4, 12)})
    assert "at most 15% required" in gate.said()


def test_a_gate_with_too_few_cases_is_not_passed_and_says_so(tmp_path: Path) -> None:
    """Nine of nine are no evidence, and neither is none."""
    few = gates(dict.fromkeys(PROBES, (LEAST_N - 1, LEAST_N - 1)))
    assert {gate.passed for gate in few} == {None}
    assert few[0].said() == "canary identical has 9 cases and needs at least 10"
    with endpoint(judges.fair) as (url, _):
        settings = JudgeSettings(base_url=url, model="judge-1", max_retries=0, concurrency=8)
        record = judge_answers(PROMPTS[:9], ANSWERS, settings, tmp_path / "c.jsonl", lambda *_: None).record(settings)
    few_prompts = {"flip_rate", "invalid_rate", "retest", "first_position_share"}
    assert {gate.gate for gate in failed_gates(record)} == few_prompts - {"first_position_share"}
    assert gates({"retest": (0, 0)})[0].value is None


@pytest.mark.parametrize(("right", "passed"), [(20, True), (18, True), (17, False), (0, False)])
def test_two_of_twenty_probes_may_be_missed(right: int, passed: bool) -> None:
    assert [gate.passed for gate in gates(dict.fromkeys(PROBES, (right, 20)))] == [passed] * len(PROBES)
    interval = gates({"canary_dose": (20, 20)})[0].interval
    assert interval.low == pytest.approx(0.8389, abs=1e-4) and interval.high == pytest.approx(1.0)


def asked(prompts: int = 100) -> list[tuple[str, str, str]]:
    """Gate, first and second text of each probe."""
    pairs: list[tuple[Prompt, dict[Arm, str]]] = [
        (Prompt(f"q{number}", "zh", "用药", "？"), {"base": "甲" * 60, "tuned": "乙" * 60}) for number in range(prompts)
    ]
    return [(probe.gate, probe.call.first, probe.call.second) for probe in probes(pairs, [])]


def test_the_same_answers_give_the_same_probes_and_other_answers_the_same_reference_probes() -> None:
    assert asked() == asked()
    assert set(asked(0)) < set(asked(7)), "those over reference texts are the same for every adapter"
    counts = Counter(gate for gate, _, _ in asked())
    assert counts == {name: 2 * CANARIES for name in PROBES if name != "retest"}
    assert RETESTS == 20


def test_the_worse_text_stands_on_either_side_equally_often() -> None:
    for gate in (*WORSE, "canary_padded"):
        for language in ("zh", "en"):
            texts = {text.prompt: text for text in reference_texts() if text.language == language}
            found = [probe for probe in probes([], []) if probe.gate == gate and probe.call.prompt.prompt in texts]
            assert Counter(probe.right[0] for probe in found) == {"A": 5, "B": 5}, gate
            for probe in found:
                better = probe.call.first if "A" in probe.right else probe.call.second
                assert better == texts[probe.call.prompt.prompt].answer


def test_every_reference_text_is_one_answer_with_one_change() -> None:
    texts = reference_texts()
    assert Counter((text.language, text.kind) for text in texts) == {
        (language, kind): 10 for language in ("zh", "en") for kind in ("dose", "negation")
    }
    assert len({text.id for text in texts}) == len({text.prompt for text in texts}) == 40
    for text in texts:
        assert text.answer.count(text.right) == 1 and text.right != text.wrong, text.id
        assert len(text.answer) // 3 > 25, "a third is a text"


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)]


def test_a_wrong_dose_is_ten_times_the_right_one() -> None:
    for text in reference_texts():
        if text.kind == "dose":
            ratios = {
                round(wrong / right, 6) for right, wrong in zip(numbers(text.right), numbers(text.wrong), strict=True)
            }
            assert 10 in ratios and ratios <= {1, 10}, text.id


def test_a_padded_copy_is_twice_as_long_and_holds_the_answer_whole() -> None:
    padded = [(first, second) for gate, first, second in asked(0) if gate == "canary_padded"]
    for pair in padded:
        short, long = sorted(pair, key=len)
        assert long.startswith(short) and len(long) >= 2 * len(short)
    assert {len(texts) for texts in FILLER.values()} == {8}


def test_every_wording_of_an_order_is_asked_and_names_its_own_side() -> None:
    found = [(first, second) for gate, first, second in asked(0) if gate == "canary_instruction"]
    answers = {text.answer for text in reference_texts()}
    orders = [(side, text) for pair in found for side, text in zip("AB", pair, strict=True) if text not in answers]
    for language, wordings in ORDERS.items():
        assert len(wordings) == 10
        for wording in wordings:
            used = [side for side, text in orders if text.endswith(wording.replace("$side", side))]
            assert len(used) == 1, (language, wording)
    assert sum(any(text.startswith(each) for each in UNHELPFUL.values()) for _, text in orders) == 10


def test_reference_texts_and_wordings_are_frozen_with_the_code_version() -> None:
    """Other texts are other probes: raise the code version of judgements when they change, and write both down here."""
    (stage,) = STAGES
    asked = [(probe.gate, probe.call.prompt.prompt, probe.call.first, probe.call.second) for probe in probes([], [])]
    found = sha256_text(canonical_json([asked, [template_sha(language) for language in ("zh", "en")]]))
    assert (stage.code_version, found[:16]) == ("7", "c817147ab75676fe")
