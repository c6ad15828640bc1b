// Drives the demo's page in headless Chromium as a visitor would, and checks that exactly what was sent arrived and was exported again.
//
//   node scripts/demo-check.mjs DEMO_URL EMULATOR_URL      both fresh, as `make demo CHECK=1` starts them

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { checkAccess } from './demo-access.mjs'

const { chromium } = createRequire(new URL('../tests/js/package.json', import.meta.url))('playwright-core')
const [demo, emulator] = process.argv.slice(2)
const PRODUCTS = {
  'mug-tide': { name: 'Tide mug', price: 24, category: 'Mugs' },
  'bowl-noon': { name: 'Noon bowl', price: 32, category: 'Bowls' },
  'vase-reed': { name: 'Reed vase', price: 58, category: 'Vases' },
  'plates-shore': { name: 'Shore plates', price: 64.5, category: 'Plates' },
}
const WIDTHS = [360, 390, 768, 1280]

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'] })
const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' })
page.setDefaultTimeout(15_000)

// What the page must not do: break, break its own policy, or ask anybody but its own server. The consent page is one that it leaves for.
const EXPECTED_ERRORS = [/net::ERR_EMPTY_RESPONSE/, /status of 400 \(Bad Request\)/, /status of 403 \(Forbidden\)/, /track: price is NaN, not JSON/, /user_id: is shorter than 5/]
const surprises = []
page.on('pageerror', (error) => surprises.push(`an error in the page: ${error.message}`))
page.on('console', (message) => {
  if (message.type() === 'error' && !EXPECTED_ERRORS.some((expected) => expected.test(message.text()))) surprises.push(message.text())
})
page.on('request', (request) => {
  const leaves = request.isNavigationRequest() && request.url().startsWith(`${emulator}/authorize`)
  if (!leaves && !request.url().startsWith(`${demo}/`)) surprises.push(`a request to ${request.url()}`)
})

// --- what a visitor does, and the events that must come of it ----------------------------------------------------------

const expected = []
const cart = new Map()
let user = null

const about = (id) => ({ product_id: id, ...PRODUCTS[id] })
const expect = (type, properties, fields = {}) => expected.push({ type, user, properties, ...fields })
const product = (id) => `#products [data-product="${id}"]`
const read = async (selector) => (await page.textContent(selector)).trim()
const count = async (name) => Number(await read(`#count-${name}`))
const json = async (path) => (await fetch(`${emulator}${path}`)).json()

async function open() {
  await page.goto(demo)
  await page.waitForSelector('html[data-ready]')
  expect('Shop Opened', { path: '/' })
}

async function view(id, close) {
  await page.click(`${product(id)} .art`)
  expect('Product Viewed', about(id))
  if (close) await page.click('#product-close')
}

function added(id) {
  cart.set(id, (cart.get(id) ?? 0) + 1)
  expect('Item Added to Cart', { ...about(id), quantity: cart.get(id) })
}

async function add(id, button = `${product(id)} .add`) {
  await page.click(button)
  added(id)
}

async function remove(id) {
  await page.click(`#cart [data-product="${id}"] button >> nth=0`)
  cart.set(id, cart.get(id) - 1)
  expect('Item Removed from Cart', { ...about(id), quantity: cart.get(id) })
  if (!cart.get(id)) cart.delete(id)
}

async function buy() {
  await page.click('#buy')
  const [order] = /order-\w+/.exec(await read('#cart-note'))
  for (const [id, quantity] of cart) {
    const { price } = PRODUCTS[id]
    expect('Product Purchased', { ...about(id), order_id: order }, { productId: id, price, quantity, revenue: price * quantity, currency: 'EUR' })
  }
  cart.clear()
}

async function settled() {
  await page.waitForFunction(() => ['queued', 'sending'].every((name) => document.querySelector(`#count-${name}`).textContent === '0'))
}

// The page shows an attempt no longer than until the next one; the number of requests only grows.
async function requestsMade(more, act) {
  const known = await count('requests')
  await act()
  await page.waitForFunction((least) => Number(document.querySelector('#count-requests').textContent) >= least, known + more)
}

async function setLine(up) {
  await page.click('#line')
  await page.waitForSelector(`#line[aria-checked="${up}"]`)
}

// --- what arrived -----------------------------------------------------------------------------------------------------

async function arrived() {
  const events = []
  for (let after = 0; ;) {
    const some = await json(`/_emulator/events?after=${after}`)
    if (!some.length) return events
    events.push(...some.map(({ event }) => event))
    after = some.at(-1).number
  }
}

function asExpected(event) {
  const made = { type: event.event_type, user: event.user_id ?? null, properties: event.event_properties ?? event.user_properties }
  const fields = ['productId', 'price', 'quantity', 'revenue', 'currency'].filter((name) => name in event)
  return Object.assign(made, Object.fromEntries(fields.map((name) => [name, event[name]])))
}

async function fits(where) {
  const before = page.viewportSize()
  for (const width of WIDTHS) {
    await page.setViewportSize({ width, height: 800 })
    const over = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth)
    assert.equal(over, 0, `${where}: at ${width} pixels the page is ${over} too wide`)
  }
  await page.setViewportSize(before)
  const nameless = await page.$$eval('button, input, select, a, progress', (all) =>
    all.filter((it) => !it.closest('[hidden]') && !it.textContent.trim() && !it.ariaLabel && !it.labels?.length && !it.getAttribute('aria-labelledby')).map((it) => it.outerHTML))
  assert.deepEqual(nameless, [], `${where}: every control has a name`)
}

async function check() {
  await open()
  assert.equal(await read('#export-note'), 'Not asked yet.')
  await page.click('#export-now')
  await page.waitForFunction(() => /no event|1 event/.test(document.querySelector('#export-note').textContent))

  await view('mug-tide', false)
  await add('mug-tide', '#product-add')
  await view('bowl-noon', true)
  await add('bowl-noon')
  await add('plates-shore')
  await add('plates-shore')
  await remove('bowl-noon')
  await page.fill('#user-input', 'abc')
  await page.click('#sign-in button')
  await page.waitForFunction(() => /user_id: is shorter than 5/.test(document.querySelector('#person-note').textContent))
  await page.fill('#user-input', 'user123')
  await page.click('#sign-in button')
  user = 'user123'
  await page.waitForFunction(() => document.querySelector('#user-id').textContent === 'user123')
  expect('$identify', undefined)
  await page.selectOption('#plan', 'pro')
  expect('$identify', { $set: { plan: 'pro' } })
  await buy()
  await settled()
  const before = (await arrived()).length
  assert.equal(before, expected.length, 'all that was sent so far arrived')

  // The line is cut: events wait, are tried again, and arrive once it is up.
  await setLine(false)
  await requestsMade(2, async () => {
    for (const id of ['vase-reed', 'mug-tide', 'vase-reed']) await add(id)
  })
  const waited = (await count('queued')) + (await count('sending'))
  assert.equal(waited, 3, 'the three wait')
  assert.equal((await arrived()).length, before, 'nothing arrives over a cut line')
  await setLine(true)
  await settled()
  assert.equal((await arrived()).length, before + 3, 'what waited arrived')
  assert.match(await read('#story'), /did not get through; again in request/)

  // One request with an event that the server refuses: the other one is delivered all the same. Both clicks fall into one turn of the page.
  await page.evaluate((other) => {
    document.querySelector('#silenced').click()
    document.querySelector(other).click()
  }, `${product('bowl-noon')} .add`)
  added('bowl-noon')
  await settled()
  assert.equal(await count('rejected'), 1)
  assert.match(await read('#story > li[data-state="rejected"]'), /Sensor Reading.*its device is silenced/s)
  assert.match(await read('#story > li >> nth=0'), /Item Added to Cart.*was refused because of another event; again in request/s)

  // An event that the SDK refuses, at once and with its reason.
  await page.click('.tries summary')
  await page.click('#not-a-number')
  await page.waitForSelector('#story > li[data-state="refused"]')
  assert.match(await read('#story > li[data-state="refused"]'), /price is NaN, not JSON/)
  assert.equal(await count('refused'), 1)

  // What a page leaves behind is delivered by the next one.
  const delivered = await count('delivered')
  await setLine(false)
  await requestsMade(1, () => add('plates-shore'))
  await open()
  await page.waitForSelector('#story b:text("Left by an earlier page")')
  await setLine(true)
  await settled()
  assert.equal(await read('#user-id'), 'user123', 'the user is known to the next page')
  assert.equal(await count('delivered'), 2, 'what was left, and the new page’s own event')

  const device = await read('#device-id')
  await page.click('#reset')
  await page.waitForFunction((old) => document.querySelector('#device-id').textContent !== old, device)
  user = null
  await view('vase-reed', true)
  await page.click('#flush')
  await settled()

  const events = await arrived()
  assert.match(JSON.stringify(events.find((event) => event.event_type === '$identify').user_properties), /"\$setOnce":\{"first_signed_in":"20/)
  expected.find((event) => event.type === '$identify').properties = events.find((event) => event.event_type === '$identify').user_properties
  assert.deepEqual(events.map(asExpected), expected, 'exactly what was sent arrived, in its order')
  assert.equal(new Set(events.map((event) => event.insert_id)).size, events.length, 'each event has an id of its own')
  assert.deepEqual([...new Set(events.map((event) => event.device_id))], [device, await read('#device-id')])
  assert.equal(new Set(events.map((event) => event.session_id)).size, 1)

  const state = await json('/_emulator/state')
  assert.equal(state.accepted, events.length)
  assert.equal(state.duplicated, 0)
  assert.ok(state.rejected >= 1)

  // The server, which alone has the secret, reads all of them back, and the page shows them.
  await page.click('#export-now')
  await page.waitForSelector('#export-all:not([hidden])')
  await page.click('#export-all')
  const exported = await page.$$eval('#export-rows tr', (rows) => rows.map((row) => row.dataset.insertId))
  const readable = events.filter((event) => event.event_type !== '$identify')
  assert.deepEqual(exported, readable.map((event) => event.insert_id).reverse(), 'exactly what arrived is exported, the newest first')
  assert.match(await read('#export-note'), new RegExp(`^${readable.length} events in the last 24 hours, 1 of them`))
  assert.match(await read('#weight'), /4 files, [\d.]+ kB by gzip/)

  await fits('with events')
  const isEvent = (event) => event.event_type !== '$identify'
  const told = await checkAccess({ page, demo, emulator, settled, fits, exported: async () => (await arrived()).filter(isEvent).length })
  assert.deepEqual(surprises, [], 'no surprise in the page')

  const sent = delivered + 2 + 1
  console.log(`demo: ${sent + 1} events sent from two pages: ${sent} delivered, 1 rejected by the server; 1 more refused in the page`)
  console.log(`demo: ${waited} of them waited while the line was cut, 1 was left to the next page`)
  console.log(`demo: ${state.accepted} arrived at the emulator, ${state.duplicated} twice; ${exported.length} were exported again, all but ${events.length - readable.length} Identify`)
  console.log(`demo: the page fits ${WIDTHS.join(', ')} pixels`)
  console.log(`demo: delegated access: ${told}`)
  assert.equal(sent, state.accepted)
}

try {
  await check()
} catch (error) {
  console.error(`demo: ${error.message}`)
  for (const surprise of surprises) console.error(`demo: ${surprise}`)
  if (!(error instanceof assert.AssertionError)) console.error(error.stack)
  process.exitCode = 1
} finally {
  await browser.close()
}
