import inspect

from controller import ports


def test_ports_stay_small():
    for _, port in inspect.getmembers(ports, inspect.isclass):
        if port.__module__ == ports.__name__:
            methods = [name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")]
            assert 1 <= len(methods) <= 5, port


def test_reading_and_acting_wait_and_recording_does_not():
    assert inspect.iscoroutinefunction(ports.ObservationSource.read)
    assert inspect.iscoroutinefunction(ports.Actuator.apply)
    assert not inspect.iscoroutinefunction(ports.Recorder.record)
