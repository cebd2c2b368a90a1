"""A saved model to and from a Hugging Face repository.

    revision = hub.push("digits_model", "someone/digits")     # a commit
    model = infovae_jax.load(hub.pull("someone/digits", revision))

A model is pulled by the hash of a commit, which cannot come to mean another one, and
holds no code that is executed. Needs `pip install 'infovae_jax[hub]'`; who one is, and
where the hub is, `huggingface_hub` knows from its own settings (HF_TOKEN, HF_ENDPOINT).
"""

import contextlib
import importlib
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from infovae_jax.errors import ConfigError, UserError
from infovae_jax.export import files, numpy_runtime

CARD = "README.md"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def push(folder: str | pathlib.Path, repository: str, private: bool = True) -> str:
    """Uploads a model with a generated card.

    Args:
      folder: of `est.save`.
      repository: 'owner/name'; made where it is not there.
      private: of a new one.

    Returns:
      The hash of the commit, by which `pull` finds it.

    Raises:
      CheckpointError: no model there, or a damaged one.
      ConfigError: the package is absent, or the hub refuses.
    """
    folder = pathlib.Path(folder)
    with files.reading(folder):
        names = [*numpy_runtime.check_manifest(folder), numpy_runtime.MANIFEST]
        text = (folder / numpy_runtime.MODEL).read_text(encoding="utf-8")
        page = card(json.loads(text), repository)
    hub = _package()
    operations = [
        hub.CommitOperationAdd(name, str(folder / name)) for name in sorted(names)
    ]
    operations.append(hub.CommitOperationAdd(CARD, page.encode()))
    with _refusals(repository):
        api = hub.HfApi()
        api.create_repo(repository, private=private, exist_ok=True)
        done = api.create_commit(
            repository, operations, commit_message="A model of infovae_jax"
        )
    return done.oid


def pull(
    repository: str, revision: str, folder: str | pathlib.Path | None = None
) -> pathlib.Path:
    """Downloads the model of a commit; returns its folder, of which SHA-256s are right.

    Args:
      repository: 'owner/name'.
      revision: the hash of a commit, 40 hex digits.
      folder: for the files; None: the hub's cache.

    Raises:
      CheckpointError: it holds no model, or a damaged one.
      ConfigError: the package is absent, `revision` is no commit, or the hub refuses.
    """
    if not _COMMIT.fullmatch(revision):
        raise ConfigError(
            f"'{revision[:50]}' is no commit, and a branch may change",
            f"revision of {repository}",
            "give the 40 digits that push returned",
        )
    hub = _package()
    with _refusals(repository):
        place = hub.snapshot_download(
            repository,
            revision=revision,
            local_dir=None if folder is None else str(folder),
            allow_patterns=["*.json", "*.npz", "*.safetensors", "*.onnx", "*.stablehlo"]
            + ["numpy_runtime.py"],
        )
    found = pathlib.Path(place)
    with files.reading(found):
        numpy_runtime.check_manifest(found)
    return found


def card(record: dict[str, Any], repository: str) -> str:
    """The page of a model in Markdown: what it is, takes and gives."""
    spec, versions = record["spec"], record["versions"]
    shape = record["image_shape"] or [spec["shape"][1]]
    rows = " x ".join(map(str, shape))
    classes = record["names"].get("classes_")
    digest = str(record["fitted"].get("data_digest_"))[:16]
    groups = f"{len(record['clusters'])} clusters, found without labels"
    if classes:
        groups = f"{len(classes)} classes"
    elif not record["clusters"]:
        groups = "none"
    return f"""---
library_name: infovae_jax
license: other
tags: [variational-autoencoder, jax, {record["config"]["objective"]}]
---
# {repository.rpartition("/")[2]}

`{record["class"]}` of infovae_jax {versions["infovae_jax"]}, trained on
{spec["num_examples"]} rows of {rows} (SHA-256 of the data `{digest}`).

| | |
|---|---|
| codes | {record["config"]["model"].get("latent_dim")} dims |
| groups | {groups} |
| likelihood | {spec["likelihood"]} |
| scaling | {record["scaling"]["decision"]} |

```python
import infovae_jax
from infovae_jax.export import hub

model = infovae_jax.load(hub.pull("{repository}", "COMMIT"))
codes = model.transform(x)  # rows of {rows}
```

With NumPy alone: `numpy_runtime.py` of this repository, `load(FOLDER).encode(x)`. What
it was trained for, and what it must not be used for, its owner says here.
"""


def _package() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError:
        raise ConfigError(
            "the hub needs the package huggingface_hub",
            "infovae_jax.export.hub",
            "pip install 'infovae_jax[hub]'",
        ) from None


@contextlib.contextmanager
def _refusals(repository: str) -> Iterator[None]:
    """Turns what the hub, its client or the network says no with into one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of the client, of its HTTP library, of the system
        text = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"the hub says no ({type(error).__name__}: {text})",
            repository,
            "check the name, HF_TOKEN and the network",
        ) from error
