"""Slots shared by workers under every order of memory accesses, with workers killed at any of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.shared_caps import SharedCaps
from router.shared_memory import SharedMemory
from router.shared_rows import Locks

WORKERS = 3
ROW = 0


class Killed(BaseException):
    """What ends a worker's thread where a signal would end its process."""


class Turnstile:
    """Threads that run one memory access at a time, in an order told from outside."""

    def __init__(self) -> None:
        self._current: Player | None = None
        self._moved = threading.Condition()

    def wait_for(self, player: Player) -> None:
        with self._moved:
            self._current = None
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._current is player)
        if player.is_killed:
            raise Killed

    def let(self, player: Player) -> None:
        with self._moved:
            self._current = player
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._current is None)

    def leave(self, player: Player) -> None:
        with self._moved:
            player.is_over = True
            self._current = None
            self._moved.notify_all()


class Player(threading.Thread):
    """A worker process: its life ends with its list of actions, or where it is killed."""

    def __init__(self, turnstile: Turnstile, act: Callable[[Player], None]) -> None:
        super().__init__(daemon=True)
        self.turnstile = turnstile
        self.is_killed = False
        self.is_over = False
        self._act = act

    def run(self) -> None:
        try:
            self.turnstile.wait_for(self)
            self._act(self)
        except Killed:
            pass
        finally:
            self.turnstile.leave(self)


class Cells:
    """Memory of which each single access is a step of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.values = [0] * WORKERS

    def __getitem__(self, where: int | slice) -> int | Iterator[int]:
        if isinstance(where, slice):
            return (self[index] for index in range(*where.indices(WORKERS)))  # type: ignore[misc]
        self._world.step()
        return self.values[where]

    def __setitem__(self, where: int, value: int) -> None:
        self._world.step()
        self.values[where] = value
        assert sum(self.values) <= self._world.cap


@dataclass
class World:
    """Everything the players share.

    Attributes:
        truth: slots in use, by worker: what the cap is about.
    """

    cap: int
    turnstile: Turnstile = field(default_factory=Turnstile)
    truth: list[int] = field(default_factory=lambda: [0] * WORKERS)
    owner: Player | None = None
    failures: list[BaseException] = field(default_factory=list)

    def step(self) -> None:
        player = threading.current_thread()
        if isinstance(player, Player):
            self.turnstile.wait_for(player)

    def kill(self, player: Player) -> None:
        """The kernel ends a process: its locks with it, and its connections."""
        player.is_killed = True
        if self.owner is player:
            self.owner = None


class ModelLocks:
    """Locks as `FileLocks` promises them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def acquire(self, number: int) -> bool:
        for _ in range(4):
            self._world.step()
            if self._world.owner is None:
                self._world.owner = threading.current_thread()  # type: ignore[assignment]
                return True
        return False

    def release(self, number: int) -> None:
        player = threading.current_thread()
        if not (isinstance(player, Player) and player.is_killed):
            self._world.step()
            assert self._world.owner is player
            self._world.owner = None


class NoLocks:
    def __init__(self, world: World) -> None:
        self._world = world

    def acquire(self, number: int) -> bool:
        return True

    def release(self, number: int) -> None:
        return


class Game:
    """Workers that take and give slots as told, killed and replaced as told."""

    def __init__(self, cap: int, locks: Callable[[World], Locks]) -> None:
        self.world = World(cap)
        self.cells = Cells(self.world)
        self._locks = locks(self.world)
        self.memory = SharedMemory.create(WORKERS)
        self.memory.instances.counts = self.cells  # type: ignore[assignment]
        self.players: list[Player] = []

    def start(self, worker: int, actions: list[bool]) -> Player:
        """A worker that takes a slot for each True, and gives one back for each False where it has any."""
        caps = SharedCaps(self.memory, worker, self._locks)

        def act(player: Player) -> None:
            own = 0
            try:
                for takes in actions:
                    if takes and caps.take(ROW, self.world.cap):
                        own += 1
                        self.world.truth[worker] = own
                    elif not takes and own:
                        own -= 1
                        self.world.truth[worker] = own
                        caps.give(ROW)
                    assert sum(self.world.truth) <= self.world.cap
            except AssertionError as error:
                self.world.failures.append(error)

        player = Player(self.world.turnstile, act)
        player.start()
        return player

    def finish(self, player: Player) -> None:
        while not player.is_over:
            self.world.turnstile.let(player)
        player.join()

    def forget(self, worker: int) -> None:
        """What `SharedMemory.forget` does to the counts."""
        self.world.truth[worker] = 0
        self.cells.values[worker] = 0


def play(cap: int, scripts: list[list[bool]], order: list[tuple[int, bool]], locks: Callable[[World], Locks]) -> Game:
    """Run the scripts one memory access at a time as ordered; a kill ends a worker and starts its script anew."""
    game = Game(cap, locks)
    players = [game.start(worker, script) for worker, script in enumerate(scripts)]
    for worker, is_kill in order:
        player = players[worker]
        if player.is_over:
            continue
        if is_kill:
            game.world.kill(player)
            game.world.truth[worker] = 0
            game.finish(player)
            game.forget(worker)
            players[worker] = game.start(worker, scripts[worker])
        else:
            game.world.turnstile.let(player)
        if game.world.failures:
            break
    for player in players:
        game.finish(player)
    game.memory.close()
    return game


SCRIPTS = st.lists(st.lists(st.booleans(), max_size=5), min_size=WORKERS, max_size=WORKERS)
ORDER = st.lists(
    st.tuples(st.integers(0, WORKERS - 1), st.integers(0, 9).map(lambda number: number == 9)), max_size=120
)


@settings(max_examples=60)
@given(cap=st.integers(1, 3), scripts=SCRIPTS, order=ORDER)
def test_no_order_of_steps_and_kills_exceeds_the_cap(
    cap: int, scripts: list[list[bool]], order: list[tuple[int, bool]]
) -> None:
    game = play(cap, scripts, order, ModelLocks)
    assert not game.world.failures, game.world.failures[0]
    assert game.cells.values == game.world.truth, "at rest the counts are what is in use"
    assert game.world.owner is None


def test_without_locks_the_model_finds_the_way_to_exceed_it() -> None:
    both_read_before_either_writes = [(0, False)] * 5 + [(1, False)] * 6 + [(0, False)]
    game = play(1, [[True], [True], []], both_read_before_either_writes, NoLocks)
    with pytest.raises(AssertionError):
        raise game.world.failures[0]
