import os
import socket
import subprocess

import pytest

from controller.errors import ActuationError
from controller.supervise.launching import launch, nowhere, refuse_taken
from tests.fakes.engine_specs import engine_spec

PATH = {"PATH": os.environ["PATH"]}


def output_of(spec, environment=PATH):
    """What a command that ends by itself writes."""
    reading, writing = os.pipe()
    child = launch(spec, environment, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        text = file.read().decode()
    assert child.wait(10) == 0
    return text


def test_words_are_passed_as_they_stand_and_no_shell_reads_them():
    assert output_of(engine_spec(argv=("printf", "%s|", "$HOME", "a b", "; ls", "*"))) == "$HOME|a b|; ls|*|"


def test_its_own_environment_is_set_over_what_it_inherits():
    spec = engine_spec(argv=("env",), environment={"A": "own"})
    assert output_of(spec, {**PATH, "A": "inherited", "B": "2"}).split()[-2:] in (["A=own", "B=2"], ["B=2", "A=own"])


def test_it_leads_a_session_of_its_own():
    child = launch(engine_spec(argv=("sleep", "600")), PATH, nowhere())
    try:
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
    finally:
        child.kill()
        child.wait()


def test_a_program_that_is_not_there_is_told_with_where_it_was_looked_for():
    with pytest.raises(ActuationError, match=r"'no-such' is not found; .*plan\.pools\.a\.serve\.command.*'/nowhere'"):
        launch(engine_spec(argv=("no-such",)), {"PATH": "/nowhere"}, 1)


def test_a_program_that_cannot_be_run_is_told(tmp_path):
    broken = tmp_path / "vllm"
    broken.write_bytes(b"\x7fELF no program")
    broken.chmod(0o755)
    with pytest.raises(ActuationError, match="cannot be run: Exec format error"):
        launch(engine_spec(argv=(str(broken),)), PATH, subprocess.DEVNULL)


def test_an_address_that_somebody_has_is_refused():
    spec = engine_spec()
    refuse_taken(spec)
    with (
        socket.create_server(("127.0.0.1", int(spec.argv[-1]))),
        pytest.raises(ActuationError, match="something else listens on 127"),
    ):
        refuse_taken(spec)
    refuse_taken(spec)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_of_this_machine_is_refused(host):
    with pytest.raises(ActuationError, match=r"is no address of this machine; set plan\.pools\.NAME\.serve\.host"):
        refuse_taken(engine_spec(host=host))


def test_a_socket_that_somebody_listens_on_is_refused(tmp_path):
    spec = engine_spec(url=f"unix:{tmp_path}/a.sock")
    refuse_taken(spec)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/a.sock")
        refuse_taken(spec)  # left behind by one that ended
        listener.listen()
        with pytest.raises(ActuationError, match="something else listens on"):
            refuse_taken(spec)
    with pytest.raises(ActuationError, match=r"the folder of its socket .* does not exist"):
        refuse_taken(engine_spec(url=f"unix:{tmp_path}/absent/a.sock"))
