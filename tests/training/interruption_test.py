"""A signal is a wish that is neither lost nor obeyed in the middle of a step."""

import os
import signal

import pytest

from infovae_jax.training import processes
from infovae_jax.training.interruption import SignalGuard


def send(number):
    os.kill(os.getpid(), number)


def test_a_signal_is_a_wish_to_stop(tmp_path):
    with SignalGuard() as guard:
        assert not guard.agreed()
        send(signal.SIGTERM)
        assert guard.agreed()
        assert guard.agreed()
        assert guard.interrupted(tmp_path, 7).exit_code == 143


def test_a_signal_while_the_processes_agree_is_heard_the_next_time(monkeypatch):
    """The others were already told that this process wants nothing."""

    def agreed(number):
        if not number:
            send(signal.SIGTERM)
        return number

    monkeypatch.setattr(processes, "agreed", agreed)
    with SignalGuard() as guard:
        assert not guard.agreed()
        assert guard.agreed()
        assert guard.signal == signal.SIGTERM


def test_a_signal_to_another_process_stops_this_one(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "agreed", lambda number: int(signal.SIGINT))
    with SignalGuard() as guard:
        assert guard.agreed()
        assert guard.interrupted(tmp_path, 7).exit_code == 130


def test_a_second_signal_does_not_wait():
    with SignalGuard(), pytest.raises(KeyboardInterrupt):  # noqa: PT012
        send(signal.SIGINT)
        send(signal.SIGINT)


def test_the_handlers_before_are_set_again():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with SignalGuard():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
