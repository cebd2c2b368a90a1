"""The pages: every block runs as a reader would run it, every link leads somewhere."""

import ast
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import NamedTuple

import forked
import pytest
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax import objectives, report
from infovae_jax.report import ledger, pages

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [
    "README.md",
    *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(
    r"(?:<!-- (?P<what>(?:run|not run|file)[^\n]*) -->\n)?"
    r"^```(?P<kind>\S*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
# Where training takes longer than compiling does: with some optimisation it is shorter.
LONG_FITS = ("README.md", "docs/estimators.md", "docs/tables.md")
# Blocks of these kinds are no code of ours to run.
SHOWN = ("text", "toml", "json", "yaml")


class Block(NamedTuple):
    what: str
    kind: str
    text: str


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page):
    return [
        Block(m["what"] or "", m["kind"], m["text"]) for m in BLOCK.finditer(read(page))
    ]


def has_code(page):
    return any(
        (b.kind, b.what) == ("python", "") or b.what == "run" for b in blocks(page)
    )


@pytest.mark.process
@pytest.mark.parametrize("page", [page for page in PAGES if has_code(page)])
def test_blocks_run(page, tmp_path):
    """In order, in one folder; the Python blocks of a page as one program."""
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    if page in LONG_FITS:
        env["XLA_FLAGS"] = forked.xla_flags("--xla_backend_optimization_level=1")
    found = blocks(page)
    for block in found:
        if block.what.startswith("file: "):
            path = tmp_path / block.what.removeprefix("file: ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    python = "\n".join(b.text for b in found if b.kind == "python" and not b.what)
    commands = [[sys.executable, "-c", python]] if python else []
    env["PATH"] = f"{pathlib.Path(sys.executable).parent}:{env['PATH']}"
    commands += [["bash", "-ec", b.text] for b in found if b.what == "run"]
    for command in commands:
        if command[0] == sys.executable:
            done = forked.run(command, tmp_path, env)
        else:
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, env=env
            )
        assert done.returncode == 0, done.stderr[-3000:]


def commands_of(text):
    """The commands of a shell block, each as its words."""
    text = text.replace("\\\n", " ")
    for line in text.splitlines():
        for command in re.split(r"\s&&\s", line):
            if command.strip():
                yield shlex.split(command)


@pytest.mark.parametrize("page", [p for p in PAGES if p != "docs/command.md"])
def test_commands_that_are_not_run_name_what_there_is(page):
    """Training takes minutes: its flags are read as the command line reads them."""
    for block in blocks(page):
        if block.kind in SHOWN or block.kind.startswith("{"):
            continue
        assert block.kind in ("python", "bash"), block
        if block.kind == "bash" and block.what != "run":
            assert block.what.startswith("not run: ") or all(
                is_sound(words) for words in commands_of(block.text)
            ), block


def is_sound(words):
    words = [w for w in words if not re.fullmatch(r"[A-Z_]+=\S*", w)]
    if words[:1] in (["pip"], ["."], ["python3"], ["sphinx-build"], [".ci/run"]):
        return True
    if words[0].startswith("launch/"):
        return (ROOT / words[0]).is_file()
    if words[:3] == ["python", "-m", "pytest"]:
        return all((ROOT / w).exists() for w in words if w.startswith("tests/"))
    if words[:3] == ["python", "-m", "infovae_jax.main"] or words[0] == "infovae":
        return flags_are_known(
            words[words.index("python") + 3 :] if "python" in words else words[1:]
        )
    module = words[2] if words[:2] == ["python", "-m"] else ""
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def flags_are_known(words):
    """Of `infovae_jax.main`: the config exists and takes every key and its value."""
    flags = dict(word.lstrip("-").partition("=")[::2] for word in words)
    if "config" not in flags:
        return "workdir" in flags or "input" in flags
    config = config_lib.load_config_file(str(ROOT / flags.pop("config")))
    for name, text in flags.items():
        group, _, key = name.removeprefix("config.").rpartition(".")
        if not name.startswith("config.") or key == "objective":
            continue
        if group == "sweep":
            config.sweep[key] = text
            continue
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        assert f"{group}.{key}".lstrip(".") in config_lib.flatten(config), name
        config.update_from_flattened_dict({f"{group}.{key}".lstrip("."): value})
    config = ConfigDict(config_lib.from_json(config_lib.to_json(config)))
    config_lib.check(config)
    objectives.check(config)
    return True


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")


@pytest.mark.parametrize("page", [*PAGES, "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    for target, _ in LINK.findall(BLOCK.sub("", read(page))):
        path = (ROOT / page).parent / target.replace("\n", " ")
        assert path.exists(), target


def test_pictures_are_few_small_and_told_of():
    """Each stands in a page, with the command that made it below."""
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    assert 0 < len(pictures) <= 12
    for picture in pictures:
        assert picture.suffix == ".png"
        assert picture.stat().st_size <= 60_000
        objective = max(
            (n for n in objectives.names() if picture.stem.startswith(f"{n}_")), key=len
        )
        figure = picture.stem.removeprefix(f"{objective}_")
        command = f"python -m infovae_jax.main --config=configs/{objective}.py"
        shown = (
            rf"!\[[^\]]+\]\(\.\./pictures/{picture.name}\)\n\n\*`figures/{figure}\.png`"
        )
        caption = rf"{shown} of `{re.escape(command)}`: .+\*\n"
        assert re.search(caption, read(f"docs/objectives/{objective}.md")), picture
        assert any(drawn.name == figure for drawn in report.PICTURES)


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= 150


def test_made_parts_are_those_of_results_and_declarations():
    """If not: python -m infovae_jax.report.pages."""
    records = ledger.read_records(ROOT / "results")
    for path in pages.paths():
        text = path.read_text(encoding="utf-8")
        assert text == pages.made(text, records), path


def test_every_objective_has_its_page_and_its_row():
    folder = ROOT / "docs" / "objectives"
    names = set(objectives.names())
    assert {p.stem for p in folder.glob("*.md")} == names | {"index"}
    assert {system.objective for system in pages.SYSTEMS} == names
    for name in names:
        parts = {m[2] for m in pages.PART.finditer((folder / f"{name}.md").read_text())}
        wanted = ["mathematics", "figures", "knobs"] + ["samples"] * (name == "n_vae")
        assert parts == {f"{what} {name}" for what in wanted}


@pytest.mark.process
def test_shell_blocks_run(tmp_path):
    """Of the page on the command, which this environment may not have installed."""
    text = (ROOT / "docs" / "command.md").read_text()
    found = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert found
    command = f'infovae() {{ "{sys.executable}" -m infovae_jax "$@"; }}\n'
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command + "\n".join(found)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "model" / "manifest.json").is_file()
