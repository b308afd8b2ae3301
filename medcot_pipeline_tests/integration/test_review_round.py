"""From a judged pack to verdicts in the report, by the commands that people type."""

import http.client
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from medcot_pipeline.records.review import Key
from medcot_pipeline.support.json_files import read_model
from medcot_pipeline_tests.support.home import ROOT, Home
from medcot_pipeline_tests.support.review_pack import whole


@pytest.fixture
def reviews(chain_copy: Home) -> Path:
    """The review folder, with no file in it."""
    folder = chain_copy.data / "reviews"
    folder.mkdir(exist_ok=True)
    return folder


def read(home: Home, asset: str, name: str) -> Any:
    return json.loads((home.current(asset) / name).read_text(encoding="utf-8"))


def key_of(home: Home) -> Key:
    return read_model(home.current("review_pack") / "key.json", Key)


def test_a_new_review_makes_the_report_stale_and_the_next_sync_joins_it(chain_copy: Home, reviews: Path) -> None:
    review = whole(key_of(chain_copy), "tuned")
    (reviews / "review-王医生.json").write_text(json.dumps(review), encoding="utf-8")
    plan = chain_copy.run("medcot", "plan").stdout
    stale = {line.split()[0]: line for line in plan.splitlines() if " stale " in line or " waiting " in line}
    assert set(stale) == {"human_review", "eval_report", "promotion"}, plan
    assert "review-王医生.json" in stale["human_review"]
    done = chain_copy.run("medcot", "sync")
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"(\w+): published in", done.stderr)) == {"human_review", "eval_report", "promotion"}
    following = read(chain_copy, "eval_report", "report.json")["instruction_following"]
    assert (following["status"], following["headline"]) == ("measured", "human")
    assert following["preference"]["human"]["net"]["value"] == 1.0
    assert following["reviewers"][0]["with_self"]["raw"]["value"] == 1.0


def test_a_review_of_another_pack_is_one_line_and_the_report_stays(chain_copy: Home, reviews: Path) -> None:
    before = chain_copy.current("eval_report")
    review = whole(key_of(chain_copy).model_copy(update={"pack": "0" * 64}), "tuned")
    (reviews / "old.json").write_text(json.dumps(review), encoding="utf-8")
    done = chain_copy.run("medcot", "sync")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"medcot: {reviews}/old.json: reviews pack 00000000, but this run's")
    assert chain_copy.current("eval_report") == before
    assert (reviews / "old.json").is_file()


def test_medcot_review_serves_the_page_and_saves_what_it_sends(chain_copy: Home, reviews: Path) -> None:
    review = whole(key_of(chain_copy), "base")
    server = subprocess.Popen(
        ["medcot", "review", "--port", "0"],
        cwd=ROOT,
        env=chain_copy.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    found = re.fullmatch(r"Blind review: http://(127\.0\.0\.1:(\d+))/\n", server.stdout.readline())
    assert found
    connection = http.client.HTTPConnection(found[1], timeout=60)
    connection.request("GET", "/")
    page = connection.getresponse().read().decode()
    token = re.findall(r'name="review-token" content="(\w+)"', page)[0]
    own = {"Origin": f"http://{found[1]}", "X-Review-Token": token, "X-Review-Session": "0123456789abcdef"}
    connection.request("POST", "/", json.dumps(review), own)
    saved = json.loads(connection.getresponse().read())
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=60) == 0
    assert str(reviews) in server.stdout.read()  # not communicate(), which forgets what readline() read ahead
    assert json.loads((reviews / saved["file"]).read_text(encoding="utf-8")) == review


def test_medcot_review_where_there_is_no_pack_says_what_to_do(fresh_home: Home) -> None:
    done = fresh_home.run("medcot", "review")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert (
        done.stderr == "medcot: There is nothing to review: review_pack is not materialised. Run `medcot sync` first.\n"
    )
