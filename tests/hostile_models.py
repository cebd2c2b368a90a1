"""What a saved model's folder may be made into by accident or on purpose."""

import json

from infovae_jax.export import numpy_runtime


def seal(folder):
    """The manifest that one who changes a model on purpose would write."""
    path = folder / numpy_runtime.MANIFEST
    listed = json.loads(path.read_text())["sha256"]
    digests = {name: numpy_runtime.digest(folder / name) for name in listed}
    path.write_text(json.dumps({"sha256": digests}))


def change_json(name, change):
    def damage(folder):
        record = json.loads((folder / name).read_text())
        change(record)
        (folder / name).write_text(json.dumps(record))
        seal(folder)

    return damage


def cut(name, size):
    def damage(folder):
        path = folder / name
        path.write_bytes(path.read_bytes()[:size])
        seal(folder)

    return damage


def write(name, content):
    def damage(folder):
        (folder / name).write_bytes(content)
        seal(folder)

    return damage


def manifest(content):
    return lambda folder: (folder / numpy_runtime.MANIFEST).write_bytes(content)


def first_node(record):
    return record["encode"]["nodes"][0]


DAMAGES = {
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "a flipped bit": lambda folder: (folder / "check.npz").write_bytes(b"x"),
    "a path outside": manifest(b'{"sha256": {"../x": "0"}}'),
    "an absolute path": manifest(b'{"sha256": {"/etc/passwd": "0"}}'),
    "no model listed": manifest(b'{"sha256": {}}'),
    "a list": manifest(b"[]"),
    "deep": manifest(b"[" * 10**5),
    "a cut model.json": cut("model.json", 100),
    "cut arrays": cut("model.safetensors", 200),
    "a huge header": write("model.safetensors", b"\xff" * 16),
    "no arrays": write("model.safetensors", (2).to_bytes(8, "little") + b"{}"),
    "a pickle": write("check.npz", b"\x80\x04N."),
    "a number for a group": change_json("model.json", lambda r: r.update(spec=5)),
    "another shape": change_json(
        "model.json", lambda r: r["spec"].update(shape=[1, 6, 1])
    ),
    "a large shape": change_json(
        "model.json", lambda r: r["spec"].update(shape=[10**9, 10**9, 1])
    ),
    "words for a shape": change_json(
        "model.json", lambda r: r.update(image_shape=["a"])
    ),
    "an unknown step": change_json(
        "graphs.json", lambda r: first_node(r).update(op="os.system")
    ),
    "a large array": change_json(
        "graphs.json",
        lambda r: first_node(r).update(
            {"op": "iota", "in": [], "shape": [10**12], "axis": 0, "dtype": "float32"}
        ),
    ),
    "an object": change_json(
        "graphs.json",
        lambda r: first_node(r).update(
            {"op": "convert_element_type", "in": ["x"], "dtype": "O"}
        ),
    ),
    "no nodes": change_json("graphs.json", lambda r: r["encode"].update(nodes=[])),
    "another scale": change_json(
        "model.json", lambda r: r["scaling"].update(factor=2.0)
    ),
    "a wrong type": change_json("model.json", lambda r: r["scaling"].update(kind=[])),
}
