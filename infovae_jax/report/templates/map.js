// The map of the latent space: the example under the pointer, and its picture. What it
// is given is made by infovae_jax/report/hover_map.py.
(() => {
  const ASPECT = 4 / 3;
  const EDGE = 12; // pixels, all of them of the page
  const REACH = 14; // from a point to the pointer
  const MAX_SCALE = 16;
  const STEP = 1.5; // of a key or a button
  const MAX_PICTURES = 80; // of more points in view, each is a dot
  const PICTURE = 28;
  const MAX_KEY = 20;
  const MAX_SAID = 6; // of more factors, the one that colours

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  const between = (low, value, high) => Math.min(Math.max(value, low), high);

  // What a view says of point n: its colour, and in words.
  function viewOf(given, about) {
    const unknown = "#c3c8d0";
    if (about.names) {
      const shade = (number) => given.colours[about.colours[number] % given.colours.length];
      return {
        ...about,
        shade,
        colour: (n) => (about.of[n] < 0 ? unknown : shade(about.of[n])),
        text: (n) => about.names[about.of[n]] ?? "?",
      };
    }
    const [span, last] = [about.high - about.low || 1, given.ramp.length - 1];
    const tone = (value) => Math.round(((value - about.low) / span) * last);
    return {
      ...about,
      colour: (n) => given.ramp[tone(about.of[n])] ?? unknown,
      text: (n) => `${about.of[n]}${about.unit ?? ""}`,
    };
  }

  function start(root, given) {
    const views = given.views.map((about) => viewOf(given, about));
    const plain = { title: "nothing", colour: () => given.colours[0], names: [] };
    let view = views[0] ?? plain;
    let chosen = -1;
    // The middle of what is seen, as shares of the whole map, and how much larger it is.
    let [middle, scale] = [[0.5, 0.5], 1];
    let size = [640, 480];
    let over = null; // where the pointer is
    const fingers = new Map();

    const canvas = element("canvas", {
      tabindex: 0,
      role: "application",
      "aria-label": "Map of test codes",
      "aria-describedby": "map-hint",
    });
    const thumb = element("canvas", { class: "map-thumb", "aria-hidden": "true" });
    const invitation = "Point at a dot to see which test example it is.";
    const status = element("p", { class: "live-status", "aria-live": "polite" }, invitation);
    const option = (each) => element("option", { value: views.indexOf(each) }, each.title);
    const known = views.filter((each) => each.factor);
    const select = element(
      "select",
      { id: "map-colour" },
      ...views.filter((each) => !each.factor).map(option),
      known.length ? element("optgroup", { label: "Known factors" }, ...known.map(option)) : "",
    );
    const key = element("p", { class: "map-key" });
    const button = (name, text, onclick) =>
      element("button", { type: "button", "aria-label": name, title: name, onclick }, text);
    const smaller = button("Zoom out", "−", () => zoom(1 / STEP, anchor()));
    const shownScale = element("output", { "aria-label": "Zoom" });
    const larger = button("Zoom in", "+", () => zoom(STEP, anchor()));
    const whole = button("Show the whole map", "Whole map", () => zoom(0, anchor()));
    const context = canvas.getContext("2d");
    const sprite = given.sprite ? new Image() : null;

    // Where a point of the data is on the canvas.
    function place(n) {
      return given.xy[n].map((value, axis) => {
        const share = value / given.steps;
        const inside = EDGE + (size[axis] - 2 * EDGE) * (axis ? 1 - share : share);
        return size[axis] / 2 + scale * (inside - middle[axis] * size[axis]);
      });
    }

    const isSeen = (at) =>
      at.every((value, axis) => value > -PICTURE && value < size[axis] + PICTURE);

    function drawDot(n, [x, y], radius) {
      context.fillStyle = view.colour(n);
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
      context.strokeStyle = "#0007"; // pale colours are seen on white, too
      context.lineWidth = 0.5;
      context.stroke();
    }

    // Left, top, width and height of a picture about a point, with a border.
    function frame([x, y], border) {
      const [height, width] = given.tile.map((side) => (PICTURE * side) / Math.max(...given.tile));
      const [w, h] = [width + 2 * border, height + 2 * border];
      return [x - w / 2, y - h / 2, w, h];
    }

    function drawPicture(n, at) {
      context.fillStyle = view.colour(n);
      context.fillRect(...frame(at, 3));
      context.drawImage(sprite, ...tileOf(n), ...frame(at, 0));
    }

    function tileOf(n) {
      const [height, width] = given.tile;
      return [(n % given.columns) * width, Math.floor(n / given.columns) * height, width, height];
    }

    function draw() {
      const ratio = canvas.width / size[0];
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.imageSmoothingEnabled = false;
      context.clearRect(0, 0, ...size);
      const seen = given.xy.map((_, n) => [n, place(n)]).filter(([, at]) => isSeen(at));
      const pictures = scale > 1 && sprite?.naturalWidth && seen.length <= MAX_PICTURES;
      const radius = (size[0] < 480 ? 2 : 3) * scale ** 0.25;
      seen.forEach(([n, at]) => (pictures ? drawPicture(n, at) : drawDot(n, at, radius)));
      if (!seen.length) {
        context.fillStyle = "#6b7280";
        context.textAlign = "center";
        context.font = "14px system-ui, sans-serif";
        context.fillText("no example here", size[0] / 2, size[1] / 2);
      }
      if (chosen < 0) return;
      const at = place(chosen);
      if (pictures) drawPicture(chosen, at); // above its neighbours
      else drawDot(chosen, at, radius);
      context.strokeStyle = "#000";
      context.lineWidth = 2;
      context.beginPath();
      if (pictures) context.rect(...frame(at, 4));
      else context.arc(...at, radius + 4, 0, 7);
      context.stroke();
    }

    function drawKey() {
      if (!view.names) {
        const bar = element("span", { class: "map-ramp", "aria-hidden": "true" });
        bar.style.background = `linear-gradient(to right, ${given.ramp.join(", ")})`;
        const [low, high] = [view.low, view.high].map((value) => `${value}${view.unit ?? ""}`);
        key.replaceChildren(element("span", {}, low, bar, high));
        return;
      }
      if (view.names.length > MAX_KEY) {
        const count = `${view.names.length} in ${given.colours.length} colours`;
        key.replaceChildren(`${count}: point at one to see which.`);
        return;
      }
      const there = new Set(view.of);
      const items = view.names.map((name, number) => [name, number]);
      key.replaceChildren(
        ...items.filter(([, number]) => there.has(number)).map(([name, number]) => {
          const dot = element("span", { class: "map-dot" });
          dot.style.background = view.shade(number);
          return element("span", {}, dot, name);
        }),
      );
    }

    function say() {
      if (chosen < 0) {
        status.textContent = invitation;
        return;
      }
      const facts = views
        .filter((each) => !each.factor || each === view || known.length <= MAX_SAID)
        .map((each) => `${each.title} ${each.text(chosen)}`);
      status.textContent = [`test example ${given.index[chosen]}`, ...facts].join(", ");
    }

    function choose(n) {
      if (n === chosen) return;
      chosen = n;
      draw();
      say();
      thumb.hidden = !sprite || n < 0;
      if (thumb.hidden) return;
      [thumb.height, thumb.width] = given.tile;
      thumb.getContext("2d").drawImage(sprite, ...tileOf(n), 0, 0, thumb.width, thumb.height);
    }

    function nearest([x, y], allowed) {
      let best = -1;
      let least = Infinity;
      given.xy.forEach((_, n) => {
        const [a, b] = place(n);
        const found = allowed(a - x, b - y, n) ? Math.hypot(a - x, b - y) : Infinity;
        if (found < least) [best, least] = [n, found];
      });
      return best;
    }

    function pointAt(at, isFinger) {
      const reach = isFinger ? 2 * REACH : REACH;
      choose(nearest(at, (a, b) => Math.hypot(a, b) < reach));
    }

    // Keeps the map in its frame, and draws it.
    function settle() {
      middle = middle.map((share) => between(0.5 / scale, share, 1 - 0.5 / scale));
      const zoomed = scale > 1;
      shownScale.textContent = `× ${scale.toFixed(1)}`;
      smaller.disabled = whole.disabled = !zoomed;
      larger.disabled = scale >= MAX_SCALE;
      // A finger on the whole map scrolls the page.
      canvas.style.touchAction = zoomed ? "none" : "pan-y";
      canvas.classList.toggle("zoomed", zoomed);
      draw();
    }

    function pan(x, y) {
      middle = [middle[0] - x / (scale * size[0]), middle[1] - y / (scale * size[1])];
    }

    // What is at `at` stays there.
    function zoom(factor, at) {
      const next = between(1, scale * factor, MAX_SCALE);
      const change = 1 / scale - 1 / next;
      middle = middle.map((share, axis) => share + (at[axis] / size[axis] - 0.5) * change);
      scale = next;
      settle();
    }

    // Of keys and buttons: the pointer, the chosen point, or the middle.
    function anchor() {
      if (over) return over;
      const at = chosen < 0 ? null : place(chosen);
      const inside = at && at.every((value, axis) => value >= 0 && value <= size[axis]);
      return inside ? at : [size[0] / 2, size[1] / 2];
    }

    function step(way) {
      over = null;
      const from = anchor();
      const ahead = (a, b) => a * way[0] + b * way[1];
      const aside = (a, b) => Math.abs(a * way[1]) + Math.abs(b * way[0]);
      const next = nearest(from, (a, b, n) => n !== chosen && ahead(a, b) > aside(a, b));
      if (next < 0) return;
      // Brought into view where it is not.
      const off = place(next).map(
        (value, axis) => between(2 * EDGE, value, size[axis] - 2 * EDGE) - value,
      );
      if (scale > 1 && off.some(Boolean)) {
        pan(...off);
        settle();
      }
      choose(next);
    }

    function whereIs(event) {
      const box = canvas.getBoundingClientRect();
      const { clientLeft, clientTop } = canvas; // its border
      return [event.clientX - box.left - clientLeft, event.clientY - box.top - clientTop];
    }

    // The middle of the fingers, and how far they are apart.
    function grip() {
      const [first, second = first] = fingers.values();
      const apart = Math.hypot(first[0] - second[0], first[1] - second[1]);
      return [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2, apart];
    }

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return; // a menu takes what follows
      const at = whereIs(event);
      fingers.set(event.pointerId, at);
      canvas.setPointerCapture(event.pointerId);
      if (fingers.size === 1) pointAt(at, event.pointerType === "touch");
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = whereIs(event);
      over = event.pointerType === "touch" ? null : at;
      if (!event.buttons) fingers.delete(event.pointerId); // let go elsewhere
      if (!fingers.has(event.pointerId) || (fingers.size === 1 && scale === 1)) {
        pointAt(at, event.pointerType === "touch");
        return;
      }
      const [x, y, apart] = grip();
      fingers.set(event.pointerId, at);
      const [nextX, nextY, nextApart] = grip();
      pan(nextX - x, nextY - y);
      zoom(apart > 0 ? nextApart / apart : 1, [nextX, nextY]);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
    }
    canvas.addEventListener("pointerleave", () => {
      over = null;
    });
    for (const name of ["touchstart", "touchmove"]) {
      const hold = (event) => event.touches.length > 1 && event.preventDefault();
      canvas.addEventListener(name, hold, { passive: false }); // two fingers scroll nothing
    }
    canvas.addEventListener("dblclick", (event) => zoom(STEP ** 2, whereIs(event)));
    canvas.addEventListener(
      "wheel",
      (event) => {
        // Without the key the wheel is the page's; browsers send a pinch of a touchpad with it.
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        zoom(2 ** (-between(-50, event.deltaY, 50) / 100), whereIs(event));
      },
      { passive: false },
    );
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const zooms = { "+": STEP, "=": STEP, "-": 1 / STEP, _: 1 / STEP, 0: 0 };
      if (event.key in ways) step(ways[event.key]);
      else if (event.key in zooms) zoom(zooms[event.key], anchor());
      else return;
      event.preventDefault();
    });
    select.addEventListener("change", () => {
      view = views[Number(select.value)];
      draw();
      drawKey();
      say();
    });
    const label = element("label", { for: "map-colour" }, "Colour by ", select);
    const zooms = element("span", { class: "map-zoom" }, smaller, shownScale, larger, whole);
    const head = element("div", { class: "map-head" }, views.length > 1 ? label : "", zooms);
    const side = element("div", { class: "map-side" }, thumb, status);
    const isTouched = window.matchMedia("(pointer: coarse)").matches;
    const hint = element(
      "p",
      { class: "map-hint", id: "map-hint" },
      isTouched
        ? "Zoom with two fingers or the buttons. Zoomed, drag to move the map."
        : "Zoom with Ctrl (⌘) and the wheel, a double click, or the keys + and −; 0 shows the " +
            "whole map. Zoomed, drag to move it. Arrow keys go from point to point.",
    );
    root.append(head, element("div", { class: "map" }, canvas, side), key, hint);
    thumb.hidden = true;
    if (sprite) sprite.src = given.sprite;
    drawKey();
    new ResizeObserver(() => {
      const ratio = window.devicePixelRatio || 1;
      size = [canvas.clientWidth, canvas.clientWidth / ASPECT];
      [canvas.width, canvas.height] = size.map((length) => Math.round(ratio * length));
      settle();
    }).observe(canvas);
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
