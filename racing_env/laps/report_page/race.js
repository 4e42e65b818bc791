// Where cars are: a lap is samples at a fixed rate, the last one at the end of the lap.

function sampleTime(lap, i) {
  return Math.min(i * lap.sample_s, lap.end_s);
}

// Index and share between it and the next sample, at a time of the lap; held at its ends.
function placeInLap(lap, seconds) {
  const last = lap.s_m.length - 1;
  const time = Math.min(Math.max(seconds, 0), lap.end_s);
  const i = Math.min(Math.floor(time / lap.sample_s), last - 1);
  const start = sampleTime(lap, i);
  const span = sampleTime(lap, i + 1) - start;
  return [i, span > 0 ? Math.min((time - start) / span, 1) : 1];
}

function valueAt(values, [i, share]) {
  return values[i] + share * (values[i + 1] - values[i]);
}

// What a driver does at a time of the lap.
function carAt(lap, seconds) {
  const place = placeInLap(lap, seconds);
  const car = {};
  for (const name of ["s_m", "x_m", "y_m", "speed_kph", "pedal_percent", "steer_deg"]) {
    car[name] = valueAt(lap[name], place);
  }
  return car;
}

// When a driver is at a place of the lap; null beyond where the drive ended.
function timeAt(lap, s) {
  const places = lap.s_m;
  let [low, high] = [0, places.length - 1];
  const sample = places[high] / high; // mean distance
  if (s > places[high]) return s - places[high] < sample && lap.flying ? lap.end_s : null;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (places[middle] <= s) low = middle;
    else high = middle;
  }
  const gap = places[high] - places[low];
  const share = gap > 0 ? Math.min(Math.max((s - places[low]) / gap, 0), 1) : 0;
  return sampleTime(lap, low) + share * (sampleTime(lap, high) - sampleTime(lap, low));
}

// Seconds lost to another driver at the same place; null unless both laps began at speed.
function behind(lap, other, s) {
  if (!lap.flying || !other.flying) return null;
  const [own, reached] = [timeAt(lap, s), timeAt(other, s)];
  return own === null || reached === null ? null : own - reached;
}
