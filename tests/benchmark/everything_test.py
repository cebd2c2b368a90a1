"""One command for all tables: every part has flags that its command takes."""

import pathlib
import types

import pytest

from infovae_jax.benchmark import command, everything, memory, start, waits
from infovae_jax.errors import ConfigError
from infovae_jax.report import pages

PARSERS = {
    everything.MODULE: command.make_parser,
    f"{everything.MODULE}.start": start.make_parser,
    f"{everything.MODULE}.waits": waits.make_parser,
    f"{everything.MODULE}.memory": memory.make_parser,
}
PARTS = everything.commands("mnist.npz", pathlib.Path("results"))


def test_every_part_that_is_in_the_pages_is_made():
    text = (pages.ROOT / "docs" / "benchmarks.md").read_text()
    written = {match[2].split()[-1] for match in pages.PART.finditer(text)}
    assert written == set(PARTS) - {"population", "clusters"}
    for name, lines in PARTS.items():
        for module, *flags in lines:
            if module in PARSERS:
                options = PARSERS[module]().parse_args(flags)
                assert pathlib.Path(options.out).stem == name
                folder = pathlib.Path(options.out).parent
                assert folder.parent == pathlib.Path("results").absolute()


def test_parts_of_accelerators_are_left_out_on_cpus():
    names = list(PARTS)
    assert (
        everything.chosen(None, names, "cpu: x")
        == names[: -len(everything.ACCELERATORS)]
    )
    assert everything.chosen(None, names, "gpu: x") == names
    assert everything.chosen("steps,start", names, "cpu: x") == ["start", "steps"]
    with pytest.raises(ConfigError, match="no part 'waist'"):
        everything.chosen("waist", names, "cpu: x")


def test_a_part_that_fails_is_told_and_the_others_go_on(capsys):
    def execute(line, check):
        assert not check
        return types.SimpleNamespace(returncode=7 * ("fails" in line))

    parts = {"a": [["m", "fails"], ["n", "fails"]], "b": [["o"]]}
    assert everything.run(parts, execute) == ["a"]
    told = capsys.readouterr().out.splitlines()
    assert told[1] == "== a failed, exit code 7"
    assert told[-1] == "== b: python -m o"


def test_the_data_must_be_there(capsys):
    with pytest.raises(SystemExit) as stopped:
        everything.main(["--data=nowhere.npz"])
    assert stopped.value.code == ConfigError.exit_code
    assert "no file 'nowhere.npz'" in capsys.readouterr().err
