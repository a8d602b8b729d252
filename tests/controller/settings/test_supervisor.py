import pytest
from pydantic import ValidationError

from controller.settings.supervisor import SupervisorSettings


def test_by_default_only_this_machine_is_answered_and_nothing_is_ended_for_hanging():
    own = SupervisorSettings()
    assert (own.host, own.token_file, own.hung_s) == ("127.0.0.1", None, None)
    assert own.stop_s > 120  # the --shutdown-timeout of docs/how-to/real-vllm.md


@pytest.mark.parametrize(
    "given",
    [{"ready_s": 0}, {"most_crashes": 0}, {"log_mb": 0}, {"log_files": 101}, {"restart_longest_s": 1}, {"x": 1}],
)
def test_what_cannot_be_is_refused(given):
    with pytest.raises(ValidationError):
        SupervisorSettings.model_validate(given)
