'use strict';
// How numbers, combinations and verdicts are written. Nothing here knows the page,
// so that a test can ask it.
const fmt = {
  usd: (v) => (v == null ? '–' : '$' + (v >= 100 || Number.isInteger(v) && v >= 1 ? Math.round(v).toLocaleString('en') : v.toFixed(v < 0.1 ? 3 : 2))),
  n: (v, d = 1) => (v == null ? '–' : v.toLocaleString('en', { minimumFractionDigits: d, maximumFractionDigits: d })),
  pct: (v) => (v == null ? '–' : Math.round(100 * v) + ' %'),
  s: (v) => (v == null ? '–' : v < 10 ? v.toFixed(2) + ' s' : v.toFixed(1) + ' s'),
  time(seconds) {
    const s = Math.round(seconds);
    return s < 60 ? s + ' s' : Math.floor(s / 60) + ' min ' + String(s % 60).padStart(2, '0') + ' s';
  },
  range: (b, d = 0) => (!b ? '' : b[1] < 0 ? `over ${+b[0].toFixed(d)}` : `${+b[0].toFixed(d)}–${+b[1].toFixed(d)}`),
};
const server = (c) => `${c.gpus} × ${c.hw}`;
const model = (c) => `${c.family}/${c.quant}`;
const people = (n) => `${n} developer${n === 1 ? '' : 's'}`;
const distinct = (all) => [...new Set(all)];
const words = {
  limits: (l) => `${l.pct} ≤ ${l.ttft} s, ≥ ${l.tps} tok/s`,
  // of the limits of several, what each has that not all have; nothing where they
  // are all the same.
  apart(judged) {
    const parts = judged.map((l) => [l.pct, `≤ ${l.ttft} s`, `≥ ${l.tps} tok/s`]);
    const differs = [0, 1, 2].filter((i) => distinct(parts.map((p) => p[i])).length > 1);
    return differs.length ? parts.map((p) => differs.map((i) => p[i]).join(', ')) : null;
  },
  // values that may differ, for the hint of an empty field.
  hint(values) {
    const all = distinct(values).sort((a, b) => a - b);
    return all.length > 3 ? 'each its own' : all.join(' / ');
  },
  // each combination's name: with its percentile where they differ, and with its
  // limits where nothing else tells it from another.
  names(combos) {
    const mixed = distinct(combos.map((c) => c.slo.pct)).length > 1;
    const short = (c) => `${server(c)}, ${model(c)} (${c.source || 'unknown'})`;
    const key = (c) => c.bench + '\n' + short(c);
    const count = {};
    for (const c of combos) count[key(c)] = (count[key(c)] || 0) + 1;
    return new Map(combos.map((c) => [c, short(c) + (count[key(c)] > 1 ? ', ' + words.limits(c.slo) : mixed ? ', ' + c.slo.pct : '')]));
  },
  // what a verdict that holds should not be read without.
  marks: (v, l) => [
    l.valid === null ? 'provisional' : '', v.sure ? '' : 'not certain', l.machine ? 'limited by the load generator' : '',
    v.but && v.but.length ? `but not for ${v.but.join(', ')}` : '',
  ].filter(Boolean),
  bracket: (marks) => (marks.length ? ` (${marks.join('; ')})` : ''),
  // a verdict in a word or two, and how it is shown.
  verdict(v, l) {
    if (l.valid === false) return ['bad', 'not valid'];
    if (!v.holds) return ['bad', v.kept ? 'no, not recomputed' : v.sure ? 'no' : 'no ?'];
    return [v.sure && l.valid !== null ? 'yes' : 'open', (v.sure ? 'yes' : 'yes ?') + (l.valid === null ? ', pending' : '')];
  },
  // the same beside a figure.
  beside: (v, l) => (l.valid === false ? 'not valid' : v.holds ? ['holds', ...words.marks(v, l)].join(', ') : 'does not hold' + (v.kept ? ', not recomputed' : v.sure ? '' : ', not certain')),
  // how sure a verdict is; own: it is the report's.
  sureness(v, l, own) {
    const parts = [v.sure ? 'certain by the bounds' : 'open: the bounds straddle a limit'];
    if (l.valid === null) parts.unshift('provisional: its work is not judged yet');
    if (own && l.share != null) parts.push(`${l.share > 0.99 ? 'over 99' : Math.round(100 * l.share)} % of resampled windows hold`);
    if (l.parts) parts.push(`${l.parts.length} measurements${l.cv && l.cv.median_tps != null ? `, whose speed varies by ${l.cv.median_tps / 10} %` : ''}`);
    if (l.machine) parts.push('limited by the load generator');
    if (v.but && v.but.length) parts.push(`but not for ${v.but.join(', ')}`);
    return parts.join('; ');
  },
  // why a level does not hold; the report's reason is that of its own limits.
  why(v, l, own) {
    if (own || l.valid === false) return l.why;
    if (v.kept) return 'not recomputed: ' + l.why;
    return `at ${people(l.n)}` + (l.parts ? `: ${v.fails} of ${l.parts.length} measurements do not hold` : '');
  },
  // the lines of a limit in a chart, each with whose it is; none where there would
  // be too many to read. judged are the limits of each combination.
  lines(combos, judged, key, say) {
    const groups = {};
    combos.forEach((c, i) => {
      const k = judged[i].pct + ' ' + judged[i][key];
      (groups[k] ||= { slo: judged[i], of: [] }).of.push(c);
    });
    const all = Object.values(groups);
    if (all.length > 3) return [];
    const mixed = distinct(all.map((g) => g.slo.pct)).length > 1;
    const whose = (g) => (all.length === 1 ? '' : g.of.length === 1 ? ` of ${server(g.of[0])}` : ` of ${g.of.length} of ${combos.length}`);
    return all.map((g) => [g.slo[key], `SLO${whose(g)}: ${mixed ? g.slo.pct + ' ' : ''}${say(g.slo[key])}`]);
  },
};
if (typeof module !== 'undefined') module.exports = { fmt, words };
