// The plots of a race: the map with the cars, and the charts with the cursor. They show what
// replay.js keeps: the circuit, which laps are chosen, the leader, and the time.

const CLOSE = 75; // half the side of the close view, in widths of the car,
const CLOSE_EDGE = 52.5; // which moves on when the car is so far from its centre
const CHART_MARGIN = { l: 60, r: 12, t: 8, b: 44 };
const CHARTS = [
  { name: "speed_kph", title: "speed [km/h]" },
  { name: "pedal_percent", title: "throttle / brake [%]" },
  { name: "steer_deg", title: "steering [°]" },
  { name: "behind", title: "behind [s]" },
];
const STILL = { mode: "lines", hoverinfo: "skip" }; // a trace that only stands there

let centre = null; // the car's place that the close view shows

// ---- laps on the map and over distance

function drawMap() {
  const lap = circuit.laps[leader];
  const paths = circuit.laps.map((some, i) => ({
    ...STILL,
    x: some.x_m,
    y: some.y_m,
    visible: chosen[i],
    hoverinfo: i === leader ? "none" : "skip", // what is pointed at is a sample of the leader's
    line: { color: driverStyle(i).colour, width: 1, dash: driverStyle(i).dash },
  }));
  const [x, y] = isClose() ? closeRanges(carAt(lap, time)) : [];
  const layout = baseLayout({
    margin: { l: 4, r: 4, t: touch.matches ? 4 : 32, b: 60 }, // above: Plotly's buttons
    hovermode: "closest",
    hoverdistance: 40,
    dragmode: dragMode("pan"),
    xaxis: { visible: false, range: x },
    yaxis: { visible: false, range: y, scaleanchor: "x" },
  });
  // The cars are the last: placeCars relies on it.
  const traces = [...roadTraces(), ...paths, speedTrace(lap), endTrace(), carTrace()];
  Plotly.react("map", traces, layout, CONFIG);
}

function roadTraces() {
  const { right, left, line } = circuit;
  const road = {
    ...STILL,
    x: [...right.x, ...[...left.x].reverse()],
    y: [...right.y, ...[...left.y].reverse()],
    fill: "toself",
    fillcolor: colour("road"),
    line: { color: colour("border"), width: 1 },
  };
  const start = {
    ...STILL,
    x: [right.x[0], left.x[0]],
    y: [right.y[0], left.y[0]],
    line: { color: colour("text"), width: 3 },
  };
  const racingLine = { ...STILL, ...line, line: { color: colour("quiet"), width: 1, dash: "dot" } };
  return [road, start, racingLine];
}

// A lap coloured by speed: Plotly's lines have one colour each, so it is of dots.
function speedTrace(lap) {
  return {
    ...STILL,
    x: lap.x_m,
    y: lap.y_m,
    mode: "markers",
    marker: {
      color: lap.speed_kph,
      colorscale: speedScale(),
      cmin: 0,
      cmax: Math.max(...circuit.laps.map((some) => Math.max(...some.speed_kph))),
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
}

function carTrace() {
  const styles = circuit.laps.map((_, i) => driverStyle(i));
  return {
    ...STILL,
    ...carPlaces(),
    mode: "markers",
    marker: {
      color: styles.map((style) => style.colour),
      symbol: styles.map((style) => style.symbol),
      size: 15,
      line: { color: colour("text"), width: 2 },
    },
  };
}

// Crosses where drives ended.
function endTrace() {
  const failed = circuit.laps.map((lap, i) => [lap, i]).filter(([lap, i]) => !lap.flying && chosen[i]);
  return {
    ...STILL,
    x: failed.map(([lap]) => lap.x_m.at(-1)),
    y: failed.map(([lap]) => lap.y_m.at(-1)),
    mode: "markers",
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

// ---- one moment in both

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
  try {
    do {
      placeAgain = false;
      const what = { data: [carPlaces()], traces: [element("map").data.length - 1] };
      const atOnce = { frame: { duration: 0, redraw: false }, transition: { duration: 0 } };
      await Plotly.animate("map", what, { mode: "immediate", ...atOnce });
    } while (placeAgain);
  } finally {
    placing = false;
  }
}

function followLeader(car) {
  if (!isClose()) return;
  const off = Math.max(Math.abs(car.x_m - centre.x_m), Math.abs(car.y_m - centre.y_m));
  if (off <= CLOSE_EDGE * circuit.car_width_m) return;
  const [x, y] = closeRanges(car);
  Plotly.relayout("map", { "xaxis.range": x, "yaxis.range": y });
}

function closeRanges(car) {
  centre = car;
  const half = CLOSE * circuit.car_width_m;
  return [car.x_m, car.y_m].map((middle) => [middle - half, middle + half]);
}

// A line over the charts where the leader is; part of the plot, it would take a tenth of a second.
function placeCursor() {
  const [low, high] = element("charts").layout.xaxis.range;
  const share = (carAt(circuit.laps[leader], time).s_m / KM - low) / (high - low);
  const width = element("charts").clientWidth - CHART_MARGIN.l - CHART_MARGIN.r;
  element("cursor").hidden = share < 0 || share > 1;
  element("cursor").style.left = `${CHART_MARGIN.l + share * width}px`;
}
