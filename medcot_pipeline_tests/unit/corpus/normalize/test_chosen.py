"""Option letters in what people and models write: chosen ones are read, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medcot_pipeline.corpus.normalize.chosen import chosen_letters

ANSWERS = [
    # what is called the answer
    ("答案：A和C", "AC"),
    ("答案：A, C 和 E", "ACE"),
    ("答案：A、C以及D。", "ACD"),
    ("【答案】B", "B"),
    ("[答案]：ＢＤ", "BD"),
    ("参考答案 C", "C"),
    ("答：D", "D"),
    ("最终答案\n\nB", "B"),
    ("答案：\n- A\n- C", "AC"),
    ("答案为“Ｃ”。", "C"),
    ("答案：c", "C"),
    ("答案是选项D：胰岛素。", "D"),
    ("答案应该是A、B、D三项", "ABD"),
    ("答案：ACE抑制剂", ""),
    ("答案是CABG", ""),
    ("The correct answer is option D, not A.", "D"),
    ("answer: b", "B"),
    ("ANSWER: (B)", "B"),
    ("Answer: **B**", "B"),
    ("**Answer:** B. Dry heat", "B"),
    ("### Final Answer\nC", "C"),
    ("Final answer - E", "E"),
    ("The answer is $\\boxed{D}$.", "D"),
    ("\\boxed{\\text{D. Dry heat}}", "D"),
    ("So \\[ \\boxed{\\mathrm{A, C}} \\]", "AC"),
    ("The correct answers are A and C.", "AC"),
    ("The best answer would be (c).", "C"),
    ("The answer to question 3 is E.", "E"),
    ("The answer isn't A; it's C.", "C"),
    ("The answer is not A but D.", "D"),
    ("Answer: A because the others are late signs.", "A"),
    ("Answer: C, A is wrong.", "C"),
    ("Answer: A-D", "ABCD"),
    ("D is the correct answer.", "D"),
    ("Option B is the best choice here.", "B"),
    ("C为正确答案。", "C"),
    ("答案：C，A、B均错误。", "C"),
    ("答案不是A，而是C。", "C"),
    ("Answer: A. Wait, the correct option is C.", "C"),
    ("Answer: A or B", ""),
    ("答案是A还是B？", ""),
    ("答案：以上都是", ""),
    ("The answer is none of the above.", ""),
    ("The answer is C-reactive protein.", ""),
    ("The answer is E. coli.", ""),
    ("The answer is a careful history.", ""),
    ("Answer: A careful history is taken first.", ""),
    ("答案是维生素A", ""),
    ("答案：B超检查", ""),
    ("答案是D-二聚体", ""),
    ("答案是A型血友病。", ""),
    ("答案解析：A错误，B错误。故选C", "C"),
    # what is chosen
    ("故选D", "D"),
    ("故本题选 D", "D"),
    ("不选A，选C", "C"),
    ("选C，不选A。", "C"),
    ("我选ＡＣ。", "AC"),
    ("选b", "B"),
    ("应选A而不是C。", "A"),
    ("排除B，排除C", ""),
    ("排除A、B、C，只剩D，所以D。", "D"),
    ("不能选A", ""),
    ("很多人误选A。", ""),
    ("如果选A，就漏掉了感染。", ""),
    ("不得不选B", "B"),
    ("选A的人很多，但是本题选B。", "B"),
    ("首选B超。", ""),
    ("选择C肽检测。", ""),
    ("I would choose B rather than C.", "B"),
    ("I'd go with (d).", "D"),
    ("Do not choose A.", ""),
    ("If you choose A, the patient bleeds.", ""),
    ("Many students pick A. Therefore, C.", "C"),
    ("It must be C.", "C"),
    ("下列说法错误的是B。", "B"),
    ("不正确的是A，正确的是C", "C"),
    # what is held to be right or wrong
    ("选项 C 正确", "C"),
    ("A、B、D均正确", "ABD"),
    ("A正确，B错误，C正确。", "AC"),
    ("A、C正确，故选AC", "AC"),
    ("A和B都不对", ""),
    ("A is wrong", ""),
    ("A is not correct. B isn't right either.", ""),
    ("Neither A nor B is correct.", ""),
    ("None of A, B and C is correct.", ""),
    ("Options A and C are correct; B is incorrect.", "AC"),
    ("B. 正确\nC. 错误", "B"),
    ("A：错误\nB：正确", "B"),
    ("C最符合题意", "C"),
    ("除A外均正确", ""),
    ("维生素A正确地补充", ""),
    ("选项A–C都对", "ABC"),
    # a letter that stands for itself
    ("B。因为维生素A缺乏", "B"),
    ("无法确定。维生素D缺乏最常见", ""),
    ("D", "D"),
    ("（c）", "C"),
    ("c.", "C"),
    ("**D**", "D"),
    ("Ⓑ", "B"),
    ("A, C", "AC"),
    ("AC", "AC"),
    ("A\nC", "AC"),
    ("C) dry heat", "C"),
    ("D. 丙药\n\nA. 甲药：少见\nB. 乙药：少见", "D"),
    ("诊断为急性阑尾炎，C。", "C"),
    ("Dry heat (C)", "C"),
    ("A patient like this needs rest.", ""),
    ("A, B, AB and O are blood groups.", ""),
    ("血型A，Rh阳性。", ""),
    ("乙型肝炎，B型超声可见。", ""),
    ("Vitamin B is low.", ""),
    ("group B strep", ""),
    ("Hepatitis B, then hepatitis C.", ""),
    ("E. coli is likely.", ""),
    ("B cell lymphoma.", ""),
    ("C-reactive protein rises.", ""),
    ("A群链球菌感染", ""),
    ("抗D免疫球蛋白 (anti-D)", ""),
    ("IgA肾病，HbA1c 7%", ""),
    ("I'd rest.", ""),
    ("I cannot tell whether it is A.", ""),
    ("我不知道。", ""),
    ("选项有A、B、C、D。", ""),
    ("A. 甲药\nB. 乙药\nC. 丙药", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "letters"), ANSWERS)
def test_the_letters_that_an_answer_chooses(text: str, letters: str) -> None:
    assert chosen_letters(text) == letters


OFFERED = {"A": "对乙酰氨基酚", "B": "布洛芬", "C": "吗啡", "D": "E. coli vaccine", "E": "careful history"}


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("答案：A. 对乙酰氨基酚、C. 吗啡", "AC"),
        ("A. 对乙酰氨基酚：错误。B. 布洛芬：正确。", "B"),
        ("考虑B. 布洛芬", "B"),
        ("The answer is E careful history.", "E"),
        ("答案是H。", ""),
        ("答案：ECG", ""),
        ("选项A和选项B都可以考虑。", ""),
        ("布洛芬最好。", ""),
    ],
)
def test_the_options_tell_which_letters_there_are_and_what_follows_each(text: str, letters: str) -> None:
    assert chosen_letters(text, OFFERED) == letters


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A不对，所以选B。", "B"),
        ("因此，最合适的选项是A，含甲药。", "A"),
        ("答案是选项C：丙药。", "C"),
        ("综上所述，应该用乙药（选项 B）。", "B"),
        ("首先应考虑：\n\nC. 丙药", "C"),
        ("丙药最好。", ""),
        ("选项A和选项B都可以考虑。", ""),
        ("答案是H。", ""),
        ("The answer is B.", "B"),
        ("It is no easy answer a doctor would give (a pity).", ""),
    ],
)
def test_the_letter_that_a_row_settles_on(text: str, letter: str) -> None:
    assert chosen_letters(text, {"A": "甲药", "B": "乙药", "C": "丙药"}) == letter


WRITTEN = st.lists(
    st.sampled_from(
        [*"ABCDEFGH", "a", "b", "I", "答案", "：", "选", "不", "，", "。", "、", "和", " ", "\n", "The answer is ", "not "]
        + ["option ", "is correct", "错误", "正确", "维生素", "(", ")", "**", "\\boxed{", "}", "or", "?", "Wait, ", "-", "1"]
    ),
    max_size=14,
).map("".join)
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


@given(WRITTEN)
def test_letters_are_sorted_and_each_stands_once(text: str) -> None:
    letters = chosen_letters(text)
    assert letters == "".join(sorted(set(letters) & set("ABCDEFGH")))


@given(WRITTEN)
def test_white_space_around_and_full_width_letters_change_nothing(text: str) -> None:
    assert chosen_letters(f"\n {text} \n") == chosen_letters(text)
    assert chosen_letters(text.translate({code: wide for code, wide in WIDE.items() if chr(code).isalpha()})) == (
        chosen_letters(text)
    )


@given(WRITTEN, st.sampled_from("ABCDEFGH"))
def test_a_last_line_that_names_the_answer_settles_it(text: str, letter: str) -> None:
    assert chosen_letters(f"{text}。\n\n答案：{letter}") == letter
