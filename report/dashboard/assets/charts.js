'use strict';
// Charts, each a canvas with a sentence for who cannot see it; the table beside it
// holds the numbers.
let charts = [];
function clearCharts() {
  for (const c of charts) c.destroy();
  charts = [];
}
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const PALETTE = 8;
// a combination keeps its colour whatever is filtered away.
const colour = (c) => css('--c' + (data.combos.indexOf(c) % PALETTE));
const NAMES = words.names(data.combos);
const nameOf = (c) => NAMES.get(c);

// draws what is known of a point's spread: thin, the bounds; thick, the interval.
const spread = {
  id: 'spread',
  afterDatasetsDraw(chart) {
    const { ctx, scales } = chart;
    chart.data.datasets.forEach((set, i) => {
      if (chart.getDatasetMeta(i).hidden || !set.points) return;
      ctx.save();
      ctx.strokeStyle = set.borderColor;
      for (const p of set.data) {
        for (const [range, width, alpha] of [[p.bounds, 1, 0.7], [p.interval, 4, 0.45]]) {
          if (!range) continue;
          const x = scales.x.getPixelForValue(p.x);
          const top = range[1] < 0 ? chart.chartArea.top : Math.max(chart.chartArea.top, scales.y.getPixelForValue(range[1]));
          const bottom = Math.min(chart.chartArea.bottom, scales.y.getPixelForValue(Math.max(range[0], scales.y.min)));
          ctx.globalAlpha = alpha;
          ctx.lineWidth = width;
          ctx.beginPath();
          ctx.moveTo(x, top);
          ctx.lineTo(x, bottom);
          ctx.stroke();
        }
      }
      ctx.restore();
    });
  },
};
// a line across at a limit.
const limitLines = {
  id: 'limits',
  afterDraw(chart) {
    for (const [value, text] of chart.options.limits || []) {
      const y = chart.scales.y.getPixelForValue(value);
      if (y < chart.chartArea.top || y > chart.chartArea.bottom) continue;
      const { ctx, chartArea } = chart;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css('--bad');
      ctx.setLineDash([6, 4]);
      ctx.beginPath();
      ctx.moveTo(chartArea.left, y);
      ctx.lineTo(chartArea.right, y);
      ctx.stroke();
      ctx.font = '12px system-ui, sans-serif';
      ctx.textAlign = 'left'; // most curves pass it on the right
      ctx.fillText(text, chartArea.left + 4, y - 5);
      ctx.restore();
    }
  },
};

// round numbers only: a logarithmic axis would label every line.
const round = (say) => (v) => {
  const lead = v / 10 ** Math.floor(Math.log10(v) + 1e-9);
  return [1, 2, 5].some((n) => Math.abs(lead - n) < 1e-6) ? say(v) : '';
};

// a legend of lines without marks shows how each is drawn.
const lines = {
  pointStyleWidth: 28,
  generateLabels: (chart) => Chart.defaults.plugins.legend.labels.generateLabels(chart).map((l) => ({ ...l, lineDash: chart.data.datasets[l.datasetIndex].borderDash || [] })),
};
// figure is a chart in its place, with a caption.
function figure(title, says, config, tall) {
  const canvas = h('canvas', { role: 'img', 'aria-label': says });
  const box = h('figure', {}, h('figcaption', {}, title), h('div', { class: tall ? 'canvas tall' : 'canvas' }, canvas));
  queueMicrotask(() => {
    if (!canvas.isConnected) return;
    const text = css('--text'), grid = css('--line');
    const axis = (a) => ({ ...a, grid: { color: grid }, border: { color: grid }, ticks: { color: text, ...(a.ticks || {}) }, title: { ...a.title, color: text, display: true } });
    const o = config.options || {};
    charts.push(new Chart(canvas, {
      ...config,
      plugins: [spread, limitLines],
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, ...o,
        scales: Object.fromEntries(Object.entries(o.scales || {}).map(([k, a]) => [k, axis(a)])),
        plugins: { ...o.plugins, legend: { display: !(o.plugins && o.plugins.legend && o.plugins.legend.display === false), position: 'bottom', labels: { color: text, usePointStyle: true, boxHeight: 7, ...(config.data.datasets.every((d) => d.pointStyle === 'line') ? lines : {}) } } },
      },
    }));
  });
  return box;
}
// the team sizes that an axis has room to name: labels must not touch.
function roomFor(ns, scale) {
  const log = scale.type === 'logarithmic';
  const at = (n) => (log ? Math.log(n) : n);
  const room = (30 * (at(ns[ns.length - 1]) - at(ns[0]))) / (scale.chart.width - 90);
  return ns.reduceRight((kept, n) => (kept.length && at(kept[0]) - at(n) < room ? kept : [n, ...kept]), []);
}
// overN is a chart of a figure over the team size, a line per combination.
function overN(title, says, combos, y, options) {
  const w = what();
  const sets = combos.map((c) => {
    const points = c.levels.map((l) => ({ level: l, v: maths.judge(c, l, w), p: y(c, l, w) })).filter((q) => q.p && q.p.y != null && q.p.y > 0);
    return {
      label: nameOf(c), points: true, data: points.map((q) => ({ x: q.level.n, ...q.p, said: words.beside(q.v, q.level) })),
      borderColor: colour(c), borderDash: DASH[c.source] || [], borderWidth: 2, tension: 0,
      pointStyle: points.map((q) => (q.v.holds ? MARK[c.source] || 'circle' : 'crossRot')),
      pointRadius: points.map((q) => (q.v.holds ? 6 : 7)), pointHoverRadius: 9,
      pointBorderWidth: points.map((q) => (q.v.holds ? 1 : 3)),
      pointBackgroundColor: points.map((q) => (q.level.valid === false ? 'transparent' : colour(c))),
    };
  }).filter((s) => s.data.length);
  const ns = [...new Set(combos.flatMap((c) => c.levels.map((l) => l.n)))].sort((a, b) => a - b);
  return figure(title, says, {
    type: 'line', data: { datasets: sets },
    options: {
      limits: options.limits, parsing: true,
      scales: {
        x: { type: ns.length && ns[ns.length - 1] > 8 * ns[0] ? 'logarithmic' : 'linear', title: { text: 'agents at work at once (N)' }, ticks: { callback: (v) => (Number.isInteger(v) ? v : null), autoSkip: true, autoSkipPadding: 6, maxRotation: 0 }, afterBuildTicks: (s) => { s.ticks = roomFor(ns, s).map((value) => ({ value })); } },
        y: { type: options.log ? 'logarithmic' : 'linear', beginAtZero: !options.log, title: { text: options.unit }, ...(options.log ? { ticks: { callback: round(options.ticks || String) } } : {}) },
      },
      plugins: {
        tooltip: { callbacks: {
          title: (items) => `N = ${items[0].raw.x}`,
          label: (i) => `${i.dataset.label}: ${options.say(i.raw)}, ${i.raw.said}`,
        } },
      },
    },
  }, true);
}
const legend = () => h('p', { class: 'legend' },
  ...SOURCES.map((s) => h('span', {}, source(s))), h('span', {}, '✕ does not hold the SLO'), h('span', {}, '┃ 95 % interval, │ bounds of the bucket'));
