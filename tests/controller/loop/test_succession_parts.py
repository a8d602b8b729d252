from controller.loop.succession_parts import NoGpus
from controller.model.gpu_limit import Found


def test_where_no_gpu_is_ever_limited_nothing_that_others_found_is_kept():
    gpus = NoGpus()
    gpus.take_up((Found("GPU-a", 700.0),))
    gpus.stand_by(None)
    assert gpus.found == ()
