"use strict";

// Genres with a colour of their own, --genre-0 to --genre-5 of page.css.
const COLOURED = 6;
// Files that the server is asked about at a time.
const AT_ONCE = 2;
const STEP = { ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -30, PageUp: 30 };
const MARGIN = { left: 44, right: 12, top: 10, bottom: 24 };
// Seconds between two marks of the time axis: the first that leaves at most eight.
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

const find = (id) => document.getElementById(id);
const audio = find("audio");
const canvas = find("curve");
const tracks = [];
const waiting = [];
let limit = Infinity;
let nAsking = 0;
let shown = null;

function make(tag, settings = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name === "text") element.textContent = value;
    else if (name === "className") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const percent = (share) =>
  share > 0 && share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`;

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// Files.

function addFiles(files) {
  for (const file of files) {
    const track = { file, result: null, error: null, row: make("li") };
    tracks.push(track);
    find("list").append(track.row);
    if (file.size > limit) fail(track, `The file is larger than ${limit / 1e6} MB: choose a shorter piece of it.`);
    else waiting.push(track);
    drawRow(track);
  }
  askNext();
}

function askNext() {
  while (nAsking < AT_ONCE && waiting.length) {
    nAsking += 1;
    ask(waiting.shift()).finally(() => {
      nAsking -= 1;
      askNext();
    });
  }
}

async function ask(track) {
  let answer;
  try {
    const response = await fetch("/predict", {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: track.file,
    });
    answer = await response.json();
  } catch {
    answer = { error: "The server does not answer, or the file cannot be read; see whether agf serve still runs." };
  }
  if (answer.error) {
    fail(track, answer.error);
    return;
  }
  track.result = answer;
  drawRow(track);
  const [best] = answer.genres;
  find("news").textContent = `${track.file.name}: ${best.title}, ${percent(best.probability)}.`;
  if (!shown) show(track);
}

function fail(track, sentence) {
  track.error = sentence;
  drawRow(track);
  find("news").textContent = `${track.file.name}: ${sentence}`;
}

function drawRow(track) {
  const name = make("b", { text: track.file.name });
  if (track.error) {
    track.row.replaceChildren(
      make("div", { className: "failed" }, name, make("span", { text: track.error })),
    );
    return;
  }
  const button = make("button", { type: "button" }, name);
  if (track.result) {
    const [best] = track.result.genres;
    button.append(
      make("span", { text: `${best.title} ${percent(best.probability)} · ${clock(Math.round(track.result.duration))}` }),
    );
    button.addEventListener("click", () => {
      show(track);
      find("shown").scrollIntoView({ block: "nearest" });
    });
  } else {
    button.disabled = true;
    button.className = "busy";
    button.append(make("span", { text: "listening …" }));
  }
  track.row.replaceChildren(button);
}

// The track that is shown.

function mark(track, current) {
  const button = track.row.querySelector("button");
  if (current) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
}

function show(track) {
  if (shown) mark(shown, false);
  shown = track;
  mark(track, true);
  find("shown").hidden = false;
  find("title").textContent = track.file.name;
  find("unplayable").hidden = true;
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(track.file);
  canvas.setAttribute("aria-valuemax", track.result.duration.toFixed(1));
  drawBars(track.result.genres);
  drawGroups(track.result.groups);
  follow();
}

function drawBars(genres) {
  const row = (genre, place) => {
    const coloured = place < COLOURED;
    const share = make("span", coloured ? {} : { className: "others" });
    share.style.width = `${100 * genre.probability}%`;
    const bar = make("div", { className: coloured ? `bar genre-${place}` : "bar" }, share);
    const cells = [
      make("th", { scope: "row", text: genre.title }),
      make("td", {}, bar),
      make("td", { className: "numeric", text: percent(genre.probability) }),
    ];
    if (coloured) bar.append(make("i"));
    cells.push(make("td", { className: "numeric soft now" }));
    return make("tr", {}, ...cells);
  };
  const rows = genres.map(row);
  find("genres").replaceChildren(...rows.slice(0, COLOURED));
  find("others").replaceChildren(...rows.slice(COLOURED));
  find("rest").hidden = rows.length <= COLOURED;
}

function drawGroups(tasks) {
  const names = (pairs) => pairs.map(([name, share]) => `${name} ${percent(share)}`).join(", ");
  const parts = tasks.map(({ task, groups }) =>
    make(
      "div",
      {},
      make("h4", { text: `By ${task}` }),
      make(
        "ol",
        {},
        ...groups.map((group) =>
          make(
            "li",
            {},
            make("b", { text: `Group ${group.number}, ${percent(group.probability)}` }),
            make("span", { text: group.artists.map(([name]) => name).join(", ") }),
            make("span", { className: "soft", text: names(group.genres) }),
          ),
        ),
      ),
    ),
  );
  if (parts.length) {
    parts.unshift(
      make(
        "div",
        { className: "wide" },
        make("h3", { text: "Nearest artist groups" }),
        make("p", {
          className: "note",
          text: "To which group an artist of this sound would belong, as the networks hear it; the artists who belong to it most, and the genres of its artists' tracks.",
        }),
      ),
    );
  }
  find("groups").replaceChildren(...parts);
}

// The curve.

const length = () => shown.result.duration;

function scales() {
  const width = canvas.clientWidth - MARGIN.left - MARGIN.right;
  const height = canvas.clientHeight - MARGIN.top - MARGIN.bottom;
  return {
    x: (seconds) => MARGIN.left + (seconds / length()) * width,
    y: (share) => MARGIN.top + (1 - share) * height,
    seconds: (x) => Math.min(1, Math.max(0, (x - MARGIN.left) / width)) * length(),
  };
}

function drawCurve() {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  // A class's colour is resolved for light or dark; a custom property's text is not.
  const probe = make("i", { hidden: "" });
  document.body.append(probe);
  const colour = (value) => {
    probe.style.color = value;
    return getComputedStyle(probe).color;
  };
  const { x, y } = scales();
  const line = (points, style, thickness) => {
    pen.beginPath();
    points.forEach(([px, py], i) => (i ? pen.lineTo(px, py) : pen.moveTo(px, py)));
    pen.strokeStyle = style;
    pen.lineWidth = thickness;
    pen.stroke();
  };
  const [ink, soft, grid] = ["var(--ink)", "var(--soft)", "var(--grid)"].map(colour);
  pen.font = `11px ${getComputedStyle(canvas).fontFamily}`;
  pen.fillStyle = soft;
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    line([[x(0), y(share)], [x(length()), y(share)]], grid, 1);
    pen.fillText(`${100 * share} %`, MARGIN.left - 6, y(share));
  }
  pen.textBaseline = "top";
  const most = width < 500 ? 5 : 8;
  const step = TICKS.find((seconds) => length() / seconds <= most) ?? 7200;
  for (let seconds = 0; seconds <= length(); seconds += step) {
    pen.textAlign = seconds ? "center" : "left";
    pen.fillText(clock(seconds), Math.min(x(seconds), width - 16), height - MARGIN.bottom + 8);
  }
  const { genres, seconds } = shown.result;
  pen.lineJoin = "round";
  // The most probable genre last, above all others.
  for (let place = genres.length - 1; place >= 0; place -= 1) {
    const points = genres[place].curve.map((share, i) => [x(seconds[i]), y(share)]);
    // The first and last windows stand for what is before and behind their middles.
    const whole = [[x(0), points[0][1]], ...points, [x(length()), points.at(-1)[1]]];
    if (place < COLOURED) line(whole, colour(`var(--genre-${place})`), 2);
    else line(whole, grid, 1);
  }
  const now = x(Math.min(audio.currentTime, length()));
  line([[now, MARGIN.top - 4], [now, height - MARGIN.bottom]], ink, 1.5);
  pen.beginPath();
  pen.arc(now, MARGIN.top - 4, 4, 0, 2 * Math.PI);
  pen.fillStyle = ink;
  pen.fill();
  probe.remove();
}

function shareNow(curve) {
  const { seconds } = shown.result;
  let place = seconds.findIndex((middle) => middle >= audio.currentTime);
  if (place < 0) place = seconds.length - 1;
  if (place > 0 && audio.currentTime - seconds[place - 1] < seconds[place] - audio.currentTime) place -= 1;
  return curve[place];
}

function follow() {
  if (!shown) return;
  drawCurve();
  const now = shown.result.genres.map((genre) => ({ title: genre.title, share: shareNow(genre.curve) }));
  [...find("genres").rows, ...find("others").rows].forEach((row, place) => {
    if (place < COLOURED) row.querySelector("i").style.left = `${100 * now[place].share}%`;
    row.querySelector(".now").textContent = percent(now[place].share);
  });
  const [best] = now.toSorted((a, b) => b.share - a.share);
  const text = `${clock(audio.currentTime)} of ${clock(Math.round(length()))}, ${best.title} ${percent(best.share)}`;
  find("now").textContent = text;
  canvas.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  canvas.setAttribute("aria-valuetext", text);
}

function followWhilePlaying() {
  follow();
  if (!audio.paused && !audio.ended) requestAnimationFrame(followWhilePlaying);
}

function seek(seconds) {
  audio.currentTime = Math.min(Math.max(0, seconds), Number.isFinite(audio.duration) ? audio.duration : length());
  follow();
}

function togglePlaying() {
  if (audio.paused) audio.play().catch(() => {});
  else audio.pause();
}

audio.addEventListener("play", followWhilePlaying);
for (const name of ["timeupdate", "seeked", "loadedmetadata"]) audio.addEventListener(name, follow);
audio.addEventListener("error", () => {
  find("unplayable").hidden = false;
});

const seekTo = (event) => seek(scales().seconds(event.clientX - canvas.getBoundingClientRect().left));
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  seekTo(event);
});
canvas.addEventListener("pointermove", (event) => {
  if (canvas.hasPointerCapture(event.pointerId)) seekTo(event);
});
canvas.addEventListener("keydown", (event) => {
  if (event.key in STEP) seek(audio.currentTime + STEP[event.key]);
  else if (event.key === "Home") seek(0);
  else if (event.key === "End") seek(length());
  else if (event.key === " ") togglePlaying();
  else return;
  event.preventDefault();
});
new ResizeObserver(follow).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);

// Choosing and dropping; a file dropped beside the field must not replace the page.
const input = find("input");
input.addEventListener("change", () => {
  addFiles(input.files);
  input.value = "";
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") addFiles(event.dataTransfer.files);
  });
}

fetch("/model")
  .then((response) => response.json())
  .then((model) => {
    limit = model.limit_bytes;
    find("limit").textContent = `MP3, FLAC, Ogg, Opus, WAV; up to ${limit / 1e6}\u00a0MB each`;
    find("model").textContent = `${model.case}, trained on ${model.corpus} for ${model.tasks.join(", ")}: which of its ${model.n_genres} genres a track sounds like.`;
  });
