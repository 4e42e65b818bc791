// The replay: cars on the map and a cursor in the charts, at one time of all laps.

const CLOSE_M = 150; // half the side of the close view,
const CLOSE_EDGE_M = 105; // which moves on when the car is so far from its centre
const FRAME_MS = 30; // a frame is not drawn sooner after another; slow machines draw fewer
const CHART_MARGIN = { l: 60, r: 12, t: 8, b: 44 };
const CHARTS = [
  { name: "speed_kph", title: "speed [km/h]", digits: 0, unit: "km/h" },
  { name: "pedal_percent", title: "throttle / brake [%]", digits: 0, unit: "%" },
  { name: "steer_deg", title: "steering [°]", digits: 1, unit: "°" },
  { name: "behind", title: "behind [s]", digits: 2, unit: "s" },
];

let circuit = null; // of data.circuits
let chosen = []; // whether each of its laps is shown
let leader = 0; // the lap that the others are compared with
let time = 0; // seconds since all cars crossed the start line
let centre = null; // the car's place that the close view shows
let playing = false;
let lastFrame = 0;

const shownLaps = () => circuit.laps.filter((_, i) => chosen[i]);
const isClose = () => element("view").value === "close";
const endTime = () => Math.max(...shownLaps().map((lap) => lap.end_s), 0.1);
const signed = (value, digits) => (value > 0 ? "+" : "") + value.toFixed(digits).replace("-", "−");

// ---- choices

function option(value, text) {
  return new Option(text, value); // text, never HTML: names come from files
}

function chooseCircuit(i) {
  circuit = data.circuits[i];
  chosen = circuit.laps.map(() => true);
  const flying = circuit.laps.filter((lap) => lap.flying);
  const best = flying.length ? flying.reduce((a, b) => (b.end_s < a.end_s ? b : a)) : circuit.laps[0];
  leader = circuit.laps.indexOf(best);
  time = 0;
  element("leader").replaceChildren(...circuit.laps.map((lap, k) => option(k, lap.driver)));
  element("leader").value = leader;
  drawDriverBoxes();
  drawAll();
}

function drawDriverBoxes() {
  const boxes = circuit.laps.map((lap, i) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    const swatch = document.createElement("span");
    box.type = "checkbox";
    box.checked = chosen[i];
    box.addEventListener("change", () => chooseDriver(i, box));
    swatch.className = "swatch";
    const style = driverStyle(i);
    swatch.style.borderTopColor = style.colour;
    swatch.style.borderTopStyle = { solid: "solid", dash: "dashed", dot: "dotted" }[style.dash] ?? "dashed";
    label.append(box, swatch, lapName(lap));
    return label;
  });
  const legend = element("drivers").querySelector("legend");
  element("drivers").replaceChildren(legend, ...boxes);
}

function lapName(lap) {
  if (lap.flying) return `${lap.driver}: ${lap.end_s.toFixed(2)} s` + (lap.note && ` (${lap.note} later)`);
  return `${lap.driver}: standing lap` + (lap.note && `, ${lap.note}`);
}

function chooseDriver(i, box) {
  chosen[i] = box.checked;
  if (!chosen.includes(true)) chosen[i] = box.checked = true; // a race needs a car
  if (!chosen[leader]) leader = chosen.indexOf(true);
  element("leader").value = leader;
  drawAll();
}

function chooseLeader(i) {
  leader = i;
  chosen[i] = true;
  drawDriverBoxes();
  drawAll();
}

// ---- drawing

function drawAll() {
  time = Math.min(time, endTime());
  element("time").max = (Math.ceil(10 * endTime()) / 10).toFixed(1);
  drawMap();
  drawCharts();
  describe();
  showMoment();
}

function drawMap() {
  const { right, left, line } = circuit;
  const lap = circuit.laps[leader];
  const still = { mode: "lines", hoverinfo: "skip" };
  const speeds = circuit.laps.flatMap((some) => some.speed_kph);
  const road = {
    ...still,
    x: [...right.x, ...[...left.x].reverse()],
    y: [...right.y, ...[...left.y].reverse()],
    fill: "toself",
    fillcolor: colour("road"),
    line: { color: colour("border"), width: 1 },
  };
  const start = {
    ...still,
    x: [right.x[0], left.x[0]],
    y: [right.y[0], left.y[0]],
    line: { color: colour("text"), width: 3 },
  };
  const racingLine = { ...still, ...line, line: { color: colour("quiet"), width: 1, dash: "dot" } };
  const paths = circuit.laps.map((some, i) => ({
    ...still,
    x: some.x_m,
    y: some.y_m,
    visible: chosen[i],
    hoverinfo: i === leader ? "none" : "skip", // what is pointed at is a sample of the leader's
    line: { color: driverStyle(i).colour, width: 1, dash: driverStyle(i).dash },
  }));
  const coloured = {
    ...still,
    x: lap.x_m,
    y: lap.y_m,
    mode: "markers",
    marker: {
      color: lap.speed_kph,
      colorscale: speedScale(),
      cmin: 0,
      cmax: Math.max(...speeds),
      size: 5,
      colorbar: {
        title: { text: `speed of ${plain(lap.driver)} [km/h]`, side: "top" },
        orientation: "h",
        len: 0.6,
        thickness: 10,
        y: 0,
        yanchor: "top",
        outlinewidth: 0,
      },
    },
  };
  const indices = circuit.laps.map((_, i) => i);
  const cars = {
    ...carPlaces(),
    mode: "markers",
    hoverinfo: "skip",
    marker: {
      color: indices.map((i) => driverStyle(i).colour),
      symbol: indices.map((i) => driverStyle(i).symbol),
      size: 15,
      line: { color: colour("text"), width: 2 },
    },
  };
  const ends = crossesWhereDrivesEnded();
  const hidden = { visible: false };
  const [x, y] = isClose() ? closeRanges(carAt(lap, time)) : [];
  const layout = baseLayout({
    margin: { l: 4, r: 4, t: touch.matches ? 4 : 32, b: 60 }, // above: Plotly's buttons
    hovermode: "closest",
    hoverdistance: 40,
    dragmode: dragMode("pan"),
    xaxis: { ...hidden, range: x },
    yaxis: { ...hidden, range: y, scaleanchor: "x" },
  });
  Plotly.react("map", [road, start, racingLine, ...paths, coloured, ends, cars], layout, CONFIG);
}

function crossesWhereDrivesEnded() {
  const failed = circuit.laps.map((lap, i) => [lap, i]).filter(([lap, i]) => !lap.flying && chosen[i]);
  return {
    x: failed.map(([lap]) => lap.x_m.at(-1)),
    y: failed.map(([lap]) => lap.y_m.at(-1)),
    mode: "markers",
    hoverinfo: "skip",
    marker: { symbol: "x", size: 12, color: failed.map(([, i]) => driverStyle(i).colour) },
  };
}

function drawCharts() {
  const other = circuit.laps[leader];
  const traces = circuit.laps.flatMap((lap, i) =>
    CHARTS.map(({ name }, row) => ({
      x: lap.s_m.map((s) => s / KM),
      y: name === "behind" ? lap.s_m.map((s) => behind(lap, other, s)) : lap[name],
      yaxis: row ? `y${row + 1}` : "y",
      mode: "lines",
      hoverinfo: "none", // the table above has the values
      visible: chosen[i],
      line: { color: driverStyle(i).colour, dash: driverStyle(i).dash, width: 1.6 },
    })),
  );
  const layout = baseLayout({
    margin: CHART_MARGIN,
    hovermode: "x",
    hoverdistance: -1,
    dragmode: dragMode("zoom"),
    xaxis: axis("distance along the centre line [km]", {
      anchor: "y4",
      automargin: false, // the cursor relies on the margins
      range: [0, circuit.length_m / KM],
    }),
  });
  const domains = [[0.68, 1], [0.46, 0.65], [0.24, 0.43], [0, 0.21]];
  CHARTS.forEach(({ title }, row) => {
    layout[row ? `yaxis${row + 1}` : "yaxis"] = axis(title, {
      domain: domains[row],
      fixedrange: true,
      automargin: false,
      title: { text: title, font: { size: 11 } },
    });
  });
  Plotly.react("charts", traces, layout, CONFIG);
}

// Plotly reads some HTML in its texts; a name must not be any.
function plain(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function describe() {
  const laps = shownLaps().map(lapName).join("; ");
  const km = (circuit.length_m / KM).toFixed(2);
  element("map").setAttribute(
    "aria-label",
    `Map of ${circuit.track}, ${km} km, with borders, racing line and the cars of: ${laps}. ` +
      `The line of ${circuit.laps[leader].driver} is coloured by speed.`,
  );
  element("charts").setAttribute(
    "aria-label",
    `Speed, throttle and brake, steering and time behind ${circuit.laps[leader].driver} over the ` +
      `distance on ${circuit.track}, of: ${laps}. The table above has the values at the time chosen.`,
  );
}

// ---- one moment of the race

function showMoment() {
  const cars = circuit.laps.map((lap) => carAt(lap, time));
  placeCars();
  followLeader(cars[leader]);
  placeCursor();
  element("time").value = time;
  element("time").setAttribute("aria-valuetext", `${time.toFixed(1)} seconds`);
  element("clock").textContent = `${time.toFixed(1)} of ${endTime().toFixed(1)} s`;
  fillReadout(cars);
}

function carPlaces() {
  const cars = circuit.laps.map((lap) => carAt(lap, time));
  return {
    x: cars.map((car, i) => (chosen[i] ? car.x_m : null)),
    y: cars.map((car, i) => (chosen[i] ? car.y_m : null)),
  };
}

// An animation moves one trace; any other update would draw the whole map again. It ends later: a
// time that is asked for meanwhile is shown next.
let [placing, placeAgain] = [false, false];
async function placeCars() {
  placeAgain = placing;
  if (placing) return;
  placing = true;
  do {
    placeAgain = false;
    const what = { data: [carPlaces()], traces: [element("map").data.length - 1] };
    const atOnce = { frame: { duration: 0, redraw: false }, transition: { duration: 0 } };
    await Plotly.animate("map", what, { mode: "immediate", ...atOnce });
  } while (placeAgain);
  placing = false;
}

function followLeader(car) {
  if (!isClose()) return;
  const off = Math.max(Math.abs(car.x_m - centre.x_m), Math.abs(car.y_m - centre.y_m));
  if (off <= CLOSE_EDGE_M) return;
  const [x, y] = closeRanges(car);
  Plotly.relayout("map", { "xaxis.range": x, "yaxis.range": y });
}

function closeRanges(car) {
  centre = car;
  return [car.x_m, car.y_m].map((middle) => [middle - CLOSE_M, middle + CLOSE_M]);
}

// A line over the charts where the leader is; part of the plot, it would take a tenth of a second.
function placeCursor() {
  const [low, high] = element("charts").layout.xaxis.range;
  const share = (carAt(circuit.laps[leader], time).s_m / KM - low) / (high - low);
  const width = element("charts").clientWidth - CHART_MARGIN.l - CHART_MARGIN.r;
  element("cursor").hidden = share < 0 || share > 1;
  element("cursor").style.left = `${CHART_MARGIN.l + share * width}px`;
}

function fillReadout(cars) {
  const rows = circuit.laps.flatMap((lap, i) => {
    if (!chosen[i]) return [];
    const car = cars[i];
    const gap = behind(lap, circuit.laps[leader], car.s_m);
    const texts = [
      lap.driver,
      `${(car.s_m / KM).toFixed(2)} km`,
      `${car.speed_kph.toFixed(0)} km/h`,
      `${signed(car.pedal_percent, 0)} %`,
      `${signed(car.steer_deg, 1)}°`,
      gap === null ? "-" : `${signed(gap, 2)} s`,
    ];
    const row = document.createElement("tr");
    texts.forEach((text, k) => {
      const cell = document.createElement(k ? "td" : "th");
      cell.textContent = text;
      row.append(cell);
    });
    row.firstChild.scope = "row";
    return [row];
  });
  element("readout").tBodies[0].replaceChildren(...rows);
}

function moveTo(seconds) {
  time = Math.min(Math.max(seconds, 0), endTime());
  showMoment();
}

// ---- playing

function setPlaying(on) {
  playing = on;
  if (on && time >= endTime()) time = 0;
  lastFrame = performance.now();
  element("play").textContent = on ? "❚❚ Pause" : "▶ Play";
  if (on) requestAnimationFrame(frame);
}

function frame(now) {
  if (!playing) return;
  if (now - lastFrame >= FRAME_MS) {
    moveTo(time + ((now - lastFrame) / 1000) * Number(element("pace").value));
    lastFrame = now;
  }
  if (time >= endTime()) setPlaying(false);
  else requestAnimationFrame(frame);
}

// ---- start

function pointAtChart(event) {
  const seconds = timeAt(circuit.laps[leader], event.points[0].x * KM);
  if (seconds !== null) moveTo(seconds);
}

function pointAtMap(event) {
  moveTo(sampleTime(circuit.laps[leader], event.points[0].pointIndex));
}

function listen() {
  const onChange = (id, act) => element(id).addEventListener("change", act);
  onChange("circuit", (event) => chooseCircuit(Number(event.target.value)));
  onChange("leader", (event) => chooseLeader(Number(event.target.value)));
  onChange("view", drawAll);
  element("time").addEventListener("input", (event) => moveTo(Number(event.target.value)));
  element("play").addEventListener("click", () => setPlaying(!playing));
  onThemeChange(() => {
    drawDriverBoxes();
    drawAll();
  });
  element("charts").on("plotly_afterplot", placeCursor);
  for (const [id, act] of [["map", pointAtMap], ["charts", pointAtChart]]) {
    element(id).on("plotly_hover", (event) => playing || act(event));
    element(id).on("plotly_click", act);
  }
}

if (data.circuits.length) {
  element("race").hidden = false;
  element("circuit").append(...data.circuits.map((some, i) => option(i, some.track)));
  chooseCircuit(0);
  listen();
}
