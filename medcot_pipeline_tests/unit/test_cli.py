import json
import re
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from medcot_pipeline.table import GRAPH
from medcot_pipeline_tests.support.home import BIN, ROOT, Home
from medcot_pipeline_tests.support.pseudo_terminal import shown_in_terminal

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


def test_alone_it_says_where_one_stands_and_the_next_step_and_makes_nothing(fresh_home: Home) -> None:
    done = fresh_home.run("medcot")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Profile:      tiny",
        f"Data:         {fresh_home.data}",
        f"Assets:       {len(GRAPH.assets)} missing of {len(GRAPH.assets)}",
        "Last failure: none",
        "Promoted:     no adapter yet",
        "Report:       none yet",
        "Next:         medcot init",
    ]
    assert not (fresh_home.folder / "dagster").exists()


def test_after_init_the_next_step_is_a_sync(fresh_home: Home) -> None:
    assert fresh_home.run("medcot", "init").returncode == 0
    assert fresh_home.run("medcot").stdout.splitlines()[-1] == "Next:         medcot sync"


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_shows_colours_unless_no_color_is_set(
    fresh_home: Home, variables: dict[str, str], coloured: bool
) -> None:
    status, text = shown_in_terminal(("medcot", "plan"), fresh_home.environment(**variables))
    assert status == 0, text
    assert ("\x1b[31mmissing\x1b[0m" in text) is coloured
    assert ("\x1b" in text) is coloured
    assert "raw_medical_o1" in text


def test_a_sync_in_a_terminal_says_its_lines_there(fresh_home: Home) -> None:
    """Dagster leads standard error through a file while a step runs, which is no terminal."""
    command = ("medcot", "sync", "--only", "raw_medical_o1")
    status, text = shown_in_terminal(command, fresh_home.environment())
    assert status == 0, text
    first, started, published, last = text.splitlines()
    assert first == "Profile tiny: materialising raw_medical_o1"
    assert started.endswith(f"(1/{len(GRAPH.assets)}) raw_medical_o1: started")
    assert ": published in " in published
    assert last.startswith("Done in ")


def test_the_json_of_the_status_has_the_fields_that_help_names(fresh_home: Home) -> None:
    done = fresh_home.run("medcot", "status", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    named = fresh_home.run("medcot", "status", "--help").stdout
    for fields in (found, found["current"][0]):
        assert all(re.search(rf"\b{name}\b", named) for name in fields)
    assert [each["asset"] for each in found["current"]] == list(GRAPH.assets)
    assert (found["schema"], found["runs"], found["failures"], found["promoted"]) == (1, [], [], None)


def test_open_hands_the_page_to_the_browser_and_prints_where_it_is(fresh_home: Home) -> None:
    page = fresh_home.data / "current" / "eval_report" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<html></html>", encoding="utf-8")
    opened, browser = fresh_home.folder / "opened", fresh_home.folder / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    done = fresh_home.run("medcot", "open", BROWSER=str(browser))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{page}\n", "")
    assert opened.read_text(encoding="utf-8") == page.as_uri()


def test_open_without_a_report_is_one_line_with_the_command_that_makes_it(fresh_home: Home) -> None:
    said = only_problem(fresh_home.run("medcot", "open", "report"))
    assert said.endswith("`medcot sync` makes it.")


def test_completion_knows_commands_and_the_last_asset_of_a_list(fresh_home: Home) -> None:
    def completed(words: str) -> list[str]:
        last = str(len(words.split(" ")) - 1)
        done = fresh_home.run("medcot", _MEDCOT_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=last)
        assert done.returncode == 0, done.stderr
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("medcot pl") == ["plan"]
    assert completed("medcot sync --force tuned_p") == ["tuned_perplexity"]
    assert completed("medcot sync --only base_model,qlo") == ["base_model,qlora_adapter"]


@pytest.mark.parametrize("arguments", [["plann"], ["plan", "--nothing"], ["sync", "--force"]])
def test_a_wrong_command_line_exits_with_2(fresh_home: Home, arguments: list[str]) -> None:
    done = fresh_home.run("medcot", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_help_lists_the_commands(fresh_home: Home) -> None:
    done = fresh_home.run("medcot", "--help")
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in ("env", "init", "open", "plan", "sync"))
    assert "Exit status:\n    0  " in done.stdout
    assert 'eval "$(_MEDCOT_COMPLETE=bash_source medcot)"' in done.stdout


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
