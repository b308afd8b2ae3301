from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.evaluation.answers.rules.lists import count_items
from medcot_pipeline_tests.unit.evaluation.answers.rules.checking import ZERO_WIDTH, passes

NUMBERED = [
    "1. 休息\n2. 吸氧\n3. 就医",
    "1、休息\n2、吸氧\n3、就医",
    "1、休息\n2.吸氧\n3）就医",
    "1:休息\n2:吸氧\n3:就医",
    "1：休息\n2：吸氧\n3：就医",
    "1，休息\n2，吸氧\n3，就医",
    "1) Rest\n2) Ice\n3) See a doctor",
    "1: Rest\n2: Ice\n3: See a doctor",
    "1 - Rest\n2 - Ice\n3 – See a doctor",
    "1\\. Rest\n2\\. Ice\n3\\. See a doctor",
    "１．休息\n２．吸氧\n３．就医",
    "（1）休息\n（2）吸氧\n（3）就医",
    "（一）休息\n（二）吸氧\n（三）就医",
    "[1] Rest\n[2] Ice\n[3] See a doctor",
    "【1】休息\n【2】吸氧\n【3】就医",
    "①休息\n②吸氧\n③就医",
    "❶休息\n❷吸氧\n❸就医",
    "⑴休息\n⑵吸氧\n⑶就医",
    "⒈休息\n⒉吸氧\n⒊就医",
    "Ⅰ. 休息\nⅡ. 吸氧\nⅢ. 就医",
    "I. Rest\nII. Ice\nIII. See a doctor",
    "1️⃣ 休息\n2️⃣ 吸氧\n3️⃣ 就医",
    "1\u20e3休息\n2\u20e3吸氧\n3\u20e3就医",
    "一、休息\n二、吸氧\n三、就医",
    "一是休息；\n二是吸氧；\n三是就医。",
    "第一步：休息\n第二步：吸氧\n第三步：就医",
    "第1步 休息\n第2步 吸氧\n第3步 就医",
    "第一，休息；\n第二，吸氧；\n第三，就医。",
    "步骤1：休息\n步骤2：吸氧\n步骤3：就医",
    "步骤一 休息\n步骤二 吸氧\n步骤三 就医",
    "Step 1: Rest\nStep 2: Ice\nStep 3: See a doctor",
    "step one - Rest\nstep two - Ice\nstep three - See a doctor",
    "**Step 1**: Rest\n**Step 2**: Ice\n**Step 3**: See a doctor",
    "Tip #1: Rest\nTip #2: Ice\nTip #3: See a doctor",
    "#1 Rest\n#2 Ice\n#3 See a doctor",
    "### 1. Rest\nLie down.\n### 2. Ice\nTen minutes.\n### 3. Doctor\nToday.",
    "### Step 1\nRest.\n### Step 2\nIce.\n### Step 3\nSee a doctor.",
    "**1. 休息**\n- 卧床\n- 避免情绪激动\n**2. 吸氧**\n2.5 L/min\n**3. 就医**",
    "**1.** Rest\n**2.** Ice\n**3.** See a doctor",
    "> 1. Rest\n> 2. Ice\n> 3. See a doctor",
    "- 1. Rest\n- 2. Ice\n- 3. See a doctor",
    "Here you go:\n\n1. Rest\n\n2. Ice\n\n3. See a doctor\n\nGet well soon!",
    "建议如下：\n  1．休息\n  2．吸氧\n  3．就医\n以上。",
    "1. Rest\r\n2. Ice\r\n3. See a doctor",
    "1. Rest\u20282. Ice\u20283. See a doctor",
    "1. Rest<br>2. Ice<br/>3. See a doctor",
    "\ufeff1. Rest\n\u200b2. Ice\n3\u200b. See a doctor",
    "1.\n休息\n2.\n吸氧\n3.\n就医",
    "1. Rest\n   1. in bed\n   2. in the dark\n2. Ice\n3. See a doctor",
    "1. Rest\n1) in bed\n2) in the dark\n2. Ice\n3. See a doctor",
    "1. a 2. b 3. c",
    "1. Rest 2. Ice 3. See a doctor.",
    "1.休息2.吸氧3.就医",
    "1、休息；2、吸氧；3、就医。",
    "建议：①休息；②吸氧；③就医。",
    "建议（1）休息，（2）吸氧，（3）就医。",
    "建议：一是休息，二是吸氧，三是就医。",
    "第一，休息；第二，吸氧；第三，就医。",
    "Step 1: rest. Step 2: ice. Step 3: see a doctor.",
    "1️⃣休息 2️⃣吸氧 3️⃣就医",
    "1. Rest 2. Ice\n3. See a doctor",
    "1 休息\n2 吸氧\n3 就医",
    "1 Rest\n2 Ice\n3 See a doctor",
    "1。休息\n2。吸氧\n3。就医",
    "1. Rest\n\n   Lie down.\n\n2. Ice\n\n3. See a doctor",
    "1. Rest\n 2. Ice\n  3. See a doctor",
    "**1. 休息**：卧床\n**2. 吸氧**：低流量\n**3. 就医**：当天",
    "1.**休息**\n2.**吸氧**\n3.**就医**",
    "Sure! Three tips: 1) Drink water. 2) Eat less salt. 3) Move more.",
    "1. Take 2.5 mg.\n2. Check 120/80.\n3. Come back in 2 weeks.",
    "1. 休息3天\n2. 38.5℃以上服药\n3. 120急救",
    "　　一、休息\n　　二、吸氧\n　　三、就医",
    "| 1. Rest\n1. Rest\n2. Ice\n3. See a doctor",
]
BULLETS = [
    "- 休息\n- 吸氧\n- 就医",
    "-休息\n-吸氧\n-就医",
    "* Rest\n* Ice\n* See a doctor",
    "+ Rest\n+ Ice\n+ See a doctor",
    "• Rest\n• Ice\n• See a doctor",
    "·休息\n·吸氧\n·就医",
    "✅ Rest\n✅ Ice\n✅ See a doctor",
    "– Rest\n– Ice\n– See a doctor",
    "- [ ] Rest\n- [ ] Ice\n- [x] See a doctor",
    "- **Rest**\n  - in bed\n- **Ice**\n- **Doctor**",
    "- Rest\n  1. in bed\n  2. in the dark\n  3. alone\n- Ice\n- See a doctor",
    "a) Rest\nb) Ice\nc) See a doctor",
]
BROKEN = [
    "1. 1. 1.",
    "1.\n1.\n1.",
    "1. 休息\n1. 吸氧\n1. 就医",
    "1. 2. 7.",
    "1. 休息\n2. 吸氧\n7. 就医",
    "1. a 2. b 7. c",
    "2. 休息\n3. 吸氧\n4. 就医",
    "3. 休息\n2. 吸氧\n1. 就医",
    "0. 休息\n1. 吸氧\n2. 就医",
    "1. \n2. \n3. ",
    "1. 休息\n2.\n3. 就医",
    "1. 休息\n2. 吸氧\n3.",
    "1. 休息\n2. 吸氧\n3.\n\n祝您健康！",
    "1. ...\n2. ...\n3. ...",
    "1. \u200b\n2. \u200b\n3. \u200b",
    "①②③",
    "1️⃣2️⃣3️⃣",
    "Step 1:\nStep 2:\nStep 3:",
    "- \n- \n- ",
    "* \n* Rest\n* Ice",
    "1. 休息\n2. 吸氧\n2. 就医",
    "第一步：休息\n第一步：吸氧\n第一步：就医",
    "① 休息\n② 吸氧\n② 就医",
    "1. 休息\n2. 吸氧\n3. 就医\n\n1. 再休息\n2. 再吸氧",
    "1. 休息\n3. 吸氧\n2. 就医",
    "1. **\n2. **\n3. **",
    "1. 休息\n2. 吸氧\n\n三、就医",
    "（1）休息（1）吸氧（1）就医",
    "一是休息，二是吸氧，五是就医。",
    "1 tablet now\n3 tablets later\n2 tablets at night",
    "Step 1: Rest\nStep 3: Ice\nStep 2: See a doctor",
]


@pytest.mark.parametrize("text", NUMBERED)
def test_a_numbered_list_of_three_is_one_however_it_is_numbered(text: str) -> None:
    assert passes("numbered_items", text, 3)
    assert passes("exact_items", text, 3)
    assert not passes("numbered_items", text, 2)
    assert not passes("numbered_items", text, 4)


@pytest.mark.parametrize("text", BULLETS)
def test_bullets_are_a_list_and_no_numbered_one(text: str) -> None:
    assert passes("exact_items", text, 3)
    assert not passes("exact_items", text, 2)
    assert not passes("numbered_items", text, 3)


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("rule", ["numbered_items", "exact_items"])
def test_wrong_numbers_and_empty_items_make_no_list_of_three(rule: str, text: str) -> None:
    assert not passes(rule, text, 3)


PROSE = [
    "血钾\n2.8mmol/L",
    "体温变化\n-0.5℃",
    "上文\n---\n下文",
    "上文\n* * *\n下文",
    "体温 38.5 ℃，心率 102 次，血压 120/80。",
    "Take 1.5 mg twice daily. At 8:30 rest.",
    "第一次就诊应在发病当天。",
    "The first visit is free. A second one costs 10.",
    "1型糖尿病与2型糖尿病不同。",
    "2024年的指南如此说。",
    "2 tips: rest and ice.",
    "18 mg daily\n20 mg weekly",
    "第一天休息，第二天复查。",
]


@pytest.mark.parametrize("text", PROSE)
def test_values_rules_and_prose_are_no_items(text: str) -> None:
    assert passes("exact_items", text, 0)
    assert not passes("numbered_items", text, 1)


@pytest.mark.parametrize(
    ("text", "items", "numbered"),
    [
        ("1. Rest: take these:\n- a\n- b\n2. Ice\n3. Doctor", 3, 3),
        (
            "以下是3条建议：\n\n1. **饮食**：少盐。\n2. **运动**：每天30分钟。\n3. **复查**：每3个月。\n\n仅供参考。",
            3,
            3,
        ),
        ("3条建议如下：\n1. a\n2. b\n3. c", 3, 3),
        ("Here are 3 tips:\n1st: a\n2nd: b\n3rd: c", 0, 0),
        ("1 . Rest\n2 . Ice\n3 . Doc", 3, 3),
        ("• 1. Rest\n• 2. Ice\n• 3. Doc", 3, 3),
        ("**步骤1：休息**\n说明\n\n**步骤2：吸氧**\n说明\n\n**步骤3：就医**", 3, 3),
        ("首先休息，其次吸氧，最后就医。", 0, 0),
        ("1. Rest;2. Ice;3. Doc", 3, 3),
        ("①休息\n说明：（1）卧床（2）安静\n②吸氧\n③就医", 3, 3),
        ("建议：\n①休息；②吸氧；\n③就医。", 3, 3),
        ("一、休息；二、吸氧；三、就医。", 3, 3),
        ("1. 2024年指南\n2. 2023年指南\n3. 2022年指南", 3, 3),
        ("1: 08:30 wake\n2: 12:00 eat\n3: 22:00 sleep", 3, 3),
        ("1．\u3000休息\n2．\u3000吸氧\n3．\u3000就医", 3, 3),
        ("1.\tRest\n2.\tIce\n3.\tDoc", 3, 3),
        ("# Tips\n1. Rest\n2. Ice\n3. Doc", 3, 3),
        ("- Rest\n* Ice\n+ Doc", 1, 0),
        ("A. Rest\nB. Ice\nC. Doc", 3, 0),
        ("1) Rest, 2) ice, and 3) see a doctor.", 3, 3),
        ("(a) Rest (b) Ice", 0, 0),
        ("1.休息。2.吸氧。3.就医。4.复查。", 4, 4),
        ("10. a\n11. b\n12. c", None, None),
        ("1.1 Rest\n1.2 Ice\n1.3 Doc", 0, 0),
        ("1. A\n1.1 x\n1.2 y\n2. B\n3. C", 3, 3),
        ("<ol><li>Rest</li><li>Ice</li></ol>", 0, 0),
        ("第一条 休息\n第二条 吸氧", 2, 2),
        ("Habit 1 – Stretch\nHabit 2 – Walk", 2, 2),
        ("1. 休息\n2. 吸氧\n3. 就医\n注：如有下列情况（1）发热（2）胸痛，请及时就医。", 3, 3),
        ("血钾（1）正常，血钠（3）偏低", 0, 0),
    ],
)
def test_lists_as_models_write_them(text: str, items: int | None, numbered: int | None) -> None:
    assert (count_items(text), count_items(text, numbered=True)) == (items, numbered)


def test_a_bullet_before_a_numbered_list_is_none_of_it() -> None:
    assert passes("numbered_items", "注意：\n- 以下按顺序做\n1. 休息\n2. 吸氧\n3. 就医", 3)


def test_steps_are_asked_without_their_number() -> None:
    assert passes("min_numbered_items", NUMBERED[0], 2)
    assert passes("min_numbered_items", "1. 判断反应\n2. 拨打120", 2)
    assert not passes("min_numbered_items", "1. 拨打120", 2)
    assert not passes("min_numbered_items", BULLETS[0], 2)
    assert not passes("min_numbered_items", "先判断反应，再拨打120。", 2)


def test_an_item_is_no_wrapping_of_a_list() -> None:
    four = f"{NUMBERED[0]}\n4. 复诊"
    assert not passes("numbered_items", four, 3, loose=True)
    assert not passes("exact_items", f"{BULLETS[0]}\n- 复诊", 3, loose=True)
    assert passes("numbered_items", four, 4, loose=True)


HAN = "一二三四五六七八九十"
STYLES: list[Callable[[int], str]] = [
    lambda n: f"{n}. ",
    lambda n: f"{n}、",
    lambda n: f"{n}) ",
    lambda n: f"{n}: ",
    lambda n: f"（{n}）",
    lambda n: chr(0x2460 + n - 1),
    lambda n: f"{n}\ufe0f\u20e3 " if n < 10 else "🔟 ",
    lambda n: f"{HAN[n - 1]}、",
    lambda n: f"第{HAN[n - 1]}步：",
    lambda n: f"第{n}步：",
    lambda n: f"Step {n}: ",
    lambda n: f"步骤{n}：",
    lambda n: f"**{n}.** ",
    lambda n: f"## {n}. ",
]
ITEMS = st.lists(st.text(alphabet="休息吸氧就医 rest", min_size=1).filter(str.strip), min_size=2, max_size=10)


@given(ITEMS, st.sampled_from(STYLES), st.sampled_from(["\n", "\n\n", "\r\n"]))
def test_a_list_of_n_items_in_any_style_has_n_items(items: list[str], style: Callable[[int], str], end: str) -> None:
    text = end.join(f"{style(n)}{item}" for n, item in enumerate(items, 1))
    assert passes("numbered_items", text, len(items))
    assert not passes("numbered_items", text, len(items) + 1)


@given(ITEMS, st.sampled_from(STYLES), st.data())
def test_a_list_with_a_number_left_out_is_none(
    items: list[str], style: Callable[[int], str], data: st.DataObject
) -> None:
    gap = data.draw(st.integers(1, len(items)))
    numbers = [n for n in range(1, len(items) + 2) if n != gap][: len(items)]
    if len(items) == 10 or gap > len(items) or numbers == list(range(1, len(items) + 1)):
        return
    text = "\n".join(f"{style(n)}{item}" for n, item in zip(numbers, items, strict=True))
    assert not passes("numbered_items", text, len(items))


@given(ITEMS, st.sampled_from(STYLES), st.sampled_from(ZERO_WIDTH), st.data())
def test_characters_that_show_nothing_change_no_list(
    items: list[str], style: Callable[[int], str], char: str, data: st.DataObject
) -> None:
    text = "\n".join(f"{style(n)}{item}" for n, item in enumerate(items, 1))
    at = data.draw(st.integers(0, len(text)))
    assert passes("numbered_items", text[:at] + char + text[at:], len(items))
