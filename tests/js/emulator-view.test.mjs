// The emulator's live view in Chromium: what it shows of what arrives, on a desk and on a phone, in both themes.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, emulator, launch, lowestContrast, open } from './support.mjs'

const timeout = 60_000
const browser = await launch({ after })

const send = (it, events, key = KEY) =>
  fetch(it.batch, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ api_key: key, events }) })

test('the live view follows events, requests and counts', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await open(t, browser, it.url)
  await page.getByText('Nothing arrived yet').waitFor()
  await send(it, [{ event_type: 'first', user_id: 'user-1', event_properties: { price: 5 } }, { event_type: '<img src=x onerror=boom()>', device_id: 'device-1' }])
  await send(it, [{ event_type: 'short', user_id: 'abc' }])
  await send(it, [], 'wrong-key')
  await it.fault({ kind: 'hang_up' })
  await assert.rejects(send(it, []))
  const events = page.locator('#events li')
  const requests = page.locator('#requests li')
  await requests.filter({ hasText: 'hung up' }).waitFor()
  assert.equal(await requests.count(), 4)
  assert.match(await requests.nth(1).textContent(), /400.*Invalid API key: wrong-key/)
  assert.match(await requests.nth(2).textContent(), /400.*1 event.*Invalid id length/)
  assert.match(await requests.nth(3).textContent(), /200.*2 events/)
  assert.equal(await events.count(), 2)
  assert.match(await events.nth(0).textContent(), /<img src=x onerror=boom\(\)>/, 'what arrives is text and nothing else')
  await events.nth(1).locator('summary').click()
  assert.match(await events.nth(1).locator('pre').innerText(), /"price": 5/)
  // The texts alone: between them is a line break only where the page is laid out already.
  const counts = await page.locator('#counts div').evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)))
  assert.deepEqual(counts, [['accepted', '2'], ['rejected', '1'], ['duplicated', '0'], ['requests', '4']])
})

test('the live view tells when the emulator is gone', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await open(t, browser, it.url)
  await page.getByRole('status').getByText('live').waitFor()
  await page.route('**/_emulator/**', (route) => route.abort())
  await page.getByRole('status').getByText('trying again').waitFor()
  await page.unroute('**/_emulator/**')
  await send(it, [{ event_type: 'later', user_id: 'user-1' }])
  await page.locator('#events b').getByText('later').waitFor()
  await page.getByRole('status').getByText('live').waitFor()
})

test('the live view fits a phone and a desk, and can be read in light and dark', { timeout }, async (t) => {
  const it = await emulator(t)
  await send(it, [{ event_type: 'x'.repeat(200), user_id: 'y'.repeat(300), event_properties: { text: 'z'.repeat(500) } }])
  const page = await open(t, browser, it.url)
  await page.locator('#events summary').click()
  for (const width of [320, 390, 1200]) {
    await page.setViewportSize({ width, height: 800 })
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${width} px: it does not scroll sideways`)
  }
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    const lowest = await lowestContrast(page, 'h1, h2, dt, dd, summary *, pre, li *, #link')
    assert.ok(lowest >= 4.5, `${colorScheme}: ${lowest}`)
  }
})
