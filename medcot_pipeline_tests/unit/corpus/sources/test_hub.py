import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medcot_pipeline.corpus.sources.source import fetch_from_hub
from medcot_pipeline.settings import SourceSettings
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline_tests.support.hub_server import Hub, hub_environment, serving
from medcot_pipeline_tests.support.source_files import RECORDS

REVISION = "5" * 40
PUBLISHED = json.dumps(RECORDS * 500, ensure_ascii=False).encode()
CHUNK = 10 * 1024 * 1024  # what the hub's library keeps of a download that breaks off is a multiple of this
FETCH = """
import sys
from medcot_pipeline.corpus.sources.source import fetch_from_hub, newest_revision
from medcot_pipeline.support.errors import MedcotError
from medcot_pipeline.settings import SourceSettings
source = {"kind": "hub", "repository": "someone/medical-rows"}
try:
    if sys.argv[1] == "newest":
        print(newest_revision(SourceSettings(**source)))
    else:
        print(fetch_from_hub(SourceSettings(**source, revision=sys.argv[1])))
except MedcotError as error:
    print("refused:", error)
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    print("behind it:", shown or "nothing", file=sys.stderr)
"""
TOKEN = "hf_never_to_be_seen"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving("someone/medical-rows", {REVISION: PUBLISHED}) as server:
        yield server


@contextlib.contextmanager
def fetching(home: Path, endpoint: str, revision: str = REVISION, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that fetches: the hub's library reads its environment when it is imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    environment = {**kept, **hub_environment(home, endpoint), **variables}
    command = [sys.executable, "-c", FETCH, revision]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def fetch(home: Path, hub: Hub, revision: str = REVISION) -> str:
    with fetching(home, hub.address, revision) as process:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    return output.strip()


def test_the_public_data_set_is_downloaded_once(tmp_path: Path, hub: Hub) -> None:
    first, second = fetch(tmp_path, hub), fetch(tmp_path, hub)
    assert first == second
    assert Path(first).read_bytes() == PUBLISHED
    assert hub.asked.count(("GET", None)) == 1


def test_a_download_that_breaks_off_resumes(tmp_path: Path, hub: Hub) -> None:
    hub.revisions[REVISION], hub.part, hub.cut = PUBLISHED.ljust(CHUNK + 2000), CHUNK + 1000, 1
    assert Path(fetch(tmp_path, hub)).read_bytes() == hub.revisions[REVISION]
    assert hub.asked[1:] == [("GET", None), ("GET", f"bytes={CHUNK}-")]


def test_a_download_that_never_ends_well_is_one_line(tmp_path: Path, hub: Hub) -> None:
    hub.cut = 1000
    output = fetch(tmp_path, hub)
    assert output.startswith(
        "refused: someone/medical-rows at 555555555555: medical_o1_sft_Chinese.json cannot be fetched "
        "(the connection broke off)"
    )
    assert "\n" not in output


def test_a_revision_that_is_not_there_is_one_line(tmp_path: Path, hub: Hub) -> None:
    output = fetch(tmp_path, hub, "6" * 40)
    assert "at 666666666666: medical_o1_sft_Chinese.json cannot be fetched (" in output
    assert "404" in output
    assert "\n" not in output


def test_the_newest_revision_is_asked_of_the_hub_each_time(tmp_path: Path, hub: Hub) -> None:
    first = fetch(tmp_path, hub, "newest")
    hub.revisions["7" * 40] = PUBLISHED
    assert (first, fetch(tmp_path, hub, "newest")) == (REVISION, "7" * 40)


def test_a_hub_that_does_not_say_its_newest_revision_is_one_line(tmp_path: Path) -> None:
    with fetching(tmp_path, "http://127.0.0.1:1", "newest") as process:
        output, _ = process.communicate(timeout=60)
    assert output.startswith("refused: someone/medical-rows: its newest revision cannot be fetched (")
    assert output.endswith("Check the network, or set MEDCOT_SOURCE__FOLLOW_HUB=false.\n")
    assert output.count("\n") == 1


def test_a_name_that_is_no_repository_is_one_line() -> None:
    with pytest.raises(MedcotError, match=r"^a/b/c at .* cannot be fetched \(Repo id must be"):
        fetch_from_hub(SourceSettings(kind="hub", repository="a/b/c"))


@pytest.mark.parametrize("what", [REVISION, "newest"])
def test_a_token_that_the_hub_repeats_is_not_in_the_line_or_behind_it(tmp_path: Path, hub: Hub, what: str) -> None:
    hub.refuses = True
    with fetching(tmp_path, hub.address, what, HF_TOKEN=TOKEN) as process:
        output, errors = process.communicate(timeout=60)
    assert "cannot be fetched (" in output and ", HTTP 401)" in output
    assert TOKEN not in output + errors
    assert errors.splitlines()[-1] == "behind it: nothing"


@pytest.mark.parametrize("what", [REVISION, "newest"])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HF_TOKEN", f"“{TOKEN}”", "HF_TOKEN cannot be sent: it holds a character outside of ASCII, such as a curly"),
        ("ALL_PROXY", f"socks5://user:{TOKEN}@127.0.0.1:1", "a proxy that cannot be used (ALL_PROXY, NO_PROXY, no_pro"),
        ("ALL_PROXY", f"socks://user:{TOKEN}@127.0.0.1:1", "a proxy that cannot be used (ALL_PROXY, NO_PROXY, no_prox"),
    ],
)
def test_a_token_or_a_proxy_that_cannot_be_used_is_named(
    tmp_path: Path, hub: Hub, what: str, variable: str, value: str, said: str
) -> None:
    with fetching(tmp_path, hub.address, what, **{variable: value}) as process:
        output, errors = process.communicate(timeout=60)
    assert said in output, output + errors
    assert TOKEN not in output + errors
    assert errors.splitlines()[-1] == "behind it: nothing"


def test_no_network_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    with fetching(tmp_path, "http://127.0.0.1:1") as process:
        output, _ = process.communicate(timeout=60)
    assert output.startswith(
        "refused: someone/medical-rows at 555555555555: medical_o1_sft_Chinese.json cannot be fetched ("
    )
    assert "Connection refused" in output
    assert output.endswith("set MEDCOT_SOURCE__KIND=file and MEDCOT_SOURCE__PATH.\n")
    assert output.count("\n") == 1
