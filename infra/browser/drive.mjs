// Drives a headless Chromium through the dashboard, as a person would, and tells
// what it saw as JSON on stdout. Its stdin is what to do:
//
//	{url, chromium, axe, shots, steps: [{do, …}]}
//
// Whatever a step prints is in the answer's "saw", by the step's name; console
// errors, page errors, requests to any other address, and what axe-core finds
// serious or critical are in "faults".
import { readFileSync } from 'node:fs'
import puppeteer from 'puppeteer-core'

const plan = JSON.parse(readFileSync(0, 'utf8'))
const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const saw = {}, faults = []
const browser = await puppeteer.launch({
  executablePath: plan.chromium, headless: true, protocolTimeout: 120000,
  args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--force-color-profile=srgb'],
})
try {
  const page = await browser.newPage()
  page.on('console', (m) => { if (['error', 'warn', 'warning'].includes(m.type())) faults.push(`console: ${m.text()}`) })
  page.on('pageerror', (e) => faults.push(`page: ${e.message}`))
  page.on('request', (r) => {
    const u = r.url()
    if (!u.startsWith(plan.origin) && !u.startsWith('data:')) faults.push(`request: ${u}`)
  })
  const text = (sel) => page.$eval(sel, (e) => e.innerText)
  for (const s of plan.steps) {
    switch (s.do) {
      case 'open': {
        await page.setViewport({ width: s.width ?? 1280, height: s.height ?? 900, isMobile: (s.width ?? 1280) < 600, hasTouch: (s.width ?? 1280) < 600 })
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: s.scheme ?? 'light' }])
        await page.goto('about:blank')
        const began = performance.now()
        await page.goto(plan.url + (s.hash ?? ''), { waitUntil: 'load' })
        await page.waitForSelector('main > *')
        saw[s.name] = { ms: performance.now() - began }
        break
      }
      case 'time': { // a click, until the page has answered and drawn
        saw[s.name] = await page.evaluate((sel) => new Promise((done) => {
          const began = performance.now()
          document.querySelector(sel).click()
          requestAnimationFrame(() => setTimeout(() => done({ ms: performance.now() - began }), 0))
        }), s.on)
        break
      }
      case 'click': await page.click(s.on); break
      case 'choose': await page.select(s.on, s.value); break
      case 'type': {
        await page.$eval(s.on, (e) => { e.value = '' })
        await page.focus(s.on)
        if (s.value === '') await page.$eval(s.on, (e) => e.dispatchEvent(new Event('input', { bubbles: true })))
        else await page.keyboard.type(s.value)
        break
      }
      case 'key': for (const k of s.keys) await page.keyboard.press(k); break
      case 'text': saw[s.name] = await text(s.on); break
      case 'rows': saw[s.name] = await page.$$eval(s.on + ' tbody tr', (all) => all.map((tr) => [...tr.children].map((c) => c.innerText.trim()))); break
      case 'count': saw[s.name] = await page.$$eval(s.on, (all) => all.length); break
      case 'ink': // a canvas that was drawn on is not of one colour
        saw[s.name] = await page.$$eval('canvas', (all) => all.map((c) => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size))
        break
      case 'focus': saw[s.name] = await page.evaluate(() => document.activeElement.outerHTML.slice(0, 120)); break
      case 'hash': saw[s.name] = await page.evaluate(() => location.hash); break
      case 'overflow': saw[s.name] = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth); break
      case 'axe': {
        await page.evaluate(axe)
        const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
        for (const v of found.violations) {
          if (['serious', 'critical'].includes(v.impact)) faults.push(`axe ${s.name}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 120)).slice(0, 3).join(' | ')}`)
        }
        break
      }
      case 'print': await page.pdf({ path: s.path, printBackground: true, format: 'A4' }); break
      case 'shot': if (plan.shots) await page.screenshot({ path: `${plan.shots}/${s.name}.png`, fullPage: s.full ?? false }); break
      default: throw new Error(`no step is called ${s.do}`)
    }
  }
} catch (e) {
  faults.push(`driver: ${e.stack}`)
} finally {
  await browser.close()
}
console.log(JSON.stringify({ saw, faults }))
