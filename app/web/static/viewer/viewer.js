// src/controls.ts
var e = {
	w: "tool-window",
	p: "tool-pan",
	z: "tool-zoom",
	i: "invert",
	h: "heat",
	f: "fit",
	a: "actual",
	r: "reset",
	t: "turn",
	m: "mirror",
	",": "previous",
	".": "next"
}, t = "textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox]):not([type=range])";
function n(t, n) {
	t.querySelectorAll("button[data-do]").forEach((e) => {
		e.addEventListener("click", () => n(e.dataset.do));
	}), document.addEventListener("keydown", (t) => {
		if (t.ctrlKey || t.metaKey || t.altKey || t.repeat || i(t.target)) return;
		let r = e[t.key.toLowerCase()];
		r && !document.querySelector("dialog[open]") && (t.preventDefault(), n(r));
	});
}
function r(e, t, n) {
	e.querySelector(`button[data-do="${t}"]`)?.setAttribute("aria-pressed", String(n));
}
function i(e) {
	return e instanceof HTMLElement && e.matches(t);
}
// src/heat.ts
var a = 256, o = [
	255,
	150,
	30
], s = [
	70,
	150,
	255
];
function c(e) {
	let t = e.length, n = e[0].length, r = .5 / (t * n);
	for (let t of e) for (let e of t) r = Math.max(r, Math.abs(e));
	let i = document.createElement("canvas");
	i.width = i.height = a;
	let c = i.getContext("2d"), u = c.createImageData(a, a);
	for (let i = 0; i < a; i++) {
		let [c, d, f] = l(i, t);
		for (let t = 0; t < a; t++) {
			let [p, m, h] = l(t, n), g = e[c][p] * (1 - h) + e[c][m] * h, _ = e[d][p] * (1 - h) + e[d][m] * h, v = (g * (1 - f) + _ * f) / r, y = v >= 0 ? o : s, b = 4 * (i * a + t);
			u.data[b] = y[0], u.data[b + 1] = y[1], u.data[b + 2] = y[2], u.data[b + 3] = Math.round(255 * Math.min(Math.abs(v), 1));
		}
	}
	return c.putImageData(u, 0, 0), {
		picture: i,
		strongest: r
	};
}
function l(e, t) {
	let n = Math.min(Math.max((e + .5) * t / a - .5, 0), t - 1), r = Math.floor(n);
	return [
		r,
		Math.min(r + 1, t - 1),
		n - r
	];
}
// src/input.ts
var u = 1, d = 2;
function f(e, t) {
	let n = /* @__PURE__ */ new Map(), r = "window", i = {
		x: 0,
		y: 0
	}, a = (t) => {
		let n = e.getBoundingClientRect();
		return {
			x: t.clientX - n.left,
			y: t.clientY - n.top
		};
	};
	e.addEventListener("pointerdown", (o) => {
		e.setPointerCapture(o.pointerId), n.set(o.pointerId, a(o)), i = a(o), r = o.button === u || o.button === 0 && o.shiftKey ? "pan" : o.button === d ? "zoom" : t.tool(), o.button === u && o.preventDefault();
	}), e.addEventListener("pointermove", (e) => {
		let o = n.get(e.pointerId);
		if (!o) return;
		let c = a(e);
		if (n.set(e.pointerId, c), n.size === 2) {
			s(o, c, e.pointerId);
			return;
		}
		let l = c.x - o.x, u = c.y - o.y;
		r === "window" ? t.window(l, u) : r === "pan" ? t.pan(l, u) : t.zoom(Math.exp(-u / 150), i);
	});
	let o = (e) => n.delete(e.pointerId);
	e.addEventListener("pointerup", o), e.addEventListener("pointercancel", o), e.addEventListener("contextmenu", (e) => e.preventDefault()), e.addEventListener("dblclick", () => t.fit()), e.addEventListener("wheel", (e) => {
		e.preventDefault();
		let n = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
		t.zoom(Math.exp(-e.deltaY * n / 500), a(e));
	}, { passive: !1 });
	function s(e, r, i) {
		let a = [...n].find(([e]) => e !== i)[1], o = (e) => Math.max(Math.hypot(e.x - a.x, e.y - a.y), 1), s = {
			x: (r.x + a.x) / 2,
			y: (r.y + a.y) / 2
		};
		t.pan((r.x - e.x) / 2, (r.y - e.y) / 2), t.zoom(o(r) / o(e), s);
	}
}
// src/windowing.ts
var p = 65536;
function m(e) {
	return "values" in e;
}
function h(e, t) {
	if (m(e)) {
		let n = Math.round(t - e.first);
		return e.values[Math.min(Math.max(n, 0), e.values.length - 1)];
	}
	let { center: n, width: r } = e;
	switch (e.function) {
		case "SIGMOID": return 1 / (1 + Math.exp(-4 * (t - n) / r));
		case "LINEAR_EXACT": return b((t - n) / r + .5);
		case "LINEAR": return r <= 1 ? t <= n - .5 ? 0 : 1 : b((t - (n - .5)) / (r - 1) + .5);
	}
}
function g(e, t, n, r) {
	let i = t.lowIsWhite !== n;
	for (let n = 0; n < p; n++) {
		let a = h(e, n * t.slope + t.intercept), o = Math.round(255 * (i ? 1 - a : a));
		r[n] = 4278190080 | o << 16 | o << 8 | o;
	}
	t.padding && r.fill(4278190080, t.padding[0], t.padding[1] + 1);
}
function _() {
	return new Uint32Array(p);
}
function v(e, t, n) {
	let r = Math.max(e.width, 8) / 400;
	return {
		...e,
		name: "Own",
		width: Math.max(1, e.width + t * r),
		center: e.center + n * r
	};
}
function y(e, t, n) {
	let r = Math.max(t - e, 1);
	return {
		center: e + r / 2,
		width: r,
		function: "LINEAR_EXACT",
		name: n
	};
}
function b(e) {
	return e < 0 ? 0 : e > 1 ? 1 : e;
}
// src/renderer.ts
var x = class {
	canvas;
	context;
	tile = document.createElement("canvas");
	tileContext;
	table = _();
	tableOf = null;
	constructor(e) {
		this.canvas = e, this.context = e.getContext("2d", { alpha: !1 }), this.tileContext = this.tile.getContext("2d", {
			alpha: !1,
			willReadFrequently: !0
		});
	}
	resize() {
		let e = Math.max(1, Math.round(this.canvas.clientWidth * devicePixelRatio)), t = Math.max(1, Math.round(this.canvas.clientHeight * devicePixelRatio));
		return this.canvas.width === e && this.canvas.height === t ? !1 : (this.canvas.width = e, this.canvas.height = t, !0);
	}
	paint(e, t) {
		let n = this.context;
		n.setTransform(1, 0, 0, 1, 0, 0), n.globalAlpha = 1, n.globalCompositeOperation = "source-over", n.fillStyle = "#000", n.fillRect(0, 0, this.canvas.width, this.canvas.height);
		let r = e.visible();
		if (!r) return !0;
		n.setTransform(new DOMMatrix().scale(devicePixelRatio).multiply(e.matrix())), n.imageSmoothingEnabled = e.scale * devicePixelRatio !== 1, n.imageSmoothingQuality = "medium";
		let i = t.full && t.voi ? this.paintFull(e, t.full, t.voi, t.invert, r) : this.paintPreview(e, t);
		return i && t.heat && (n.imageSmoothingEnabled = !0, n.globalAlpha = t.heatOpacity, n.drawImage(t.heat.picture, 0, 0, e.image.width, e.image.height)), i;
	}
	paintPreview(e, t) {
		if (!t.preview) return !1;
		let { width: n, height: r } = e.image;
		return this.context.imageSmoothingEnabled = !0, this.context.drawImage(t.preview, 0, 0, n, r), t.invert && (this.context.globalCompositeOperation = "difference", this.context.fillStyle = "#fff", this.context.fillRect(0, 0, n, r), this.context.globalCompositeOperation = "source-over"), !0;
	}
	paintFull(e, t, n, r, i) {
		this.prepareTable(n, t.scale, r);
		let a = t.pyramid.levelFor(e.scale * devicePixelRatio), { factor: o } = a, s = Math.max(0, Math.floor(i.x / o) - 1), c = Math.max(0, Math.floor(i.y / o) - 1), l = Math.min(a.width, Math.ceil((i.x + i.width) / o) + 1), u = Math.min(a.height, Math.ceil((i.y + i.height) / o) + 1), d = l - s, f = u - c;
		if (d <= 0 || f <= 0) return !0;
		(this.tile.width !== d || this.tile.height !== f) && (this.tile.width = d, this.tile.height = f);
		let p = this.tileContext.createImageData(d, f), m = new Uint32Array(p.data.buffer), { table: h } = this, { data: g } = a;
		for (let e = 0, t = 0; e < f; e++) {
			let n = (c + e) * a.width + s;
			for (let e = n + d; n < e; n++, t++) m[t] = h[g[n]];
		}
		return this.tileContext.putImageData(p, 0, 0), this.context.drawImage(this.tile, s * o, c * o, d * o, f * o), !0;
	}
	prepareTable(e, t, n) {
		let r = this.tableOf;
		r && r.voi === e && r.invert === n && r.scale === t || (g(e, t, n, this.table), this.tableOf = {
			voi: e,
			invert: n,
			scale: t
		});
	}
}, S = class {
	levels;
	constructor(e, t, n) {
		if (e.length !== t * n) throw Error(`${e.length} pixels came for ${t} x ${n}.`);
		this.levels = [{
			data: e,
			width: t,
			height: n,
			factor: 1
		}];
	}
	get full() {
		return this.levels[0];
	}
	levelFor(e) {
		let t = 0;
		for (; 2 ** (t + 1) * e <= 1 && this.halvable(t);) t++;
		return this.levels[t];
	}
	percentiles(e, t) {
		let { data: n } = this.levelFor(512 / Math.max(this.full.width, this.full.height)), r = /* @__PURE__ */ new Uint32Array(65536);
		for (let e = 0; e < n.length; e++) r[n[e]]++;
		let i = n.length;
		for (let e = t?.[0] ?? 1; e <= (t?.[1] ?? 0); e++) i -= r[e], r[e] = 0;
		let a = [], o = 0, s = 0;
		for (let t of e) {
			for (; s < 65535 && o + r[s] < t * i;) o += r[s++];
			a.push(s);
		}
		return a;
	}
	halvable(e) {
		if (this.levels.length > e + 1) return !0;
		let { width: t, height: n } = this.levels[e];
		return t < 2 || n < 2 ? !1 : (this.levels.push(C(this.levels[e])), !0);
	}
};
function C(e) {
	let t = e.width >> 1, n = e.height >> 1, r = new Uint16Array(t * n);
	for (let i = 0; i < n; i++) {
		let n = 2 * i * e.width, a = n + e.width;
		for (let o = 0, s = i * t; o < t; o++, s++, n += 2, a += 2) {
			let t = e.data[n] + e.data[n + 1] + e.data[a] + e.data[a + 1];
			r[s] = t + 2 >> 2;
		}
	}
	return {
		data: r,
		width: t,
		height: n,
		factor: e.factor * 2
	};
}
// src/source.ts
var w = [
	"LINEAR",
	"LINEAR_EXACT",
	"SIGMOID"
], T = class extends Error {};
async function E(e) {
	let t = await fetch(e, { credentials: "same-origin" });
	if (!t.ok) throw new T(await M(t));
	return createImageBitmap(await t.blob());
}
async function D(e, t) {
	let n = {
		credentials: "same-origin",
		signal: t
	}, [r, i] = await Promise.all([fetch(e.info, n), fetch(e.pixels, n)]);
	if (!r.ok) throw new T(await M(r));
	if (!i.ok) throw new T(await M(i));
	let a = await r.json(), o = new S(new Uint16Array(await i.arrayBuffer()), a.columns, a.rows), s = {
		slope: a.slope,
		intercept: a.intercept,
		lowIsWhite: a.photometric === "MONOCHROME1",
		padding: a.padding
	};
	return {
		pyramid: o,
		scale: s,
		presets: A(a, o, s)
	};
}
var O = 400;
async function k(e, t) {
	let n = { "X-CSRF-Token": document.body.dataset.csrf ?? "" }, r = await fetch(e, {
		method: "POST",
		headers: n,
		credentials: "same-origin",
		signal: t
	});
	for (;;) {
		if (!r.ok) throw new T(await M(r));
		let n = await r.json();
		if (n.state === "failed") throw new T(n.reason ?? "The heat map could not be made.");
		if (n.finding && n.cells) return {
			finding: n.finding,
			kind: "occlusion_map",
			map: n.cells
		};
		await new Promise((e) => setTimeout(e, O)), r = await fetch(e, {
			credentials: "same-origin",
			signal: t
		});
	}
}
function A(e, t, n) {
	let r = [];
	if (e.voi_lut) {
		let { first: t, entries: n, bits: i, explanation: a } = e.voi_lut, o = 2 ** i - 1;
		r.push({
			first: t,
			values: n.map((e) => e / o),
			name: j(a, "As sent (table)")
		});
	}
	e.windows.forEach((e, t) => {
		let n = e.function;
		r.push({
			center: e.center,
			width: e.width,
			function: w.includes(n) ? n : "LINEAR",
			name: j(e.explanation, t ? `As sent ${t + 1}` : "As sent")
		});
	});
	let i = (e) => e * n.slope + n.intercept, a = (n, r, a) => {
		let o = t.percentiles([n, r], e.padding).map(i);
		return y(Math.min(...o), Math.max(...o), a);
	};
	r.push(a(.01, .99, "1 to 99 %")), r.push(n.lowIsWhite ? a(.3, .999, "Lungs") : a(.001, .7, "Lungs")), r.push(n.lowIsWhite ? a(.001, .7, "Dense") : a(.3, .999, "Dense"));
	let o = [i(e.minimum), i(e.maximum)];
	return r.push(y(Math.min(...o), Math.max(...o), "Full range")), r;
}
function j(e, t) {
	return e ? e === "default" ? "Middle 99 %" : e : t;
}
async function M(e) {
	try {
		let t = await e.json();
		if (t.detail) return t.detail;
	} catch {}
	return `The image could not be fetched (status ${e.status}).`;
}
// src/view.ts
var N = 32, P = class {
	image;
	aspect;
	viewport;
	scale = 1;
	centre = {
		x: 0,
		y: 0
	};
	quarterTurns = 0;
	mirrored = !1;
	fitted = !0;
	constructor(e, t, n) {
		this.image = e, this.aspect = t, this.viewport = n, this.fit();
	}
	fit() {
		this.scale = this.fittedScale(), this.centre = {
			x: this.image.width / 2,
			y: this.image.height / 2
		}, this.fitted = !0;
	}
	resize(e) {
		this.viewport = e, this.fitted && this.fit();
	}
	reset() {
		this.quarterTurns = 0, this.mirrored = !1, this.fit();
	}
	zoom(e, t) {
		this.zoomTo(this.scale * e, t);
	}
	zoomTo(e, t) {
		let n = this.toImage(t), r = Math.min(this.fittedScale(), 1) / 4;
		this.scale = Math.min(Math.max(e, r), N);
		let i = this.toImage(t);
		this.centre = {
			x: this.centre.x + n.x - i.x,
			y: this.centre.y + n.y - i.y
		}, this.fitted = !1, this.hold();
	}
	pan(e, t) {
		let n = this.toImage({
			x: 0,
			y: 0
		}), r = this.toImage({
			x: e,
			y: t
		});
		this.centre = {
			x: this.centre.x - (r.x - n.x),
			y: this.centre.y - (r.y - n.y)
		}, this.fitted = !1, this.hold();
	}
	turn() {
		this.quarterTurns = (this.quarterTurns + 1) % 4, this.fitted && this.fit();
	}
	mirror() {
		this.mirrored = !this.mirrored;
	}
	matrix() {
		return new DOMMatrix().translate(this.viewport.width / 2, this.viewport.height / 2).scale(this.mirrored ? -1 : 1, 1).rotate(90 * this.quarterTurns).scale(this.scale, this.scale * this.aspect).translate(-this.centre.x, -this.centre.y);
	}
	toImage(e) {
		let t = this.matrix().inverse().transformPoint(e);
		return {
			x: t.x,
			y: t.y
		};
	}
	visible() {
		let { width: e, height: t } = this.viewport, n = [
			{
				x: 0,
				y: 0
			},
			{
				x: e,
				y: 0
			},
			{
				x: 0,
				y: t
			},
			{
				x: e,
				y: t
			}
		].map((e) => this.toImage(e)), r = Math.max(0, Math.floor(Math.min(...n.map((e) => e.x)))), i = Math.max(0, Math.floor(Math.min(...n.map((e) => e.y)))), a = Math.min(this.image.width, Math.ceil(Math.max(...n.map((e) => e.x)))), o = Math.min(this.image.height, Math.ceil(Math.max(...n.map((e) => e.y))));
		return a > r && o > i ? {
			x: r,
			y: i,
			width: a - r,
			height: o - i
		} : null;
	}
	fittedScale() {
		let e = this.image.width, t = this.image.height * this.aspect, [n, r] = this.quarterTurns % 2 ? [t, e] : [e, t];
		return Math.min(this.viewport.width / n, this.viewport.height / r);
	}
	hold() {
		this.centre.x = Math.min(Math.max(this.centre.x, 0), this.image.width), this.centre.y = Math.min(Math.max(this.centre.y, 0), this.image.height);
	}
}, F = class {
	root;
	images;
	canvas;
	renderer;
	legend = document.querySelector("[data-heat-legend]");
	picture = {
		preview: null,
		full: null,
		voi: null,
		invert: !1,
		heat: null,
		heatOpacity: .45
	};
	view = null;
	shown = -1;
	tool = "window";
	heatOn = !1;
	fetching = new AbortController();
	due = !1;
	fullPainted = !1;
	fullDepth = null;
	constructor(e, t) {
		this.root = e, this.images = t, this.canvas = e.querySelector("canvas"), this.renderer = new x(this.canvas), f(this.canvas, {
			tool: () => this.tool,
			window: (e, t) => this.dragWindow(e, t),
			pan: (e, t) => this.change((n) => n.pan(e, t)),
			zoom: (e, t) => this.change((n) => n.zoom(e, t)),
			fit: () => this.act("fit")
		}), n(e, (e) => this.act(e)), e.querySelector("select[data-presets]")?.addEventListener("change", (e) => {
			let t = e.currentTarget, n = this.fullDepth?.presets[Number(t.value)];
			n && this.setVoi(n), t.blur();
		}), document.querySelector("input[data-heat-opacity]")?.addEventListener("input", (e) => {
			this.picture.heatOpacity = Number(e.currentTarget.value) / 100, this.repaint();
		}), e.querySelectorAll("button[data-image]").forEach((e) => {
			e.addEventListener("click", () => this.show(Number(e.dataset.image)));
		}), new ResizeObserver(() => this.resized()).observe(this.canvas), this.setTool("window"), this.show(0);
	}
	show(e) {
		if (e === this.shown || !this.images[e]) return;
		this.shown = e, this.fetching.abort(), this.fetching = new AbortController();
		let t = this.images[e];
		Object.assign(this.picture, {
			preview: null,
			full: null,
			voi: null,
			heat: null,
			invert: !1
		}), this.fullDepth = null, this.view = t.rows && t.columns ? this.viewOf(t.columns, t.rows, t) : null, this.setState("loading", "Fetching the image …"), this.presentImage(t, e), this.showHeat(), this.fetchHeat(), this.repaint(), this.fetch(t, this.fetching.signal);
	}
	async fetch(e, t) {
		let n = E(e.preview).then((n) => {
			t.aborted || this.picture.full || (this.picture.preview = n, this.view ??= this.viewOf(n.width, n.height, e), this.setState("preview", "Preview; fetching full depth …"), this.repaint());
		}, () => void 0);
		try {
			let n = await D(e, t);
			if (t.aborted) return;
			let { width: r, height: i } = n.pyramid.full;
			this.view && this.view.image.width === r && this.view.image.height === i || (this.view = this.viewOf(r, i, e)), this.fullDepth = n, this.picture.full = n, this.offerPresets(n.presets), this.setVoi(n.presets[0]), this.setState("full", "");
		} catch (e) {
			if (t.aborted) return;
			await n;
			let r = e instanceof T ? e.message : "The image did not arrive. Reload to try again.";
			this.setState(this.picture.preview ? "preview-only" : "failed", r);
		}
	}
	viewOf(e, t, n) {
		let r = n.spacing && n.spacing[1] > 0 ? n.spacing[0] / n.spacing[1] : 1;
		return new P({
			width: e,
			height: t
		}, r, this.viewport());
	}
	viewport() {
		return {
			width: Math.max(this.canvas.clientWidth, 1),
			height: Math.max(this.canvas.clientHeight, 1)
		};
	}
	act(e) {
		let t = {
			x: this.canvas.clientWidth / 2,
			y: this.canvas.clientHeight / 2
		};
		switch (e) {
			case "tool-window":
			case "tool-pan":
			case "tool-zoom": return this.setTool(e.slice(5));
			case "invert": return this.picture.invert = !this.picture.invert, this.repaint();
			case "heat": return this.heatOn = !this.heatOn, this.showHeat(), this.fetchHeat();
			case "fit": return this.change((e) => e.fit());
			case "actual": return this.change((e) => e.zoomTo(1 / devicePixelRatio, t));
			case "turn": return this.change((e) => e.turn());
			case "mirror": return this.change((e) => e.mirror());
			case "reset": return this.picture.invert = !1, this.fullDepth && this.setVoi(this.fullDepth.presets[0]), this.change((e) => e.reset());
			case "previous": return this.show(this.shown - 1);
			case "next": return this.show(this.shown + 1);
		}
	}
	change(e) {
		this.view && (e(this.view), this.repaint());
	}
	dragWindow(e, t) {
		let { voi: n } = this.picture;
		if (!n) return;
		let r = m(n) ? y(n.first, n.first + n.values.length - 1, "Own") : n;
		this.setVoi(v(r, e, t));
	}
	setVoi(e) {
		this.picture.voi = e;
		let t = this.root.querySelector("select[data-presets]");
		t && (t.value = String(this.fullDepth?.presets.indexOf(e) ?? -1)), this.repaint();
	}
	setTool(e) {
		this.tool = e, this.canvas.dataset.tool = e;
		for (let t of [
			"window",
			"pan",
			"zoom"
		]) r(this.root, `tool-${t}`, t === e);
	}
	showHeat() {
		let e = this.images[this.shown].heat, t = this.heatOn && e.length > 0, n = this.heatOn && !t && this.images[this.shown].heatFrom !== null;
		this.picture.heat = t ? c(e[0].map) : null, r(this.root, "heat", t || n);
		let i = this.root.querySelector("button[data-do=\"heat\"]");
		i && (i.disabled = e.length === 0 && this.images[this.shown].heatFrom === null), this.text("[data-heat-state]", n ? "Making the heat map …" : ""), this.legend.hidden = !t, I(this.legend, "[data-heat-finding]", e[0]?.finding ?? "");
		let a = e[0] && this.root.querySelector(`[data-heat-words="${e[0].kind}"]`)?.dataset.words;
		a && I(this.legend, "p", a), I(this.legend, "[data-heat-strongest]", this.picture.heat ? this.picture.heat.strongest.toFixed(2) : ""), this.repaint();
	}
	fetchHeat() {
		let e = this.images[this.shown];
		if (!this.heatOn || e.heat.length > 0 || e.heatFrom === null) return;
		let { signal: t } = this.fetching;
		k(e.heatFrom, t).then((n) => {
			e.heat = [n], t.aborted || this.showHeat();
		}, (e) => {
			if (t.aborted) return;
			this.heatOn = !1, this.showHeat();
			let n = e instanceof T ? e.message : "The heat map did not arrive. Try again.";
			this.text("[data-heat-state]", n);
		});
	}
	presentImage(e, t) {
		this.root.querySelectorAll("button[data-image]").forEach((e) => {
			e.setAttribute("aria-current", String(Number(e.dataset.image) === t));
		});
		for (let t of [
			"topLeft",
			"topRight",
			"bottomLeft"
		]) this.text(`[data-overlay="${t}"]`, e.overlay[t].join("\n"));
		this.text("[data-not-read]", e.notRead ?? ""), this.canvas.setAttribute("aria-label", `Radiograph ${e.name}`), this.offerPresets([]);
	}
	offerPresets(e) {
		let t = this.root.querySelector("select[data-presets]");
		if (!t) return;
		t.disabled = e.length === 0;
		let n = new Option("Own window", "-1");
		n.hidden = !0, t.replaceChildren(...e.map((e, t) => new Option(e.name, String(t))), n);
	}
	resized() {
		this.renderer.resize() && (this.view?.resize(this.viewport()), this.paint());
	}
	repaint() {
		this.due || (this.due = !0, requestAnimationFrame(() => {
			this.due = !1, this.paint();
		}));
	}
	paint() {
		if (!this.view) return;
		let e = performance.now(), t = this.renderer.paint(this.view, this.picture);
		performance.measure("paint", { start: e });
		let { voi: n, invert: i } = this.picture, { dataset: a } = this.root;
		a.invert = String(i), a.heat = String(this.picture.heat !== null), a.scale = String(Math.round(this.view.scale * devicePixelRatio * 1e3) / 1e3), a.window = n && !m(n) ? `${L(n.center)},${L(n.width)}` : "", r(this.root, "invert", i), this.text("[data-zoom]", `${Math.round(this.view.scale * devicePixelRatio * 100)} %`), this.text("[data-window-text]", n && !m(n) ? `C ${L(n.center)}  W ${L(n.width)}` : ""), this.picture.full && !this.fullPainted && (this.fullPainted = !0, performance.mark("full-depth-painted")), t && a.painted !== this.images[this.shown].id && (a.painted = this.images[this.shown].id, this.root.dispatchEvent(new CustomEvent("radiograph-painted", { bubbles: !0 })));
	}
	setState(e, t) {
		this.root.dataset.state = e, this.text("[data-loading]", t), this.repaint();
	}
	text(e, t) {
		I(this.root, e, t);
	}
};
function I(e, t, n) {
	let r = e.querySelector(t);
	r && r.textContent !== n && (r.textContent = n);
}
function L(e) {
	return Math.abs(e) >= 100 ? Math.round(e) : Math.round(e * 100) / 100;
}
performance.mark("viewer-started");
var R = document.getElementById("viewer"), z = document.getElementById("study-images");
R && z && new F(R, JSON.parse(z.textContent ?? "[]"));
