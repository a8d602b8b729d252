from controller.signals.clock_steps import ClockMark, ClockSteps


class Clocks:
    def __init__(self):
        self.wall, self.mono, self.between = 1000.0, 50.0, []

    def wall_s(self):
        if self.between:
            self.pass_(self.between.pop(0))
        return self.wall

    def monotonic_s(self):
        return self.mono

    def pass_(self, seconds):
        self.wall += seconds
        self.mono += seconds


def watched(clocks, boot="a"):
    told, steps = [], ClockSteps(clocks, boot)
    steps.tell(lambda step_s, now_s: told.append((round(step_s, 6), now_s)))
    return steps, told


def test_a_clock_that_is_set_is_told_and_one_that_is_slewed_is_not():
    clocks = Clocks()
    steps, told = watched(clocks)
    for _ in range(100):
        clocks.pass_(10.0)
        clocks.wall += 0.4
        steps.look()
    assert (told, steps.count, steps.last_s) == ([], 0, None)
    clocks.wall -= 7200.0
    steps.look()
    steps.look()
    assert told == [(-7200.0, clocks.wall)]
    assert (steps.count, round(steps.last_s, 6)) == (1, -7200.0)


def test_a_process_that_stands_still_between_both_clocks_sees_no_step():
    clocks = Clocks()
    steps, told = watched(clocks)
    clocks.between = [30.0, 5.0]
    steps.look()
    assert told == []


def test_a_step_while_no_process_looked_is_found_by_the_next_one():
    clocks = Clocks()
    former = ClockMark(clocks.wall, clocks.mono, "a")
    clocks.pass_(600.0)
    clocks.wall += 3600.0
    steps, told = watched(clocks)
    steps.resume(former)
    assert told == [(3600.0, clocks.wall)]
    steps.resume(None)
    assert steps.count == 1


def test_a_step_after_the_last_look_is_left_to_the_next_process():
    clocks = Clocks()
    steps, _ = watched(clocks)
    clocks.pass_(1.0)
    steps.look()
    clocks.wall -= 7200.0
    fresh, told = watched(clocks)
    fresh.resume(steps.seen)
    assert told == [(-7200.0, clocks.wall)]


def test_after_the_machine_was_started_anew_only_a_clock_that_went_back_was_surely_set():
    for shown_s, found in ((900.0, [(-100.0, 900.0)]), (5000.0, []), (999.9, [])):
        clocks = Clocks()
        former = ClockMark(1000.0, 8000.0, "another life")
        clocks.wall = shown_s
        steps, told = watched(clocks)
        steps.resume(former)
        assert told == found
