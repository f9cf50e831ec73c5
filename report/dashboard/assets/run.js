'use strict';
// One run: what it cost, what happened when, what each agent did.
function runView(i) {
  const r = data.runs[i], c = data.combos[r.combo], d = detailOf(i);
  const total = (d.steps || []).reduce((n, s) => n + s.s, 0);
  return [
    h('section', {}, h('h2', {}, `${server(c)} with ${model(c)}, ${c.bench}, run ${r.id} `, source(c.source)),
      h('p', {}, link({ run: null }, 'All runs'), ` · ${r.path}`),
      r.trunc ? h('p', { class: 'bad' }, `Cut short (${r.trunc}): ${d.reason || ''}`) : null,
      d.capacity ? h('p', {}, d.capacity) : null,
      facts(d.facts)),
    total > 0 ? h('section', {}, h('h2', {}, 'Billed time'), timeline(d.steps, total),
      table('Steps', ['step', '#time', '#$', '#part'], d.steps.map((s) => [s.label, fmt.time(s.s), fmt.usd(s.usd), fmt.pct(s.s / total)]))) : null,
    ...d.levels.map(levelView),
    h('section', {}, h('h2', {}, 'What was served, and where each value came from'),
      d.composed ? h('details', {}, h('summary', {}, 'composed.yaml'), h('pre', { tabindex: '0', 'aria-label': 'composed.yaml' }, d.composed)) : h('p', { class: 'note' }, 'This run has no composed.yaml.'),
      d.env ? h('details', {}, h('summary', {}, 'The agents’ settings'), facts(Object.entries(d.env))) : null),
  ];
}
const facts = (list) => h('dl', {}, (list || []).flatMap(([k, v]) => [h('dt', {}, k), h('dd', {}, v)]));
function timeline(steps, total) {
  const bar = h('div', { class: 'bar', 'aria-hidden': 'true' });
  steps.forEach((s, i) => {
    const part = h('span', { title: `${s.label}: ${fmt.time(s.s)}` });
    part.style.width = (100 * s.s) / total + '%';
    part.style.background = css('--c' + (i % PALETTE));
    bar.append(part);
  });
  return bar;
}
function levelView(l) {
  const phases = [...new Set(l.agents.flatMap((a) => (a.phases || []).map((p) => p.id)))];
  const gates = [...new Set(l.agents.flatMap((a) => (a.gates || []).map((g) => g.id)))];
  const failing = l.agents.flatMap((a) => (a.gates || []).filter((g) => !g.ok).map((g) => ({ a, g })));
  const mark = (ok, text) => h('span', { class: ok ? 'yes' : 'bad' }, (ok ? '✓ ' : '✗ ') + text);
  return h('section', {}, h('h2', {}, l.name), h('p', {}, l.verdict),
    (l.notes || []).map((n) => h('p', { class: 'note' }, n)), facts(l.facts),
    l.series ? seriesView(l.series, l.name) : null,
    l.agents.length ? table(`Agents, ${l.name}`, ['agent', 'work', '#wall time', '#tokens', ...phases, ...gates.map((g) => 'gate ' + g)],
      l.agents.map((a) => [String(a.agent), mark(a.ok, a.ok ? 'real' : a.reason || 'no'), fmt.time(a.wall), a.tokens.toLocaleString('en'),
        ...phases.map((id) => { const p = (a.phases || []).find((x) => x.id === id); return p ? mark(p.ok, `${p.turns} requests, ${fmt.time(p.wall)}`) : '–'; }),
        ...gates.map((id) => { const g = (a.gates || []).find((x) => x.id === id); return g ? mark(g.ok, g.ok ? 'passed' : 'failed') : '–'; })])) : null,
    failing.map(({ a, g }) => h('details', {}, h('summary', {}, `agent ${a.agent}: gate ${g.id} failed`), h('pre', { tabindex: '0', 'aria-label': `output of gate ${g.id}, agent ${a.agent}` }, g.out || '(it printed nothing)'))));
}
function seriesView(s, name) {
  const line = (label, values, i, axis) => ({ label, data: s.t.map((t, k) => ({ x: t, y: values[k] })), borderColor: css('--c' + i), borderDash: DASH[SOURCES[i]] || [], borderWidth: 2, pointStyle: 'line', pointRadius: 0, yAxisID: axis });
  const peak = (v) => Math.max(...v);
  return h('div', { class: 'pair' },
    figure('At the server', `${name}: requests running (at most ${peak(s.running)}) and waiting (at most ${peak(s.waiting)}), and the KV cache’s use (at most ${fmt.pct(peak(s.kv))}), over time`, {
      type: 'line', data: { datasets: [line('running', s.running, 0, 'y'), line('waiting', s.waiting, 1, 'y'), line('KV cache, %', s.kv.map((v) => 100 * v), 2, 'kv')] },
      options: { scales: { x: { type: 'linear', title: { text: 's' } }, y: { beginAtZero: true, title: { text: 'requests' } }, kv: { position: 'right', min: 0, max: 100, title: { text: '% of the KV cache' } } } },
    }),
    figure('Output of all agents together', `${name}: output tokens per second, at most ${Math.round(peak(s.tps))}`, {
      type: 'line', data: { datasets: [line('tok/s', s.tps, 3, 'y')] },
      options: { scales: { x: { type: 'linear', title: { text: 's' } }, y: { beginAtZero: true, title: { text: 'tok/s' } } }, plugins: { legend: { display: false } } },
    }));
}
