from pathlib import Path

from medcot_pipeline.models.job import PrepareBase, prepare
from medcot_pipeline.settings import BaseModelSettings
from medcot_pipeline.support.json_files import read_json


def test_a_base_is_prepared_by_arguments_that_came_as_json(tmp_path: Path) -> None:
    settings = BaseModelSettings(kind="tiny_random", tiny_hidden=8, tiny_layers=1)
    asked = PrepareBase(settings=settings, out=tmp_path, cache=tmp_path / "cache", root=tmp_path)
    described = prepare(PrepareBase.model_validate_json(asked.model_dump_json()), lambda line: None)
    assert described == read_json(tmp_path / "base_model.json")
    assert described["kind"] == "tiny_random"
