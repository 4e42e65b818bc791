// What all plots share: the page's colours, and Plotly's settings.

const data = JSON.parse(document.getElementById("data").textContent);
const element = (id) => document.getElementById(id);
const KM = 1000;

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)");

// Colours are in page.css only, for light and dark.
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function driverStyle(i) {
  const colours = colour("drivers").split(" ");
  return {
    colour: colours[i % colours.length],
    dash: DASHES[i % DASHES.length],
    symbol: SYMBOLS[i % SYMBOLS.length],
  };
}

function speedScale() {
  const colours = colour("speeds").split(" ");
  return colours.map((c, i) => [i / (colours.length - 1), c]);
}

// On a touch screen a finger on a plot scrolls the page instead of dragging the plot.
function dragMode(mode) {
  return touch.matches ? false : mode;
}

function baseLayout(layout) {
  return {
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("text"), family: "system-ui, sans-serif", size: 13 },
    showlegend: false,
    ...layout,
  };
}

function axis(title, more) {
  return {
    title: { text: title, standoff: 8 },
    gridcolor: colour("rule"),
    zerolinecolor: colour("border"),
    linecolor: colour("border"),
    automargin: true,
    ...more,
  };
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  displayModeBar: touch.matches ? false : "hover",
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]], // none goes online
};

function onThemeChange(draw) {
  dark.addEventListener("change", draw);
}
