"""What the console shows: a bar of 80 columns, or a few lines."""

import io
import re
import sys
import types

import pytest

from infovae_jax.training import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, steps=1000, every=10, evaluated=100, **options):
    monkeypatch.setattr(progress.sys, "stderr", stream)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    bar = progress.Progress(0, steps, 10, **options)
    for step in range(every, steps + 1, every):
        row = {"step": step, "epoch": step / 10, "loss": 1234.5678}
        row |= {"term/kl_z": 2.0, "term/reconstruction": 3.0, "weight/x": 1.0}
        row["time/examples_per_second"] = 25_000.0
        if step % evaluated == 0:
            row |= {"test/elbo": -1234.5678, "test/kl_z": 2.0}
            row["assignment/accuracy"] = 0.98765
        bar.show(row)
    bar.close()
    return stream.getvalue()


def test_a_terminal_has_a_bar_and_a_line_for_each_evaluation(monkeypatch):
    text = shown(monkeypatch, Terminal())
    assert progress.COMPILING in text
    kept = re.findall(r"step (\d+)/1000 .*test elbo -1235 accuracy 0.9877", text)
    assert kept == [str(step) for step in range(100, 1001, 100)]
    drawn = [part for part in re.split(r"[\r\n]", text) if "left" in part]
    assert len(drawn) > 2
    assert max(map(len, drawn)) <= progress.WIDTH
    last = drawn[-1]
    assert "epoch 100/100" in last
    assert "100%" in last
    assert "loss 1235 test elbo -1235 accuracy 0.9877" in last
    assert "kl_z" not in text


@pytest.mark.parametrize("is_notebook", [True, False])
def test_a_notebook_has_a_bar_and_a_shell_of_another_kind_lines(
    monkeypatch, is_notebook
):
    shell = types.SimpleNamespace(**{"kernel": None} if is_notebook else {})
    module = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)
    text = shown(monkeypatch, io.StringIO())
    assert ("left" in text) == is_notebook


@pytest.mark.parametrize(("every", "evaluated"), [(10, 10), (10, 100), (1, 1)])
def test_what_is_piped_is_short(monkeypatch, every, evaluated):
    text = shown(monkeypatch, io.StringIO(), 2000, every, evaluated)
    lines = text.splitlines()
    assert lines[0] == progress.COMPILING
    assert lines[1].startswith("time to first step")
    assert 10 <= len(lines) <= progress.MAX_LINES + 4
    assert all(len(line) <= progress.WIDTH for line in lines)
    assert lines[-1].startswith("step 2000/2000 epoch 200 loss 1235 test elbo -1235")
    assert "25000 ex/s" in lines[-1]


def test_in_memory_nothing_is_said_of_the_start(monkeypatch):
    text = shown(monkeypatch, io.StringIO(), compiles=False, tell_start=False)
    assert text.startswith("step 10/1000")


def test_a_run_that_is_at_its_end_compiles_nothing(monkeypatch):
    monkeypatch.setattr(progress.sys, "stderr", io.StringIO())
    progress.Progress(10, 10, 10).close()
    assert progress.sys.stderr.getvalue() == ""
