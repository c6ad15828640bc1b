// The demo's delegated access seen from outside: what its server refuses, what it forgets, and that nothing secret leaves it. Everything
// that goes between it and the emulator is overheard, so that each secret is known.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import http from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { KEY, built, emulator } from './support.mjs'

const timeout = 60_000
const SECRET = 'fake0000000000000000000000000key'
const environment = { PATH: process.env.PATH, NO_PROXY: '127.0.0.1', AMPLITUDE_API_KEY: KEY, AMPLITUDE_SECRET_KEY: SECRET }
const FLAGS = ['--registration-management', 'on', '--scope', 'projects:read=See projects']
const ALL = ['events:read', 'projects:read', 'cohorts:manage', 'offline_access']
const NAMES = /"(access_token|refresh_token|client_secret|registration_access_token)":"([^"]+)"/g

/** Stands before an emulator under a name of its own, and hears the secrets that it gives out. */
async function overheard(t, target) {
  const heard = { secrets: new Set(), target, down: false }
  const host = () => new URL(heard.target).host
  const server = http.createServer(async (request, response) => {
    if (heard.down) return request.socket.destroy()
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const [own, other] = [request.headers.host, host()]
    const swap = (text, from, to) => text.replaceAll(from, to).replaceAll(encodeURIComponent(from), encodeURIComponent(to))
    const { 'content-length': _, ...headers } = request.headers
    body = swap(body, own, other)
    const onward = http.request(new URL(swap(request.url, own, other), heard.target),
      { method: request.method, agent: false, headers: { ...headers, host: other, 'content-length': Buffer.byteLength(body) } }, async (answer) => {
        const chunks = []
        for await (const chunk of answer) chunks.push(chunk)
        const isText = /json|html/.test(answer.headers['content-type'] ?? '')
        const whole = Buffer.concat(chunks)
        const content = isText ? swap(whole.toString(), other, own) : whole
        for (const [, , secret] of isText ? content.matchAll(NAMES) : []) heard.secrets.add(secret)
        const { 'content-length': __, 'transfer-encoding': ___, location, ...kept } = answer.headers
        response.writeHead(answer.statusCode, { ...kept, ...(location && { location: swap(location, other, own) }) }).end(content)
      })
    onward.on('error', () => response.destroy())
    onward.end(body)
  })
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  heard.url = `http://127.0.0.1:${server.address().port}`
  return heard
}

/** The demo's server on a free port, and all that it prints. */
async function start(t, amplitude) {
  const child = spawn(join(built, 'examples/demo'), ['--port', '0', '--amplitude', amplitude], { env: environment })
  const said = { text: '' }
  const listens = new Promise((found, failed) => {
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding('utf8').on('data', (chunk) => {
        said.text += chunk
        const address = /listening on (\S+)\n/.exec(said.text)
        if (address) found(address[1])
      })
    }
    child.on('error', failed)
    child.on('exit', () => failed(new Error(`the demo ended before it listened: ${said.text}`)))
  })
  t.after(() => child.kill())
  return { url: await listens, said, child }
}

/** A browser of few words: keeps cookies by their paths, and all that it was shown. */
function visitor(url) {
  const jar = new Map()
  const shown = []
  const send = async (path, { method = 'GET', body, headers = {} } = {}) => {
    const cookies = [...jar].filter(([, it]) => path.startsWith(it.path)).map(([name, { value }]) => `${name}=${value}`)
    const answer = await fetch(new URL(path, url), {
      method, redirect: 'manual', body: body && JSON.stringify(body),
      headers: { ...(body && { 'content-type': 'application/json' }), ...(cookies.length && { cookie: cookies.join('; ') }), ...headers },
    })
    for (const text of answer.headers.getSetCookie()) {
      const [, name, value, path] = /^([^=]+)=([^;]*); Path=([^;]+); HttpOnly; SameSite=Lax(?:; Max-Age=\d+)?$/.exec(text)
      if (value) jar.set(name, { value, path })
      else jar.delete(name)
    }
    const content = await answer.text()
    shown.push(content, JSON.stringify([...answer.headers].filter(([name]) => name !== 'set-cookie')))
    return { status: answer.status, location: answer.headers.get('location'), body: content && JSON.parse(content) }
  }
  const post = (path, body = {}) => send(path, { method: 'POST', body })
  return { jar, shown, send, post, view: async () => (await send('/access')).body }
}

/** Says yes to these scopes, or no to all, in the person's place; the path and query where the browser is sent. */
async function consent(amplitude, url, scopes) {
  assert.equal((await fetch(url)).status, 200)
  const { requests } = await (await fetch(`${amplitude}/_emulator/oauth`)).json()
  assert.equal(requests.length, 1)
  const [{ request }] = requests
  const answer = await fetch(`${amplitude}/_emulator/oauth/approve`, {
    method: 'POST', redirect: 'manual', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ request, scopes }),
  })
  const { pathname, search } = new URL(answer.headers.get('location'))
  return pathname + search
}

async function granted(who, amplitude, asked = ALL, scopes = asked) {
  const { body: { url } } = await who.post('/access/ask', { scopes: asked })
  const back = await consent(amplitude, url, scopes)
  const { status, location } = await who.send(back)
  assert.deepEqual([status, location], [303, '/#access'], 'no code stays in the address')
  return back
}

const refused = ({ status, body }) => [status, body.error.kind]

test('a grant is used, refreshed and revoked, and no secret leaves the server', { timeout }, async (t) => {
  const it = await emulator(t, ...FLAGS)
  const heard = await overheard(t, it.url)
  const { url, said } = await start(t, heard.url)
  const who = visitor(url)
  await fetch(it.httpV2, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({
    api_key: KEY, events: ['a', 'a', 'b'].map((event_type) => ({ event_type, user_id: 'user-1' })) }) })
  assert.deepEqual((await who.view()).grant, null)
  const back = await granted(who, it.url, ALL, ['events:read', 'offline_access'])
  heard.secrets.add(new URLSearchParams(back.split('?')[1]).get('code'))

  const { note, grant, timeline } = await who.view()
  assert.match(note.text, /to less than Tidebook asked for: without cohorts:manage and projects:read/)
  assert.deepEqual(grant.scopes.filter((it) => it.granted).map((it) => it.scope), ['events:read', 'offline_access'])
  assert.deepEqual(timeline.map((it) => it.event), ['token_issued', ''])
  assert.deepEqual((await who.post('/access/events')).body, { total: 3, kinds: { a: 2, b: 1 }, unreadable: [] })
  const lacks = await who.post('/access/account')
  assert.deepEqual(refused(lacks), [403, 'unauthorized'])
  assert.equal(lacks.body.error.message, 'the token lacks scopes that this call needs: projects:read; ask the user for them')

  assert.equal((await who.post('/access/refresh')).status, 200)
  const { token } = (await who.view()).grant
  assert.equal(token.refreshes, 1)
  assert.notEqual(token.fingerprint, grant.token.fingerprint)
  assert.equal((await who.post('/access/revoke')).status, 200)
  const after = await who.view()
  assert.match(after.note.text, /^Revoked by the server.*opens nothing: .*revoked/)
  assert.equal(after.grant, null)
  assert.deepEqual(refused(await who.post('/access/events')), [409, 'no_consent'])

  // Two access tokens, two refresh tokens, the client's secret, what manages it (twice, if it was looked up), the code, and the project's.
  assert.ok(heard.secrets.size >= 7, `only ${heard.secrets.size} secrets were overheard`)
  const all = [...who.shown, said.text]
  assert.ok(all.some((text) => text.includes('listening on')))
  for (const secret of [...heard.secrets, SECRET]) {
    assert.ok(all.every((text) => !text.includes(secret)), 'a secret was told')
    assert.ok([...who.jar.values()].every(({ value }) => !value.includes(secret)), 'a secret is in a cookie')
  }
})

test('a denial, and what the server cannot grant, are told in words', { timeout }, async (t) => {
  const it = await emulator(t, ...FLAGS)
  const { url } = await start(t, it.url)
  const who = visitor(url)
  await granted(who, it.url, ['events:read'], [])
  const { note, grant } = await who.view()
  assert.deepEqual([note.tone, grant], ['bad', null])
  assert.match(note.text, /You denied access/)
  for (const scopes of [[], ['mcp:write'], ['events:read', 'mcp:write'], ['events:read', 'events:read']]) {
    assert.deepEqual(refused(await who.post('/access/ask', { scopes })), [400, 'invalid'], JSON.stringify(scopes))
  }
  // Without its scope nothing is sent; without offline access nothing renews the token.
  await granted(who, it.url, ['cohorts:manage'])
  assert.match((await who.post('/access/events')).body.error.message, /^the token lacks scopes that this call needs: events:read; /)
  assert.ok(!(await who.view()).timeline.some(({ event }) => event === 'bearer_used'))
  assert.match((await who.post('/access/refresh')).body.error.message, /no refresh token/)
  assert.equal((await who.view()).grant.token.refreshable, false)
})

test('only the answer that was asked for is taken, and once', { timeout }, async (t) => {
  const it = await emulator(t, ...FLAGS)
  const { url } = await start(t, it.url)
  const [who, other] = [visitor(url), visitor(url)]
  assert.equal((await who.send('/access/callback?code=x&state=y')).status, 303)
  assert.match((await who.view()).note.text, /does not know.*Ask again/)

  const { body } = await who.post('/access/ask', { scopes: ['events:read'] })
  const back = await consent(it.url, body.url, ['events:read'])
  // Somebody else's browser, a state of another request, none: the request goes on waiting.
  await other.send(back)
  assert.match((await other.view()).note.text, /does not know/)
  const code = new URLSearchParams(back.split('?')[1]).get('code')
  for (const wrong of [`code=${code}&state=x`, `code=${code}`, '']) {
    await who.send(`/access/callback?${wrong}`)
    assert.match((await who.view()).note.text, /not the answer to this request/, wrong)
  }
  assert.equal((await who.view()).grant, null)
  await who.send(back)
  assert.ok((await who.view()).grant.token)
  // Again, as from the browser's history: what was granted stays.
  await who.send(back)
  assert.match((await who.view()).note.text, /does not know/)
  assert.ok((await who.view()).grant.token)
})

test('pages of others can neither ask nor act, and a cookie of another server is told', { timeout }, async (t) => {
  const it = await emulator(t, ...FLAGS)
  const { url } = await start(t, it.url)
  const who = visitor(url)
  await granted(who, it.url)
  const { host } = new URL(url)
  for (const path of ['/access/ask', '/access/events', '/access/account', '/access/refresh', '/access/revoke']) {
    for (const headers of [{ origin: 'http://shop.example' }, { origin: 'null' }, { origin: it.url }, { origin: `https://${host}` },
      { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'cross-site' }]) {
      const answer = await fetch(url + path, { method: 'POST', headers: { ...headers, cookie: [...who.jar].map(([name, { value }]) => `${name}=${value}`).join('; ') } })
      assert.equal(answer.status, 403, `${path} ${JSON.stringify(headers)}`)
    }
    assert.equal((await fetch(url + path)).status, 405, path)
  }
  assert.ok((await who.view()).grant.token, 'nothing was done')
  const own = { method: 'POST', headers: { origin: url, 'sec-fetch-site': 'same-origin' } }
  assert.equal((await who.send('/access/events', own)).status, 200, 'its own page can')
  const stranger = await fetch(`${url}/access`, { headers: { cookie: `session-${new URL(url).port}=unknown` } })
  assert.deepEqual([(await stranger.json()).forgotten, (await who.view()).forgotten], [true, false])
})

test('an emulator that was started anew is asked anew, and one that is gone is named', { timeout }, async (t) => {
  const first = await emulator(t, ...FLAGS)
  const second = await emulator(t, ...FLAGS)
  const heard = await overheard(t, first.url)
  const { url } = await start(t, heard.url)
  const who = visitor(url)
  await granted(who, first.url)
  heard.target = second.url
  const { status, body } = await who.post('/access/events')
  assert.deepEqual([status, body.error.kind], [403, 'unauthorized'])
  assert.match(body.error.message, /refuses this client \(invalid_client\).*Was the emulator started anew\?/)
  assert.equal((await who.post('/access/revoke')).status, 200)
  assert.match((await who.view()).note.text, /^Forgotten here.*does not know this application/)
  await granted(who, second.url)
  assert.equal((await who.post('/access/events')).status, 200)
  const registered = async (it) => (await (await fetch(`${it.url}/_emulator/oauth`)).json()).counts.registered
  await granted(who, second.url)
  assert.deepEqual([await registered(first), await registered(second)], [1, 1], 'who is known is not registered again')
  const { grants } = await (await fetch(`${second.url}/_emulator/oauth`)).json()
  assert.deepEqual(grants.map(({ ended }) => Boolean(ended)), [true, false], 'a newer consent takes the older one’s place')
  heard.down = true
  const gone = await who.post('/access/ask', { scopes: ['events:read'] })
  assert.equal(gone.status, 502)
  assert.match(gone.body.error.message, /discovery: no answer for now/)
})
