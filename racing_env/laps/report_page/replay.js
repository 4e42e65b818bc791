// The replay: what is chosen, which moment is shown, and how time passes.

const FRAME_MS = 30; // a frame is not drawn sooner after another; slow machines draw fewer
const PAUSE_MS = 500; // a longer one, as when the page was hidden, counts as this

let circuit = null; // of data.circuits
let chosen = []; // whether each of its laps is shown
let leader = 0; // the lap that the others are compared with
let time = 0; // seconds since all cars crossed the start line
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

// ---- one moment of the race

function drawAll() {
  time = Math.min(time, endTime());
  element("time").max = (Math.ceil(10 * endTime()) / 10).toFixed(1);
  drawMap();
  drawCharts();
  describe();
  showMoment();
}

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
    const passed = Math.min(now - lastFrame, PAUSE_MS) / 1000;
    moveTo(time + passed * Number(element("pace").value));
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
