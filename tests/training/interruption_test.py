"""A signal is a wish that is neither lost nor obeyed in the middle of a step."""

import os
import shutil
import signal

import pytest
import small_run

from infovae_jax.errors import Interrupted, Stopped
from infovae_jax.training import checkpoint, loop, processes
from infovae_jax.training.interruption import SignalGuard
from infovae_jax.training.run import open_run


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


def test_where_nothing_is_to_be_saved_the_first_does_not_wait():
    with SignalGuard() as guard, pytest.raises(Stopped) as stopped:  # noqa: PT012
        guard.to_save = False
        send(signal.SIGHUP)
    assert stopped.value.number == signal.SIGHUP


def test_a_signal_in_the_last_block_is_not_swallowed(there):
    """The work is done and saved, and what would follow takes long."""
    run = open_run(small_run.read_config(there / "run"), say=lambda text: None)
    shutil.rmtree(there / "run" / "checkpoints")
    program = loop.single_program(run, run.make_mesh())

    def bound(params):
        send(signal.SIGHUP)
        return program.bound(params)

    stopped = program._replace(bound=bound)
    with pytest.raises(Interrupted, match="by SIGHUP, saved at step 6") as ended:
        loop.train(run, there / "run", run.make_mesh(), program=stopped)
    assert ended.value.exit_code == 129
    saved = checkpoint.Checkpoints(there / "run" / "checkpoints")
    assert saved.latest() == 6


def test_an_ignored_signal_stays_ignored(monkeypatch):
    """As nohup wants it of SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalGuard() as guard:
            send(signal.SIGHUP)
            assert guard.signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_before_are_set_again():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with SignalGuard():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
