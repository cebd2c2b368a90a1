"""Turns of several variants, and the ratios of their times.

The variants take turns (A, B, C, A, B, C, ...), so that a change of the machine's speed
meets all of them alike; only ratios within a round are compared.
"""

import statistics
import time
from collections.abc import Callable, Iterable

from infovae_jax.benchmark.cases import Case
from infovae_jax.benchmark.workers import OURS, Failed, Options, Worker

# Rounds that are taken however long they take.
MIN_ROUNDS = 3


def take_turns(
    runners: Callable[[int], Iterable[str]], turn: Callable[[str], None], rounds: int
) -> None:
    """Rounds in which everyone has one turn before anyone has the next.

    Args:
      runners: number of the round -> who takes part in it; nobody ends the race.
      turn: takes the turn of one of them.
      rounds: at most so many.
    """
    for number in range(rounds):
        names = list(runners(number))
        if not names:
            return
        for name in names:
            turn(name)


def timed_rounds(
    turns: dict[str, Callable[[], float | None]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every turn that counts, name -> one per round.

    Args:
      turns: name -> does the work; where it returns a number, that is its time.
      rounds: that count.
      warm_up: rounds before them, that do not.
    """
    seconds = {name: [] for name in turns}

    def turn(name):
        began = time.perf_counter()
        own = turns[name]()
        seconds[name].append(time.perf_counter() - began if own is None else own)

    take_turns(lambda number: turns, turn, warm_up + rounds)
    return {name: taken[warm_up:] for name, taken in seconds.items()}


def ratio(seconds: list[float], base: list[float]) -> tuple[float, tuple[float, float]]:
    """Median and range over the rounds of seconds / base."""
    ratios = [a / b for a, b in zip(seconds, base, strict=True)]
    return statistics.median(ratios), (min(ratios), max(ratios))


class Race:
    """The variants of one case; one that fails leaves it, and its row says why.

    Attributes:
      rows: name -> figures, or `{'failed': why}`.
      steps: of a turn.
      versions: of the libraries.
    """

    def __init__(self, case: Case, options: Options):
        self.rows: dict[str, dict] = {}
        self.steps, self.versions = 1, {}
        self._case, self._options = case, options
        self._workers: dict[str, Worker] = {}
        self._seconds: dict[str, list[float]] = {}
        self._rates: list[float] = []

    def names(self) -> list[str]:
        """Of the variants that are still there."""
        return list(self._workers)

    def attempt(self, method, name: str) -> None:
        """Calls `method(name)`."""
        try:
            method(name)
        except Failed as error:
            self.rows[name] = {"failed": str(error)}
            if name in self._workers:
                self._workers.pop(name).close()

    def start(self, name: str) -> None:
        """Takes the first step and a turn that does not count; ours gives `steps`."""
        worker = self._workers[name] = Worker(name, self._case, self._options)
        seconds = self._options.turn_seconds
        first = worker.call(
            "prepare", **({"turn_seconds": seconds} if name == OURS else {})
        )
        self.steps = first["value"] if name == OURS else self.steps
        self.rows[name] = {
            "num_params": worker.num_params,
            "first_step_seconds": first["first_step_at"] - worker.began,
            "warm_up_seconds": worker.call("steps", count=self.steps)["seconds"],
        }
        self._seconds[name] = []
        self.versions |= worker.versions

    def turn(self, name: str) -> None:
        """One turn that counts; before ours the device's rate is measured."""
        worker = self._workers[name]
        rate = worker.call("matmul_rate")["value"] if name == OURS else None
        turn = worker.call("steps", count=self.steps)
        if rate:
            self._rates.append(rate)
        self._seconds[name].append(turn["seconds"])
        self.rows[name]["loss"] = turn["value"]

    def finish(self, name: str) -> None:
        """Turns the seconds into figures."""
        if OURS not in self._workers:
            raise Failed("nothing of ours to compare with")
        row, own, ours = self.rows[name], self._seconds[name], self._seconds[OURS]
        row |= self._workers[name].call("facts")["value"]
        rates = [self.steps * self._case.batch_size / value for value in own]
        row["examples_per_second"] = rates
        row["median"] = statistics.median(rates)
        row["range"] = [min(rates), max(rates)]
        row["jax_is_faster_by"], row["ratio_range"] = ratio(own, ours)
        if name != OURS:
            return
        achieved = [row["flops_per_step"] * self.steps / value for value in own]
        shares = [a / b for a, b in zip(achieved, self._rates, strict=True)]
        row["flops_per_second"] = statistics.median(achieved)
        row["matmul_flops_per_second"] = statistics.median(self._rates)
        row["share_of_matmul"] = statistics.median(shares)

    def close(self) -> None:
        """Ends all processes."""
        for worker in self._workers.values():
            worker.close()


def run_case(case: Case, names: list[str], options: Options) -> dict:
    """Interleaved rounds of one case, ours first.

    Returns:
      `case`, `batch_size`, `precision`, `steps_per_turn`, `versions` and `variants`:
      name -> its figures, or `{'failed': why}`.
    """
    race = Race(case, options)
    try:
        for name in names:
            if name == OURS or OURS in race.names():
                race.attempt(race.start, name)
        began = time.monotonic()

        def runners(number):
            late = time.monotonic() - began > options.case_seconds
            ended = OURS not in race.names() or (late and number >= MIN_ROUNDS)
            return [] if ended else race.names()

        take_turns(runners, lambda name: race.attempt(race.turn, name), options.rounds)
        for name in race.names():
            race.attempt(race.finish, name)
    finally:
        race.close()
    return {
        "case": case.name,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "steps_per_turn": race.steps,
        "versions": race.versions,
        "variants": race.rows,
    }
