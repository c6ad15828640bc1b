// The story of delegated access, as a visitor of the demo's page goes through it: asks, allows less, reads, is refused, refreshes, revokes,
// and, asked once more, denies.

import assert from 'node:assert/strict'
import { lowestContrast, until } from '../tests/js/support.mjs'

const ALLOW = { 'events:read': true, 'projects:read': false, 'cohorts:manage': false, offline_access: true }
const SCOPES = Object.keys(ALLOW)
/** How the emulator's secrets look: tokens, codes, secrets of clients. */
const MINTED = /\b(?:at|rt|ac|cs|rat)_[\w-]{43}/

/** `fits(where)` checks the page's form, `exported()` tells how many events can be exported now. Answers with what was seen, in words. */
export async function checkAccess({ page, demo, emulator, settled, fits, exported }) {
  const read = async (selector) => (await page.textContent(selector)).trim()
  const events = () => page.$$eval('#told li', (all) => all.map((it) => it.dataset.event))
  const json = async (path, options) => (await fetch(`${emulator}${path}`, options)).json()
  const says = (selector, text) =>
    page.waitForFunction(([selector, source]) => new RegExp(source, 's').test(document.querySelector(selector).textContent), [selector, text.source])

  const secretsSeen = []
  const check = async (where) => {
    const found = MINTED.exec(await page.content())?.[0] ?? MINTED.exec(page.url())?.[0]
    assert.equal(found, undefined, `${where}: a secret is in the page`)
    assert.doesNotMatch(await page.content(), /fake0000000000000000000000000key/, where)
    await fits(where)
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme })
      // The chips' ground lets through what is behind it.
      const lowest = await lowestContrast(page, '#access :is(h2, h3, legend, p, dt, dd, code, time, button, span:not(.chip)):not(:empty)')
      assert.ok(lowest >= 4.5, `${where}, ${colorScheme}: a contrast of ${lowest}`)
    }
    await page.emulateMedia({ colorScheme: null })
  }
  page.on('request', (request) => request.url().startsWith(`${demo}/access/callback`) && secretsSeen.push(request.url()))

  const leave = async () => {
    await page.click('#ask-now')
    await page.waitForURL(`${emulator}/authorize?*`)
  }
  const comeBack = async (button) => {
    await page.getByRole('button', { name: button }).click()
    await page.waitForURL(`${demo}/#access`)
    await page.waitForSelector('html[data-ready]')
  }

  // It asks, and is allowed less.
  await page.goto(`${demo}/`)
  await page.waitForSelector('html[data-ready]')
  assert.ok(await page.isHidden('#grant'), 'nothing is granted at first')
  await check('before')
  await page.click('[data-product="mug-tide"] .add')
  const cart = await read('#cart-count')
  await settled()
  await leave()
  assert.match(await read('h1'), /Tidebook asks for access/)
  assert.deepEqual((await page.$$eval('input[name=scope]', (all) => all.map((it) => it.value))).sort(), [...SCOPES].sort(), 'all that it asks for is shown')
  for (const [scope, allow] of Object.entries(ALLOW)) if (!allow) await page.uncheck(`input[value="${scope}"]`)
  await comeBack('Allow')
  await says('#access-note', /consented to less.*without cohorts:manage and projects:read/)
  assert.deepEqual(
    await page.$$eval('#grant-scopes li', (all) => Object.fromEntries(all.map((it) => [it.dataset.scope, it.dataset.state === 'delivered']))), ALLOW)
  assert.deepEqual(await events(), ['token_issued', ''])
  assert.equal(await read('#cart-count'), cart, 'the cart is as it was')
  assert.match(await read('#token-life'), /^in (1:00|0:5\d)$/)
  assert.ok(await page.isHidden('#ask'))
  assert.ok(await page.evaluate(() => document.activeElement.id === 'access-title'), 'who came back is at this part of the page')
  await check('granted')
  assert.match(secretsSeen[0] ?? '', MINTED, 'a code did come back')

  // It reads with the bearer, and is refused what was not granted.
  await settled()
  const count = await exported()
  await page.click('#read-events')
  await says('#access-result', /read with the bearer alone: no secret key was involved/)
  assert.match(await read('#access-result'), new RegExp(`^${count} events? of the last 24 hours`))
  await page.click('#look-up')
  await says('#access-result', /lacks scopes that this call needs: projects:read/)
  assert.equal((await events())[0], 'insufficient_scope')
  assert.match(await read('[data-scope="events:read"]'), /used once/)

  // A newer token, because one asks for it, and because the old one has expired.
  const print = await read('#token-print')
  assert.match(print, /^[0-9a-f]{8}$/)
  await page.click('#refresh-now')
  await says('#token-refreshes', /^once$/)
  assert.notEqual(await read('#token-print'), print)
  await fetch(`${emulator}/_emulator/clock`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"advance_ms": 61000}' })
  await page.click('#read-events')
  await says('#access-result', /read with the bearer alone/)
  assert.equal(await read('#token-refreshes'), '2 times')
  assert.deepEqual((await events()).slice(0, 4), ['bearer_used', 'token_refreshed', 'credential_refused', 'bearer_used'])
  const { counts, grants } = await json('/_emulator/oauth')
  assert.deepEqual([counts.refreshed, counts.reused], [2, 0])
  assert.ok(JSON.stringify(grants).includes(await read('#token-print')), 'the emulator names the token alike')
  await check('refreshed')

  // It is over.
  await page.click('#revoke')
  await says('#access-note', /Revoked by the server.*the old token opens nothing: .*revoked/)
  assert.ok(await page.isHidden('#grant') && await page.isVisible('#ask'))
  assert.ok((await events()).includes('revoked'))
  const [revoked] = (await json('/_emulator/oauth')).grants
  assert.ok(revoked.ended, 'the emulator knows that it is over')

  // Asked for one thing, the visitor denies.
  for (const scope of SCOPES.slice(1)) await page.uncheck(`#ask input[value="${scope}"]`)
  await settled()
  const arrived = await exported()
  await page.click('[data-product="mug-tide"] .add')
  await leave()
  assert.equal(await page.locator('input[name=scope]').count(), 1)
  await comeBack('Deny')
  await says('#access-note', /You denied access/)
  assert.ok(await page.isHidden('#grant') && await page.isVisible('#ask'))
  assert.equal((await json('/_emulator/oauth')).counts.denied, 1)
  await check('denied')
  await until('the event that was left behind arrives, and the one of the new page', async () => (await exported()) === arrived + 2)
  return `asked for ${SCOPES.length} scopes and granted 2; ${count} events read by bearer, 1 call refused, 2 refreshes, revoked; then denied`
}
