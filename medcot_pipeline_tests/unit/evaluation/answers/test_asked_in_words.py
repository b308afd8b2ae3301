"""Whether what a prompt asks in words is what its constraints check, over every shipped prompt with constraints."""

import re
from typing import Any

from medcot_pipeline.evaluation.answers.rules import CONSTRAINT_RULES
from medcot_pipeline.evaluation.answers.rules.words import texts
from medcot_pipeline.records.prompts import Prompt, read_prompts
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.settings.load import project_root

FOLDER = project_root() / AnswerSettings().prompts.parent
PROMPTS = [
    *read_prompts(FOLDER / "instruction_following.jsonl"),
    *read_prompts(FOLDER / "general_instructions.jsonl", None, "general"),
]
LISTS = {"numbered_items", "exact_items"}
COUNTED = {*LISTS, "exact_sentences", "json_list"}
ASKS: dict[str, set[str]] = {
    r"不超过\s*\d+\s*个?字|\d+个?字以内|(?:no more than|at most) \d+ characters": {"max_chars"},
    r"at most \d+ words|in one word|一个英文单词": {"max_words"},
    r"一句话|[两三]句话|sentences?\b": {"exact_sentences"},
    r"恰好|exactly": {*COUNTED, "one_of"},
    r"编号列表|numbered": {"numbered_items"},
    r"(?<!编号)列表|\ba list\b": LISTS,
    r"分步骤": {"min_numbered_items"},
    r"JSON对象|JSON object": {"json_keys"},
    r"JSON数组|JSON array": {"json_list"},
    r"Markdown": {"table_columns"},
    r"不要出现|不要在回答中出现|不要推荐|without using|[Dd]o not use": {"must_not_contain"},
    r"(?<!不)要出现|提到|写明|写出|包含": {"must_contain"},
    r"[Ii]ncludes? the words?|(?<!not )use the word|[Mm]ention the word": {"must_contain"},
    r"提醒不要": {"warns_against"},
    r"一个数字|the number only": {"number"},
    r"只回答“|只回答这个|只回答一个字|exactly one of these|the Chinese word only": {"one_of"},
    r"开头|begins? with": {"begins_with"},
    r"结尾|ends with": {"ends_with"},
    r"用中文|用英文写": {"language"},
    r"排列|Sort|alphabetical": {"in_order"},
    r"capital letters|lower case": {"letter_case"},
    r"阿拉伯数字|in digits": {"must_contain"},
}
"""A wording, and the rules of which one must be there."""
HAN = {"一": 1, "两": 2, "三": 3}
ENGLISH = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
NUMBERS = {
    r"不超过\s*(\d+)\s*个?字|(\d+)个?字以内|(?:no more than|at most) (\d+) characters": {"max_chars"},
    r"at most (\d+) words": {"max_words"},
    r"(一|两|三)句话|exactly (one|two|three) (?:numbered )?sentences?": {"exact_sentences"},
    r"(?:恰好列出|恰好给出|恰好|恰好有)(\d)(?:条|项|种|步)|exactly (one|two|three|four|five)(?! of| sentence)": COUNTED,
}
LEFT_TO_JUDGE_AND_PEOPLE = {
    "小学文化": {"zh-019"},
    "打一个比方": {"zh-027"},
    "通俗的话": {"zh-043"},
    "语气温和": {"zh-058"},
    "teenager": {"en-019"},
    "nervous": {"en-027"},
}
"""For whom and in what tone: no program tells, so it is no constraint; the page of the prompts names them."""


def values(prompt: Prompt, rules: set[str]) -> list[Any]:
    return [each["value"] for each in prompt.constraints if each["rule"] in rules]


def rules_of(prompt: Prompt) -> set[str]:
    return {each["rule"] for each in prompt.constraints}


def value_of(number: str) -> int:
    return HAN.get(number) or ENGLISH.get(number) or int(number)


def test_what_a_prompt_asks_in_words_is_checked() -> None:
    unchecked = [
        (prompt.id, words)
        for prompt in PROMPTS
        for words, rules in ASKS.items()
        if re.search(words, prompt.prompt) and not rules & rules_of(prompt)
    ]
    assert unchecked == []


def test_a_prompt_without_constraints_has_no_wording_of_one() -> None:
    wording = re.compile(
        r"不超过|以内|字数|恰好|编号|列表|步骤|JSON|表格|只回答|只输出|必须提到|不要出现|[一两三]句话|开头|结尾|“[^”]+”(?:这个词|一词|字)"
        r"|at most|no more than|exactly|numbered|JSON|table\b|\bword\b|characters|sentences?\b|only with|\bone of",
        re.IGNORECASE,
    )
    assert [prompt.id for prompt in PROMPTS if not prompt.constraints and wording.search(prompt.prompt)] == []


def test_what_is_checked_was_asked_in_words() -> None:
    unasked = {}
    for prompt in PROMPTS:
        asked = {rule for words, rules in ASKS.items() if re.search(words, prompt.prompt) for rule in rules}
        right_answer = {"must_contain"} if prompt.set == "general" else set()
        unasked[prompt.id] = rules_of(prompt) - asked - right_answer
    assert {name: rules for name, rules in unasked.items() if rules} == {}


def test_the_number_that_is_asked_is_the_number_that_is_checked() -> None:
    other = [
        (prompt.id, match.group())
        for prompt in PROMPTS
        for words, rules in NUMBERS.items()
        for match in re.finditer(words, prompt.prompt)
        if value_of(next(group for group in match.groups() if group)) not in values(prompt, rules)
    ]
    assert other == []


def test_the_text_that_is_checked_stands_in_the_prompt() -> None:
    """But for further forms of a forbidden word, and for the right answers of general instructions."""
    unsaid = []
    for prompt in PROMPTS:
        for rule in ("must_contain", "must_not_contain", "warns_against", "json_keys", "table_columns", "begins_with"):
            for value in values(prompt, {rule}):
                said = texts(value)[:1] if rule == "must_not_contain" else texts(value)
                unsaid += [(prompt, rule, text) for text in said if text not in prompt.prompt]
    assert [each for each in unsaid if each[0].set == "instructions" or each[1] != "must_contain"] == []


def test_what_no_program_tells_is_named_and_carries_no_constraint() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for words, ids in LEFT_TO_JUDGE_AND_PEOPLE.items():
        assert {prompt.id for prompt in PROMPTS if words in prompt.prompt} == ids
        assert all(f"`{each}`" in page for each in ids)


def test_every_rule_is_asked_by_a_prompt() -> None:
    assert {each["rule"] for prompt in PROMPTS for each in prompt.constraints} == set(CONSTRAINT_RULES)


def test_a_same_day_visit_is_no_emergency() -> None:
    emergencies = {prompt.id for prompt in PROMPTS if prompt.emergency}
    assert not {"zh-025", "en-015"} & emergencies
    assert {"zh-002", "zh-033", "en-003", "en-023"} <= emergencies
