// Learning curves: lap time and circuits finished, over wall time or over steps.

function drawCurves() {
  const over = document.querySelector("#curve-axis input:checked").value;
  const wall = over === "wall_s";
  const traces = data.curves.flatMap((curve, i) => {
    const style = driverStyle(i + 1); // the expert, which does not learn, is driver 0
    const x = wall ? curve.wall_s.map((s) => s / 60) : curve.steps.map((n) => n / 1e6);
    const shared = {
      x,
      name: curve.name,
      mode: "lines+markers",
      line: { color: style.colour, dash: style.dash, width: 2 },
      marker: { symbol: style.symbol, size: 7 },
    };
    const share = curve.finished.map((n, k) => (100 * n) / curve.circuits[k]);
    return [
      { ...shared, y: curve.lap_ratio, hovertemplate: "%{y:.4f}" },
      { ...shared, y: share, yaxis: "y2", showlegend: false, hovertemplate: "%{y:.0f} %" },
    ];
  });
  const units = data.curves.map((curve) => `${curve.name}: ${curve.steps_are}`).join("; ");
  const layout = baseLayout({
    margin: { l: 60, r: 12, t: 30, b: 50 },
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
    hovermode: "x",
    dragmode: dragMode("zoom"),
    xaxis: axis(wall ? "wall time of the stage [min]" : `steps [million]: ${units}`, {
      anchor: "y2",
      rangemode: "tozero",
    }),
    yaxis: axis("lap / speed profile", { domain: [0.52, 1] }),
    yaxis2: axis("finished [%]", { domain: [0, 0.44], range: [0, 105] }),
  });
  Plotly.react("curve-plot", traces, layout, CONFIG);
}

function describeCurves() {
  const sentences = data.curves.map((curve) => {
    const last = curve.wall_s.length - 1;
    const minutes = (curve.wall_s[last] / 60).toFixed(1);
    const ratio = curve.lap_ratio[last];
    return (
      `${curve.name}: after ${minutes} minutes ${curve.finished[last]} of ` +
      `${curve.circuits[last]} circuits finished` +
      (ratio === null ? "." : `, laps ${ratio.toFixed(3)} times the speed profile's.`)
    );
  });
  return `Learning curves. ${sentences.join(" ")}`;
}

if (data.curves.length) {
  element("learning").hidden = false;
  element("curve-plot").setAttribute("aria-label", describeCurves());
  element("curve-axis").addEventListener("change", drawCurves);
  onThemeChange(drawCurves);
  drawCurves();
}
