'use strict';
// The controls, and what happens when they are used.
function say(text) {
  const e = document.getElementById('said');
  if (e.textContent !== text) e.textContent = text;
}
function nav() {
  document.getElementById('views').replaceChildren(...Object.entries(VIEWS).map(([id, text]) =>
    link({ view: id, run: null }, text, { 'aria-current': state.view === id ? 'page' : null, 'data-view': id })));
}
function controls() {
  const change = (c) => { writeState(c); if ('bench' in c || 'smoke' in c) build(); else render(); };
  const benches = [...new Set(data.combos.map((c) => c.bench))].filter((b) => state.smoke || b !== 'smoke' || b === state.bench);
  const families = [...new Set(data.combos.map((c) => c.family))].sort();
  const sources = SOURCES.filter((s) => data.combos.some((c) => c.source === s));
  document.getElementById('controls').replaceChildren(...[
    h('label', {}, 'Team size', h('input', { type: 'number', id: 'team', min: 1, max: 10000, value: state.team, oninput: (e) => { const n = Math.round(Number(e.target.value)); if (n >= 1) change({ team: n }); } })),
    h('label', {}, 'Benchmark', h('select', { id: 'bench', onchange: (e) => change({ bench: e.target.value }) }, benches.map((b) => h('option', { selected: b === state.bench }, b)))),
    families.length > 1 ? h('label', {}, 'Model', h('select', { id: 'family', onchange: (e) => change({ family: e.target.value }) }, h('option', { value: '' }, 'all'), families.map((f) => h('option', { selected: f === state.family }, f)))) : null,
    h('fieldset', {}, h('legend', {}, 'Where the figures come from'), sources.map((s) => h('label', { class: 'check' },
      h('input', { type: 'checkbox', id: 'src-' + s, checked: !state.off.includes(s), onchange: (e) => change({ off: e.target.checked ? state.off.filter((x) => x !== s) : [...state.off, s] }) }), source(s)))),
    data.combos.some((c) => c.bench === 'smoke') ? h('label', { class: 'check' }, h('input', { type: 'checkbox', id: 'smoke', checked: state.smoke, onchange: (e) => change({ smoke: e.target.checked }) }), 'smoke runs') : null].filter(Boolean));
}
function whatIf() {
  const of = shown();
  const field = (id, text, value, hint, set, attrs) => h('label', {}, text, h('input', { type: 'number', id, min: 0, step: 'any', value: value ?? '', placeholder: hint, ...attrs, oninput: (e) => { const v = e.target.value === '' ? null : Number(e.target.value); if (v === null || (isFinite(v) && v >= 0)) { set(v); changed(); render(); } } }));
  const prices = {};
  for (const c of of) (prices[c.hw] ||= []).push(c.price);
  document.getElementById('whatif-form').replaceChildren(
    field('wi-hours', 'Hours a month', state.hours, words.hint(of.map((c) => c.hours)), (v) => writeState({ hours: v || null }), { max: 744 }),
    field('wi-duty', 'Duty cycle, %', state.duty == null ? null : +(100 * state.duty).toFixed(4), '100', (v) => writeState({ duty: v ? Math.min(1, v / 100) : null }), { max: 100 }),
    field('wi-ttft', 'First token within, s', state.ttft, words.hint(of.map((c) => c.slo.ttft)), (v) => writeState({ ttft: v })),
    field('wi-tps', 'At least, tok/s', state.tps, words.hint(of.map((c) => c.slo.tps)), (v) => writeState({ tps: v })),
    ...Object.keys(prices).sort().map((hw) => field('wi-price-' + hw, `$/h of a ${hw}`, state.price[hw], words.hint(prices[hw].map((p) => p.toFixed(2))), (v) => { const p = { ...state.price }; if (v === null) delete p[hw]; else p[hw] = v; writeState({ price: p }); })),
    h('button', { type: 'button', id: 'wi-reset', onclick: () => { writeState({ hours: null, duty: null, ttft: null, tps: null, price: {} }); build(); } }, 'As measured'));
  changed();
}
// says that something is not as it was measured.
function changed() {
  const n = [state.hours, state.duty, state.ttft, state.tps].filter((v) => v != null).length + Object.keys(state.price).length;
  const e = document.getElementById('whatif-set');
  e.className = n ? 'set' : '';
  e.textContent = n ? `(${n} changed: not as measured)` : '(prices, hours, limits, duty cycle)';
}
function theme() {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const now = state.theme || system;
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  const b = document.getElementById('theme');
  b.textContent = now === 'dark' ? 'Light' : 'Dark';
  b.setAttribute('aria-pressed', String(now === 'dark'));
  b.onclick = () => { writeState({ theme: now === 'dark' ? 'light' : 'dark' }); theme(); render(); };
}
function render() {
  clearCharts();
  nav();
  const combos = shown();
  const parts = views[state.view](combos, what());
  document.getElementById('main').replaceChildren(...parts.flat().filter(Boolean));
}
function build() {
  controls();
  whatIf();
  render();
}
function foot() {
  document.getElementById('foot').replaceChildren(
    h('p', {}, `${data.runs.length} reports, read ${data.built}. `, (data.bad || []).length ? h('span', { class: 'bad' }, `${data.bad.length} could not be read: ` + data.bad.map((b) => `${b.path} (${b.why})`).join('; ')) : ''),
    h('p', {}, 'Simulated and forecast figures were not measured on any GPU. Imported ones were measured by others on real GPUs, with another task of the same kind; their median speeds are read from coarse buckets. An invalid level never wins.'));
}
// Paper is light, and the charts on it are drawn for that.
addEventListener('beforeprint', () => { document.documentElement.dataset.theme = 'light'; render(); });
addEventListener('afterprint', () => {
  delete document.documentElement.dataset.theme;
  theme();
  render();
});
// live loads the page anew when its server says that the reports are no longer
// those of the page.
function live() {
  new EventSource('events?seen=' + data.seen).onmessage = () => location.reload();
}
readState();
theme();
build();
foot();
for (const id of ['controls', 'whatif-form']) document.getElementById(id).addEventListener('submit', (e) => e.preventDefault());
addEventListener('hashchange', () => { readState(); theme(); build(); });
