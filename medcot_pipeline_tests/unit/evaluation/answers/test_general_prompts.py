import re

from medcot_pipeline.evaluation.answers.rules import check_answer, refuse_wrong_constraints
from medcot_pipeline.records.answers import Answer
from medcot_pipeline.records.prompts import Prompt, read_prompts
from medcot_pipeline.settings import AnswerSettings
from medcot_pipeline.settings.load import SHIPPED, project_root

PROMPTS = read_prompts(project_root() / AnswerSettings().general, None, "general")
RIGHT = {
    "计算17": ["102"],
    "一本书有": ["15", "15。"],
    "小红有": ["小红还剩23元。"],
    "把0.75": ["75%", "75%。"],
    "一个长方形": ["45"],
    "从1一直": ["和是55。"],
    "甲比乙高": ["丙", "丙。"],
    "所有的猫": ["是"],
    "今天是星期三": ["星期六"],
    "数列2": ["32"],
    "盒子里": ["8"],
    "只要下雨": ["可以断定"],
    "请用不超过15": ["月亮是地球的卫星。"],
    "请用一句话说明": ["因为淡水有限，省下的水能留给更多的人。"],
    "请用恰好三句": ["花开了。风暖了。孩子们在草地上跑。"],
    "给一家面馆": ["一碗好面，暖到心里。"],
    "请用不超过30": ["比喻做了多余的事，反而不好。"],
    "请用恰好两句": ["它让人安静阅读。人们在那里学习新知识。"],
    "请用编号列表恰好列出4种水果": ["1. 苹果\n2. 梨\n3. 桃\n4. 李"],
    "请用列表恰好": ["- 钢琴\n- 笛子\n- 鼓", "1. 钢琴\n2. 笛子\n3. 鼓"],
    "东京是哪": ['{"城市": "东京", "国家": "日本"}'],
    "请只输出一个JSON数组": ['["红", "黄", "蓝", "绿", "白"]'],
    "请用Markdown": ["| 名称 | 轮子数 |\n|---|---|\n| 自行车 | 2 |"],
    "怎样泡": ["1. 烧水\n2. 温杯\n3. 放茶叶\n4. 冲水\n5. 等两分钟"],
    "“水”用": ["water", "Water."],
    "“高”的": ["低", "矮。"],
    "请把“我昨天": ["我昨天没去公园。", "昨天我没有去公园。"],
    "请用英文写": ["Good morning, everyone!"],
    "请写一个关于": ["今天天气怎么样？"],
    "“Thank you": ["意思是“非常感谢”。"],
    "把38": ["7、25、38、112", "7，25，38，112。"],
    "把“晚上": ["早上，中午，晚上"],
    "What is 23": ["92"],
    "A train": ["145", "145."],
    "Tom had": ["He has 32 marbles left."],
    "What is 15": ["30"],
    "What is the average": ["8"],
    "How many eggs": ["Three dozen eggs are 36 eggs."],
    "Ann is older": ["Cal", "cal."],
    "All roses": ["yes", "Yes."],
    "Today is": ["Monday"],
    "Which number": ["48"],
    "A basket": ["7"],
    "Some birds": ["no", "No."],
    "Describe the ocean": ["Vast, blue and never quite still."],
    "Explain in": ["Trees drop their leaves to save water and energy in winter."],
    "Write exactly three": ["Rain falls on the roofs. People open umbrellas. The streets shine."],
    "What do bees": ["Honey.", "honey"],
    "Describe a bicycle": ["A light vehicle with two wheels that you move with pedals."],
    "Write exactly two": ["Days are short and cold. Lakes freeze."],
    "Give a numbered": ["1. piano\n2. flute\n3. drum\n4. violin"],
    "List exactly": ["- red\n- green\n- blue", "1) red\n2) green\n3) blue"],
    "What is the capital": ['{"city": "Paris", "country": "France"}'],
    "Answer with one JSON array": ['["Monday", "Tuesday", "Friday", "Sunday"]'],
    "Write a Markdown": ["| Animal | Legs |\n|---|---|\n| Spider | 8 |"],
    "How do you make": ["1. Take bread\n2. Spread butter\n3. Add cheese\n4. Close it\n5. Cut it"],
    "What is the Chinese": ["书", "書。"],
    "What is the opposite": ["cold", "Cold."],
    "Rewrite": ["The cat was chased by the dog."],
    "Write the greeting": ["GOOD MORNING EVERYONE", "GOOD MORNING EVERYONE!"],
    "Write a question": ["Do you like music?"],
    "What is the plural": ["mice", "mice."],
    "Sort these": ["9, 27, 54, 130"],
    "Put these": ["apple, cherry, fig, pear"],
}
"""Right answers to every prompt, by the prompt's first words."""
WRONG = ["我不知道，请咨询医生。", "I do not know; ask a doctor. Or do not. Or wait.", "43", "1. a\n2. b", "不是", "{}"]


def kept(prompt: Prompt, text: str) -> dict[str, bool]:
    return check_answer(prompt, Answer(prompt.id, "base", "想一想", text, True, True, 1))


def test_there_are_thirty_and_more_in_each_language_spread_over_categories() -> None:
    ids = [prompt.id for prompt in PROMPTS]
    assert all(re.fullmatch(rf"g-{prompt.language}-\d{{3}}", prompt.id) for prompt in PROMPTS)
    assert min(sum(each.startswith(f"g-{language}-") for each in ids) for language in ("zh", "en")) >= 30
    assert {prompt.category for prompt in PROMPTS[:12]} == {prompt.category for prompt in PROMPTS}


def test_every_item_can_be_checked_and_has_nothing_to_do_with_medicine() -> None:
    refuse_wrong_constraints(PROMPTS)
    assert all(prompt.constraints and not prompt.emergency for prompt in PROMPTS)
    medical = re.compile(r"医|药|病|症|诊|疗|doctor|medic|pain|patient|disease|health", re.IGNORECASE)
    assert [prompt.id for prompt in PROMPTS if medical.search(prompt.prompt)] == []


def test_the_package_ships_them() -> None:
    name = AnswerSettings().general.name
    assert (SHIPPED / name).read_bytes() == (project_root() / AnswerSettings().general).read_bytes()


def test_a_right_answer_keeps_every_rule() -> None:
    broken = []
    for prompt in PROMPTS:
        answers = next(texts for begin, texts in RIGHT.items() if prompt.prompt.startswith(begin))
        broken += [
            (prompt.id, text, rule) for text in answers for rule, passed in kept(prompt, text).items() if not passed
        ]
    assert broken == []


def test_an_answer_to_another_question_keeps_not_every_constraint() -> None:
    form_alone = {"max_chars", "max_words", "exact_sentences", "must_not_contain"}  # whatever is short enough is right
    for prompt in PROMPTS:
        carried = {each["rule"] for each in prompt.constraints}
        if not carried <= form_alone:
            right = [text for text in WRONG if all(kept(prompt, text)[rule] for rule in carried)]
            assert right == [], prompt.id
