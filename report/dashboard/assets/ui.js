'use strict';
// The state, which is the address' fragment; and building blocks. Text gets into
// the page as text only.
const data = JSON.parse(document.getElementById('data').textContent);
const SOURCES = ['measured', 'imported', 'simulated', 'forecast'];
const MARK = { measured: 'circle', imported: 'rect', simulated: 'triangle', forecast: 'star' };
const DASH = { measured: [], imported: [8, 3], simulated: [2, 3], forecast: [1, 4] };
const GLYPH = { measured: '●', imported: '■', simulated: '▲', forecast: '★' };
const VIEWS = { answer: 'Answer', cost: 'Cost', speed: 'Speed', tokens: 'Tokens', apis: 'APIs', runs: 'Runs' };

const state = {};
function readState() {
  const q = new URLSearchParams(location.hash.slice(1));
  const num = (k) => (q.has(k) && q.get(k) !== '' && isFinite(q.get(k)) ? Number(q.get(k)) : null);
  const present = [...new Set(data.combos.map((c) => c.bench))];
  state.view = VIEWS[q.get('view')] ? q.get('view') : 'answer';
  state.run = runAt(q.get('run'));
  state.team = Math.max(1, Math.round(num('team') || 8));
  state.smoke = q.get('smoke') === '1';
  state.bench = present.includes(q.get('bench')) ? q.get('bench') : defaultBench(present);
  state.family = q.get('family') || '';
  state.off = (q.get('off') || '').split(',').filter((s) => SOURCES.includes(s));
  state.hours = num('hours');
  state.duty = num('duty');
  state.ttft = num('ttft');
  state.tps = num('tps');
  state.price = {};
  for (const [k, v] of q) if (k.startsWith('price.') && v !== '' && isFinite(v)) state.price[k.slice(6)] = Number(v);
  state.theme = q.get('theme') || '';
  state.combo = q.get('combo') || '';
}
// A run is named in an address by its folder: its place in the list is another one
// as soon as there is one run more.
const pathOf = (i) => data.runs[i].path.replace(/\/?report\.json$/, '') || '.';
function runAt(path) {
  const i = path ? data.runs.findIndex((_, k) => pathOf(k) === path) : -1;
  return i < 0 ? null : i;
}
// the benchmark that most runs are of; a smoke run says nothing of capacity.
function defaultBench(present) {
  const runs = (b) => data.combos.filter((c) => c.bench === b).reduce((n, c) => n + c.runs.length, 0);
  const real = present.filter((b) => b !== 'smoke');
  return (real.length ? real : present).sort((a, b) => runs(b) - runs(a))[0] || '';
}
function writeState(change) {
  Object.assign(state, change);
  const q = new URLSearchParams();
  const set = (k, v, otherwise) => { if (v !== null && v !== '' && v !== undefined && v !== otherwise && v !== false) q.set(k, v === true ? '1' : v); };
  set('view', state.view, 'answer');
  set('run', state.run == null ? null : pathOf(state.run));
  set('team', state.team, 8);
  set('bench', state.bench, defaultBench([...new Set(data.combos.map((c) => c.bench))]));
  set('family', state.family);
  set('off', state.off.join(','));
  set('smoke', state.smoke);
  set('hours', state.hours);
  set('duty', state.duty);
  set('ttft', state.ttft);
  set('tps', state.tps);
  set('combo', state.combo);
  for (const [k, v] of Object.entries(state.price)) set('price.' + k, v);
  set('theme', state.theme);
  history.replaceState(null, '', '#' + q);
}
// what if: the formulas' parameters.
const what = () => ({ hours: state.hours, duty: state.duty, price: state.price, ttft: state.ttft, tps: state.tps });
// the combinations that are asked about.
function shown() {
  return data.combos.filter((c) => c.bench === state.bench && (state.smoke || c.bench !== 'smoke') &&
    (!state.family || c.family === state.family) && !state.off.includes(c.source));
}

function h(tag, attrs, ...kids) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else e.setAttribute(k, v === true ? '' : v);
  }
  for (const kid of kids.flat()) if (kid !== null && kid !== undefined) e.append(kid);
  return e;
}
const source = (s) => h('span', { class: 'source ' + s }, h('span', { 'aria-hidden': 'true' }, GLYPH[s] || '?'), ' ' + (s || 'unknown'));
// a table; columns that begin with # are numbers.
function table(caption, head, rows, attrs) {
  const numeric = head.map((t) => t.startsWith('#'));
  const cell = (v, i) => h(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, class: numeric[i] ? 'num' : null }, v instanceof Node ? v : String(v ?? '–'));
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', attrs, h('caption', {}, caption),
      h('thead', {}, h('tr', {}, head.map((t, i) => h('th', { scope: 'col', class: numeric[i] ? 'num' : null }, t.replace(/^#/, ''))))),
      h('tbody', {}, rows.map((r) => h('tr', r.class ? { class: r.class } : {}, (r.cells || r).map(cell))))));
}
const link = (change, text, attrs) => {
  const a = h('a', { href: '#', ...attrs }, text);
  a.addEventListener('click', (e) => { e.preventDefault(); go(change); });
  return a;
};
function go(change) {
  writeState(change);
  render();
  document.getElementById('main').focus({ preventScroll: true });
  window.scrollTo(0, 0);
}
const detailOf = (i) => JSON.parse(document.getElementById('run-' + i).textContent);
