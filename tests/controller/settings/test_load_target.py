import pytest
from pydantic import ValidationError

from controller.settings.file import Settings
from controller.settings.load_target import LoadTargetSettings
from tests.fakes.settings_files import pool


def test_the_built_in_programme_holds_unless_another_is_named():
    assert LoadTargetSettings().programme == "operator"
    named = Settings.model_validate(
        {"pools": [pool()], "programmes": {"feed": {"most_w": 20_000}}, "load_target": {"programme": "feed"}}
    )
    assert named.load_target.programme == "feed"


def test_a_programme_that_nobody_configured_is_refused():
    with pytest.raises(ValidationError, match=r"load_target.programme: 'feed' is not among \['operator'\]"):
        Settings.model_validate({"pools": [pool()], "load_target": {"programme": "feed"}})
