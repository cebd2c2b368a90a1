"""The lines on top of the page."""

import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from infovae_jax import config as config_lib
from infovae_jax.distributions import Gaussian
from infovae_jax.report import gallery, headline, live, page
from infovae_jax.report.results import Evaluation


def a_run(clusters=1, uses_labels=False):
    prior = Gaussian(np.zeros((clusters, 3)), np.zeros((clusters, 3)))
    spec = SimpleNamespace(
        shape=(8, 8, 1),
        num_examples=90,
        num_labels=10,
        likelihood="bernoulli",
        blocks=(),
    )
    config = SimpleNamespace(
        objective="vae",
        preset="digits",
        seed=4,
        data=SimpleNamespace(source="digits"),
        train=SimpleNamespace(num_epochs=7),
    )
    objective = SimpleNamespace(prior=prior, latent_dim=3, uses_labels=uses_labels)
    dataset = SimpleNamespace(spec=spec, test_x=np.zeros((10, 8, 8, 1)))
    return SimpleNamespace(
        config=config, objective=objective, dataset=dataset, member=None
    )


def evaluation(metrics, verdicts=None):
    return Evaluation(metrics, [], 1, "test", {}, {}, verdicts=verdicts)


def test_figures_stand_beside_what_they_are_compared_with():
    metrics = {
        "cluster/accuracy": 0.94,
        "kmeans/accuracy": 0.77,
        "elbo": -24.5,
        "nll": 23.5,
        "reconstruction/explained": 0.63,
        "sample/accuracy": 0.99,
        "active_units": 3,
    }
    found = headline.figures(a_run(10), evaluation(metrics))
    assert [f.value for f in found] == ["0.94", "-24.5", "0.63", "0.99", "3"]
    assert "0.77" in found[0].reference
    assert "-23.5" in found[1].reference
    assert found[3].reference == "guessing: 0.1"
    assert headline.figures(a_run(), evaluation({})) == []


@pytest.mark.parametrize("uses_labels", [False, True])
def test_what_was_trained_tells_of_labels(uses_labels):
    text = headline.what(a_run(uses_labels=uses_labels))
    assert "vae with 3 latent dims on digits: 90 training and 10 test" in text
    assert "test examples of 8x8x1, likelihood" in text
    assert ("no label was used in training" in text) == (not uses_labels)


def test_a_table_has_rows():
    run = a_run()
    run.dataset.spec.blocks, run.dataset.spec.shape = (("numeric", 13),), (1, 13, 1)
    assert "90 training and 10 test rows of 13 numbers," in headline.what(run)


def shipped(name):
    path = config_lib.packaged_configs() / f"{name}.py"
    return config_lib.from_json(
        config_lib.to_json(config_lib.load_config_file(str(path)))
    )


def test_the_command_trains_the_same_again():
    config = shipped("infocatvae")
    run = SimpleNamespace(config=config, member=None)

    def command():
        return dict(headline.commands(run, "w"))[
            "the same training again, in a new folder"
        ]

    start = "python -m infovae_jax.main --config=infocatvae:digits"
    assert command() == start
    config.data.source, config.train.num_epochs = "my data/x.npz", 7
    config.network.encoder_hidden = (32, 16)
    assert shlex.split(command())[4:] == [
        "--config.data.source=my data/x.npz",
        "--config.network.encoder_hidden=(32, 16)",
        "--config.train.num_epochs=7",
    ]
    run.member = 2
    assert (
        headline.commands(run, "w")[0][0]
        == "this member by itself again, in a new folder"
    )
    run.member = None
    config.preset = "of another file"
    assert "FILE (which has the values of config.json)" in command()
    # Of an objective without a file the nearest one, and all that makes it another.
    config = run.config = shipped("infocatvae")
    config.objective = "my_package.mine"
    words = shlex.split(command())
    assert words[3] == "--config=vae:digits"
    assert "--config.objective=my_package.mine" in words
    assert "--config.model.num_clusters=10" in words


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (None, "was not looked at"),
        ([], "no fault found, of those that are looked for"),
        (["the decoder is <dead>"], "<li>the decoder is &lt;dead&gt;</li>"),
    ],
)
def test_verdicts_stand_on_top(verdicts, words):
    section = {
        "id": "a",
        "title": "A",
        "caption": "How to read it.",
        "recipe": "",
        "image": "aaaa",
        "file": "a.png",
        "alt": "A. How to read it.",
        "width": 10,
        "height": 20,
        "size": "narrow",
    }
    given = dict(
        title="t",
        facts="f",
        what="w",
        headline=[headline.Headline("Bound", "1", "2")],
        commands=[("use", "do")],
        questions=[("Why?", [section])],
        live=live.Live(None, "so"),
        script=live.script,
        map=None,
        evaluation=evaluation({"elbo": 1.0}, verdicts),
        evaluate="e",
        provenance="p",
        older=False,
        step=1,
        decision="d",
        skipped=[],
        report="r",
        config="c",
    )
    text = page._template().render(given)
    summary = text.split('id="summary"')[1].split("</section>")[0]
    assert words in summary
    assert "Bound" in summary
    assert text.index("Why?") < text.index("Figures of merit")
    assert "It does not run in this page: so." in text
    assert "#decoder" in text
    of_table = page._template().render(given | {"live": live.Live(None)})
    assert "Try the decoder" not in of_table
    careful = given["evaluation"]._replace(verdicts=["few"], grade="with care")
    assert '<p class="care">With care:</p>' in page._template().render(
        given | {"evaluation": careful}
    )
    assert 'alt="A. How to read it."' in text
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", text)


def test_every_picture_has_its_question_and_captions_know_labels():
    named = [name for names in gallery.QUESTIONS.values() for name in names]
    assert sorted(named) == sorted(picture.name for picture in gallery.PICTURES)
    for picture in gallery.PICTURES:
        caption = picture.caption_for(uses_labels=True)
        assert "never used" not in caption
        assert picture.caption_for(uses_labels=False) == picture.caption


def test_clusters_that_were_learned_from_labels_are_classes():
    assert gallery.of_classes("Use of the clusters", True) == "Use of the classes"
    assert gallery.of_classes("Clusters against labels", True) == (
        "Classes against labels"
    )
    assert gallery.of_classes("Real members of each cluster", True).endswith("class")
    assert gallery.of_classes("Use of the clusters", False) == "Use of the clusters"
