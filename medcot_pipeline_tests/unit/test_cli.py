import json
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.home import BIN, ROOT, Home

GOOD = {"Question": "咳嗽三天，怎么办？", "Complex_CoT": "先想想有没有发热。", "Response": "多休息，多饮水。"}


def problem(done: subprocess.CompletedProcess[str]) -> str:
    """The one line in which a failed command says what is wrong."""
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("medcot: ")]
    assert done.stderr.endswith(f"{line}\n")
    return line.removeprefix("medcot: ")


def only_problem(done: subprocess.CompletedProcess[str]) -> str:
    """The same, of a command that says nothing else."""
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    return problem(done)


def test_the_command_is_installed_beside_the_interpreter() -> None:
    assert (BIN / "medcot").is_file()


def test_a_plan_of_an_empty_folder_lists_every_asset_as_missing(fresh_home: Home) -> None:
    done = fresh_home.run("medcot", "plan")
    assert done.returncode == 0, done.stderr
    first, *assets, training, perplexity, answers, last = done.stdout.splitlines()
    assert first == f"Profile tiny, data in {fresh_home.data}"
    assert [line.split()[1] for line in assets] == ["missing"] * len(GRAPH.assets)
    assert training == "Training:   not planned yet: needs sft_dataset and base_model"
    assert perplexity == "Perplexity: not planned yet: needs base_model"
    assert answers == "Answers:    not planned yet: needs base_model"
    assert last == f"`medcot sync` would look at {len(GRAPH.assets)} of {len(GRAPH.assets)} assets."


def test_a_plan_makes_nothing(fresh_home: Home) -> None:
    fresh_home.run("medcot", "plan")
    made = [path for path in fresh_home.folder.rglob("*") if path.is_file() and path.parent.name != "cache"]
    assert made == []


@pytest.mark.parametrize("arguments", [["plann"], ["plan", "--nothing"], ["sync", "--force"]])
def test_a_wrong_command_line_exits_with_2(fresh_home: Home, arguments: list[str]) -> None:
    done = fresh_home.run("medcot", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_help_lists_the_commands(fresh_home: Home) -> None:
    done = fresh_home.run("medcot", "--help")
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in ("env", "init", "plan", "sync"))


def test_an_unknown_profile_is_one_line_with_the_profiles(fresh_home: Home) -> None:
    said = only_problem(fresh_home.run("medcot", "plan", MEDCOT_PROFILE="tinny"))
    assert said.startswith("MEDCOT_PROFILE=tinny: no such profile (did you mean tiny?). Profiles: demo, ")


def test_a_misspelt_variable_is_one_line_with_the_nearest_name(fresh_home: Home) -> None:
    said = only_problem(fresh_home.run("medcot", "plan", MEDCOT_TRAINING__LORARANK="4"))
    assert said.startswith("Environment variable MEDCOT_TRAINING__LORARANK: unknown setting (did you mean ")
    assert "MEDCOT_TRAINING__LORA_RANK?)" in said


def test_a_value_out_of_range_is_one_line_with_its_variable(fresh_home: Home) -> None:
    said = only_problem(fresh_home.run("medcot", "plan", MEDCOT_TRAINING__LORA_RANK="0"))
    assert said.startswith("Setting training.lora_rank = '0': ")
    assert said.endswith("(from MEDCOT_TRAINING__LORA_RANK).")


def test_an_unknown_asset_is_one_line_with_the_assets(fresh_home: Home) -> None:
    said = only_problem(fresh_home.run("medcot", "sync", "--only", "qlora"))
    assert said.startswith("qlora: no such asset (did you mean qlora_adapter?). Assets: raw_medical_o1, ")


def test_with_debug_an_error_has_its_traceback(fresh_home: Home) -> None:
    done = fresh_home.run("medcot", "--debug", "plan", MEDCOT_PROFILE="tinny")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.splitlines()[-1].startswith("medcot: MEDCOT_PROFILE=tinny: no such profile")


def test_a_data_folder_that_is_a_file_is_one_line(fresh_home: Home) -> None:
    (fresh_home.folder / "file").write_text("in the way")
    said = only_problem(fresh_home.run("medcot", "init", DAGSTER_HOME=str(fresh_home.folder / "file")))
    assert said.startswith(f"{fresh_home.folder}/file: cannot be written (")


def test_a_missing_source_file_is_one_line_and_publishes_nothing(fresh_home: Home) -> None:
    gone = fresh_home.folder / "rows.json"
    done = fresh_home.run(
        "medcot", "sync", "--only", "raw_medical_o1", MEDCOT_SOURCE__KIND="file", MEDCOT_SOURCE__PATH=str(gone)
    )
    assert problem(done) == (
        f"{gone}: no such file. "
        "Set MEDCOT_SOURCE__PATH to a file: .json, .jsonl, .ndjson, .csv or .parquet, each also with .gz behind it."
    )
    assert list((fresh_home.data / "artifacts" / "raw_medical_o1").iterdir()) == []


def test_more_rejects_than_allowed_are_one_line_with_the_first_row_and_the_setting(fresh_home: Home) -> None:
    rows = fresh_home.folder / "rows.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in (GOOD, {**GOOD, "Response": ""}, GOOD)]
    rows.write_text("\n".join(lines), encoding="utf-8")
    done = fresh_home.run(
        "medcot", "sync", "--only", "raw_medical_o1", MEDCOT_SOURCE__KIND="file", MEDCOT_SOURCE__PATH=str(rows)
    )
    said = problem(done)
    assert 'rows.jsonl, line 2: field "Response" is empty.' in said
    assert "1 of 3 rows cannot be used (33.3%, and MEDCOT_SOURCE__MAX_REJECT_RATE allows 5.0%)." in said
    (kept,) = (fresh_home.data / "rejected" / "raw_medical_o1").glob("*/rejects.jsonl")
    assert said.endswith(f"The refused output is kept in {kept.parent}.")
    assert list((fresh_home.data / "artifacts" / "raw_medical_o1").iterdir()) == []


def test_two_inits_at_once_both_succeed(fresh_home: Home) -> None:
    both = [
        subprocess.Popen(
            ["medcot", "init"],
            cwd=ROOT,
            env=fresh_home.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outcomes = [(*process.communicate(timeout=120), process.returncode) for process in both]
    home = fresh_home.folder / "dagster"
    assert outcomes == [(f"Dagster home: {home}\n", "", 0)] * 2
    packaged = (resources.files("medcot_pipeline.orchestration.instance") / "dagster.yaml").read_text(encoding="utf-8")
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == packaged


def test_what_env_prints_exports_home_module_profile_data_and_path(tmp_path: Path) -> None:
    home = Home(tmp_path / "it's a folder")
    names = ("DAGSTER_HOME", "DAGSTER_MODULE_NAME", "MEDCOT_PROFILE", "MEDCOT_DATA_DIR")
    show = "; ".join(f'printf "%s\\n" "${name}"' for name in names)
    environment = home.environment(PATH="/usr/bin:/bin")
    script = f"eval \"$({BIN}/medcot env)\" && bash -c '{show}; command -v medcot' && type -t dagster"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        str(home.folder / "dagster"),
        "medcot_pipeline.definitions",
        "tiny",
        str(home.data),
        str(BIN / "medcot"),
        "function",
    ]
