"""Push and pull with the hub's own client, against a stand-in on this machine."""

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse

import numpy as np
import pytest

from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.export import hub, numpy_runtime

client = pytest.importorskip("huggingface_hub")
REPOSITORY = "someone/digits"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of a hub as one repository needs."""

    commits: dict[str, dict[str, bytes]]

    def log_message(self, *arguments):
        pass

    def answer(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/repos/create"):
            self.answer(
                {"url": f"http://{self.headers['Host']}/{REPOSITORY}", "id": REPOSITORY}
            )
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": name, "uploadMode": "regular", "shouldIgnore": False}
                for name in names
            ]
            self.answer({"files": modes})
        elif "/commit/" in self.path:
            rows = [json.loads(line) for line in body.splitlines()]
            files = {
                row["value"]["path"]: base64.b64decode(row["value"]["content"])
                for row in rows
                if row["key"] == "file"
            }
            commit = hashlib.sha1(body).hexdigest()
            self.commits[commit] = files
            url = f"http://{self.headers['Host']}/{REPOSITORY}/commit/{commit}"
            self.answer({"commitUrl": url, "commitOid": commit, "success": True})
        else:
            self.answer({})

    def do_GET(self):
        parts = urllib.parse.urlparse(self.path).path.strip("/").split("/")
        known = [commit for commit in self.commits if commit in parts]
        if not known:
            self.answer(
                {"error": "Revision Not Found"}, 404, X_Error_Code="RevisionNotFound"
            )
            return
        (commit,) = known
        files = self.commits[commit]
        if parts[0] == "api" and "tree" in parts:
            self.answer(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                    for name, data in files.items()
                ]
            )
        elif parts[0] == "api":
            names = [{"rfilename": name} for name in files]
            self.answer({"id": REPOSITORY, "sha": commit, "siblings": names})
        else:
            data = files[parts[-1]]
            etag = f'"{hashlib.sha1(data).hexdigest()}"'
            self.answer(data, ETag=etag, X_Repo_Commit=commit)

    do_HEAD = do_GET


@pytest.fixture
def commits(monkeypatch):
    """The stand-in's commits, while the client takes it for the hub."""
    Hub.commits = {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    api = client.HfApi(endpoint=place, token="a token")
    monkeypatch.setattr(client, "HfApi", lambda: api)
    download = client.snapshot_download

    def from_here(*arguments, **options):
        return download(*arguments, endpoint=place, token=False, **options)

    monkeypatch.setattr(client, "snapshot_download", from_here)
    yield Hub.commits
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path):
    """The files of a model, as far as the hub looks at them."""
    place = tmp_path / "model"
    place.mkdir()
    record = {
        "class": "CatVAE",
        "versions": {"infovae_jax": "0.1.0"},
        "spec": {"shape": [1, 5, 1], "num_examples": 60, "likelihood": "bernoulli"},
        "image_shape": None,
        "clusters": ["cluster 0", "cluster 1"],
        "names": {},
        "fitted": {"data_digest_": "ab" * 32},
        "config": {"objective": "catvae", "model": {"latent_dim": 4}},
        "scaling": {"decision": "taken as they are"},
    }
    (place / "model.json").write_text(json.dumps(record))
    np.savez(place / "check.npz", x=np.zeros((2, 5)))
    np.savez(place / "model.npz", w=np.ones(3))
    names = ("model.json", "check.npz", "model.npz")
    digests = {name: numpy_runtime.digest(place / name) for name in names}
    (place / "manifest.json").write_text(json.dumps({"sha256": digests}))
    return place


def test_there_and_back(folder, commits, tmp_path):
    revision = hub.push(folder, REPOSITORY)
    assert list(commits) == [revision]
    page = commits[revision]["README.md"].decode()
    assert "60 rows of 5" in page
    assert "2 clusters, found without labels" in page
    found = hub.pull(REPOSITORY, revision, tmp_path / "pulled")
    for path in folder.iterdir():
        assert (found / path.name).read_bytes() == path.read_bytes()
    assert not (found / "README.md").exists()


def test_what_changed_on_the_way_is_refused(folder, commits, tmp_path):
    revision = hub.push(folder, REPOSITORY)
    commits[revision]["model.npz"] += b"x"
    with pytest.raises(CheckpointError, match="SHA-256"):
        hub.pull(REPOSITORY, revision, tmp_path / "pulled")


def test_only_commits_are_pulled(commits, tmp_path):
    with pytest.raises(ConfigError, match="a branch may change"):
        hub.pull(REPOSITORY, "main")
    with pytest.raises(ConfigError, match="the hub says no"):
        hub.pull(REPOSITORY, "0" * 40, tmp_path / "pulled")


def test_no_model_is_pushed(tmp_path, commits):
    with pytest.raises(CheckpointError, match="no model"):
        hub.push(tmp_path, REPOSITORY)
    assert not commits
