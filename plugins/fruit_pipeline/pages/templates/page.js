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
  let points = [];
  function draw() {
    if (!map || !canvas) return;
    const pen = canvas.getContext("2d"), chosen = byId("map-label").value;
    const [x, y] = [+byId("map-x").value, +byId("map-y").value], pad = 14;
    const base = map.digits.length, digit = (i) => map.digits.indexOf(map.points[i]);
    const at = (n, d) => { const i = 2 * (n * map.dimensions + d); return (base * digit(i) + digit(i + 1)) / (base * base - 1); };
    pen.clearRect(0, 0, canvas.width, canvas.height);
    points = [];
    let photo = 0;
    const shown = [];
    map.labels.forEach((_, label) => {
      for (let end = photo + map.counts[label]; photo < end; photo++) {
        const point = { photo, label, left: pad + at(photo, x) * (canvas.width - 2 * pad), top: canvas.height - pad - at(photo, y) * (canvas.height - 2 * pad) };
        points.push(point);
        const faded = chosen !== "" && +chosen !== label;
        if (faded) mark(pen, point, 0.12, "#808080"); else shown.push(point);
      }
    });
    // What is chosen lies above what is not.
    for (const point of shown) mark(pen, point, chosen === "" ? 0.75 : 1, colours[point.label % 8]);
  }
  function mark(pen, { left, top, label }, alpha, colour) {
    pen.globalAlpha = alpha; pen.fillStyle = colour; pen.beginPath();
    const shape = Math.floor(label / 8) % 4, r = 5;
    if (shape === 0) pen.arc(left, top, r, 0, 7);
    else if (shape === 1) pen.rect(left - r, top - r, 2 * r, 2 * r);
    else { pen.moveTo(left, top - r - 1); pen.lineTo(left + r + 1, shape === 2 ? top + r : top); if (shape === 3) pen.lineTo(left, top + r + 1); pen.lineTo(left - r - 1, shape === 2 ? top + r : top); }
    pen.fill();
  }
  if (map && canvas) {
    for (const id of ["map-x", "map-y", "map-label"]) byId(id).addEventListener("change", draw);
    const photo = byId("map-photo");
    const of = (key) => new URLSearchParams({ run_id: new URLSearchParams(location.search).get("run_id"), key });
    let at = null;
    canvas.addEventListener("pointermove", (event) => {
      const scale = canvas.width / canvas.clientWidth, chosen = byId("map-label").value;
      let nearest = null, least = 400;
      for (const point of points) {
        if (chosen !== "" && +chosen !== point.label) continue;
        const apart = (point.left - event.offsetX * scale) ** 2 + (point.top - event.offsetY * scale) ** 2;
        if (apart < least) [nearest, least] = [point, apart];
      }
      if (!nearest) return;
      const key = map.prefixes[nearest.label] + map.keys[nearest.photo];
      byId("map-told").textContent = `${map.labels[nearest.label] || "(none)"}: ${key}`;
      if (photo) {
        photo.src = `image?${of(key)}`;
        photo.alt = key; photo.hidden = false;
      }
      at = key;
    });
    if (photo) canvas.addEventListener("click", () => { if (at !== null) location.assign(`photo?${of(at)}`); });
    draw();
  }
})();
