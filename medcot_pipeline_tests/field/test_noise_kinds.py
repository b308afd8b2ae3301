"""Noise that people find in reasoning data: each kind is counted under its own name, and medical text is no noise."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medcot_pipeline.corpus.normalize import converted, generated
from medcot_pipeline.corpus.normalize.table import NormalizedCorpus, normalize_rows
from medcot_pipeline.settings import NoiseActions, NormalizeSettings
from medcot_pipeline_tests.support.noise_rules import RESIDUE

QUESTION = "男，45岁，反复上腹痛3年，夜间加重，进食后缓解，最可能的诊断是什么？"
REASONING = "夜间痛、进食后缓解，这更像十二指肠的问题。再看病程，也符合。"
ANSWER = "最可能是十二指肠溃疡。"
ENGLISH = "The pain at night that is relieved by food points to the duodenum, and the course fits that as well."
TRADITIONAL = "夜間疼痛加劇，進食後緩解，這種節律較符合十二指腸潰瘍；應檢查幽門螺旋桿菌。"
LOOP = "所以应该考虑溃疡的可能。"


def normalized(actions: NoiseActions | None = None, /, **fields: str) -> NormalizedCorpus:
    row = {"row_id": "r", "question": QUESTION, "reasoning": REASONING, "answer": ANSWER, **fields}
    return normalize_rows(pl.DataFrame([row]), NormalizeSettings(actions=actions or NoiseActions()))


def found(**fields: str) -> set[str]:
    """Every rule that speaks of the row: the one that drops it, or the flags it stays with."""
    outcome = normalized(**fields)
    return {*outcome.removed["reason"], *outcome.rows["flags"].explode().drop_nulls()}


NOISE = [
    *(("placeholder", {"answer": text}) for text in ("nan", "NaN", "None", "null", "N/A", "[n/a]", "#N/A", "暂无答案")),
    ("placeholder", {"reasoning": "None"}),
    ("placeholder", {"question": "nan"}),
    ("placeholder", {"answer": "{{answer}}"}),
    ("placeholder", {"answer": "最可能的诊断是{{ diagnosis_name }}。"}),
    ("placeholder", {"answer": "The answer is {answer}."}),
    ("placeholder", {"reasoning": f"{REASONING}${{response}}"}),
    ("mojibake_left", {"answer": "锟斤拷锟斤拷，十二指肠溃疡。"}),
    ("mojibake_left", {"answer": "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"}),
    ("mojibake_left", {"reasoning": f"{REASONING}æ£è ï¼ç·ï¼å²"}),
    ("mojibake_left", {"reasoning": f"{REASONING}夜间痛\ufffd佽繘椋熷悗缂撹В锛岃繖鏇村儚鍗佷簩鎸囪偁"}),
    ("replacement_characters", {"answer": "最可能是十二指\ufffd溃疡。"}),
    ("html", {"answer": '<a href="http://x">十二指肠溃疡</a>'}),
    ("html", {"answer": "<h3>诊断</h3>十二指肠溃疡"}),
    ("html", {"reasoning": f"<pre><code>{REASONING}</code></pre>"}),
    ("html", {"answer": "十二指肠溃疡&nbsp 可能性大"}),
    ("html", {"answer": "<!-- 答案 -->十二指肠溃疡。"}),
    ("chat_headings", {"reasoning": f"## Thinking\n\n{REASONING}"}),
    ("chat_headings", {"reasoning": f"{REASONING}\n\n## Final Response\n\n{ANSWER}"}),
    ("chat_headings", {"answer": f"### Response:\n{ANSWER}"}),
    ("chat_headings", {"answer": f"{ANSWER}\n\n### Instruction: 下一题"}),
    ("chat_headings", {"question": f"Human: {QUESTION}\n\nAssistant:"}),
    ("chat_headings", {"answer": f"Assistant: {ANSWER}"}),
    ("chat_headings", {"answer": f"{ANSWER}\n\nHuman: 还有别的可能吗？"}),
    *(
        ("chat_tokens", {"answer": f"{mark}{ANSWER}"})
        for mark in ("[INST]", "[/INST]", "<<SYS>>", "<s>", "</s>", "<answer>", "<thinking>", "<|eot_id|>", "<eos>")
    ),
    ("chat_tokens", {"answer": f"{ANSWER}</answer>"}),
    ("chat_tokens", {"answer": f"{ANSWER}&lt;/s&gt;"}),
    ("refusal", {"answer": "I'm sorry, but I can't assist with that."}),
    ("refusal", {"answer": "As an AI language model, I cannot provide a diagnosis."}),
    ("refusal", {"answer": "I cannot provide medical advice. Please see a doctor."}),
    ("refusal", {"answer": "Sorry, I am unable to answer this question."}),
    ("refusal", {"answer": "很抱歉，我无法回答这个问题。"}),
    ("refusal", {"answer": "作为一个AI语言模型，我不能提供医疗诊断。"}),
    ("refusal", {"reasoning": "抱歉，无法提供与此相关的推理过程。"}),
    ("error_message", {"answer": "Error: 429"}),
    ("error_message", {"answer": "Error code: 429 - {'error': {'message': 'Rate limit reached'}}"}),
    ("error_message", {"answer": "openai.RateLimitError: Error code: 429"}),
    ("error_message", {"reasoning": 'HTTP 503: {"error": "overloaded"}'}),
    ("error_message", {"answer": '{"error": {"message": "insufficient_quota"}}'}),
    ("error_message", {"answer": "Request timed out."}),
    ("error_message", {"answer": "502 Bad Gateway"}),
    ("error_message", {"answer": "请求过于频繁，请稍后再试"}),
    ("repetition", {"reasoning": REASONING + LOOP * 60}),
    ("repetition", {"reasoning": LOOP * 60 + REASONING}),
    ("repetition", {"answer": "The patient may have an ulcer. " * 60}),
    ("repetition", {"reasoning": f"{REASONING}{'溃疡和' * 60}"}),
    ("copied_field", {"reasoning": ANSWER}),
    ("copied_field", {"answer": QUESTION}),
    ("copied_field", {"reasoning": QUESTION}),
    ("copied_field", {"answer": f"{ENGLISH} So it is an ulcer.", "reasoning": ENGLISH}),
    ("literal_escapes", {"reasoning": f"{REASONING}\\n\\n所以是溃疡。"}),
    ("literal_escapes", {"answer": "A. 溃疡\\nB. 胃炎"}),
    ("literal_escapes", {"answer": "\\u6700\\u53ef\\u80fd是溃疡。"}),
    ("traditional_characters", {"reasoning": TRADITIONAL}),
]


@pytest.mark.parametrize(("rule", "fields"), NOISE)
def test_each_kind_of_noise_is_counted_under_its_name(rule: str, fields: dict[str, str]) -> None:
    """Staged after gururise/AlpacaDataCleaned#32 (`<nooutput>`), tatsu-lab/stanford_alpaca#265 (empty outputs),
    AoiDragon/HADES#5 (refusals in generated data), buildship-ai/rowy#1263 (error 429 in a batch of generations),
    zhihaiLLM/wisdomInterrogatory#4 (`</s>Human:`), IDEA-Research/Rex-Thinker#11 (`<answer>` in the text).
    """
    assert rule in found(**fields)


MEDICINE = [
    {"answer": "None of the above."},
    {"answer": "None."},
    {"answer": "无"},
    {"answer": "NA, or noradrenaline, is N/A to this case: the pressure is normal."},
    {"answer": "The sodium (Na) is low; the potassium is not available (N/A) here."},
    {"answer": "肿物<3 cm，P<0.05，a<b>c，PaO2<60mmHg且PaCO2>50mmHg，<s>50%。".replace("<s>", "<")},
    {"answer": "CD4<200/μl & CD8>500/μl；Q&A见下；R&D部门。"},
    {"answer": "$\\nu$、$\\text{mmHg}$、$\\times 10^{9}$、$\\rho$、$\\neq$、$\\nRightarrow$、$\\xi$、$\\tau$。"},
    {"answer": "$\\frac{{a}}{{b}}$，$\\mathrm{{mmol}}$，$x_{input}$，集合{A, B}。"},
    {"answer": "Refractive error: 429 eyes were examined. An error of measurement is common."},
    {"answer": "Medical errors: 500 cases were reported."},
    {"answer": "The surgical assistant closes the wound. Human: albumin is used.\nMouse: antibodies end in -omab."},
    {"answer": "系统性异常：系统异常放电可见于癫痫。网络状结构异常。"},
    {"answer": "I am sorry to hear that. The patient cannot swallow, so a tube is placed."},
    {"answer": "Unfortunately, he cannot walk. I would order an MRI."},
    {"answer": "很抱歉听到这个消息。患者无法进食，应给予肠外营养。"},
    {"answer": "患者无法回答问题，提示意识障碍。我们不能排除脑出血。"},
    {"answer": "Ménière’s disease – “naïve” T cells, Sjögren’s, Guillain–Barré, 37°C ± 0.5, 5×10⁹, ×², Ø3mm, ½, 10µg."},
    {"answer": "癥瘕积聚，尪痹，薢草，噁唑烷酮。"},
    {"answer": "体温38℃。" * 9},
    {"answer": "## 诊断\n\n十二指肠溃疡\n\n## 治疗\n\n质子泵抑制剂\n\n### Treatment\n\nThinking of H. pylori, test."},
    {"answer": "答案：B。\n\n**Answer:** B. Reasoning: the pain at night."},
    {"answer": "血红蛋白100000000000000"},
]


@pytest.mark.parametrize("fields", MEDICINE)
def test_medical_text_that_only_looks_like_noise_is_none(fields: dict[str, str]) -> None:
    """Staged after promptfoo/promptfoo#9793: apologies and limits in helpful answers were taken for refusals."""
    assert not found(**fields) & set(RESIDUE)


@pytest.mark.parametrize("rule", RESIDUE)
def test_every_kind_has_an_action_by_setting_and_a_count_with_an_example(rule: str) -> None:
    """Staged after field reports: what one team drops, another wants to look at first."""
    fields = next(fields for name, fields in NOISE if name == rule)
    counts = {each["rule"]: each for each in normalized(**fields).rules}
    assert counts[rule]["rows"] == 1 and counts[rule]["example_before"]
    kept = NoiseActions().model_copy(update=dict.fromkeys(NoiseActions.model_fields, "ignore"))
    for action in ("drop", "flag", "ignore"):
        outcome = normalized(kept.model_copy(update={rule: action}), **fields)
        assert outcome.removed["reason"].to_list() == ([rule] if action == "drop" else [])
        assert outcome.rows["flags"].to_list() == {"drop": [], "flag": [[rule]], "ignore": [[]]}[action]


def test_traditional_characters_are_noted_and_never_converted() -> None:
    """Staged after field reports: 癥瘕 became 症瘕, another term, when a corpus was converted."""
    assert normalized(reasoning=TRADITIONAL).rows["reasoning"].to_list() == [TRADITIONAL]


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("I&#39;m 65, BP &#60; 90&#x2f;60", "I'm 65, BP < 90/60"),
        ("38.5&#8451;，10&#x2079;/L", "38.5℃，10⁹/L"),
        ("a &amp;lt; b &amp;amp;gt; c", "a < b > c"),
        ("a &amp;#39;b&amp;amp;#39;", "a 'b'"),
        ("AT&T; &#xyz; &#; &#99999999;", "AT&T; &#xyz; &#; &#99999999;"),
    ],
)
def test_numeric_and_twice_escaped_entities_are_what_they_stand_for(read: str, meant: str) -> None:
    """Staged after TuringApp/Turing#24: HTML entities were escaped twice."""
    assert normalized(answer=read).rows["answer"].to_list() == [meant]


PIECES = st.lists(
    st.sampled_from([*"<>&\\/{}[]#：:。，\n nuAB3", "患者", "answer", "Human", "Error", "429", "&#39", "</", "I can"]),
    max_size=30,
).map("".join)


@given(PIECES, PIECES, PIECES)
@settings(max_examples=300, deadline=None)
def test_no_text_makes_a_search_fail_or_show_what_is_not_there(question: str, reasoning: str, answer: str) -> None:
    """Staged after field reports: one odd row ended a run over a million."""
    texts = (question, reasoning, answer)
    for find in (
        generated.placeholder,
        generated.chat_tokens,
        generated.chat_headings,
        converted.html,
        generated.refusal,
    ):
        shown = find(texts)
        assert shown in "\n".join(texts) or shown.split(" is ")[-1] in texts
