'use strict';
// The formulas of package slo, once more, for what changes in the page. A test
// runs both on the same numbers.
const maths = {
  HOURS: 730,
  RISK: 0.05,

  // reads whether figures keep limits, and whether their bounds alone say so.
  at(f, slo) {
    if (f.ttft == null || f.tps == null) return { holds: false, sure: false, none: true };
    const high = (b) => (b[1] < 0 ? Infinity : b[1]);
    const [tl, th] = f.ttftb ? [f.ttftb[0], high(f.ttftb)] : [0, Infinity];
    const [sl, sh] = f.tpsb ? [f.tpsb[0], high(f.tpsb)] : [0, Infinity];
    if (th <= slo.ttft && sl >= slo.tps) return { holds: true, sure: true };
    if (!(tl < slo.ttft) || !(sh > slo.tps)) return { holds: false, sure: true };
    return { holds: f.ttft <= slo.ttft && f.tps >= slo.tps, sure: false };
  },

  // one measurement under limits: where all were at work as well as in the whole.
  part(p, slo) {
    if (p.denied) return { holds: false, sure: false, kept: true };
    const v = maths.at(p, slo), a = p.all ? maths.at(p.all, slo) : { none: true };
    const all = a.none ? v : v.holds && !a.holds ? a : { holds: v.holds, sure: v.sure && (a.sure || !v.holds) };
    return { holds: all.holds, sure: all.sure && !p.open };
  },

  // a level's verdict under other limits; with none, the report's own. Each of its
  // parts must hold. kept is set where no limits change the report's.
  verdict(level, slo) {
    if (level.valid === false) return { holds: false, sure: false, kept: true };
    if (!slo) return { holds: level.holds, sure: level.sure };
    if (level.denied) return { holds: false, sure: false, kept: true };
    const parts = (level.parts || [level]).map((p) => maths.part(p, slo));
    const holds = parts.every((v) => v.holds);
    return { holds, sure: holds ? parts.every((v) => v.sure) : parts.some((v) => !v.holds && v.sure), kept: parts.some((v) => v.kept), fails: parts.filter((v) => !v.holds).length };
  },

  // the limits that a combination is judged by: what is asked for, else its own.
  limits(combo, w) {
    return { ttft: w.ttft ?? combo.slo.ttft, tps: w.tps ?? combo.slo.tps, pct: combo.slo.pct };
  },
  // whether these are those of its reports.
  own(combo, w) {
    const l = maths.limits(combo, w);
    return l.ttft === combo.slo.ttft && l.tps === combo.slo.tps;
  },
  judge(combo, level, w) {
    return maths.verdict(level, maths.own(combo, w) ? null : maths.limits(combo, w));
  },

  // what a combination's GPUs cost in a month.
  perMonth(combo, w) {
    return maths.price(combo, w) * combo.gpus * (w.hours || combo.hours);
  },
  price(combo, w) {
    const p = (w.price || {})[combo.hw];
    return p == null ? combo.price : p;
  },

  // what a million tokens cost that cost v where a GPU hour costs a dollar.
  mtok(combo, v, w) {
    return v == null ? null : v * maths.price(combo, w);
  },

  // how many times the cheapest price of a token a level's is, among those of its
  // benchmark, source and N: what was measured is not held against a simulation.
  overCheapest(combos, w) {
    const key = (c, l) => [c.bench, c.source, l.n].join(' ');
    const least = {};
    for (const c of combos) {
      for (const l of c.levels) {
        const v = maths.mtok(c, l.mtok, w);
        if (v != null && l.valid !== false) least[key(c, l)] = Math.min(least[key(c, l)] ?? Infinity, v);
      }
    }
    return (c, l) => (least[key(c, l)] > 0 && l.mtok != null ? maths.mtok(c, l.mtok, w) / least[key(c, l)] : null);
  },

  logs: [0],
  logFact(k) {
    for (let i = maths.logs.length; i <= k; i++) maths.logs.push(maths.logs[i - 1] + Math.log(i));
    return maths.logs[k];
  },
  // P(X > n) for X binomial of h and p.
  moreThan(n, h, p) {
    if (n >= h) return 0;
    if (p === 1) return 1;
    let sum = 0;
    for (let k = 0; k <= n; k++) {
      sum += Math.exp(maths.logFact(h) - maths.logFact(k) - maths.logFact(h - k) + k * Math.log(p) + (h - k) * Math.log1p(-p));
    }
    return 1 - sum;
  },
  // how many people n agents that are always busy stand for, so that more than n
  // are busy in at most RISK of the time.
  people(n, duty) {
    if (!(duty > 0) || duty >= 1) return n;
    let low = n, high = Math.ceil(n / duty) + 1;
    while (high - low > 1) {
      const mid = low + Math.floor((high - low) / 2);
      if (maths.moreThan(n, mid, duty) <= maths.RISK) low = mid;
      else high = mid;
    }
    return low;
  },

  // what one of the people costs in a month for whom n agents at work are enough.
  perDevMonth(combo, n, w) {
    return maths.perMonth(combo, w) / maths.people(n, w.duty);
  },

  // the level that a combination is good for: the largest that holds with a real
  // load. but lists smaller ones with a real load that do not.
  best(combo, w) {
    let best = null;
    const fails = [];
    for (const l of combo.levels) {
      const v = maths.judge(combo, l, w);
      if (v.holds && l.valid !== false && (!best || l.n > best.level.n)) best = { level: l, ...v };
      if (!v.holds && l.valid !== false) fails.push(l.n);
    }
    if (best) best.but = fails.filter((n) => n < best.level.n);
    return best;
  },

  // what a team costs on a combination: as many servers as it takes.
  offer(combo, team, w) {
    const best = maths.best(combo, w);
    if (!best) return null;
    const capacity = maths.people(best.level.n, w.duty);
    const servers = Math.ceil(team / capacity);
    return { combo, ...best, capacity, servers, perMonth: servers * maths.perMonth(combo, w), perDev: servers * maths.perMonth(combo, w) / team };
  },

  // what an API charges per developer and month for what a level used.
  apiMonth(use, a, n, hours, duty) {
    if (!use || !(use.s > 0) || n < 1) return null;
    const fresh = use.cached === 0 ? a.in : a.write;
    const cost = (use.cached * a.read + (use.prompt - use.cached) * fresh + use.output * a.out) / 1e6;
    return ((cost * 3600) / use.s / n) * (hours || maths.HOURS) * (duty || 1);
  },
  // the smallest team for which GPUs cost no more than an API.
  breakEven(gpuPerMonth, apiPerDev) {
    const ratio = gpuPerMonth / apiPerDev;
    if (!(apiPerDev > 0) || !(ratio >= 0) || ratio > 1e9) return null;
    return Math.max(1, Math.ceil(ratio * (1 - 1e-12)));
  },

  // all that could serve a team, the cheapest first; what cannot, after it.
  rank(combos, team, w) {
    const can = [], cannot = [];
    for (const c of combos) {
      const o = maths.offer(c, team, w);
      if (o) can.push(o);
      else cannot.push(c);
    }
    can.sort((a, b) => a.perDev - b.perDev || a.combo.hw.localeCompare(b.combo.hw));
    return { can, cannot };
  },
};
if (typeof module !== 'undefined') module.exports = maths;
