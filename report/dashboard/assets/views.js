'use strict';
// The views. Each returns what main holds.
const views = {
  answer(combos, w) {
    const { can, cannot } = maths.rank(combos, state.team, w);
    const apart = words.apart(combos.map((c) => maths.limits(c, w)));
    const limit = (c) => (apart ? [apart[combos.indexOf(c)]] : []);
    const best = can[0];
    const said = best
      ? `${people(state.team)}: ${servers(best)} with ${model(best.combo)}, ${fmt.usd(best.perDev)} per developer and month (${[best.combo.source || 'source unknown', ...words.marks(best, best.level)].join('; ')})`
      : `Nothing that was ${state.off.length ? 'chosen' : 'tried'} serves ${people(state.team)}`;
    say(said);
    const parts = [best ? hero(best, can, w) : nothing(combos)];
    const rows = can.map((o, i) => ({ class: i === 0 ? 'won' : null, cells: [
      link({ view: 'runs', run: o.level.run }, `${servers(o)}`), fmt.usd(o.perDev), source(o.combo.source), model(o.combo), fmt.usd(o.perMonth), String(o.capacity), fmt.s(o.level.ttft), fmt.n(o.level.tps), ...limit(o.combo), verdictCell({ ...o, holds: true }, o.level), wrapped(words.sureness(o, o.level, maths.own(o.combo, w))),
    ] }));
    for (const c of cannot) {
      const l = [...c.levels].reverse().find((x) => x.valid !== false) || c.levels[c.levels.length - 1];
      const v = l && maths.judge(c, l, w), own = maths.own(c, w);
      rows.push({ class: 'no', cells: [l ? link({ view: 'runs', run: l.run }, server(c)) : server(c), '–', source(c.source), model(c), fmt.usd(maths.perMonth(c, w)), '–', fmt.s(l && l.ttft), fmt.n(l && l.tps), ...limit(c), l ? verdictCell(v, l) : 'nothing measured', wrapped(l ? words.why(v, l, own) : '')] });
    }
    parts.push(h('section', {}, table(`All that was tried, the cheapest for ${people(state.team)} first`,
      ['hardware', '#$/dev-month', 'source', 'model', '#$/month', '#serves', '#TTFT', '#tok/s', ...(apart ? ['limits'] : []), 'holds', 'how sure'], rows),
    apart ? h('p', { class: 'note' }, `Not all of these are judged by the same limits: the column “limits” has what differs. What if … judges all by the same.`) : null,
    h('p', { class: 'note' }, 'A team below what a server holds pays for the whole server; a larger one takes several. TTFT and tok/s are those of the SLO’s percentile at the largest team that holds.')));
    return parts;
  },

  cost(combos, w) {
    const duty = w.duty ? `, at ${fmt.pct(w.duty)} duty` : '';
    const who = (n) => (w.duty ? [String(maths.people(n, w.duty))] : []);
    const head = w.duty ? ['#developers'] : [];
    const rows = combos.flatMap((c) => c.levels.map((l) => {
      const v = maths.judge(c, l, w);
      return { class: v.holds ? null : 'no', cells: [nameOf(c), String(l.n), ...who(l.n), fmt.usd(maths.perDevMonth(c, l.n, w)), verdictCell(v, l)] };
    }));
    const edges = combos.map((c) => {
      const b = maths.best(c, w);
      const fails = c.levels.filter((l) => l.valid !== false && !maths.judge(c, l, w).holds && (!b || l.n > b.level.n)).map((l) => l.n);
      return [nameOf(c), b ? `holds to ${b.level.n}${words.bracket(words.marks(b, b.level))}` : 'never holds', fails.length ? `stops holding at ${Math.min(...fails)}` : 'its limit was not met', ...(b ? who(b.level.n) : head.map(() => '–')), b ? fmt.usd(maths.perDevMonth(c, b.level.n, w)) : '–'];
    });
    return [
      overN(`$/dev-month over the agents at work${duty}`, `Cost per developer and month${duty} over the number of agents for ${combos.length} combinations; the table has the numbers.`, combos,
        (c, l) => ({ y: maths.perDevMonth(c, l.n, w) }), { log: true, unit: `$/dev-month${duty}`, ticks: fmt.usd, say: (p) => fmt.usd(p.y) }),
      w.duty ? h('p', { class: 'note' }, `N agents at work at once are enough for more developers, whose agents each work ${fmt.pct(w.duty)} of the time: the cost is divided by those.`) : null,
      legend(),
      h('section', {}, table('Where each stops holding', ['combination', 'holds', 'stops', ...head, `#$/dev-month there${duty}`], edges)),
      h('section', {}, h('details', {}, h('summary', {}, 'Every point'), table(`$/dev-month${duty}`, ['combination', '#N', ...head, '#$/dev-month', 'holds'], rows))),
    ];
  },

  speed(combos, w) {
    const judged = combos.map((c) => maths.limits(c, w));
    const apart = words.apart(judged);
    const pct = distinct(judged.map((l) => l.pct)).length > 1 ? 'each one’s own percentile' : judged.length ? judged[0].pct : 'p50';
    const rows = combos.flatMap((c, i) => c.levels.map((l) => [nameOf(c), String(l.n), fmt.s(l.ttft), l.ttftb ? fmt.range(l.ttftb, 2) : '–', fmt.n(l.tps), l.tpsb ? fmt.range(l.tpsb) : '–', l.ctps ? fmt.range(l.ctps, 1) : '–', fmt.n(l.mean), fmt.s(l.ttft90), fmt.n(l.tps90), ...(apart ? [apart[i]] : []), verdictCell(maths.judge(c, l, w), l)]));
    return [
      h('div', { class: 'pair' },
        overN(`Speed of a stream, ${pct}`, `Tokens per second of one stream (${pct}) over the number of agents; the table has the numbers.`, combos, (c, l) => ({ y: l.tps, bounds: l.tpsb, interval: l.ctps }),
          { log: true, unit: 'tok/s', limits: words.lines(combos, judged, 'tps', (v) => `at least ${v} tok/s`), say: (p) => fmt.n(p.y) + ' tok/s' }),
        overN(`Time to first token, ${pct}`, `Seconds to the first token (${pct}) over the number of agents; the table has the numbers.`, combos, (c, l) => ({ y: l.ttft, bounds: l.ttftb, interval: l.cttft }),
          { log: true, unit: 's', limits: words.lines(combos, judged, 'ttft', (v) => `at most ${v} s`), say: (p) => fmt.s(p.y) })),
      legend(),
      apart ? h('p', { class: 'note' }, 'Not all of these are judged by the same limits: a line says whose it is, where there are few, and the column “limits” has what differs. What if … judges all by the same.') : null,
      h('section', {}, table('Latency and speed', ['combination', '#N', `#TTFT, ${pct}`, '#bounds, s', `#tok/s, ${pct}`, '#bounds', '#95 % interval', '#mean tok/s', '#TTFT p90', '#tok/s p90', ...(apart ? ['limits'] : []), 'holds'], rows),
        h('p', { class: 'note' }, 'The server counts in buckets: a quantile lies somewhere within its bounds. The mean speed is exact.')),
    ];
  },

  tokens(combos, w) {
    const has = combos.filter((c) => c.levels.some((l) => l.mtok != null));
    if (!has.length) return [h('section', {}, h('h2', {}, 'Tokens'), h('p', {}, 'No run here counted tokens at the server.'))];
    const over = maths.overCheapest(has, w);
    const rows = has.flatMap((c) => c.levels.filter((l) => l.mtok != null).map((l) => [nameOf(c), String(l.n), fmt.usd(maths.mtok(c, l.mtok, w)), fmt.usd(maths.mtok(c, l.mtokout, w)),
      times(over(c, l), 2), l.perhour == null ? '–' : Math.round(l.perhour).toLocaleString('en'), fmt.pct(l.hit), fmt.pct(l.util), times(l.penalty, 1), verdictCell(maths.judge(c, l, w), l)]));
    const premium = has.filter((c) => c.theta).map((c) => {
      const b = maths.best(c, w);
      const full = (maths.price(c, w) * c.gpus * 1e6) / c.theta;
      const at = b ? maths.mtok(c, b.level.mtokout, w) : null;
      return [nameOf(c), b ? String(b.level.n) : '–', fmt.usd(at), fmt.usd(full), times(at ? at / full : null, 2)];
    });
    return [
      h('div', { class: 'pair' },
        overN('A million output tokens', 'Dollars per million output tokens over the number of agents; the table has the numbers.', has, (c, l) => ({ y: maths.mtok(c, l.mtokout, w) }), { log: true, unit: '$ per million output tokens', ticks: fmt.usd, say: (p) => fmt.usd(p.y) }),
        overN('A million tokens, prompts and cached ones included', 'Dollars per million tokens over the number of agents; the table has the numbers.', has, (c, l) => ({ y: maths.mtok(c, l.mtok, w) }), { log: true, unit: '$ per million tokens', ticks: fmt.usd, say: (p) => fmt.usd(p.y) })),
      has.some((c) => c.levels.some((l) => l.util != null))
        ? overN('Utilization of the saturated throughput', 'Utilization in percent over the number of agents; the table has the numbers.', has, (c, l) => ({ y: l.util == null ? null : 100 * l.util }), { unit: '%', say: (p) => fmt.n(p.y, 0) + ' %' }) : null,
      legend(),
      w.duty ? h('p', { class: 'note' }, 'What a token costs does not depend on the duty cycle: it is that of the load that was measured.') : null,
      has.some((c) => c.source === 'imported') ? h('p', { class: 'note' }, 'Imported utilizations follow the original lab’s counts, in which cache hits were counted at every attempt to schedule a request; some exceed 100\u00a0%.') : null,
      h('section', {}, table('Per-token economics', ['combination', '#N', '#$/MTok', '#$/MTok output', '#over the cheapest of its source at N', '#tokens/h', '#cache hits', '#utilization', '#penalty', 'holds'], rows)),
      premium.length ? h('section', {}, table('The SLO’s price: a token at the largest team that holds, against the saturated server', ['combination', '#largest N', '#$/MTok output there', '#saturated', '#premium'], premium)) : null,
    ];
  },

  apis(combos, w) {
    const offers = combos.filter((c) => c.apis && c.apis.length && maths.best(c, w) && maths.best(c, w).level.use).map((c) => maths.offer(c, state.team, w)).sort((a, b) => a.perDev - b.perDev);
    if (!offers.length) return [h('section', {}, h('h2', {}, 'Hosted APIs'), h('p', {}, 'No run here that holds was compared with hosted APIs: a run’s report has their prices where configs/apis was there.'))];
    const o = offers.find((x) => nameOf(x.combo) === state.combo) || offers[0];
    const c = o.combo, l = o.level, hours = w.hours || c.hours;
    const month = maths.perMonth(c, w);
    const lines = c.apis.map((a) => ({ a, dev: maths.apiMonth(l.use, a, l.n, hours, w.duty) })).filter((x) => x.dev != null);
    const most = Math.max(2 * o.capacity, state.team);
    const ns = [...new Set([1, ...Array.from({ length: 40 }, (_, i) => Math.max(1, Math.round(((i + 1) * most) / 40)))])];
    const pick = h('select', { id: 'pick', onchange: (e) => { writeState({ combo: e.target.value }); render(); } }, offers.map((x) => h('option', { value: nameOf(x.combo), selected: x === o }, nameOf(x.combo))));
    return [
      h('section', {}, h('label', { class: 'pick' }, 'Compare ', pick), h('p', { class: 'note' }, `Priced as this server counted the tokens of ${l.n} agents that were always busy${w.duty ? `, of which each person’s is at work for ${fmt.pct(w.duty)} of ${hours} h a month` : `, for ${hours} h a month`}. `, source(c.source), words.bracket(words.marks(o, l)))),
      figure('What a team costs in a month', 'Dollars per month over the number of developers, this server’s steps against the lines of the APIs; the table has the break-even points.', {
        type: 'line',
        data: { datasets: [
          { label: 'this server', data: ns.map((n) => ({ x: n, y: Math.ceil(n / o.capacity) * month })), stepped: 'before', pointStyle: 'line', borderColor: css('--text'), borderWidth: 3, pointRadius: 0 },
          ...lines.map((x, i) => ({ label: `${x.a.name} ${x.a.model}`, data: ns.map((n) => ({ x: n, y: n * x.dev })), borderColor: css('--c' + (i % PALETTE)), borderDash: [[], [6, 3], [2, 2], [8, 2, 2, 2]][i % 4], borderWidth: 2, pointStyle: 'line', pointRadius: 0 })),
        ] },
        options: { scales: { x: { type: 'linear', min: 1, title: { text: w.duty ? 'developers' : 'developers, each always at work' } }, y: { type: 'logarithmic', title: { text: '$ a month' }, ticks: { callback: round(fmt.usd) } } },
          plugins: { tooltip: { callbacks: { title: (i) => people(i[0].raw.x), label: (i) => `${i.dataset.label}: ${fmt.usd(i.raw.y)}` } } } },
      }, true),
      h('section', {}, table('Break-even', ['hosted API', 'prices of', '#$/dev-month', '#this server', '#cheaper from', 'within what holds', 'left out'],
        lines.map((x) => {
          const be = maths.breakEven(month, x.dev);
          return [wrapped(`${x.a.name} ${x.a.model}`), x.a.asof, fmt.usd(x.dev), fmt.usd(month / o.capacity), be == null ? 'never' : people(be), be == null ? 'no' : be <= o.capacity ? `yes, it serves ${o.capacity}` : `no, it serves ${o.capacity}`, wrapped(x.a.note || '')];
        }))),
    ];
  },

  runs(combos) {
    if (state.run != null) return runView(state.run);
    const rows = combos.flatMap((c) => c.runs.map((i) => ({ c, r: data.runs[i], i }))).sort((a, b) => b.r.id.localeCompare(a.r.id))
      .map(({ c, r, i }) => [link({ run: i }, r.id), server(c), model(c), source(c.source), (r.levels || []).join(', ') || '–', fmt.usd(r.cost ?? null), r.trunc ? h('span', { class: 'bad' }, r.trunc) : 'whole']);
    return [h('section', {}, table(`${rows.length} runs`, ['run', 'hardware', 'model', 'source', 'levels', '#pod cost', 'came to its end'], rows))];
  },
};

const times = (v, d) => (v == null ? '–' : fmt.n(v, d) + ' ×');
const servers = (o) => (o.servers > 1 ? o.servers + ' servers of ' : '') + server(o.combo);
const wrapped = (text) => h('span', { class: 'wrapped' }, text);
function verdictCell(v, l) {
  const [look, text] = words.verdict(v, l);
  return h('span', { class: look }, text);
}

// hero is the answer.
function hero(best, can, w) {
  const c = best.combo;
  const next = can.find((o) => o.combo.hw !== c.hw || o.combo.gpus !== c.gpus || model(o.combo) !== model(c));
  const real = c.source === 'measured' ? null : can.find((o) => o.combo.source === 'measured') || can.find((o) => o.combo.source === 'imported' && c.source !== 'imported');
  const slo = maths.limits(c, w);
  return h('div', { class: 'hero' },
    h('p', { class: 'q' }, `${people(state.team)} who work through a coding agent, ${slo.pct} first token within ${slo.ttft} s, ${slo.pct} speed at least ${slo.tps} tok/s`),
    h('h2', {}, `${servers(best)} with ${model(c)}: `, h('span', { class: best.sure && best.level.valid !== null ? 'price' : 'price open' }, `${fmt.usd(best.perDev)} per dev-month`)),
    h('ul', {},
      h('li', {}, source(c.source)),
      h('li', {}, h('b', {}, 'Serves '), `${people(best.capacity)}${w.duty ? ` at ${fmt.pct(w.duty)} duty` : ''}`),
      h('li', {}, h('b', {}, 'In all '), `${fmt.usd(best.perMonth)} a month`),
      h('li', {}, h('b', {}, 'How sure '), words.sureness({ ...best, but: [] }, best.level, maths.own(c, w))),
      h('li', {}, link({ view: 'runs', run: best.level.run }, 'the evidence'))),
    best.but.length ? h('p', { class: 'note' }, `It holds at ${best.level.n}, but did not at ${best.but.join(', ')}: measure these again.`) : null,
    next ? h('p', { class: 'note' }, h('b', {}, 'Next best: '), `${servers(next)} with ${model(next.combo)}, ${fmt.usd(next.perDev)} per dev-month `, source(next.combo.source), words.bracket(words.marks(next, next.level))) : null,
    real ? h('p', { class: 'note' }, h('b', {}, real.combo.source === 'measured' ? 'Cheapest that was measured: ' : 'Cheapest on a real GPU, by others: '), `${servers(real)} with ${model(real.combo)}, ${fmt.usd(real.perDev)} per dev-month${words.bracket(words.marks(real, real.level))}`) : null);
}
function nothing(combos) {
  return h('div', { class: 'hero' }, h('h2', {}, combos.length ? `No combination here holds the SLO at any team size that was tried.` : 'There is no report to show.'),
    h('p', { class: 'note' }, combos.length ? 'The table says why, and by how much each misses.' : data.runs.length ? 'Other sources, models or benchmarks have some: see the choices above.' : 'make run makes one; this page reads every report.json below the results folder.'));
}
