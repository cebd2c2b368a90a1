"""The decoder in the page: JavaScript makes of codes what JAX makes of them."""

import base64
import collections
import io
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pages_in_a_browser import CHROMIUM, opened_page
from PIL import Image

from infovae_jax import report
from infovae_jax.export import files, functions, graphs, numpy_runtime
from infovae_jax.report import figures, hover_map, live, page
from infovae_jax.training.run import claim_workdir, open_run
from infovae_jax.types import DataSpec

NODE = shutil.which("node")
GRAPH_JS = live.TEMPLATES / "graph.js"
needs_node = pytest.mark.skipif(NODE is None, reason="no node on the PATH")
pytestmark = pytest.mark.filterwarnings("ignore:.*n_jobs.*")
HARNESS = """
const graph = require(process.argv[1]);
const given = JSON.parse(require("fs").readFileSync(process.argv[2], "utf8"));
const input = graph.tensor(given.shape, Float32Array.from(given.input));
const made = graph.run(given.graph, graph.unpack(given.weights), { z: input });
const found = Object.entries(made).map(([k, x]) => [k, [x.shape, Array.from(x.data)]]);
console.log(JSON.stringify(Object.fromEntries(found)));
"""


def run_in_node(tmp_path, graph, weights, z):
    """What graph.js makes of z, by name."""
    path = tmp_path / "given.json"
    given = {"graph": graph, "weights": weights, "shape": list(z.shape)}
    path.write_text(json.dumps(given | {"input": z.reshape(-1).tolist()}))
    done = subprocess.run(
        [NODE, "-e", HARNESS, str(GRAPH_JS), str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {k: np.array(data).reshape(shape) for k, (shape, data) in found.items()}


MODELS = {
    "infocatvae": ("mlp", (96, 80), (8, 8, 1)),
    "n_vae": ("mlp", (96,), (8, 8, 1)),
    "vae": ("conv", (32,), (9, 10, 3)),
}


@needs_node
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.process
def test_a_hundred_codes_in_node(make_config, tmp_path, name):
    kind, hidden, shape = MODELS[name]
    config = make_config(name)
    config.network.kind, config.network.decoder_hidden = kind, hidden
    config.network.conv_channels, config.network.conv_hidden = (8, 16), 64
    spec = DataSpec(shape, "float32", "bernoulli", 64, 4, False)
    objective = functions.plain_objective(config, spec)
    params = jax.jit(objective.init)(jax.random.key(0))
    z = np.asarray(objective.sample_code(jax.random.key(1), params, 100))
    flat = files.flatten(jax.tree.map(np.asarray, params), "params")
    graph, arrays = live.decode_graph(objective, flat)
    weights, _ = live.pack(arrays)
    assert "f2" in {about["type"] for about in weights["arrays"]}
    made = run_in_node(tmp_path, graph, weights, z)["x"]
    expected = jax.jit(objective.decode)(params, z)
    assert np.asarray(expected).std() > 0.01
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-3)


def odd_steps(params, z):
    """Steps that only somebody's own modules have, and those of every activation."""
    y = jnp.pad(z, ((0, 0), (1, 2), (0, 0)))
    y = jax.lax.slice_in_dim(y, 0, 6, 2, 1)
    y = jnp.einsum("bij,bkj->bik", y, y)
    count = jnp.arange(4.0)[None] + jnp.zeros((z.shape[0], 1))
    table = jnp.arange(12.0).reshape(4, 3)
    cut = jax.lax.pad(z, 0.5, ((0, 0, 0), (-1, 1, 0), (2, -1, 0)))
    spread = jax.lax.conv_general_dilated(
        z[..., None],
        params["kernel"],
        (2, 1),
        ((1, 2), (-1, 2)),
        lhs_dilation=(2, 3),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    first, second = jnp.split(z, (1,), 1)
    return {
        "a": jnp.clip(jnp.expm1(-jnp.abs(y)), -0.5, 0.5).max((1, 2)),
        "b": jnp.where(count > 1, jnp.sign(count), jnp.square(count)),
        "c": z.argmin(-1) + z.argmax(1).sum(-1, keepdims=True) + jnp.floor(z[..., 0]),
        "d": jax.scipy.special.erf(z) + jnp.sin(z) * jnp.cos(z) + z**3,
        "e": jnp.flip(z, 1).min(-1) + jnp.log1p(jnp.exp(z)).sum(-1),
        "f": jnp.take(table, (z[:, 0, 0] > 0).astype(jnp.int32), axis=0),
        "g": cut,
        "h": spread,
        "i": jnp.concatenate([second, jnp.tanh(first)], 1) @ params["matrix"],
        "j": jax.nn.softmax(z) / jnp.sqrt(1 + z**2) + jax.nn.sigmoid(5 * z),
        "k": jnp.minimum(z, 0.1) * jax.lax.rsqrt(2.0 + z) + jax.nn.gelu(z),
        "l": jnp.logical_not((z >= 0) & (z < 1) | (z == 2)).astype(jnp.float32),
        "m": jnp.einsum("bij,jki->bk", z, params["cube"]),
        "n": jnp.maximum(z, 0) ** 0.7 - jnp.log(1.5 + jnp.abs(z)),
    }


@needs_node
@pytest.mark.process
def test_every_kind_of_step_in_node(tmp_path):
    rng = np.random.default_rng(0)
    z = rng.uniform(-1, 1, size=(5, 4, 3)).astype(np.float32)
    params = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in (
            *(("kernel", (3, 2, 1, 2)), ("matrix", (3, 2)), ("cube", (3, 2, 4))),
        )
    }
    graph, constants = graphs.trace(odd_steps, params, {"z": (4, 3)}, "g")
    kinds = {node["op"] for node in graph["nodes"]}
    weights, _ = live.pack(params | constants)
    found = run_in_node(tmp_path, json.loads(json.dumps(graph)), weights, z)
    expected = jax.jit(odd_steps)(params, z)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-5, atol=1e-5, err_msg=key)
    assert len(kinds) > 30


@needs_node
def test_it_knows_the_steps_that_numpy_knows():
    code = "console.log(require(process.argv[1]).operations.join(' '))"
    done = subprocess.run(
        [NODE, "-e", code, str(GRAPH_JS)], capture_output=True, text=True
    )
    assert set(done.stdout.split()) == set(numpy_runtime.OPS)


def test_packed_arrays_come_back():
    rng = np.random.default_rng(0)
    arrays = {
        "large": rng.normal(size=(40, 30)).astype(np.float32),
        "small": rng.normal(size=7).astype(np.float32),
        "numbers": np.arange(2000),
        "one": np.float32(3.5).reshape(()),
    }
    packed, rounded = live.pack(arrays)
    assert [a["type"] for a in packed["arrays"]] == ["f2", "f4", "f4", "f4"]
    assert [a["shape"] for a in packed["arrays"]] == [[40, 30], [7], [2000], []]
    np.testing.assert_array_equal(rounded["large"], arrays["large"].astype(np.float16))
    for name in ("small", "numbers", "one"):
        np.testing.assert_array_equal(rounded[name], arrays[name])
    assert len(packed["data"]) == 4 * -(-(2400 + 28 + 8000 + 4) // 3)


# Known causes of the images of `opened`.
SIDE, SLANT = np.arange(40) % 4, np.linspace(-1.25, 7.0, 40)


def opened(make_config, name, tmp_path, **network):
    """A run of 40 images with fresh parameters."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.random((40, 6, 5, 1), dtype=np.float32), "y": np.arange(40) % 3}
    factors = {"factor_side": SIDE, "factor_slant": SLANT}
    np.savez(tmp_path / "data.npz", **arrays, **factors)
    config = make_config(name)
    config.network.update(network)
    config.data.source = str(tmp_path / "data.npz")
    config.data.test_fraction, config.train.batch_size = 0.5, 8
    run = open_run(config, say=lambda text: None)
    claim_workdir(config, tmp_path / "run")
    return run, jax.jit(run.objective.init)(jax.random.key(0)), tmp_path / "run"


def with_pictures(monkeypatch, *names):
    """Pages have these alone."""
    chosen = tuple(p for p in report.PICTURES if p.name in names)
    assert len(chosen) == len(names)
    monkeypatch.setattr(report, "PICTURES", chosen)


def data_of(text, name="live"):
    found = re.search(rf'id="{name}-data">(.*?)</script>', text, re.DOTALL)
    return found and json.loads(found[1])


@pytest.mark.long
def test_the_page_holds_the_decoder(make_config, tmp_path, monkeypatch):
    with_pictures(monkeypatch)
    run, params, workdir = opened(make_config, "infocatvae", tmp_path)
    given = data_of(report.write(run, params, workdir).read_text())
    assert given["shape"] == [6, 5, 1]
    assert given["range"] == [0.0, 1.0]
    assert given["error"] < 1e-3
    size = run.objective.latent_dim
    assert sorted(dim["index"] for dim in given["dims"]) == list(range(size))
    means = np.asarray(run.objective.prior.mean)
    np.testing.assert_allclose([c["code"] for c in given["codes"][:10]], means)
    assert len(given["codes"]) == 10 + 20
    assert {len(draw) for draw in given["draws"]} == {size}


def test_the_map_knows_its_examples(make_config, tmp_path, monkeypatch):
    with_pictures(monkeypatch, "latent_map")
    run, params, workdir = opened(make_config, "infocatvae", tmp_path)
    text = report.write(run, params, workdir).read_text()
    given = data_of(text, "map")
    assert "<h1>infocatvae on data.npz, seed 0</h1>" in text
    with np.load(workdir / "figures" / "latent_map_points.npz") as points:
        points = dict(points)
    assert given["index"] == points["index"].tolist() == list(range(20))
    views = {view["title"]: view for view in given["views"]}
    assert list(views) == ["cluster", "label", "certainty", "side", "slant"]
    assert [v["title"] for v in given["views"] if "factor" in v] == ["side", "slant"]
    assert views["cluster"]["of"] == points["cluster"].tolist()
    labels = views["label"]["of"]
    assert labels == run.dataset.test_y.tolist() == points["label"].tolist()
    percent = np.round(100 * points["probability"])
    np.testing.assert_array_equal(views["certainty"]["of"], percent)
    known = {name: test for name, (_, test) in run.dataset.factors.items()}
    for name, values in known.items():
        np.testing.assert_array_equal(points[f"factor_{name}"], values)
    names = views["side"]["names"]
    assert [float(names[n]) for n in views["side"]["of"]] == known["side"].tolist()
    np.testing.assert_allclose(views["slant"]["of"], known["slant"], atol=5e-4)
    slant = views["slant"]
    assert [slant["low"], slant["high"]] == [min(slant["of"]), max(slant["of"])]
    drawn = np.array(given["xy"]) / given["steps"]
    xy = points["xy"] - points["xy"].min(0)
    np.testing.assert_allclose(drawn, xy / xy.max(0), atol=1e-3)
    picture = base64.b64decode(given["sprite"].partition(",")[2])
    with Image.open(io.BytesIO(picture)) as image:
        tiles = np.asarray(image)
    (height, width), columns = given["tile"], given["columns"]
    row, column = divmod(7, columns)
    tile = tiles[row * height :, column * width :][:height, :width]
    expected = np.round(255 * run.dataset.test_x[7, ..., 0])
    np.testing.assert_array_equal(tile, expected)


@pytest.mark.parametrize(("most", "tile"), [(400_000, [30, 20]), (30_000, [15, 10])])
def test_pictures_of_the_map_are_smaller_where_they_are_many(monkeypatch, most, tile):
    monkeypatch.setattr(hover_map, "MAX_SPRITE", most)
    spec = DataSpec((60, 40, 1), "float32", "bernoulli", 64, 0, False)
    x = np.random.default_rng(0).random((100, 60, 40, 1), dtype=np.float32)
    dataset, objective = SimpleNamespace(spec=spec), SimpleNamespace(uses_labels=False)
    run = SimpleNamespace(dataset=dataset, objective=objective)
    found = {"index": np.arange(100), "xy": np.arange(200.0).reshape(100, 2)}
    given = hover_map.make(SimpleNamespace(run=run, test_x=x), found)
    assert given["tile"] == tile
    assert len(given["sprite"]) < most
    monkeypatch.setattr(hover_map, "MAX_SPRITE", 100)
    assert "sprite" not in hover_map.make(SimpleNamespace(run=run, test_x=x), found)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([3.0, -1, 3, 1e300], ["-1", "3", "1e+300"]),
        ([7.0, 7], ["7"]),
        (np.arange(10), [str(n) for n in range(10)]),
        (np.arange(11), None),  # no two categories have one colour
        ([0.5, 0.5], ["0.5"]),
        ([0.5, 1.0], None),
        ([0.0, 1e-320, 0.5e-320], None),
        ([-1.7e308, 0.5, 1.7e308], None),
        (20231201.25 + np.arange(12) / 4, None),
    ],
)
def test_few_whole_values_are_categories_and_others_a_ramp(values, names):
    values = np.array(values, np.float64)
    view = json.loads(json.dumps(hover_map.factor_view("a/b <c>", values)))
    assert (view["title"], view["factor"]) == ("a/b <c>", True)
    assert view.get("names") == names
    if names:
        assert [float(names[n]) for n in view["of"]] == values.tolist()
        assert len(view["colours"]) == len(names)
        return
    low, high = view["low"], view["high"]
    assert low == min(view["of"])
    assert high == max(view["of"])
    # A thousandth of the range is a third of what the eye sees of the ramp's colours.
    step = np.ptp(values / 1000)
    np.testing.assert_allclose(view["of"], values, rtol=0, atol=step + 1e-300)
    if values[0] > 2e7:
        np.testing.assert_array_equal(view["of"], values)


def test_the_map_takes_so_many_factors_and_says_how_many_are_left_out():
    dataset = SimpleNamespace(spec=SimpleNamespace(blocks=True))
    objective = SimpleNamespace(uses_labels=False)
    scene = SimpleNamespace(run=SimpleNamespace(dataset=dataset, objective=objective))
    rng = np.random.default_rng(0)
    found = {"index": np.arange(1500), "xy": rng.normal(size=(1500, 2))}
    many = hover_map.MAX_FACTORS + 3
    found |= {f"factor_{n}": 1e6 * rng.normal(size=1500) for n in range(many)}
    given = hover_map.make(scene, found)
    titles = [view["title"] for view in given["views"]]
    assert titles == [str(n) for n in range(hover_map.MAX_FACTORS)]
    assert given["left_out"] == 3
    assert len(json.dumps(given)) < 0.1 * page.MAX_BYTES


@pytest.mark.long
def test_where_it_does_not_run_the_page_says_so(make_config, tmp_path, monkeypatch):
    with_pictures(monkeypatch)
    run, params, workdir = opened(make_config, "vae", tmp_path, decoder_hidden=(999,))
    monkeypatch.setattr(live, "MAX_WEIGHTS", 50_000)
    text = report.write(run, params, workdir).read_text()
    assert "It does not run in this page: its weights are 0.1 MB in 16 bits" in text
    assert "<script" not in text
    monkeypatch.undo()
    with_pictures(monkeypatch)
    # What 16 bits do not hold is not shown.
    large = jax.tree.map(lambda a: a, params)
    large["decoder"] = jax.tree.map(lambda a: 1e6 * a, large["decoder"])
    text = report.write(run, large, workdir).read_text()
    assert "weights in 16 bits make other images" in text
    assert "<script" not in text


def test_a_cluster_has_the_colour_of_its_label():
    scene = SimpleNamespace(matched=np.array([2, -1, 0, -1]))
    np.testing.assert_array_equal(figures.cluster_colours(scene, 4), [2, 3, 0, 4])
    scene.matched = None
    np.testing.assert_array_equal(figures.cluster_colours(scene, 4), [0, 1, 2, 3])


@pytest.mark.long
def test_the_decoder_goes_before_the_map(make_config, tmp_path, monkeypatch):
    with_pictures(monkeypatch, "latent_map")
    run, params, workdir = opened(make_config, "vae", tmp_path)
    whole = report.write(run, params, workdir).read_text()
    sizes = [len(json.dumps(data_of(whole, name))) for name in ("live", "map")]
    picture = len(re.search(r'src="data:image/png;base64,([^"]*)', whole)[1])
    for room, there, pictures in (
        (sum(sizes) + 1, [True, True], True),
        (sum(sizes), [True, True], False),
        (sizes[0] + 1000, [True, False], False),
        (sizes[0], [False, True], True),
    ):
        monkeypatch.setattr(page, "MAX_BYTES", (picture + room) / 0.95)
        text = report.write(run, params, workdir).read_text()
        assert [bool(data_of(text, name)) for name in ("live", "map")] == there
        assert ("the test image behind it" in text) == pictures
    assert "the pictures leave no room for it" in text


ACTIONS = """
const picture = () => document.querySelector(".live-picture");
const pixels = () => picture().toDataURL();
const settled = () => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(done)));
const seen = { sliders: [], size: [picture().width, picture().height] };
await settled();
for (const slider of document.querySelectorAll(".live-row input[id]")) {
  if (slider.id === "live-walk" || seen.sliders.length > 2) continue;
  const before = pixels();
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  await settled();
  seen.sliders.push(pixels() !== before);
}
const choices = [...document.querySelectorAll(".live-choice")];
seen.choices = choices.length;
choices[3].click();
await settled();
const first = pixels();
seen.status = document.querySelector(".live-status").textContent;
document.getElementById("live-end").click();
choices[choices.length - 1].click();
await settled();
seen.walked = pixels() !== first;
const walk = document.getElementById("live-walk");
walk.value = 0;
walk.dispatchEvent(new Event("input"));
await settled();
seen.back = pixels() === first;
const map = document.querySelector(".map > canvas");
map.focus();
map.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
await settled();
seen.point = document.querySelector(".map-side p").textContent;
seen.thumb = document.querySelector(".map-thumb").width;
seen.unnamed = [...document.querySelectorAll("button, input, select, canvas")].filter(
  (e) => !(e.labels?.length || e.textContent || e.ariaLabel || e.ariaHidden)).length;
seen.wide = document.documentElement.scrollWidth > window.innerWidth;
return seen;
"""


LOOK = """
const settled = () => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(done)));
await settled();
await settled();
const canvas = document.querySelector(".map > canvas");
const { left, top, width, height } = canvas.getBoundingClientRect();
return {
  pixels: canvas.toDataURL(),
  scale: Number(document.querySelector(".map-zoom output").textContent.slice(1)),
  key: document.querySelector(".map-key").textContent,
  said: document.querySelector(".map-side p").textContent,
  scrolled: window.scrollY,
  place: [left + width / 2, top + height / 2],
};
"""
TO_THE_MAP = """
const canvas = document.querySelector(".map > canvas");
canvas.scrollIntoView({ block: "center", behavior: "instant" });
canvas.focus();
"""
COLOUR_BY = """
const select = document.getElementById("map-colour");
const title = %s;
select.value = [...select.options].find((o) => o.textContent === title).value;
select.dispatchEvent(new Event("change"));
"""


def colours_in(seen):
    """How many pixels of what was seen have each colour."""
    content = base64.b64decode(seen["pixels"].partition(",")[2])
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGBA")).reshape(-1, 4)
    opaque = pixels[pixels[:, 3] == 255][:, :3]
    return collections.Counter("#" + bytes(pixel).hex() for pixel in opaque)


def zoom_by_all_means(page):
    """Wheel, drag, keys and fingers on the map, each with what it should change."""
    page.run(TO_THE_MAP)
    start = page.run(LOOK)
    x, y = start["place"]
    assert start["scale"] == 1
    # The wheel alone is the page's.
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=200)
    page.run("await new Promise((done) => setTimeout(done, 300));")
    seen = page.run(LOOK)
    assert seen["scale"] == 1
    assert seen["scrolled"] > start["scrolled"]
    page.run(TO_THE_MAP)
    page.press("0")
    whole = page.run(LOOK)
    for _ in range(2):
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200, modifiers=2)
    near = page.run(LOOK)
    assert near["scale"] == 2
    assert near["pixels"] != whole["pixels"]
    assert near["scrolled"] == whole["scrolled"]
    held = {"button": "left", "buttons": 1}
    page.mouse("mousePressed", x, y, clickCount=1, **held)
    pressed = page.run(LOOK)
    page.mouse("mouseMoved", x + 60, y + 40, **held)
    moved = page.run(LOOK)
    assert moved["pixels"] != pressed["pixels"]
    assert moved["scale"] == 2
    page.mouse("mouseMoved", x, y, **held)
    page.mouse("mouseReleased", x, y, clickCount=1, button="left")
    assert page.run(LOOK)["pixels"] == pressed["pixels"]
    page.press("-")
    assert page.run(LOOK)["scale"] < 2
    for _ in range(8):
        page.press("+")
    said = set()
    for key in (*["ArrowLeft"] * 3, *["ArrowDown"] * 3, *["ArrowRight"] * 3):
        page.press(key)
        seen = page.run(LOOK)
        said.add(seen["said"])
        # The frame of the chosen point, however far it was.
        assert colours_in(seen)["#000000"] > 100
    assert seen["scale"] == 16
    assert len(said) > 3
    assert all(text.startswith("test example ") for text in said)
    page.press("0")
    back = page.run(LOOK)
    assert back["scale"] == 1
    page.press("+")
    assert page.run(LOOK)["scale"] == 1.5
    page.press("0")
    assert page.run(LOOK)["pixels"] == back["pixels"]
    page.touch("touchStart", (x - 20, y), (x + 20, y))
    page.touch("touchMove", (x - 40, y - 5), (x + 40, y + 5))
    page.touch("touchMove", (x - 60, y - 10), (x + 60, y + 10))
    page.touch("touchEnd")
    pinched = page.run(LOOK)
    assert pinched["scale"] == pytest.approx(3, abs=0.1)
    assert pinched["scrolled"] == back["scrolled"]
    page.press("0")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
@pytest.mark.process
def test_the_page_in_a_browser(make_config, tmp_path, monkeypatch):
    with_pictures(monkeypatch, "latent_map")
    run, params, workdir = opened(make_config, "infocatvae", tmp_path)
    path = report.write(run, params, workdir)
    with opened_page(path, width=390) as page:
        seen = page.run(ACTIONS)
        zoom_by_all_means(page)
        by = {}
        for title in ("cluster", "side", "slant"):
            page.run(COLOUR_BY % json.dumps(title))
            by[title] = page.run(LOOK)
        assert page.troubles == []
    assert len({found["pixels"] for found in by.values()}) == 3
    assert by["side"]["key"] == "".join(
        sorted(set(map(str, run.dataset.factors["side"][1].astype(int))))
    )
    given = data_of(path.read_text(), "map")
    for title, known in (("side", given["colours"]), ("slant", given["ramp"])):
        assert len(colours_in(by[title]).keys() & set(known)) >= 3, title
    slant = np.round(run.dataset.factors["slant"][1], 3)
    assert by["slant"]["key"] == f"{slant.min():g}{slant.max():g}"
    assert seen["sliders"] == [True, True, True]
    assert seen["size"] == [5, 6]
    assert seen["choices"] == 30
    assert seen["status"].startswith("cluster 3")
    assert seen["walked"]
    assert seen["back"]
    assert seen["point"].startswith("test example ")
    assert "label" in seen["point"]
    assert seen["thumb"] == 5
    assert seen["unnamed"] == 0
    assert not seen["wide"]
