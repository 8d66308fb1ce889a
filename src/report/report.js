// The curves of a report, redrawn so that a reader can smooth them, change their axis, hide some of them, and read their
// values. Without this script the page shows the same curves as they are.
"use strict";

// TensorBoard's smoothing: an exponential average of the values so far, divided by the sum of its weights (which at first is
// less than 1). A gap stays a gap, and a constant line stays as it is.
function smooth(values, weight) {
    const finite = values.filter((v) => v !== null);
    if (finite.every((v) => v === finite[0])) {
        return values.slice();
    }
    let last = 0;
    let count = 0;
    return values.map((v) => {
        if (v === null) {
            return null;
        }
        last = last * weight + (1 - weight) * v;
        count += 1;
        return last / (1 - weight ** count);
    });
}

// A number for readers: four significant digits.
function number(x) {
    const size = Math.abs(x);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
        return x.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e");
    }
    return String(Number(x.toPrecision(4)));
}

// From values to pixels, and the values of the ticks between. On a logarithmic axis 0 has a line of its own at the end.
function makeScale(low, high, from, to, log, whole, hasZero) {
    const scale = { log, from, to, ticks: [], zeroAt: from };
    if (log) {
        low = Math.log10(low);
        high = Math.log10(high);
        scale.from = hasZero ? from + 24 * Math.sign(to - from) : from;
    }
    const room = high - low || Math.abs(low) || 1;
    if (high === low) {
        low -= room / 2;
        high += room / 2;
    }
    scale.at = (v) => {
        if (log && v === 0) {
            return scale.zeroAt;
        }
        return scale.from + ((log ? Math.log10(v) : v) - low) / (high - low) * (scale.to - scale.from);
    };
    if (log && high - low >= 1) {
        const every = Math.ceil((high - low) / 6);
        for (let power = Math.ceil(low); power <= high; power += every) {
            scale.ticks.push(10 ** power);
        }
    } else {
        const a = log ? 10 ** low : low;
        const b = log ? 10 ** high : high;
        const rough = (b - a) / Math.max(2, Math.abs(to - from) / (whole ? 70 : 44));
        const ten = 10 ** Math.floor(Math.log10(rough));
        let step = [1, 2, 5, 10].map((k) => k * ten).find((s) => s >= rough);
        step = whole ? Math.max(1, step) : step;
        for (let k = Math.ceil(a / step); k * step <= b + step / 1e6; k += 1) {
            scale.ticks.push(Number((k * step).toPrecision(12)));
        }
    }
    if (log && hasZero) {
        scale.ticks.push(0);
    }
    return scale;
}

// What the reader has chosen stays when the page is loaded again, as it is while a run is not finished.
const chosen = { smoothing: 0, log: {}, hidden: {}, scroll: 0 };
const place = "mpilora " + location.pathname;
function remember() {
    try {
        sessionStorage.setItem(place, JSON.stringify(chosen));
    } catch (e) {
        // A browser that keeps nothing for a file's page: the page begins as it is.
    }
}
function recall() {
    try {
        Object.assign(chosen, JSON.parse(sessionStorage.getItem(place) || "{}"));
    } catch (e) {
        // As above.
    }
}

function element(name, attributes, ...children) {
    const svg = ["svg", "g", "path", "text", "rect"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
        node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
}

// Markers of the styles, as in the picture that is there without this script.
const MARKS = ["m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", "m-3.2-3.2h6.4v6.4h-6.4z", "m0-4.2l4.2 7.2h-8.4z",
    "m0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z", "m0 4.2l4.2-7.2h-8.4z",
    "m-1.3-4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z"];
const MARKS_MOST = 40;
const HEIGHT = 300;
const PAPER = 420; // the width of a figure in print, where two are side by side

class Figure {
    constructor(data) {
        this.data = data;
        this.svg = document.getElementById(data.plot);
        this.frame = this.svg.parentElement;
        this.frame.classList.add("drawn");
        this.box = this.frame.parentElement;
        this.hidden = new Set(chosen.hidden[data.plot] || []);
        this.log = chosen.log[data.plot] ?? data.log;
        this.addControls();
        this.tip = element("div", { class: "tip", hidden: "" });
        this.box.append(this.tip);
        this.svg.addEventListener("pointermove", (event) => this.point(event));
        this.svg.addEventListener("pointerdown", (event) => this.point(event));
        this.svg.addEventListener("pointerleave", () => this.unpoint());
    }

    addControls() {
        const legend = element("div", { class: "legend" });
        for (const series of this.data.series) {
            const sample = element("svg", { viewBox: "0 0 30 12", width: 30, height: 12, class: "plot s" + series.style },
                element("path", { class: "line", d: "M1 6h28" }),
                element("path", { class: "mark", d: "M15 6" + MARKS[series.style % MARKS.length] }));
            const shown = !this.hidden.has(series.name);
            const button = element("button", { type: "button", "aria-pressed": shown }, sample, series.name);
            button.addEventListener("click", () => {
                this.hidden.delete(series.name) || this.hidden.add(series.name);
                button.setAttribute("aria-pressed", !this.hidden.has(series.name));
                chosen.hidden[this.data.plot] = [...this.hidden];
                remember();
                this.draw();
            });
            legend.append(button);
        }
        const log = element("button", { type: "button", class: "log", "aria-pressed": this.log }, "log axis");
        log.addEventListener("click", () => {
            this.log = !this.log;
            log.setAttribute("aria-pressed", this.log);
            chosen.log[this.data.plot] = this.log;
            remember();
            this.draw();
        });
        legend.append(log);
        this.frame.before(legend);
    }

    // The series that are shown, with their smoothed values; what the axis cannot show is a gap.
    take() {
        const can = (v) => v !== null && (!this.log || v >= 0);
        return this.data.series.filter((s) => !this.hidden.has(s.name)).map((s) => {
            const raw = s.y.map((v) => (can(v) ? v : null));
            const y = chosen.smoothing > 0 ? smooth(raw, chosen.smoothing) : raw;
            return { ...s, raw, y };
        });
    }

    draw(given) {
        const width = given || Math.max(260, Math.min(this.svg.clientWidth || 540, 1100));
        const shown = this.take();
        const ys = shown.flatMap((s) => s.raw.concat(s.low || [], s.high || [])).filter((v) => v !== null);
        const heights = this.log ? ys.filter((v) => v > 0) : ys;
        const xs = shown.flatMap((s) => s.x.filter((x, i) => s.raw[i] !== null));
        this.svg.replaceChildren();
        this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
        this.shown = [];
        if (!heights.length) {
            const text = "nothing can be shown on this axis";
            this.svg.append(element("text", { class: "empty", x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, text));
            return;
        }
        const low = heights.reduce((a, b) => Math.min(a, b));
        const high = heights.reduce((a, b) => Math.max(a, b));
        const bottom = HEIGHT - 48;
        const y = makeScale(this.data.zero && !this.log ? Math.min(low, 0) : low, high, bottom - 4, 12, this.log, false,
            ys.includes(0));
        const labels = y.ticks.map(number);
        const left = 30 + 6.8 * Math.max(...labels.map((t) => t.length));
        const x = makeScale(xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b)), left + 6, width - 12,
            false, true, false);
        this.drawAxes(x, y, labels, { left, right: width - 6, bottom });
        this.shown = shown;
        this.x = x;
        this.y = y;
        this.bottom = bottom;
        for (const s of shown) {
            this.drawSeries(s);
        }
        this.cross = element("path", { class: "cross", d: "" });
        this.svg.append(this.cross);
    }

    drawAxes(x, y, labels, box) {
        const axis = element("g", { class: "axis" });
        x.ticks.forEach((v) => {
            const at = x.at(v).toFixed(1);
            axis.append(element("path", { class: "grid", d: `M${at} 8V${box.bottom}` }),
                element("text", { class: "tick", x: at, y: box.bottom + 17, "text-anchor": "middle" }, number(v)));
        });
        y.ticks.forEach((v, i) => {
            const at = y.at(v);
            axis.append(element("path", { class: "grid", d: `M${box.left} ${at.toFixed(1)}H${box.right}` }),
                element("text", { class: "tick", x: box.left - 6, y: at + 4, "text-anchor": "end" }, labels[i]));
        });
        axis.append(element("path", { class: "frame", d: `M${box.left} ${box.bottom}H${box.right}` }),
            element("text", { class: "title", x: (box.left + box.right) / 2, y: box.bottom + 38, "text-anchor": "middle" },
                this.data.x_title),
            element("text", { class: "title", "text-anchor": "middle", transform: `translate(13 ${box.bottom / 2}) rotate(-90)` },
                this.data.y_title));
        this.svg.append(axis);
    }

    path(xs, ys) {
        let down = false;
        return xs.map((v, i) => {
            const drawn = ys[i] !== null;
            const piece = drawn ? `${down ? "L" : "M"}${this.x.at(v).toFixed(1)} ${this.y.at(ys[i]).toFixed(1)}` : "";
            down = drawn;
            return piece;
        }).join("");
    }

    drawSeries(s) {
        const group = element("g", { class: "series s" + s.style, "data-series": s.name });
        if (chosen.smoothing > 0) {
            group.append(element("path", { class: "line raw", d: this.path(s.x, s.raw) }));
        } else if (s.low && !this.log) {
            const back = s.x.map((v, i) => `L${this.x.at(v).toFixed(1)} ${this.y.at(s.low[i]).toFixed(1)}`).reverse().join("");
            group.append(element("path", { class: "band", d: this.path(s.x, s.high) + back + "z" }));
        }
        group.append(element("path", { class: "line", d: this.path(s.x, s.y) }));
        if (s.y.filter((v) => v !== null).length <= MARKS_MOST) {
            s.y.forEach((v, i) => {
                if (v !== null) {
                    const at = `M${this.x.at(s.x[i]).toFixed(1)} ${this.y.at(v).toFixed(1)}`;
                    group.append(element("path", { class: "mark", d: at + MARKS[s.style % MARKS.length] }));
                }
            });
        }
        this.svg.append(group);
    }

    // The values of all series at the step that is nearest to the pointer.
    point(event) {
        if (!this.shown || !this.shown.length) {
            return;
        }
        const box = this.svg.getBoundingClientRect();
        const at = (event.clientX - box.left) * this.svg.viewBox.baseVal.width / box.width;
        const nearest = (s) => s.x.reduce((best, x, i) => (s.y[i] !== null && (best < 0 ||
            Math.abs(this.x.at(x) - at) < Math.abs(this.x.at(s.x[best]) - at)) ? i : best), -1);
        const found = this.shown.map((s) => [s, nearest(s)]).filter(([, i]) => i >= 0);
        const closest = found.reduce((best, one) => (Math.abs(this.x.at(one[0].x[one[1]]) - at) <
            Math.abs(this.x.at(best[0].x[best[1]]) - at) ? one : best));
        const step = closest[0].x[closest[1]];
        this.cross.setAttribute("d", `M${this.x.at(step).toFixed(1)} 8V${this.bottom}`);
        const rows = found.map(([s, i]) => element("tr", {},
            element("th", {}, element("i", { class: "s" + s.style }), s.name), element("td", {}, number(s.y[i])),
            element("td", {}, chosen.smoothing > 0 ? number(s.raw[i]) : ""),
            element("td", {}, s.x[i] === step ? "" : `at ${number(s.x[i])}`)));
        this.tip.replaceChildren(element("b", {}, `${this.data.x_title.replace("optimizer ", "")} ${number(step)}`),
            element("table", {}, ...rows));
        this.tip.hidden = false;
        const right = event.clientX - box.left > box.width / 2;
        this.tip.style.left = right ? "" : `${event.clientX - box.left + 32}px`;
        this.tip.style.right = right ? `${box.right - event.clientX + 32}px` : "";
        this.tip.style.top = `${box.top - this.box.getBoundingClientRect().top + 12}px`;
    }

    unpoint() {
        this.tip.hidden = true;
        if (this.cross) {
            this.cross.setAttribute("d", "");
        }
    }
}

function addSmoothing(figures) {
    const bar = document.getElementById("controls");
    const slider = element("input", { type: "range", min: 0, max: 0.99, step: 0.01, id: "smoothing" });
    const value = element("output", { for: "smoothing" });
    const show = () => {
        value.textContent = chosen.smoothing.toFixed(2);
        figures.forEach((f) => f.draw());
    };
    slider.value = chosen.smoothing;
    slider.addEventListener("input", () => {
        chosen.smoothing = Number(slider.value);
        remember();
        show();
    });
    bar.append(element("label", { for: "smoothing" }, "Smoothing"), slider, value);
    bar.hidden = false;
    show();
    window.addEventListener("resize", show);
    window.addEventListener("beforeprint", () => figures.forEach((f) => f.draw(PAPER)));
    window.addEventListener("afterprint", show);
}

function start() {
    recall();
    const figures = JSON.parse(document.getElementById("curves").textContent).map((data) => new Figure(data));
    if (figures.length) {
        addSmoothing(figures);
    }
    const seconds = Number(document.body.dataset.reload);
    if (seconds > 0) {
        window.scrollTo(0, chosen.scroll);
        window.addEventListener("scroll", () => {
            chosen.scroll = window.scrollY;
            remember();
        });
        setTimeout(() => location.reload(), 1000 * seconds);
    }
}
start();
