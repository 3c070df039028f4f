"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = (id) => (byId(id) ? JSON.parse(byId(id).textContent) : null);

  // Airflow's own choice of light or dark, where the page is inside it.
  try {
    const outside = window.parent.document.documentElement;
    if (window.parent !== window) {
      const follow = () => { document.documentElement.dataset.theme = outside.classList.contains("dark") ? "dark" : "light"; draw(); };
      new MutationObserver(follow).observe(outside, { attributes: true, attributeFilter: ["class"] });
      addEventListener("load", follow);
    }
  } catch { /* another site's frame: the system's choice stays */ }

  const ratio = data("variance-data");
  if (ratio) {
    const svg = byId("variance"), mark = byId("variance-mark"), told = byId("variance-told");
    const total = []; ratio.reduce((sum, share, k) => (total[k] = sum + share), 0);
    svg.addEventListener("pointermove", (event) => {
      const x = new DOMPoint(event.clientX, 0).matrixTransform(svg.getScreenCTM().inverse()).x;
      const k = Math.floor((x - svg.dataset.left) / svg.dataset.step);
      if (k < 0 || k >= ratio.length) return;
      mark.setAttribute("transform", `translate(${+svg.dataset.left + (k + 0.5) * svg.dataset.step} 0)`);
      mark.setAttribute("visibility", "visible");
      told.textContent = `${k + 1} components keep ${(100 * total[k]).toFixed(2)} %; component ${k + 1} alone ${(100 * ratio[k]).toFixed(2)} %.`;
    });
  }

  const map = data("map-data"), canvas = byId("map");
  // Okabe and Ito's colours, which colour-blind people tell apart; shapes make 32 of eight.
  const colours = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800", "#808080"];
  let points = [], selected = null;
  const shapes = ["M0,5a5,5 0 1,1 10,0a5,5 0 1,1 -10,0", "M0,0H10V10H0Z", "M5,-1L11,10H-1Z", "M5,-1L11,5L5,11L-1,5Z"];
  const shape = shapes.map((each) => new Path2D(each));
  const isChosen = (label) => { const chosen = byId("map-label").value; return chosen === "" || +chosen === label; };
  function draw() {
    if (!map || !canvas) return;
    const pen = canvas.getContext("2d"), all = byId("map-label").value === "";
    const [x, y] = [+byId("map-x").value, +byId("map-y").value], pad = 14;
    const base = map.digits.length, digit = (i) => map.digits.indexOf(map.points[i]);
    const at = (n, d) => { const i = 2 * (n * map.dimensions + d); return (base * digit(i) + digit(i + 1)) / (base * base - 1); };
    pen.clearRect(0, 0, canvas.width, canvas.height);
    points = [];
    let photo = 0;
    map.labels.forEach((_, label) => {
      for (let end = photo + map.counts[label]; photo < end; photo++) {
        points.push({ photo, label, left: pad + at(photo, x) * (canvas.width - 2 * pad), top: canvas.height - pad - at(photo, y) * (canvas.height - 2 * pad) });
      }
    });
    // What is chosen lies above what is not.
    for (const point of points) if (!isChosen(point.label)) mark(pen, point, 0.12, "#808080");
    for (const point of points) if (isChosen(point.label)) mark(pen, point, all ? 0.75 : 1, colours[point.label % 8]);
    if (selected !== null) ring(pen, points[selected]);
    for (const button of byId("map-legend").querySelectorAll("button")) button.ariaPressed = String(!all && isChosen(+button.value));
  }
  function mark(pen, { left, top, label }, alpha, colour) {
    pen.globalAlpha = alpha; pen.fillStyle = colour;
    pen.setTransform(1, 0, 0, 1, left - 5, top - 5);
    pen.fill(shape[Math.floor(label / 8) % 4]);
    pen.resetTransform();
  }
  function ring(pen, { left, top }) {
    pen.globalAlpha = 1; pen.lineWidth = 3; pen.strokeStyle = getComputedStyle(canvas).color;
    pen.beginPath(); pen.arc(left, top, 11, 0, 7); pen.stroke();
  }
  function drawLegend() {
    const svg = (name, values) => { const each = document.createElementNS("http://www.w3.org/2000/svg", name); for (const key in values) each.setAttribute(key, values[key]); return each; };
    map.labels.forEach((name, label) => {
      const item = document.createElement("li"), button = document.createElement("button"), picture = svg("svg", { viewBox: "-1 -1 12 12", "aria-hidden": "true" });
      picture.append(svg("path", { d: shapes[Math.floor(label / 8) % 4], fill: colours[label % 8] }));
      button.type = "button"; button.value = label;
      button.append(picture, name || "(none)");
      button.addEventListener("click", () => { byId("map-label").value = button.ariaPressed === "true" ? "" : label; draw(); });
      item.append(button); byId("map-legend").append(item);
    });
  }
  // The nearest photo within 45 degrees of where the key points to: every photo can be reached.
  function next(from, [right, down]) {
    let best = null, least = Infinity;
    for (const point of points) {
      const [x, y] = [point.left - from.left, point.top - from.top], along = x * right + y * down, aside = Math.abs(x * down) + Math.abs(y * right);
      if (!isChosen(point.label) || along < aside || along <= 0 && point.photo <= from.photo) continue;
      const apart = x * x + y * y;
      if (apart < least) [best, least] = [point, apart];
    }
    return best;
  }
  if (map && canvas) {
    for (const id of ["map-x", "map-y", "map-label"]) byId(id).addEventListener("change", draw);
    const photo = byId("map-photo");
    const keyOf = (point) => map.prefixes[point.label] + map.keys[point.photo];
    const of = (point) => new URLSearchParams({ run_id: new URLSearchParams(location.search).get("run_id"), key: keyOf(point) });
    const open = () => { if (photo && selected !== null) location.assign(`photo?${of(points[selected])}`); };
    function select(point) {
      selected = point.photo;
      byId("map-told").textContent = `${map.labels[point.label] || "(none)"}: ${keyOf(point)}`;
      if (photo) { photo.src = `image?${of(point)}`; photo.alt = keyOf(point); photo.hidden = false; }
      draw();
    }
    canvas.addEventListener("pointermove", (event) => {
      const scale = canvas.width / canvas.clientWidth;
      let nearest = null, least = 400;
      for (const point of points) {
        if (!isChosen(point.label)) continue;
        const apart = (point.left - event.offsetX * scale) ** 2 + (point.top - event.offsetY * scale) ** 2;
        if (apart < least) [nearest, least] = [point, apart];
      }
      if (nearest && nearest.photo !== selected) select(nearest);
    });
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "Enter") open();
      if (!(event.key in arrows)) return;
      event.preventDefault();
      const from = selected === null || !isChosen(points[selected].label) ? null : points[selected];
      const point = from ? next(from, arrows[event.key]) : points.find((each) => isChosen(each.label));
      if (point) select(point);
    });
    canvas.addEventListener("click", open);
    drawLegend();
    draw();
  }
})();
