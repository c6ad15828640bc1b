// The emulator's consent and device pages in Chromium: what a click sends where, past the pages' own policy, and how they look.

import assert from 'node:assert/strict'
import http from 'node:http'
import { networkInterfaces } from 'node:os'
import { after, test } from 'node:test'
import { emulator, launch, lowestContrast, open } from './support.mjs'

const timeout = 60_000
const browser = await launch({ after })

const CLIENTS = ['127.0.0.1', '[::1]'].flatMap((host) => ['--client', `shop::us:http://${host}/callback`])

/** An application that waits for its user to come back; the query of each callback. */
async function application(t, host) {
  const callbacks = []
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://localhost')
    if (url.pathname === '/callback') callbacks.push(url.searchParams)
    response.end('back at the application')
  })
  await new Promise((done) => server.listen(0, host, done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address()
  return { callbacks, uri: `http://${host.includes(':') ? `[${host}]` : host}:${port}/callback` }
}

const asking = (it, redirect_uri, scope) => `${it.url}/authorize?${new URLSearchParams({
  response_type: 'code', client_id: 'shop', redirect_uri, scope, state: 'a state', code_challenge: 'x'.repeat(43), code_challenge_method: 'S256',
})}`

async function device(it, scope) {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${it.url}/v1/auth/device-authorization`, { method: 'POST', headers, body: JSON.stringify({ scope }) })
  return answer.json()
}

const grants = async (it) => (await (await fetch(`${it.url}/_emulator/oauth`)).json()).grants

const own = Object.values(networkInterfaces()).flat().map(({ address }) => address)

for (const host of ['127.0.0.1', '::1']) {
  const skip = !own.includes(host) && 'this machine has no such address'
  test(`a user allows less than what is asked for and is back at ${host}`, { timeout, skip }, async (t) => {
    const it = await emulator(t, ...CLIENTS)
    const app = await application(t, host)
    const page = await open(t, browser, asking(it, app.uri, 'mcp:read events:read cohorts:manage'))
    await page.getByText(`sent back to ${new URL(app.uri).origin}`).waitFor()
    await page.getByLabel('Create and change the cohorts').uncheck()
    await page.getByRole('button', { name: 'Allow' }).click()
    await page.getByText('back at the application').waitFor()
    assert.equal(app.callbacks.length, 1)
    assert.equal(app.callbacks[0].get('state'), 'a state')
    assert.ok(app.callbacks[0].get('code'))
    const [{ scopes, project }] = await grants(it)
    assert.deepEqual(scopes, ['events:read', 'mcp:read'])
    assert.equal(project, 'demo0000000000000000000000000key')
  })
}

test('a user denies, and the application is told', { timeout }, async (t) => {
  const it = await emulator(t, ...CLIENTS)
  const app = await application(t, '127.0.0.1')
  const page = await open(t, browser, asking(it, app.uri, 'mcp:read'))
  await page.getByRole('button', { name: 'Deny' }).click()
  await page.getByText('back at the application').waitFor()
  assert.equal(app.callbacks[0].get('error'), 'access_denied')
  assert.deepEqual(await grants(it), [])
})

test('a user enters the code of a device; the live view shows it wait, and then what was granted', { timeout }, async (t) => {
  const it = await emulator(t)
  const { user_code } = await device(it, 'openid projects:read')
  const view = await open(t, browser, it.url)
  await view.locator('#grants').getByText('a device waits').waitFor()
  const page = await open(t, browser, `${it.url}/activate`)
  await page.getByRole('textbox').fill(user_code.toLowerCase())
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.getByText(user_code).waitFor()
  await page.getByLabel('Know who you are').uncheck()
  await page.getByRole('button', { name: 'Allow' }).click()
  await page.getByText('The device has access').waitFor()
  assert.deepEqual((await grants(it))[0].scopes, ['projects:read'])
  await view.locator('#grants li').filter({ hasText: 'granted' }).getByText('projects:read').waitFor()
  assert.equal(await view.locator('#grants').getByText('a device waits').count(), 0)
})

test('another site cannot answer for the user', { timeout }, async (t) => {
  const it = await emulator(t, ...CLIENTS)
  const request = asking(it, 'http://127.0.0.1:1/callback', 'mcp:read')
  const html = await (await fetch(request)).text()
  const hidden = (name) => new RegExp(`name="${name}" value="([^"]*)"`).exec(html)[1]
  const fields = { request: hidden('request'), token: hidden('token'), scope: 'mcp:read', decision: 'allow' }
  const app = await application(t, '127.0.0.1')
  const evil = await open(t, browser, app.uri.replace('/callback', '/evil'))
  // Even one that got hold of the page's token.
  const [answer] = await Promise.all([
    evil.waitForResponse((response) => response.url() === `${it.url}/authorize`),
    evil.evaluate(([action, fields]) => {
      const form = Object.assign(document.createElement('form'), { method: 'post', action })
      for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement('input'), { name, value }))
      document.body.append(form)
      form.submit()
    }, [`${it.url}/authorize`, fields]),
  ])
  assert.equal(answer.status(), 403)
  assert.deepEqual(await grants(it), [])
  const script = await open(t, browser, app.uri.replace('/callback', '/evil'))
  const read = await script.evaluate((url) => fetch(url).then(() => 'read', () => 'blocked'), request)
  assert.equal(read, 'blocked', 'nor can its scripts read the page')
})

test('the pages fit a phone and a desk, and can be read in light and dark', { timeout }, async (t) => {
  const it = await emulator(t, ...CLIENTS)
  const { user_code } = await device(it, 'openid offline_access projects:read')
  const pages = [asking(it, 'http://127.0.0.1:1/callback', 'mcp:read events:read offline_access'), `${it.url}/authorize`, `${it.url}/activate`,
    `${it.url}/activate?user_code=XXXX`, `${it.url}/activate?user_code=${user_code}`]
  const page = await open(t, browser, 'about:blank')
  for (const url of pages) {
    await page.goto(url)
    for (const width of [320, 390, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${url} ${width} px: it does not scroll sideways`)
    }
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme })
      const lowest = await lowestContrast(page, 'header, footer, h1, p, b, li span, code, label, select, button')
      assert.ok(lowest >= 4.5, `${url} ${colorScheme}: ${lowest}`)
    }
  }
})
