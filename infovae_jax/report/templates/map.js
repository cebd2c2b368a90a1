// The map of the latent space: the example under the pointer, and its picture. What it
// is given is made by infovae_jax/report/hover_map.py.
(() => {
  const WIDTH = 640;
  const HEIGHT = 480;
  const EDGE = 12;
  const REACH = 14; // pixels from a point to the pointer

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function start(root, given) {
    const places = given.xy.map(([x, y]) => [
      EDGE + ((WIDTH - 2 * EDGE) * x) / given.steps,
      HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * y) / given.steps,
    ]);
    const unknown = "#c3c8d0";
    const shade = (group, number) => given.colours[group.colours[number] % given.colours.length];
    const views = given.groups.map((group) => ({
      title: group.title,
      colour: (n) => (group.of[n] < 0 ? unknown : shade(group, group.of[n])),
    }));
    if (given.probability) {
      const last = given.ramp.length - 1;
      views.push({
        title: "certainty",
        colour: (n) => given.ramp[Math.round((given.probability[n] / 100) * last)],
      });
    }
    if (!views.length) views.push({ title: "nothing", colour: () => given.colours[0] });
    let view = views[0];
    let chosen = -1;

    const canvas = element("canvas", {
      width: WIDTH,
      height: HEIGHT,
      tabindex: 0,
      role: "img",
      "aria-label": "Map of test codes; the arrow keys go from point to point",
    });
    const thumb = element("canvas", { class: "map-thumb", "aria-hidden": "true" });
    const status = element("p", { class: "live-status", "aria-live": "polite" });
    const select = element(
      "select",
      { id: "map-colour" },
      ...views.map(({ title }, i) => element("option", { value: i }, title)),
    );
    const key = element("p", { class: "map-key" });
    const context = canvas.getContext("2d");
    const sprite = given.sprite ? new Image() : null;

    function draw() {
      context.clearRect(0, 0, WIDTH, HEIGHT);
      places.forEach(([x, y], n) => {
        context.fillStyle = view.colour(n);
        context.beginPath();
        context.arc(x, y, 3, 0, 7);
        context.fill();
      });
      if (chosen < 0) return;
      context.strokeStyle = "#000";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...places[chosen], 7, 0, 7);
      context.stroke();
    }

    function drawKey() {
      const group = given.groups[views.indexOf(view)];
      let items = group ? group.names.map((name, i) => [shade(group, i), name]) : [];
      if (view.title === "certainty") {
        items = [0, Math.floor(given.ramp.length / 2), given.ramp.length - 1].map((i) => [
          given.ramp[i],
          `${Math.round((100 * i) / (given.ramp.length - 1))} %`,
        ]);
      }
      if (items.length > 20) items = [];
      key.replaceChildren(
        ...items.map(([colour, name]) => {
          const dot = element("span", { class: "map-dot" });
          dot.style.background = colour;
          return element("span", {}, dot, name);
        }),
      );
    }

    function choose(n) {
      if (n === chosen) return;
      chosen = n;
      draw();
      thumb.hidden = !sprite || n < 0;
      if (n < 0) {
        status.textContent = "";
        return;
      }
      const facts = given.groups.map((g) => `${g.title} ${g.names[g.of[n]] ?? "?"}`);
      if (given.probability) facts.push(`certainty ${given.probability[n]} %`);
      status.textContent = [`test example ${given.index[n]}`, ...facts].join(", ");
      if (!sprite) return;
      const [height, width] = given.tile;
      const [row, column] = [Math.floor(n / given.columns), n % given.columns];
      thumb.width = width;
      thumb.height = height;
      const from = [column * width, row * height, width, height];
      thumb.getContext("2d").drawImage(sprite, ...from, 0, 0, width, height);
    }

    function nearest(x, y, allowed, cost) {
      let best = -1;
      let least = Infinity;
      places.forEach(([a, b], n) => {
        const found = allowed(a - x, b - y, n) ? cost(a - x, b - y) : Infinity;
        if (found < least) [best, least] = [n, found];
      });
      return best;
    }

    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      const scale = WIDTH / box.width;
      const [x, y] = [scale * (event.clientX - box.left), scale * (event.clientY - box.top)];
      const reach = Math.max(REACH, REACH * scale);
      choose(nearest(x, y, (a, b) => Math.hypot(a, b) < reach, Math.hypot));
    });
    canvas.addEventListener("keydown", (event) => {
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const way = ways[event.key];
      if (!way) return;
      event.preventDefault();
      const [x, y] = chosen < 0 ? [WIDTH / 2, HEIGHT / 2] : places[chosen];
      const ahead = (a, b) => a * way[0] + b * way[1];
      const aside = (a, b) => Math.abs(a * way[1]) + Math.abs(b * way[0]);
      const inFront = (a, b, n) => n !== chosen && ahead(a, b) > aside(a, b);
      const next = nearest(x, y, inFront, Math.hypot);
      if (next >= 0) choose(next);
    });
    select.addEventListener("change", () => {
      view = views[Number(select.value)];
      draw();
      drawKey();
    });
    const label = element("label", { for: "map-colour" }, "Colour by ");
    const side = element("div", { class: "map-side" }, thumb, status);
    const head = views.length > 1 ? element("p", {}, label, select) : "";
    root.append(head, element("div", { class: "map" }, canvas, side), key);
    thumb.hidden = true;
    if (sprite) sprite.src = given.sprite;
    draw();
    drawKey();
  }

  const root = document.getElementById("map");
  const given = document.getElementById("map-data");
  if (!root || !given) return;
  try {
    start(root, JSON.parse(given.textContent));
  } catch (error) {
    root.textContent = `This browser cannot draw the map (${error.message}).`;
  }
})();
