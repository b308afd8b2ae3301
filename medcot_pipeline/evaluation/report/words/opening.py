"""What the report opens with: who preferred what, in a sentence that a physician understands.

Belongs here: the summary in English and Chinese, and why a report is a smoke test.
Does not belong here: figures (following.py, build.py), warnings (warnings.py).
"""

from collections.abc import Sequence

from medcot_pipeline.evaluation.report.page import number
from medcot_pipeline.evaluation.report.words.limits import SMALL_MODEL
from medcot_pipeline.records.answer_figures import ActionFigures
from medcot_pipeline.records.report.estimates import PassRates
from medcot_pipeline.records.report.following import InstructionFollowing
from medcot_pipeline.records.report.provenance import TrainingSummary
from medcot_pipeline.records.report.report import PerplexitySection
from medcot_pipeline.records.report.sentences import Bilingual

SMOKE_PROFILES = ("demo", "tiny")
PEOPLE = Bilingual(en="people, who did not know which model wrote what,", zh="盲评者")
CONFIRMED = Bilingual(en="an AI judge, whose verdicts people confirm,", zh="AI 评审（经人工验证）")
UNCONFIRMED = Bilingual(en="an AI judge, whose verdicts no person has confirmed,", zh="AI 评审（未经人工验证）")


def summary(perplexity: PerplexitySection, following: InstructionFollowing, actions: ActionFigures | None) -> Bilingual:
    """What was found, sentence by sentence: preference, instructions kept, emergencies, and last perplexity."""
    said = [_preferred(following), _kept(following.rates.strict)]
    if actions and actions.all.recall.n:
        said.append(_called(actions))
    said.append(_surprised(perplexity))
    return Bilingual(en=" ".join(each.en for each in said), zh="".join(each.zh for each in said))


def _preferred(following: InstructionFollowing) -> Bilingual:
    why = following.why_no_headline
    if following.headline is None or why:
        said = why or Bilingual(en="nothing was compared.", zh="没有比较。")
        return Bilingual(
            en=f"It is not known which model's answers are better: {said.en}",
            zh=f"哪个模型的回答更好尚无结论：{said.zh}",
        )
    given = following.preference.of(following.headline)
    whose = PEOPLE if following.headline == "human" else CONFIRMED if following.judge.validated else UNCONFIRMED
    several = following.headline == "human" and len(following.reviewers) > 1
    of_en, of_zh = ("comparisons", "次比较") if several else ("questions", "个问题")
    neither = given.n - given.wins - given.losses
    return Bilingual(
        en=f"Of {given.n:,} {of_en}, {whose.en} preferred the tuned model's answer in {given.wins:,} and the base "
        f"model's in {given.losses:,}; in {neither:,} neither.",
        zh=f"在 {given.n:,} {of_zh}中，{whose.zh}认为微调后模型回答更好的有 {given.wins:,} 个，基础模型更好的有 "
        f"{given.losses:,} 个，其余 {neither:,} 个不分高下。",
    )


def _kept(strict: PassRates) -> Bilingual:
    if not strict.n:
        return Bilingual(en="No question had an instruction to check.", zh="没有可核对的明确指令。")
    return Bilingual(
        en=f"Of {strict.n:,} questions with instructions that a program can check, the tuned model kept all of them in "
        f"{strict.tuned_pass:,}, the base model in {strict.base_pass:,}.",
        zh=f"在 {strict.n:,} 个带有可核对指令的问题中，微调后模型全部遵守的有 {strict.tuned_pass:,} 个，"
        f"基础模型有 {strict.base_pass:,} 个。",
    )


def _called(actions: ActionFigures) -> Bilingual:
    emergencies = actions.all.recall
    return Bilingual(
        en=f"Of {emergencies.n:,} described emergencies, the tuned model said to call for help at once in "
        f"{emergencies.tuned_pass:,}, the base model in {emergencies.base_pass:,}.",
        zh=f"在 {emergencies.n:,} 个急症问题中，微调后模型要求立即呼救的有 {emergencies.tuned_pass:,} 个，"
        f"基础模型有 {emergencies.base_pass:,} 个。",
    )


def _surprised(perplexity: PerplexitySection) -> Bilingual:
    base, tuned, drop = number(perplexity.base.value), number(perplexity.tuned.value), perplexity.relative_drop
    if drop is None:
        return Bilingual(en="The adapter changes nothing.", zh="适配器不起作用。")
    fell, change = drop >= 0, f"{100 * abs(drop):.1f}"
    return Bilingual(
        en=f"Perplexity of held-out text (how much it surprises the model) {'fell' if fell else 'rose'} from {base} to "
        f"{tuned}, by {change} %. That does not tell whether answers are right.",
        zh=f"留出集困惑度（模型对文本的意外程度）{base} → {tuned}（{'下降' if fell else '上升'} {change}%），"
        "这并不说明回答是否正确。",
    )


def smoke_test(
    profile: str, training: TrainingSummary, perplexity: PerplexitySection, prompts: int, least_n: int
) -> list[Bilingual]:
    """Why the figures show that the chain works, and not that a model is better; none where they may show more."""
    found = []
    if profile in SMOKE_PROFILES:
        found.append(
            Bilingual(
                en=f"the profile {profile} trains for minutes on a sample",
                zh=f"配置 {profile} 只在样例数据上训练几分钟",
            )
        )
    if training.parameters < SMALL_MODEL:
        million, in_zh = number(training.parameters / 1e6), f"{training.parameters / 1e8:.3g} 亿"
        found.append(Bilingual(en=f"the model has only {million} million parameters", zh=f"模型只有 {in_zh}参数"))
    return found + list(_too_few(perplexity.groups, prompts, least_n))


def _too_few(groups: int, prompts: int, least_n: int) -> Sequence[Bilingual]:
    found = []
    if groups < least_n:
        en = f"perplexity rests on {groups:,} independent rows, fewer than {least_n:,}"
        found.append(Bilingual(en=en, zh=f"困惑度只基于 {groups:,} 条独立样本，少于 {least_n:,} 条"))
    if prompts < least_n:
        en = f"only {prompts:,} questions were asked, fewer than {least_n:,}"
        found.append(Bilingual(en=en, zh=f"只提问了 {prompts:,} 个问题，少于 {least_n:,} 个"))
    return found
