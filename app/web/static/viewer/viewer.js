// src/shown.ts
function e() {
	return document.getElementById("content")?.dataset.ahead === void 0;
}
function t() {
	return e() ? Promise.resolve() : new Promise((e) => {
		document.addEventListener("study-shown", () => e(), { once: !0 });
	});
}
function n() {
	return "prerendering" in document && document.prerendering === !0;
}
function r(e) {
	n() ? queueMicrotask(e) : requestAnimationFrame(e);
}
function i(e) {
	matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
		i(e), e();
	}, { once: !0 });
}
// src/controls.ts
var a = {
	w: "tool-window",
	p: "tool-pan",
	z: "tool-zoom",
	g: "tool-magnify",
	d: "tool-length",
	x: "tool-box",
	e: "tool-ellipse",
	i: "invert",
	h: "heat",
	o: "opacity",
	f: "fit",
	a: "actual",
	r: "reset",
	t: "turn",
	m: "mirror",
	delete: "delete",
	backspace: "delete",
	v: "layout",
	k: "link",
	",": "previous",
	".": "next"
}, o = "textarea, select, [contenteditable], input:not([type=radio]):not([type=checkbox]):not([type=range])";
function s(t, n, r, i) {
	t.querySelectorAll("button[data-do]").forEach((e) => {
		e.addEventListener("click", () => n(e.dataset.do));
	}), document.addEventListener("keydown", (o) => {
		if (!e() || (o.key.toLowerCase() !== "z" || !o.ctrlKey && !o.metaKey || o.shiftKey || o.altKey || f(o.target) || document.querySelector("dialog[open]") || !i() || o.preventDefault(), o.ctrlKey || o.metaKey || o.altKey || o.repeat || f(o.target)) || document.querySelector("dialog[open]")) return;
		if (o.key === "Escape") return r();
		let s = a[o.key.toLowerCase()];
		if (!s) return;
		let c = u(t, s);
		(c ? c.disabled : !d(s) && s !== "opacity") || (o.preventDefault(), n(s));
	});
}
function c(e, t, n) {
	u(e, t)?.setAttribute("aria-pressed", String(n));
}
function l(e, t, n) {
	let r = u(e, t);
	r && (r.disabled = !n);
}
function u(e, t) {
	return e.querySelector(`button[data-do="${t}"]`);
}
function d(e) {
	return e === "previous" || e === "next";
}
function f(e) {
	return e instanceof HTMLElement && e.matches(o);
}
// ../static/js/texts.js
var p = document.getElementById("texts"), m = p ? JSON.parse(p.textContent) : {};
new Intl.PluralRules(document.documentElement.lang || "en");
function h(e, t) {
	return e.replace(/%(?:\((\w+)\)s|%)/g, (e, n) => n === void 0 ? "%" : String(t[n]));
}
function g(e, t = {}) {
	return h(m[e] ?? e, t);
}
// src/texts.ts
var _ = (e) => e, v = 65536;
function y(e) {
	return "values" in e;
}
function ee(e, t) {
	if (y(e)) {
		let n = Math.round(t - e.first);
		return e.values[Math.min(Math.max(n, 0), e.values.length - 1)];
	}
	let { center: n, width: r } = e;
	switch (e.function) {
		case "SIGMOID": return 1 / (1 + Math.exp(-4 * (t - n) / r));
		case "LINEAR_EXACT": return S((t - n) / r + .5);
		case "LINEAR": return r <= 1 ? t <= n - .5 ? 0 : 1 : S((t - (n - .5)) / (r - 1) + .5);
	}
}
function b(e, t) {
	return e.lowIsWhite !== t;
}
function te(e, t, n, r) {
	let i = b(t, n);
	for (let n = 0; n < v; n++) {
		let a = ee(e, n * t.slope + t.intercept), o = Math.round(255 * (i ? 1 - a : a));
		r[n] = 4278190080 | o << 16 | o << 8 | o;
	}
	t.padding && r.fill(4278190080, t.padding[0], t.padding[1] + 1);
}
function ne() {
	return new Uint32Array(v);
}
function re(e, t, n, r) {
	let i = Math.max(e.width, 8) / 400;
	return {
		...e,
		name: g("Own"),
		width: Math.max(1, e.width + t * i),
		center: e.center + (r ? -n : n) * i
	};
}
function x(e, t, n) {
	let r = Math.max(t - e, 1);
	return {
		center: e + r / 2,
		width: r,
		function: "LINEAR_EXACT",
		name: n
	};
}
function S(e) {
	return e < 0 ? 0 : e > 1 ? 1 : e;
}
// src/corners.ts
function C(e, t, n) {
	let r = e.querySelector(t);
	r && r.textContent !== n && (r.textContent = n);
}
function ie(e, t) {
	for (let n of [
		"topLeft",
		"topRight",
		"bottomLeft"
	]) C(e, `[data-overlay="${n}"]`, t.overlay[n].join("\n"));
	C(e, "[data-not-read]", t.notRead ?? "");
}
function ae(e, t, { voi: n, invert: r, heat: i }) {
	let { dataset: a } = e, o = n && !y(n) ? n : null, s = t.scale * devicePixelRatio;
	a.invert = String(r), a.heat = String(i !== null), a.scale = String(Math.round(s * 1e3) / 1e3), a.window = o ? `${w(o.center)},${w(o.width)}` : "", C(e, "[data-zoom]", `${Math.round(s * 100)} %`), C(e, "[data-window-text]", o ? `C ${w(o.center)}  W ${w(o.width)}` : ""), C(e, "[data-altered]", oe(t, r).join("\n"));
}
function oe(e, t) {
	let n = [];
	return e.mirrored && n.push(g("Mirrored")), e.quarterTurns && n.push(g("Turned by %(degrees)s°", { degrees: 90 * e.quarterTurns })), t && n.push(g("Inverted")), n;
}
function w(e) {
	return Math.abs(e) >= 100 ? Math.round(e) : Math.round(e * 100) / 100;
}
// src/heat.ts
var T = 256, se = [
	255,
	150,
	30
], ce = [
	70,
	150,
	255
];
function le(e) {
	let t = e.length, n = e[0].length, r = .5 / (t * n);
	for (let t of e) for (let e of t) r = Math.max(r, Math.abs(e));
	let i = document.createElement("canvas");
	i.width = i.height = T;
	let a = i.getContext("2d"), o = a.createImageData(T, T);
	for (let i = 0; i < T; i++) {
		let [a, s, c] = E(i, t);
		for (let t = 0; t < T; t++) {
			let [l, u, d] = E(t, n), f = e[a][l] * (1 - d) + e[a][u] * d, p = e[s][l] * (1 - d) + e[s][u] * d, m = (f * (1 - c) + p * c) / r, h = m >= 0 ? se : ce, g = 4 * (i * T + t);
			o.data[g] = h[0], o.data[g + 1] = h[1], o.data[g + 2] = h[2], o.data[g + 3] = Math.round(255 * Math.min(Math.abs(m), 1));
		}
	}
	return a.putImageData(o, 0, 0), {
		picture: i,
		of: e,
		strongest: r
	};
}
function E(e, t) {
	let n = Math.min(Math.max((e + .5) * t / T - .5, 0), t - 1), r = Math.floor(n);
	return [
		r,
		Math.min(r + 1, t - 1),
		n - r
	];
}
// src/pyramid.ts
var ue = class {
	padding;
	levels;
	constructor(e, t, n, r) {
		if (this.padding = r, e.length !== t * n) throw Error(`${e.length} pixels came for ${t} x ${n}.`);
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
	percentiles(e) {
		let { padding: t } = this, { data: n } = this.levelFor(512 / Math.max(this.full.width, this.full.height)), r = /* @__PURE__ */ new Uint32Array(65536);
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
		return t < 2 || n < 2 ? !1 : (this.levels.push(de(this.levels[e], this.padding)), !0);
	}
};
function de(e, t) {
	let n = e.width >> 1, r = e.height >> 1, i = new Uint16Array(n * r);
	for (let a = 0; a < r; a++) {
		let r = 2 * a * e.width, o = r + e.width;
		for (let s = 0, c = a * n; s < n; s++, c++, r += 2, o += 2) {
			let n = e.data[r], a = e.data[r + 1], s = e.data[o], l = e.data[o + 1];
			i[c] = t ? fe(t[0], t[1], n, a, s, l) : n + a + s + l + 2 >> 2;
		}
	}
	return {
		data: i,
		width: n,
		height: r,
		factor: e.factor * 2
	};
}
function fe(e, t, n, r, i, a) {
	let o = 0, s = 0, c = n;
	if ((n < e || n > t) && (o += n, s++), (r < e || r > t) && (o += c = r, s++), (i < e || i > t) && (o += c = i, s++), (a < e || a > t) && (o += c = a, s++), s === 0) return n;
	let l = (o + (s >> 1)) / s | 0;
	return l < e || l > t ? l : c;
}
// src/source.ts
var D = "default", pe = [
	"LINEAR",
	"LINEAR_EXACT",
	"SIGMOID"
], O = class extends Error {};
async function me(e) {
	let t = await fetch(e, { credentials: "same-origin" });
	if (!t.ok) throw new O(await A(t));
	return createImageBitmap(await t.blob());
}
async function he({ pictures: e }) {
	let t = await fetch(e, {
		credentials: "same-origin",
		headers: { Accept: "application/json" }
	});
	if (!t.ok) throw new O(await A(t));
	let { images: n } = await t.json();
	if (n.length === 0) throw new O(g("The prior has no image."));
	return n;
}
async function ge(e, t) {
	let n = {
		credentials: "same-origin",
		signal: t
	}, [r, i] = await Promise.all([fetch(e.info, n), fetch(e.pixels, n)]);
	if (!r.ok) throw new O(await A(r));
	if (!i.ok) throw new O(await A(i));
	let a = await r.json(), o = new ue(new Uint16Array(await i.arrayBuffer()), a.columns, a.rows, a.padding), s = {
		slope: a.slope,
		intercept: a.intercept,
		lowIsWhite: a.photometric === "MONOCHROME1",
		padding: a.padding
	};
	return {
		pyramid: o,
		scale: s,
		presets: ye(a, o, s)
	};
}
var _e = 400;
async function ve(e, t) {
	let n = { "X-CSRF-Token": document.body.dataset.csrf ?? "" }, r = await fetch(e, {
		method: "POST",
		headers: n,
		credentials: "same-origin",
		signal: t
	});
	for (;;) {
		if (!r.ok) throw new O(await A(r));
		let n = await r.json();
		if (n.state === "failed") throw new O(n.reason ?? g("The heat map could not be made."));
		if (n.finding && n.cells) return {
			finding: n.finding,
			kind: "occlusion_map",
			map: n.cells
		};
		await new Promise((e) => setTimeout(e, _e)), r = await fetch(e, {
			credentials: "same-origin",
			signal: t
		});
	}
}
function ye(e, t, n) {
	let r = [];
	if (e.voi_lut) {
		let { first: t, entries: n, bits: i, explanation: a } = e.voi_lut, o = 2 ** i - 1;
		r.push({
			first: t,
			values: n.map((e) => e / o),
			name: k(a, g("As sent (table)"))
		});
	}
	let i = e.windows.filter(({ explanation: e }) => e === D).length;
	e.windows.forEach((e, t) => {
		let n = e.function;
		r.push({
			center: e.center,
			width: e.width,
			function: pe.includes(n) ? n : "LINEAR",
			name: k(e.explanation, t > i ? g("As sent %(number)s", { number: t - i + 1 }) : g("As sent"))
		});
	});
	let a = (e) => e * n.slope + n.intercept, o = (e, n) => {
		let r = t.percentiles(e).map(a);
		return x(Math.min(...r), Math.max(...r), n);
	};
	r.push(o([.01, .99], g("1 to 99 %%")));
	let [s, c] = [[.001, .7], [.3, .999]], l = n.lowIsWhite !== n.slope < 0;
	r.push(o(l ? c : s, g("Lungs"))), r.push(o(l ? s : c, g("Dense")));
	let u = [a(e.minimum), a(e.maximum)];
	return r.push(x(Math.min(...u), Math.max(...u), g("Full range"))), r;
}
function k(e, t) {
	return e ? e === D ? g("Middle 99 %%") : e : t;
}
async function A(e) {
	try {
		let t = await e.json();
		if (t.detail) return t.detail;
	} catch {}
	return g("The image could not be fetched (status %(status)s).", { status: e.status });
}
// src/heating.ts
var j = [
	20,
	45,
	70
], be = class {
	root;
	on = !1;
	opacity = .45;
	pane = null;
	legend = document.querySelector("[data-heat-legend]");
	constructor(e) {
		this.root = e, this.legend.querySelector("input[data-heat-opacity]")?.addEventListener("input", (e) => {
			this.opacity = Number(e.currentTarget.value) / 100, this.show(this.pane);
		});
	}
	toggle() {
		this.on = !this.on, this.show(this.pane);
	}
	fade() {
		let e = this.legend.querySelector("input[data-heat-opacity]");
		e && !this.legend.hidden && (e.value = String(j.find((t) => t > Number(e.value)) ?? j[0]), e.dispatchEvent(new Event("input")));
	}
	show(e) {
		if (this.pane && this.pane !== e && (this.pane.picture.heat = null, this.pane.text("[data-heat-state]", ""), this.pane.repaint()), this.pane = e, !e?.image) return;
		let { heat: t, heatFrom: n } = e.image, r = this.on && t.length > 0, i = this.on && !r && n !== null;
		r ? e.picture.heat?.of !== t[0].map && (e.picture.heat = le(t[0].map)) : e.picture.heat = null, e.picture.heatOpacity = this.opacity, c(this.root, "heat", r || i), l(this.root, "heat", t.length > 0 || n !== null), e.text("[data-heat-state]", i ? g("Making the heat map …") : ""), this.legend.hidden = !r, C(this.legend, "[data-heat-finding]", t[0] ? g(t[0].finding) : "");
		let a = t[0] && this.root.querySelector(`[data-heat-words="${t[0].kind}"]`)?.dataset.words;
		a && C(this.legend, "[data-heat-meaning]", a), C(this.legend, "[data-heat-strongest]", e.picture.heat ? e.picture.heat.strongest.toFixed(2) : ""), e.repaint(), i && this.fetch(e, n);
	}
	fetch(e, t) {
		let { image: n, signal: r } = e;
		n && !this.asked.has(r) && (this.asked.add(r), ve(t, r).then((e) => {
			n.heat = [e], r.aborted || this.show(this.pane);
		}, (t) => {
			this.asked.delete(r), r.aborted || (this.on = !1, this.show(this.pane), e.text("[data-heat-state]", t instanceof O ? t.message : g("The heat map did not arrive. Try again.")));
		}));
	}
	asked = /* @__PURE__ */ new WeakSet();
}, xe = {
	one: _("One image"),
	views: _("Both views"),
	priors: _("With priors"),
	all: _("Views and priors")
};
function Se(e, t) {
	let n = M(e, 0) !== null;
	return [
		"one",
		...n ? ["views"] : [],
		...t ? ["priors"] : [],
		...n && t ? ["all"] : []
	];
}
function M(e, t) {
	return P(e, (n, r) => r === t ? 0 : n.direction === e[t]?.direction ? 1 : 2);
}
function Ce(e, t) {
	return P(e, (e) => e.direction === t?.direction ? 2 : 1) ?? 0;
}
function we(e, t) {
	return (e === "all" ? [
		"all",
		"priors",
		"views"
	] : [e]).map((e) => t.find((t) => t === e)).find((e) => e !== void 0);
}
var N = "layout";
function Te() {
	try {
		return sessionStorage.getItem(N);
	} catch {
		return null;
	}
}
function Ee(e) {
	try {
		sessionStorage.setItem(N, e);
	} catch {}
}
function P(e, t) {
	let n = e.some((e) => !e.superseded), r = null, i = 0;
	return e.forEach((e, a) => {
		let o = e.superseded && n ? 0 : t(e, a);
		o > i && ([r, i] = [a, o]);
	}), r;
}
// src/marks.ts
var De = g("It is marked on the image. Delete the mark, or say that it is present or uncertain."), Oe = class {
	shapes;
	images;
	form = document.querySelector("#correct");
	fields = [...document.querySelectorAll("input[data-marks]")];
	list = document.querySelector("[data-mark-list]");
	shown = document.querySelectorAll("button[data-show-marks]");
	listed = "";
	constructor(e, t, n) {
		this.shapes = t, this.images = n, this.read(), e.addEventListener("marks-given", () => this.read()), t.onChange(() => this.write()), this.form?.addEventListener("input", () => this.judge()), this.shown.forEach((e) => e.addEventListener("click", () => this.show(e)));
		let r = [...this.shown].find((e) => "stands" in e.dataset);
		!this.form && r && this.show(r);
	}
	get finding() {
		return document.querySelector("[data-mark-finding]")?.value ?? null;
	}
	drawn(e) {
		if (e.kind === "length" || !this.form) return;
		let t = document.querySelector("#correction");
		t && !t.open && document.querySelector("[data-correct]")?.click();
		let n = this.form.elements.namedItem(`finding:${e.finding}`);
		n instanceof RadioNodeList && ["", "absent"].includes(n.value) && (n.value = "present"), this.form.dispatchEvent(new Event("input", { bubbles: !0 }));
	}
	read() {
		if (!this.fields[0]) return;
		let e = F(this.fields[0].value);
		for (let t of this.fields) t.value = JSON.stringify(e);
		this.shapes.replace((e) => e.kind !== "length" && !e.fixed, e.map((e) => I(e, !1))), this.shapes.settle(), this.tell();
	}
	write() {
		if (!this.fields[0]) return;
		let e = JSON.stringify(this.shapes.marks().map(ke));
		if (e !== this.fields[0].value) {
			for (let t of this.fields) t.value = e;
			this.tell(), this.form?.dispatchEvent(new Event("input", { bubbles: !0 }));
		}
	}
	tell() {
		let e = this.shapes.marks(), t = e.map((e) => {
			let t = this.images.find(({ id: t }) => t === e.image), n = {
				finding: g(e.finding),
				image: t?.name ?? ""
			};
			return e.kind === "box" ? g("Box of %(finding)s on image %(image)s", n) : g("Ellipse of %(finding)s on image %(image)s", n);
		});
		this.judge(), this.list && t.join("\n") !== this.listed && (this.listed = t.join("\n"), this.list.hidden = e.length === 0, this.list.querySelector("ul").replaceChildren(...e.map((e, n) => {
			let r = document.createElement("li"), i = document.createElement("button");
			return i.type = "button", i.textContent = g("Delete"), i.setAttribute("aria-label", `${g("Delete")}: ${t[n]}`), i.addEventListener("click", () => {
				this.shapes.delete(e), (this.list?.querySelector("button") ?? this.form?.querySelector("textarea"))?.focus();
			}), r.append(t[n], i), r;
		})));
	}
	judge() {
		let e = new Set(this.shapes.marks().map(({ finding: e }) => e));
		this.form?.querySelectorAll("input[value=\"absent\"]").forEach((t) => {
			let n = t.checked && e.has(t.name.slice(8));
			t.setCustomValidity(n ? De : "");
		});
	}
	show(e) {
		let t = e.getAttribute("aria-pressed") !== "true";
		this.shown.forEach((n) => n.setAttribute("aria-pressed", String(t && n === e)));
		let n = t ? F(e.dataset.showMarks ?? "") : [];
		this.shapes.replace((e) => e.fixed, n.map((e) => I(e, !0)));
	}
};
function F(e) {
	try {
		let t = JSON.parse(e || "[]");
		return Array.isArray(t) ? t : [];
	} catch {
		return [];
	}
}
function I({ image: e, finding: t, shape: n, x: r, y: i, width: a, height: o }, s) {
	return {
		kind: n,
		image: e,
		finding: t,
		a: {
			x: r,
			y: i
		},
		b: {
			x: r + a,
			y: i + o
		},
		fixed: s
	};
}
function ke({ kind: e, image: t, finding: n, a: r, b: i }) {
	let [a, o] = [Math.min(r.x, i.x), Math.max(r.x, i.x)].map(L), [s, c] = [Math.min(r.y, i.y), Math.max(r.y, i.y)].map(L), l = (e, t) => Math.max(L(t - e), 1);
	return {
		image: t,
		finding: n,
		shape: e,
		x: a,
		y: s,
		width: l(a, o),
		height: l(s, c)
	};
}
function L(e) {
	return Math.round(e * 10) / 10;
}
// src/shapes.ts
function Ae(e, t, { spacing: n, atDetector: r }) {
	let [i, a] = n ?? [1, 1], o = Math.hypot((t.x - e.x) * a, (t.y - e.y) * i);
	if (!n) return g("%(count)s pixels", { count: Math.round(o) });
	let s = { length: o.toFixed(1) };
	return g(r ? "%(length)s mm at the detector" : "%(length)s mm", s);
}
var je = class {
	selected = null;
	unfinished = null;
	all = [];
	past = [];
	listeners = [];
	of(e) {
		return this.all.filter((t) => t.image === e);
	}
	marks() {
		return this.all.filter((e) => e.kind !== "length" && !e.fixed && e !== this.unfinished);
	}
	add(e) {
		this.all.push(e), this.changed();
	}
	remove(e) {
		this.all = this.all.filter((t) => t !== e), this.selected === e && (this.selected = null), this.changed();
	}
	delete(e) {
		this.remember(() => this.all.push(e)), this.remove(e);
	}
	remember(e) {
		this.past.push(e);
	}
	undo() {
		let e = this.past.pop();
		return e ? (e(), this.changed(), !0) : !1;
	}
	settle() {
		this.past = [];
	}
	replace(e, t) {
		this.all = [...this.all.filter((t) => !e(t)), ...t], this.selected && !this.all.includes(this.selected) && (this.selected = null), this.changed();
	}
	select(e) {
		this.selected !== e && (this.selected = e, this.changed());
	}
	onChange(e) {
		this.listeners.push(e);
	}
	changed() {
		for (let e of this.listeners) e();
	}
}, Me = "http://www.w3.org/2000/svg", Ne = 1, Pe = 10, Fe = 8, R = 4, Ie = class {
	svg;
	shapes;
	view;
	drawn = /* @__PURE__ */ new Map();
	labels = document.createElement("div");
	constructor(e, t, n, r) {
		this.svg = e, this.shapes = t, this.view = r, this.labels.className = "labels", this.labels.setAttribute("aria-hidden", "true"), e.after(this.labels), e.addEventListener("wheel", (e) => {
			e.preventDefault(), n.dispatchEvent(new WheelEvent("wheel", e));
		});
	}
	paint(e, t) {
		let n = this.shapes.of(e.id);
		for (let [e, { group: t, label: r }] of this.drawn) n.includes(e) || (t.remove(), r.remove(), this.drawn.delete(e));
		for (let r of n) this.drawn.has(r) || this.drawn.set(r, this.begin(r)), this.place(r, this.drawn.get(r), t, e);
	}
	place(e, t, n, r) {
		let i = n.matrix(), a = i.transformPoint(e.a), o = i.transformPoint(e.b), s = Math.min(a.x, o.x), c = Math.min(a.y, o.y), l = Math.abs(o.x - a.x), u = Math.abs(o.y - a.y), d = e.kind === "length" ? Ae(e.a, e.b, r) : g(e.finding);
		for (let n of t.bodies) e.kind === "length" ? V(n, {
			x1: a.x,
			y1: a.y,
			x2: o.x,
			y2: o.y
		}) : e.kind === "box" ? V(n, {
			x: s,
			y: c,
			width: l,
			height: u
		}) : V(n, {
			cx: s + l / 2,
			cy: c + u / 2,
			rx: l / 2,
			ry: u / 2
		});
		let { label: f } = t;
		f.textContent !== d && (f.textContent = d);
		let p = {
			x: n.viewport.width - f.offsetWidth - R,
			y: n.viewport.height - f.offsetHeight - R
		}, m = e.kind === "length" ? c + u / 2 : c;
		f.style.left = `${Math.max(Math.min(s + l + Fe, p.x), R)}px`, f.style.top = `${Math.max(Math.min(m - f.offsetHeight / 2, p.y), R)}px`, t.bodies[0].setAttribute("aria-label", `${g(Le[e.kind])}, ${d}`);
		for (let { x: n, y: r, spot: a, dot: o } of t.handles) {
			let t = i.transformPoint({
				x: e[n].x,
				y: e[r].y
			});
			for (let e of [a, o]) V(e, {
				cx: t.x,
				cy: t.y
			});
		}
		t.group.classList.toggle("selected", this.shapes.selected === e), t.group.classList.toggle("unfinished", this.shapes.unfinished === e);
	}
	begin(e) {
		let t = this.svg.appendChild(B("g", `shape ${e.kind}${e.fixed ? " fixed" : ""}`)), n = {
			length: "line",
			box: "rect",
			ellipse: "ellipse"
		}[e.kind], r = [
			"grab",
			"halo",
			"edge"
		].map((e) => t.appendChild(B(n, e))), i = this.labels.appendChild(document.createElement("span"));
		i.className = e.kind;
		let a = [];
		if (e.fixed) r[0].setAttribute("role", "img");
		else {
			this.obey(r[0], e, (t, n) => {
				for (let r of [e.a, e.b]) Object.assign(r, {
					x: r.x + t,
					y: r.y + n
				});
			});
			let n = e.kind === "length" ? ["aa", "bb"] : [
				"aa",
				"ab",
				"ba",
				"bb"
			];
			for (let r of n) {
				let [n, i] = r, o = t.appendChild(B("circle", "dot")), s = t.appendChild(B("circle", "spot"));
				V(o, { r: 4 }), V(s, { r: 12 }), s.setAttribute("aria-label", e.kind === "length" ? g("End of the length") : g("Corner")), this.obey(s, e, (t, r) => {
					e[n].x += t, e[i].y += r;
				}), a.push({
					x: n,
					y: i,
					spot: s,
					dot: o
				});
			}
		}
		return {
			group: t,
			bodies: r,
			label: i,
			handles: a
		};
	}
	obey(e, t, n) {
		e.setAttribute("tabindex", "0"), e.setAttribute("role", "button"), e.addEventListener("focus", () => this.shapes.select(t));
		let r = null, i = !1, a = () => {
			let [e, n] = [{ ...t.a }, { ...t.b }];
			this.shapes.remember(() => Object.assign(t, {
				a: e,
				b: n
			}));
		}, o = (e, r) => {
			let i = this.view();
			if (!i) return;
			let [a, o] = [i.toImage(r), i.toImage(e)], [s, c] = [{ ...t.a }, { ...t.b }];
			n(o.x - a.x, o.y - a.y), i.holds(t.a) && i.holds(t.b) || Object.assign(t, {
				a: s,
				b: c
			}), this.shapes.changed();
		};
		e.addEventListener("pointerdown", (t) => {
			t.button === 0 && (t.preventDefault(), e.setPointerCapture(t.pointerId), e.focus({ preventScroll: !0 }), r = {
				x: t.clientX,
				y: t.clientY
			}, i = !1);
		}), e.addEventListener("pointermove", (e) => {
			if (!r) return;
			let t = {
				x: e.clientX,
				y: e.clientY
			};
			i || a(), i = !0, o(t, r), r = t;
		});
		let s = () => r = null;
		e.addEventListener("pointerup", s), e.addEventListener("pointercancel", s), e.addEventListener("keydown", (e) => {
			let t = z[e.key];
			if (!t || e.ctrlKey || e.altKey || e.metaKey) return;
			e.preventDefault(), e.stopPropagation();
			let n = e.shiftKey ? Pe : Ne;
			a(), o({
				x: t.x * n,
				y: t.y * n
			}, {
				x: 0,
				y: 0
			});
		});
	}
}, z = {
	ArrowLeft: {
		x: -1,
		y: 0
	},
	ArrowRight: {
		x: 1,
		y: 0
	},
	ArrowUp: {
		x: 0,
		y: -1
	},
	ArrowDown: {
		x: 0,
		y: 1
	}
}, Le = {
	length: _("Length"),
	box: _("Box"),
	ellipse: _("Ellipse")
};
function B(e, t) {
	let n = document.createElementNS(Me, e);
	return n.setAttribute("class", t), n;
}
function V(e, t) {
	for (let [n, r] of Object.entries(t)) e.setAttribute(n, String(r));
}
// src/input.ts
var H = 1, Re = 2, U = 40, W = 10, G = 1.25;
function ze(e, t) {
	let n = /* @__PURE__ */ new Map(), r = "window", i = {
		x: 0,
		y: 0
	}, a = !1, o = (t) => {
		let n = e.getBoundingClientRect();
		return {
			x: t.clientX - n.left,
			y: t.clientY - n.top
		};
	};
	e.addEventListener("pointerdown", (s) => {
		e.setPointerCapture(s.pointerId), n.set(s.pointerId, o(s)), i = o(s), t.turnedTo(), n.size > 1 ? (a = !0, t.leave(), t.drop()) : (a = !1, r = s.button === H || s.button === 0 && s.shiftKey ? "pan" : s.button === Re ? "zoom" : t.tool(), s.button === H && s.preventDefault(), K(r) && (t.press(i), t.over(i, s.pointerType === "touch")));
	}), e.addEventListener("pointermove", (e) => {
		let c = n.get(e.pointerId), l = o(e);
		if (!c) {
			t.over(l, e.pointerType === "touch");
			return;
		}
		if (n.set(e.pointerId, l), n.size === 2 && s(c, l, e.pointerId), a) return;
		let u = l.x - c.x, d = l.y - c.y;
		r === "window" ? t.window(u, d) : r === "pan" ? t.pan(u, d) : r === "zoom" ? t.zoom(Math.exp(-d / 150), i) : t.over(l, e.pointerType === "touch");
	}), e.addEventListener("pointerup", (e) => {
		n.delete(e.pointerId) && (!a && K(r) && t.release(o(e)), e.pointerType === "touch" && t.leave());
	}), e.addEventListener("pointercancel", (e) => {
		n.delete(e.pointerId) && t.drop(), t.leave();
	}), e.addEventListener("pointerleave", () => {
		n.size === 0 && t.leave();
	}), e.addEventListener("contextmenu", (e) => e.preventDefault()), e.addEventListener("dblclick", () => {
		K(t.tool()) || t.fit();
	}), e.addEventListener("wheel", (e) => {
		e.preventDefault();
		let n = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
		t.zoom(Math.exp(-e.deltaY * n / 500), o(e));
	}, { passive: !1 }), e.addEventListener("keydown", (n) => {
		if (n.ctrlKey || n.altKey || n.metaKey) return;
		let r = z[n.key], i = {
			x: e.clientWidth / 2,
			y: e.clientHeight / 2
		};
		if (r && n.shiftKey) t.window(r.x * W, r.y * W);
		else if (r) t.pan(-r.x * U, -r.y * U);
		else if (n.key === "+" || n.key === "=") t.zoom(G, i);
		else if (n.key === "-") t.zoom(1 / G, i);
		else if (n.key === "Enter") n.repeat || t.enter();
		else return;
		n.preventDefault();
	});
	function s(e, r, i) {
		let a = [...n].find(([e]) => e !== i)[1], o = (e) => Math.max(Math.hypot(e.x - a.x, e.y - a.y), 1), s = {
			x: (r.x + a.x) / 2,
			y: (r.y + a.y) / 2
		};
		t.pan((r.x - e.x) / 2, (r.y - e.y) / 2), t.zoom(o(r) / o(e), s);
	}
}
function K(e) {
	return e !== "window" && e !== "pan" && e !== "zoom";
}
// src/renderer.ts
var q = class {
	canvas;
	context;
	tile = document.createElement("canvas");
	tileContext;
	table = ne();
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
		r && r.voi === e && r.invert === n && r.scale === t || (te(e, t, n, this.table), this.tableOf = {
			voi: e,
			invert: n,
			scale: t
		});
	}
}, Be = 32, J = class {
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
		this.scale = Math.min(Math.max(e, r), Be);
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
	inside(e) {
		let t = (e, t) => Math.min(Math.max(e, 0), t);
		return {
			x: t(e.x, this.image.width),
			y: t(e.y, this.image.height)
		};
	}
	holds(e) {
		let { x: t, y: n } = this.inside(e);
		return t === e.x && n === e.y;
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
}, Y = 240, Ve = 140, He = class {
	surface;
	renderer = null;
	canvas = null;
	constructor(e) {
		this.surface = e;
	}
	show(e, t, n, r) {
		this.canvas || (this.canvas = document.createElement("canvas"), this.canvas.className = "lens", this.canvas.setAttribute("aria-hidden", "true"), this.surface.append(this.canvas), this.renderer = new q(this.canvas)), this.renderer.resize();
		let i = new J(t.image, t.aspect, {
			width: Y,
			height: Y
		});
		i.quarterTurns = t.quarterTurns, i.mirrored = t.mirrored, i.scale = Math.max(2 * t.scale, 1 / devicePixelRatio), i.centre = t.toImage(e), this.renderer.paint(i, n), this.canvas.dataset.magnified = String(Math.round(i.scale / t.scale * 100) / 100), this.canvas.style.left = `${e.x - Y / 2}px`, this.canvas.style.top = `${e.y - Y / 2 - (r ? Ve : 0)}px`;
	}
	hide() {
		this.canvas?.remove(), this.canvas = null, this.renderer = null;
	}
}, Ue = 4, We = class {
	shapes;
	shape = null;
	from = {
		x: 0,
		y: 0
	};
	waiting = !1;
	view = null;
	constructor(e) {
		this.shapes = e;
	}
	press(e, t, n) {
		if (this.waiting) {
			if (t === this.view) return this.follow(e, t);
			this.drop();
		}
		this.view = t, this.from = e, this.shape = n(t.inside(t.toImage(e))), this.shapes.unfinished = this.shape, this.shapes.add(this.shape), this.shapes.select(this.shape);
	}
	follow(e, t) {
		this.shape && t === this.view && (this.shape.b = t.inside(t.toImage(e)), this.shapes.changed());
	}
	release(e) {
		let { shape: t } = this;
		if (!t) return null;
		let n = Math.hypot(e.x - this.from.x, e.y - this.from.y) >= Ue;
		return !n && !this.waiting ? (this.waiting = !0, null) : !n || Ge(t) ? (this.drop(), null) : (this.rest(), this.shapes.changed(), t);
	}
	drop() {
		let { shape: e } = this;
		this.rest(), e && this.shapes.remove(e);
	}
	rest() {
		this.shape = this.view = this.shapes.unfinished = null, this.waiting = !1;
	}
};
function X(e, t, n, r) {
	let { width: i, height: a } = r.viewport, o = (e, t) => r.inside(r.toImage({
		x: i * e,
		y: a * t
	})), [s, c] = e === "length" ? [o(.4, .5), o(.6, .5)] : [o(.4, .4), o(.6, .6)];
	return {
		kind: e,
		image: t,
		a: s,
		b: c,
		finding: n,
		fixed: !1
	};
}
function Ge({ kind: e, a: t, b: n }) {
	return e !== "length" && (Math.abs(t.x - n.x) < 1 || Math.abs(t.y - n.y) < 1);
}
// src/pane.ts
var Ke = class {
	element;
	prior;
	desk;
	picture = {
		preview: null,
		full: null,
		voi: null,
		invert: !1,
		heat: null,
		heatOpacity: .45
	};
	view = null;
	images = [];
	shown = -1;
	presets = [];
	canvas;
	renderer;
	layer;
	lens;
	resizing;
	fetching = new AbortController();
	due = !1;
	constructor(e, t, n) {
		this.element = e, this.prior = t, this.desk = n, this.canvas = e.querySelector("canvas"), this.renderer = new q(this.canvas), this.layer = new Ie(e.querySelector("svg"), n.shapes, this.canvas, () => this.view), this.lens = new He(this.canvas.parentElement), this.resizing = new ResizeObserver(() => this.fit() && this.paint()), this.resizing.observe(this.canvas), this.canvas.addEventListener("focus", () => n.chosen(this)), ze(this.canvas, {
			tool: () => n.tool(),
			turnedTo: () => {
				n.chosen(this), n.shapes.select(null);
			},
			window: (e, t) => n.windowDragged(this, e, t),
			pan: (e, t) => this.change((n) => n.pan(e, t)),
			zoom: (e, t) => this.change((n) => n.zoom(e, t)),
			fit: () => this.change((e) => e.fit()),
			press: (e) => this.press(e),
			over: (e, t) => this.over(e, t),
			release: (e) => this.release(e),
			leave: () => this.lens.hide(),
			drop: () => n.pen.drop(),
			enter: () => this.drawInTheMiddle()
		});
	}
	get image() {
		return this.images[this.shown] ?? null;
	}
	get signal() {
		return this.fetching.signal;
	}
	async show(e, t, n = Promise.resolve()) {
		let r = e[t];
		r && r !== this.image && (this.lens.hide(), this.images = e, this.shown = t, this.fetching.abort(), this.fetching = new AbortController(), Object.assign(this.picture, {
			preview: null,
			full: null,
			voi: null,
			heat: null,
			invert: !1
		}), this.presets = [], this.view = r.rows && r.columns ? this.viewOf(r.columns, r.rows, r) : null, this.setState("loading", g("Fetching the image …")), ie(this.element, r), this.canvas.setAttribute("aria-label", `${this.prior ? g("Prior radiograph") : g("Radiograph")} ${r.name}`), this.desk.presented(this), this.repaint(), await this.fetch(r, this.fetching.signal, n));
	}
	fail(e) {
		this.setState("failed", e);
	}
	close() {
		this.fetching.abort(), this.resizing.disconnect(), this.lens.hide();
	}
	change(e) {
		this.view && (e(this.view), this.lens.hide(), this.repaint());
	}
	dragWindow(e, t) {
		let { voi: n, full: r, invert: i } = this.picture;
		if (!n || !r) return;
		let a = y(n) ? x(n.first, n.first + n.values.length - 1, g("Own")) : n;
		this.setVoi(re(a, e, t, b(r.scale, i)));
	}
	setVoi(e) {
		this.lens.hide(), this.picture.voi = e, this.repaint();
	}
	setPreset(e) {
		let t = this.presets.find((t) => t.name === e);
		t && this.setVoi(t);
	}
	setInvert(e) {
		this.lens.hide(), this.picture.invert = e, this.repaint();
	}
	actual() {
		this.change((e) => e.zoomTo(1 / devicePixelRatio, this.middle()));
	}
	repaint() {
		this.due || (this.due = !0, r(() => {
			this.due = !1, this.fit(), this.paint();
		}));
	}
	text(e, t) {
		C(this.element, e, t);
	}
	async fetch(e, t, n) {
		let r = me(e.preview).then((n) => {
			t.aborted || this.picture.full || (this.picture.preview = n, this.view ??= this.viewOf(n.width, n.height, e), this.setState("preview", g("Preview; fetching full depth …")), this.repaint());
		}, () => void 0);
		try {
			if (await n, t.aborted) return;
			let r = await ge(e, t);
			t.aborted || this.present(e, r);
		} catch (e) {
			if (t.aborted) return;
			await r;
			let n = e instanceof O ? e.message : g("The image did not arrive. Reload to try again.");
			this.setState(this.picture.preview ? "preview-only" : "failed", n);
		}
	}
	present(e, t) {
		let { width: n, height: r } = t.pyramid.full;
		this.view && this.view.image.width === n && this.view.image.height === r || (this.view = this.viewOf(n, r, e)), this.picture.full = t, this.presets = t.presets, this.setVoi(t.presets[0]), this.desk.presented(this), this.setState("full", "");
	}
	press(e) {
		let t = this.desk.tool(), { view: n, image: r } = this;
		if (t === "magnify" || !n || !r) return;
		let i = t === "length" ? "" : this.desk.findingFor(this);
		if (i === null) return this.desk.pen.drop();
		this.desk.pen.press(e, n, (e) => ({
			kind: t,
			image: r.id,
			a: e,
			b: { ...e },
			finding: i,
			fixed: !1
		}));
	}
	over(e, t) {
		this.view && (this.desk.tool() === "magnify" ? this.lens.show(e, this.view, this.picture, t) : this.desk.pen.follow(e, this.view));
	}
	release(e) {
		let t = this.desk.pen.release(e);
		t && this.desk.drawn(t);
	}
	drawInTheMiddle() {
		let e = this.desk.tool(), { view: t, image: n } = this;
		if (!t || !n) return;
		if (e === "magnify") return this.lens.show(this.middle(), t, this.picture, !1);
		if (e !== "length" && e !== "box" && e !== "ellipse") return;
		let r = e === "length" ? "" : this.desk.findingFor(this);
		if (r === null) return;
		let i = X(e, n.id, r, t);
		this.desk.shapes.add(i), this.desk.shapes.select(i), this.desk.drawn(i);
	}
	viewOf(e, t, n) {
		let r = n.spacing && n.spacing[1] > 0 ? n.spacing[0] / n.spacing[1] : 1;
		return new J({
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
	middle() {
		return {
			x: this.canvas.clientWidth / 2,
			y: this.canvas.clientHeight / 2
		};
	}
	fit() {
		let e = this.renderer.resize(), t = this.viewport(), { width: n, height: r } = this.view?.viewport ?? t;
		return n === t.width && r === t.height ? e : (this.view?.resize(t), !0);
	}
	paint() {
		let { view: e, image: t } = this;
		if (!e || !t) return;
		let n = performance.now(), r = this.renderer.paint(e, this.picture);
		performance.measure("paint", { start: n }), this.layer.paint(t, e), ae(this.element, e, this.picture), r && (this.element.dataset.painted = t.id), this.desk.painted(this, r);
	}
	setState(e, t) {
		this.element.dataset.state = e, this.text("[data-loading]", t), this.desk.presented(this), this.repaint();
	}
}, qe = [
	"window",
	"pan",
	"zoom",
	"magnify",
	"length",
	"box",
	"ellipse"
], Je = 2, Ye = class {
	root;
	images;
	beside;
	shapes = new je();
	pen = new We(this.shapes);
	heating;
	marks;
	main;
	panes = [];
	active;
	chosenTool = "window";
	layout = "one";
	linked = !0;
	offered = null;
	fullPainted = !1;
	constructor(e, t, n, r) {
		this.root = e, this.images = t, this.beside = n, this.heating = new be(e), this.main = this.active = this.add(!1, `${g("Current")} · ${n.date}`), s(e, (e) => this.act(e), () => this.pen.drop(), () => this.takeBack()), this.presets.addEventListener("change", () => {
			let e = this.active.presets[Number(this.presets.value)];
			e && this.together((t) => t === this.active ? t.setVoi(e) : t.setPreset(e.name)), this.presets.blur();
		}), e.querySelectorAll("button[data-image]").forEach((e) => {
			e.addEventListener("click", () => void this.target.show(this.images, Number(e.dataset.image)));
		}), this.shapes.onChange(() => {
			l(e, "delete", this.shapes.selected !== null);
			for (let e of this.panes) e.repaint();
		}), i(() => {
			for (let e of this.panes) e.lens.hide(), e.repaint();
		}), this.marks = new Oe(e, this.shapes, t), this.setTool("window");
		let a = this.main.show(t, 0);
		this.arrange("one", a), r.then(() => {
			let e = we(Te(), this.layouts);
			e && e !== this.layout && this.arrange(e, a);
		});
	}
	tool() {
		return this.chosenTool;
	}
	findingFor(e) {
		return e.prior ? null : this.marks.finding;
	}
	drawn(e) {
		this.shapes.remember(() => this.shapes.remove(e)), this.marks.drawn(e);
	}
	chosen(e) {
		e !== this.active && (this.active = e, this.mark(), this.presented(e), this.heating.show(this.target));
	}
	windowDragged(e, t, n) {
		this.together((e) => e.dragWindow(t, n), e);
	}
	presented(e) {
		e === this.main && (this.root.dataset.main = e.element.dataset.state), e === this.active && (this.root.dataset.state = e.element.dataset.state, this.offer(e.presets)), e === this.target && (this.root.querySelectorAll("button[data-image]").forEach((t) => {
			t.setAttribute("aria-current", String(Number(t.dataset.image) === e.shown));
		}), this.heating.show(e));
	}
	painted(e, t) {
		let { dataset: n } = this.root;
		if (e === this.active) {
			for (let t of [
				"window",
				"scale",
				"invert",
				"heat"
			]) n[t] = e.element.dataset[t];
			c(this.root, "invert", e.picture.invert);
			let { voi: t } = e.picture;
			this.presets.value = String(t ? e.presets.indexOf(t) : -1);
		}
		e.picture.full && !this.fullPainted && (this.fullPainted = !0, performance.mark("full-depth-painted")), t && !e.prior && e.image && n.painted !== e.image.id && (n.painted = e.image.id, this.root.dispatchEvent(new CustomEvent("radiograph-painted", { bubbles: !0 })));
	}
	get target() {
		return this.active.prior ? this.main : this.active;
	}
	get layouts() {
		return Se(this.images, this.beside.priors.length);
	}
	get presets() {
		return this.root.querySelector("select[data-presets]");
	}
	act(e) {
		let { active: t } = this;
		switch (e) {
			case "tool-window":
			case "tool-pan":
			case "tool-zoom":
			case "tool-magnify":
			case "tool-length":
			case "tool-box":
			case "tool-ellipse": return this.setTool(e.slice(5));
			case "invert": {
				let e = !t.picture.invert;
				return this.together((t) => t.setInvert(e));
			}
			case "heat": return this.heating.toggle();
			case "opacity": return this.heating.fade();
			case "fit": return t.change((e) => e.fit());
			case "actual": return t.actual();
			case "turn": return t.change((e) => e.turn());
			case "mirror": return t.change((e) => e.mirror());
			case "reset": return this.together((e) => {
				e.setInvert(!1), e.presets[0] && e.setVoi(e.presets[0]);
			}), t.change((e) => e.reset());
			case "delete": return this.shapes.unfinished ? this.pen.drop() : this.shapes.selected ? this.shapes.delete(this.shapes.selected) : void 0;
			case "layout": return this.nextLayout();
			case "link": return this.linked = !this.linked, c(this.root, "link", this.linked);
			case "previous":
			case "next":
				t.show(t.images, t.shown + (e === "next" ? 1 : -1));
				return;
		}
	}
	together(e, t = this.active) {
		this.linked ? this.panes.forEach(e) : e(t);
	}
	takeBack() {
		return this.shapes.unfinished ? (this.pen.drop(), !0) : this.shapes.undo() || this.shapes.selected !== null;
	}
	setTool(e) {
		this.pen.drop(), this.chosenTool = e, this.root.dataset.tool = e;
		for (let t of qe) c(this.root, `tool-${t}`, t === e);
		for (let t of this.panes) t.canvas.dataset.tool = e, t.lens.hide();
	}
	nextLayout() {
		let { layouts: e } = this, t = e[(e.indexOf(this.layout) + 1) % e.length];
		Ee(t), this.arrange(t, Promise.resolve());
	}
	arrange(e, t) {
		this.layout = e, this.pen.drop();
		for (let e of this.panes.splice(1)) e.close(), e.element.remove();
		this.panes.includes(this.active) || (this.active = this.main);
		let n = M(this.images, this.main.shown);
		if ((e === "views" || e === "all") && n !== null && this.add(!1, `${g("Current")} · ${this.beside.date}`).show(this.images, n, t), e === "priors" || e === "all") for (let e of this.beside.priors.slice(0, Je)) this.addPrior(e, t);
		let r = this.root.querySelector("button[data-do=\"layout\"]");
		r && C(r, "[data-layout]", g(xe[e])), l(this.root, "layout", this.layouts.length > 1), l(this.root, "link", this.panes.length > 1), this.root.dataset.panes = String(this.panes.length), this.mark(), this.presented(this.active);
	}
	async addPrior(e, t) {
		let n = this.add(!0, `◀ ${g("PRIOR")} · ${[e.date, e.description].filter(Boolean).join(" · ")}`);
		try {
			let r = await he(e);
			this.panes.includes(n) && await n.show(r, Ce(r, this.main.image), t);
		} catch (e) {
			n.fail(e instanceof O ? e.message : g("The prior did not arrive. Change the layout to try again."));
		}
	}
	add(e, t) {
		let n = this.root.querySelector("template[data-pane]").content.cloneNode(!0).firstElementChild;
		n.classList.toggle("prior", e), n.setAttribute("aria-label", t.replace("◀ ", "")), C(n, "[data-head]", t), this.root.querySelector(".stage").append(n);
		let r = new Ke(n, e, this);
		return r.canvas.dataset.tool = this.chosenTool, this.panes.push(r), r;
	}
	mark() {
		for (let e of this.panes) e.element.classList.toggle("active", e === this.active);
	}
	offer(e) {
		if (this.offered === e) return;
		this.offered = e, this.presets.disabled = e.length === 0;
		let t = new Option(g("Own window"), "-1");
		t.hidden = !0, this.presets.replaceChildren(...e.map((e, t) => new Option(e.name, String(t))), t);
	}
};
// src/main.ts
performance.mark("viewer-started");
var Z = document.getElementById("viewer"), Q = (e) => JSON.parse(document.getElementById(e)?.textContent ?? "null"), $ = () => {
	Z && new Ye(Z, Q("study-images") ?? [], Q("study-beside"), t());
};
e() || n() ? $() : t().then($);
