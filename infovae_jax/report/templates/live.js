// The decoder of the page: a code, its picture, and what moves it. What it is given is
// made by infovae_jax/report/live.py.
(() => {
  const SECONDS = 3; // of a walk

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  }

  // Values [H, W, C] from black to white; of a signal, one number high or wide, a line.
  function paint(canvas, values, shape, [low, high]) {
    const [height, width, channels] = shape;
    const isSignal = Math.min(height, width) === 1;
    if (isSignal) return paintLine(canvas, values, height * width, channels, low, high);
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let n = 0; n < height * width; n++) {
      for (let c = 0; c < 3; c++) {
        const value = values[n * channels + (channels === 3 ? c : 0)];
        image.data[4 * n + c] = (255 * (value - low)) / (high - low || 1);
      }
      image.data[4 * n + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  function paintLine(canvas, values, length, channels, low, high) {
    canvas.width = 320;
    canvas.height = 200;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 320, 200);
    context.strokeStyle = "#0072B2";
    context.lineWidth = 2;
    for (let c = 0; c < channels; c++) {
      context.beginPath();
      for (let n = 0; n < length; n++) {
        const share = (values[n * channels + c] - low) / (high - low || 1);
        context.lineTo(8 + (304 * n) / Math.max(length - 1, 1), 192 - 184 * share);
      }
      context.stroke();
    }
  }

  function start(root, given) {
    const arrays = infovaeGraph.unpack(given.weights);
    const size = given.shape.reduce((a, b) => a * b, 1);
    const numbers = given.codes.length ? given.codes[0].code.length : 0;

    // The pictures of some codes, one after the other.
    function decode(codes) {
      const data = Float32Array.from(codes.flatMap((code) => Array.from(code)));
      const z = infovaeGraph.tensor([codes.length, numbers], data);
      return infovaeGraph.run(given.graph, arrays, { z }).x.data;
    }

    const state = { ends: [given.codes[0], given.codes[1] || given.codes[0]], share: 0 };
    let code = Float32Array.from(state.ends[0].code);
    let playing = null;
    let waiting = false;

    const canvas = element("canvas", { class: "live-picture", role: "img" });
    const status = element("p", { class: "live-status", "aria-live": "polite" });
    const walk = element("input", {
      type: "range",
      id: "live-walk",
      min: 0,
      max: 100,
      value: 0,
      step: 1,
      oninput: () => {
        stop();
        goTo(Number(walk.value) / 100);
      },
    });
    const play = element("button", { type: "button", onclick: toggle }, "Walk");
    const sliders = given.dims.map((dim) => {
      const shown = element("output", { for: `live-${dim.index}` });
      const input = element("input", {
        type: "range",
        id: `live-${dim.index}`,
        min: dim.low,
        max: dim.high,
        step: (dim.high - dim.low) / 200 || 1,
        oninput: () => {
          stop();
          code[dim.index] = Number(input.value);
          show(`${dim.name} is ${code[dim.index].toFixed(2)}`);
        },
      });
      const label = element("label", { for: input.id }, dim.name);
      const row = element("div", { class: "live-row" }, label, input, shown);
      return { dim, input, shown, row };
    });

    function show(text) {
      status.textContent = text;
      canvas.setAttribute("aria-label", `What the decoder makes of the code: ${text}`);
      sliders.forEach(({ dim, input, shown }) => {
        input.value = code[dim.index];
        shown.textContent = code[dim.index].toFixed(2);
      });
      walk.value = Math.round(100 * state.share);
      if (waiting) return;
      waiting = true; // at most one picture a frame
      requestAnimationFrame(() => {
        waiting = false;
        paint(canvas, decode([code]), given.shape, given.range);
      });
    }

    function goTo(share) {
      const [first, last] = state.ends;
      state.share = share;
      code = Float32Array.from(first.code, (v, i) => v + share * (last.code[i] - v));
      const between = `${Math.round(100 * share)} % of the way from ${first.name} to ${last.name}`;
      show(share <= 0 ? first.name : share >= 1 ? last.name : between);
    }

    function stop() {
      playing = null;
      play.textContent = "Walk";
      status.setAttribute("aria-live", "polite");
    }

    function toggle() {
      if (playing) {
        stop();
        return;
      }
      status.setAttribute("aria-live", "off"); // sixty lines a second say nothing
      play.textContent = "Stop";
      const begin = state.share >= 1 ? 0 : state.share;
      const mine = {};
      let first = null;
      playing = mine;
      requestAnimationFrame(function step(now) {
        if (playing !== mine) return;
        first = first === null ? now : first;
        const share = Math.min(begin + (now - first) / (1000 * SECONDS), 1);
        if (share >= 1) stop();
        goTo(share);
        if (share < 1) requestAnimationFrame(step);
      });
    }

    // Which end a click below chooses.
    const places = ["start", "end"].map((name, place) => {
      const radio = element("input", {
        type: "radio",
        name: "live-end",
        id: `live-${name}`,
        checked: place === 0,
      });
      const preview = element("canvas", { class: "live-thumb", role: "img" });
      const title = element("span", { class: "live-name" });
      return { radio, preview, title, name };
    });

    function choose(item) {
      stop();
      const place = places.findIndex(({ radio }) => radio.checked);
      state.ends[place] = item;
      refresh();
      goTo(place);
    }

    const thumbs = given.codes.map((item) => {
      const picture = element("canvas", { class: "live-thumb", "aria-hidden": "true" });
      const button = element(
        "button",
        { type: "button", class: "live-choice", onclick: () => choose(item) },
        picture,
        element("span", {}, item.short),
      );
      button.setAttribute("aria-label", item.name);
      button.title = item.name;
      return { item, picture, button };
    });

    function refresh() {
      places.forEach(({ preview, title, name }, place) => {
        const item = state.ends[place];
        item.paint(preview);
        preview.setAttribute("aria-label", `${name} of the walk: ${item.name}`);
        title.textContent = item.name;
      });
      thumbs.forEach(({ item, button }) => {
        button.setAttribute("aria-pressed", String(state.ends.includes(item)));
      });
    }

    function prepare() {
      const centres = given.codes.filter((item) => item.pixels === undefined);
      const made = centres.length ? decode(centres.map((item) => item.code)) : [];
      centres.forEach((item, n) => {
        const values = made.slice(n * size, (n + 1) * size);
        item.paint = (target) => paint(target, values, given.shape, given.range);
      });
      given.codes.forEach((item) => {
        if (item.pixels === undefined) return;
        const values = infovaeGraph.bytesOf(item.pixels);
        item.paint = (target) => paint(target, values, given.thumb, [0, 255]);
      });
      thumbs.forEach(({ item, picture }) => item.paint(picture));
    }

    let drawn = 0;
    const draw = element(
      "button",
      {
        type: "button",
        onclick: () => {
          stop();
          code = Float32Array.from(given.draws[drawn % given.draws.length]);
          drawn += 1;
          show(`draw ${drawn} from the prior`);
        },
      },
      "Draw from the prior",
    );
    const back = element(
      "button",
      {
        type: "button",
        onclick: () => {
          stop();
          goTo(state.share);
        },
      },
      "Back to the walk",
    );

    function group(title, items) {
      if (!items.length) return "";
      const list = element("div", { class: "live-choices" }, ...items.map((t) => t.button));
      return element("fieldset", {}, element("legend", {}, title), list);
    }

    const [shown, more] = [sliders.slice(0, given.first), sliders.slice(given.first)];
    const rows = (some) => some.map((slider) => slider.row);
    root.append(
      element("div", { class: "live-view" }, canvas, status),
      element(
        "div",
        { class: "live-controls" },
        element(
          "fieldset",
          {},
          element("legend", {}, "Walk from one to another"),
          element(
            "div",
            { class: "live-ends" },
            ...places.map(({ radio, preview, title, name }) =>
              element(
                "label",
                { for: radio.id },
                radio,
                preview,
                element("span", {}, element("b", {}, name), element("br"), title),
              ),
            ),
          ),
          element(
            "div",
            { class: "live-row" },
            element("label", { for: walk.id }, "along"),
            walk,
            play,
          ),
          element("p", { class: "live-note" }, "A click on a picture below sets the end that is marked."),
        ),
        group(
          given.kind,
          thumbs.filter(({ item }) => item.pixels === undefined),
        ),
        group(
          "Test images",
          thumbs.filter(({ item }) => item.pixels !== undefined),
        ),
        element(
          "fieldset",
          {},
          element("legend", {}, "Dims of the code, those that change most first"),
          ...rows(shown),
          more.length
            ? element(
                "details",
                {},
                element("summary", {}, `${more.length} more`),
                ...rows(more),
              )
            : "",
          element("div", { class: "live-buttons" }, draw, back),
        ),
      ),
    );
    prepare();
    refresh();
    goTo(0);
  }

  const root = document.getElementById("live");
  const given = document.getElementById("live-data");
  try {
    start(root, JSON.parse(given.textContent));
  } catch (error) {
    root.textContent = `This browser cannot run the decoder (${error.message}).`;
  }
})();
