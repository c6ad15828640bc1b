// The installed package on a bare page in Chromium, through a relative URL: what arrives, what is refused, what is left to the next page.

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { KEY, application, emulator, installed, launch, names, open, serve, until, wire } from './support.mjs'

const timeout = 60_000

const dir = application({ after })
const browser = await launch({ after })
const site = await serve({ after }, {
  '/shop/page.html': '<!doctype html><title>shop</title><script type="module">window.api = await import("./vendor/index.js")</script>',
  '/shop/vendor/': installed(dir),
})
const PAGE = `${site}/shop/page.html`

/** A page that has imported the package and done nothing with it. */
async function shop(t) {
  const page = await open(t, browser, PAGE)
  await page.waitForFunction(() => window.api)
  return page
}

/** Loads the page anew, or comes back to it. */
async function again(page) {
  await page.goto(`${PAGE}?again`)
  await page.waitForFunction(() => window.api)
}

test('a page delivers what each call makes', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const seen = await page.evaluate(async ([key, serverUrl]) => {
    const steps = []
    const started = await api.init(key, { serverUrl, onProgress: (step) => steps.push(step.type) })
    const calls = [
      api.track('Product Purchased', { product_id: 'sku456', price: 29.99 }, { user_id: 'user123', insert_id: 'purchased' }),
      api.track({ event_type: 'Item Added to Cart', user_id: 'user456', insert_id: 'added', event_properties: { item_name: 'Laptop ü 𝄞' } }),
      api.setUserId('user-0001'),
      api.identify(new api.Identify().set('plan', 'pro').add('logins', 1)),
      api.groupIdentify('org', 'acme', { $set: { plan: 'gold' } }),
      api.setGroup('org', ['acme', 'other']),
      api.revenue({ price: 4.99, quantity: 2, productId: 'sku-1', properties: { coupon: 'x' } }),
    ]
    const report = await api.flush()
    const outcomes = await Promise.all(calls)
    return { started, report, outcomes, steps, device: api.getDeviceId(), user: api.getUserId(), session: api.getSessionId() }
  }, [KEY, it.httpV2])
  const delivered = { status: 'delivered' }
  assert.deepEqual(seen.outcomes, [delivered, delivered, undefined, delivered, delivered, delivered, delivered])
  assert.deepEqual(seen.report, { delivered: 6, rejected: 0, dropped: 0, unknown: 0, pending: 0 })
  assert.ok(['queued', 'sending', 'settled'].every((step) => seen.steps.includes(step)), String(seen.steps))
  const events = await it.events()
  const find = (type) => events.find(({ event_type }) => event_type === type)
  assert.deepEqual(find('Product Purchased').event_properties, { product_id: 'sku456', price: 29.99 })
  assert.deepEqual(find('Item Added to Cart').event_properties, { item_name: 'Laptop ü 𝄞' })
  assert.deepEqual(names(events).slice(0, 2), ['purchased', 'added'])
  assert.deepEqual(find('revenue_amount').event_properties, { $price: 4.99, $quantity: 2, $productId: 'sku-1', coupon: 'x' })
  assert.deepEqual(events.map(({ user_id }) => user_id), ['user123', 'user456', ...Array(4).fill('user-0001')])
  assert.ok(events.every((event) => event.device_id === seen.device && event.session_id === seen.session && event.platform === 'Web'))
  const { users, groups } = await it.people()
  assert.deepEqual(users.find(({ user_id }) => user_id === seen.user).user_properties, { plan: 'pro', logins: 1, org: ['acme', 'other'] })
  assert.deepEqual(groups, [{ group_type: 'org', group_value: 'acme', group_properties: { plan: 'gold' } }])
})

test('calls before init keep their arguments, their time and their order', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const seen = await page.evaluate(async ([key, serverUrl]) => {
    const properties = { price: 1, tags: ['a'] }
    const began = Date.now()
    const calls = [api.track('first', properties)]
    properties.price = 2
    properties.tags.push('b')
    api.setUserId('user-0001')
    calls.push(api.track('second', properties), api.identify(new api.Identify().set('plan', 'pro')), api.revenue({ price: 1 }))
    const flushed = api.flush()
    api.setUserId('user-0002')
    calls.push(api.track('third'))
    const ended = Date.now()
    // Whoever took the time of `init` would take a later one.
    await new Promise((done) => setTimeout(done, 50))
    api.init(key, { serverUrl })
    calls.push(api.track('fourth'))
    const report = await flushed
    await api.flush()
    return { began, ended, report, outcomes: await Promise.all(calls) }
  }, [KEY, it.httpV2])
  assert.deepEqual(seen.outcomes, Array(6).fill({ status: 'delivered' }))
  assert.equal(seen.report.delivered, 4, 'the early flush covers what was tracked before it')
  const events = await it.events()
  assert.deepEqual(events.map(({ event_type, user_id }) => [event_type, user_id]), [
    ['first', undefined], ['second', 'user-0001'], ['$identify', 'user-0001'], ['revenue_amount', 'user-0001'],
    ['third', 'user-0002'], ['fourth', 'user-0002'],
  ])
  assert.deepEqual([events[0].event_properties, events[1].event_properties], [{ price: 1, tags: ['a'] }, { price: 2, tags: ['a', 'b'] }])
  for (const { event_type, time } of events.slice(0, 5)) assert.ok(time >= seen.began && time <= seen.ended, `${event_type}: ${time}`)
  assert.ok(events[5].time >= seen.ended + 50)
})

/** How a call fails on the page; runs there. */
const failure = (call) =>
  `(async () => {
    try {
      await (${call})
    } catch (error) {
      return [error instanceof Error && error instanceof api.AmplitudeError, error.name, error.kind, error.retryable, error.message]
    }
  })()`

test('what is wrong is refused with an Error that names it', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const refused = async (call, message) => {
    const [isError, name, kind, retryable, text] = await page.evaluate(failure(call)).then((told) => told ?? assert.fail(`${call}: was taken`))
    assert.deepEqual([isError, name, kind, retryable], [true, 'AmplitudeError', 'invalid', false], call)
    assert.match(text, message, call)
  }
  const early = [
    ['api.track("a", { value: NaN })', /value is NaN/],
    ['api.track("a", { value: Infinity })', /value is Infinity/],
    ['api.track("a", { value: 1n })', /value is BigInt/],
    ['api.track("a", { deep: { value: undefined } })', /value is Undefined/],
    ['api.track("a", { value: [undefined] })', /Undefined/],
    ['api.track("a", { value: () => 1 })', /value is Function/],
    ['api.track("a", { value: Symbol("x") })', /value is Symbol/],
    ['api.track("a", { value: new Map() })', /value is Map/],
    ['api.track("a", { value: new Set() })', /value is Set/],
    ['api.track("a", { value: new Date(NaN) })', /value is Date/],
    ['api.track("a", { value: new Number(NaN) })', /value is NaN/],
    ['api.track("a", { value: { toJSON: () => Infinity } })', /value is Infinity/],
    ['api.track("a", { value: { toJSON() {} } })', /value is Undefined/],
    ['api.track("a", { value: new Error("of the page") })', /value is Error/],
    ['api.track("a", { value: Promise.resolve(1) })', /value is Promise/],
    ['api.track("a", { value: /x/ })', /value is RegExp/],
    ['api.track("a", { value: new Uint8Array(1) })', /value is Uint8Array/],
    ['(() => { const it = {}; it.self = it; return api.track("a", it) })()', /track: .*circular/i],
    ['(() => api.track("a", { get value() { throw new Error("of the page") } }))()', /of the page/],
  ]
  for (const [call, message] of early) await refused(call, message)
  for (const call of ['api.init()', 'api.init(5)', 'api.init("")', 'api.init("with space")', 'api.init(null)']) await refused(call, /key/)
  await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl }), [KEY, it.httpV2])
  const late = [
    ...early,
    ['api.track()', /track: /],
    ['api.track("")', /event_type/],
    ['api.track(5)', /track: /],
    ['api.track({ user_id: "user-1" })', /event_type/],
    ['api.track("a", { x: 1 }, { price: "five" })', /^price: must be a number/],
    ['api.track("a", {}, { user_id: "abc" })', /^user_id: .*5/],
    ['api.track("a", {}, { device_id: "unknown" })', /^device_id: /],
    ['api.track("a", {}, { time: 1.5 })', /^time: /],
    ['api.track("a", "text")', /^event_properties: /],
    ['api.track("a", 0)', /^event_properties: /],
    ['api.track("a", "")', /^event_properties: /],
    ['api.track("a", Array(50).fill().reduce((inner) => ({ inner }), {}))', /^event_properties.*40/],
    ['api.identify({ $set: 1 })', /user_properties/],
    ['api.groupIdentify(5, "a", {})', /group type/],
    ['api.revenue({})', /^revenue: /],
    ['api.revenue({ price: "5" })', /^revenue.price: must be a number/],
    ['api.revenue({ price: 1, sum: 1 })', /^revenue.sum: /],
    ['api.setUserId(5)', /must be a string/],
    ['api.setUserId("abc")', /user_id/],
    ['api.setDeviceId()', /must be a string/],
    ['api.flush(NaN)', /deadline/],
    ['api.init("another-key")', /another key/],
  ]
  for (const [call, message] of late) await refused(call, message)
  assert.deepEqual(await page.evaluate(() => api.track('good', { value: new Date(0), none: null })), { status: 'delivered' })
  const events = await it.events()
  assert.deepEqual(events.map(({ event_properties }) => event_properties), [{ value: '1970-01-01T00:00:00.000Z', none: null }])
})

test('whatever else authorises is refused by its name, before anything is loaded', { timeout }, async (t) => {
  const page = await shop(t)
  const loaded = []
  page.on('request', (request) => loaded.push(request.url()))
  for (const name of [
    'secretKey', 'secret_key', 'SECRET', 'apiSecret', 'clientSecret', 'accessToken', 'refresh_token', 'password', 'passwd', 'credentials',
    'authorization', 'oauth', 'authToken',
  ]) {
    const told = await page.evaluate(failure(`api.init(${JSON.stringify(KEY)}, { region: 'eu', ${name}: 'sentinel' })`))
    assert.deepEqual(told?.slice(0, 4), [true, 'AmplitudeError', 'invalid', false], name)
    assert.match(told[4], new RegExp(`^init: ${name} is refused: a page is public; keep it on a server`))
    assert.doesNotMatch(told[4], /sentinel/)
  }
  assert.deepEqual(loaded, [])
})

test('a misspelt or wrong option is refused by its name', { timeout }, async (t) => {
  const page = await shop(t)
  for (const [option, message] of [
    ['flushInterval: 5', /^options.flushInterval: is no option/],
    ['flushIntervalMs: -1', /^options.flushIntervalMs: must be/],
    ['flushIntervalMs: NaN', /^options.flushIntervalMs: must be/],
    ['flushAt: 0', /^options.flushAt: must be/],
    ['flushAt: "5"', /^options.flushAt: must be/],
    ['region: "mars"', /^options.region: must be/],
    ['serverUrl: "http://shop.example/"', /^options.serverUrl: must be https/],
    ['serverUrl: "http://127.shop.example/"', /^options.serverUrl: must be https/],
    ['serverUrl: "https://:word@shop.example/"', /^options.serverUrl: must not hold a user name/],
    ['serverUrl: "http://["', /^options.serverUrl: /],
    ['userId: 5', /^options.userId: must be/],
    ['userId: "abc"', /user_id/],
    ['plugins: [5]', /^options.plugins: must be/],
    ['onProgress: "yes"', /^options.onProgress: must be/],
  ]) {
    const told = await page.evaluate(failure(`api.init(${JSON.stringify(KEY)}, { ${option} })`))
    assert.ok(told, `${option}: was taken`)
    assert.equal(told[0], true, option)
    assert.match(told[4], message, option)
  }
  await page.evaluate((key) => api.init(key, null), KEY)
})

test('when the rest cannot be loaded, init says so and may be called again', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const early = page.evaluate(() => api.track('early'))
  await page.route('**/*.wasm', (route) => route.abort())
  const told = await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl }).catch((error) => error instanceof Error), [KEY, it.httpV2])
  assert.equal(told, true)
  await page.unroute('**/*.wasm')
  await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl }), [KEY, it.httpV2])
  assert.deepEqual(await early, { status: 'delivered' })
})

test('what a page leaves is delivered by the next, once and as it was', { timeout }, async (t) => {
  const it = await emulator(t)
  const line = await wire(t, it.httpV2)
  line.how = 'down'
  const page = await shop(t)
  // One page leaves before `init`, one before the wasm is there, one before anything is delivered.
  const track = (name) => page.evaluate((name) => {
    api.track(name, { page: name }, { insert_id: name })
    return Date.now()
  }, name)
  const times = [await track('before-init')]
  await again(page)
  await page.route('**/*.wasm', () => {})
  await page.evaluate(([key, serverUrl]) => void api.init(key, { serverUrl }), [KEY, line.url])
  times.push(await track('before-the-wasm'))
  await page.unroute('**/*.wasm')
  await again(page)
  await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl }), [KEY, line.url])
  await page.waitForFunction(() => !Object.keys(localStorage).some((name) => name.includes(':left:')))
  times.push(await page.evaluate(async () => {
    const began = Date.now()
    await api.track('before-delivery', { page: 'before-delivery' }, { insert_id: 'before-delivery' }).stored
    return began
  }))
  await again(page)
  line.how = 'up'
  const device = await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl }).then(() => api.getDeviceId()), [KEY, line.url])
  await until('all three', async () => (await it.state()).accepted >= 3)
  await page.evaluate(() => api.flush())
  const events = Object.fromEntries((await it.events()).map((event) => [event.insert_id, event]))
  for (const [index, name] of ['before-init', 'before-the-wasm', 'before-delivery'].entries()) {
    assert.deepEqual([events[name].event_type, events[name].event_properties, events[name].device_id], [name, { page: name }, device])
    assert.ok(Math.abs(events[name].time - times[index]) < 1000, `${name}: it has the time of its call`)
  }
  const { accepted, duplicated } = await it.state()
  assert.deepEqual([accepted, duplicated], [3, 0])
  await again(page)
  await page.evaluate(async ([key, serverUrl]) => {
    await api.init(key, { serverUrl })
    await api.track('last')
  }, [KEY, line.url])
  const after = await it.state()
  assert.deepEqual([after.accepted, after.duplicated], [4, 0], 'what was delivered is left to nobody')
})

test('what a page tracks at its end, however late, is left to the next', { timeout }, async (t) => {
  const it = await emulator(t)
  const line = await wire(t, it.httpV2)
  line.how = 'down'
  const page = await shop(t)
  await page.evaluate(async ([key, serverUrl]) => {
    await api.init(key, { serverUrl })
    api.track('before')
    addEventListener('pagehide', () => api.track('at pagehide'))
    // A navigation hides the page after `pagehide`.
    document.addEventListener('visibilitychange', () => api.track('at visibilitychange'))
  }, [KEY, line.url])
  await again(page)
  line.how = 'up'
  await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl }), [KEY, line.url])
  await page.evaluate(() => api.flush())
  await until('all three', async () => (await it.state()).accepted === 3)
  assert.deepEqual((await it.events()).map(({ event_type }) => event_type), ['before', 'at pagehide', 'at visibilitychange'])
})

test('names that every object has are names like any other', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const sent = await page.evaluate(async ([key, serverUrl]) => {
    const calls = [api.track('early', JSON.parse('{"__proto__":{"a":1},"constructor":2}'))]
    await api.init(key, { serverUrl })
    calls.push(
      api.track('late', JSON.parse('{"__proto__":{"a":1},"constructor":2}')),
      api.identify(new api.Identify().set('__proto__', 'kept').set('constructor', 1)),
      api.setGroup('__proto__', 'group'),
    )
    return Promise.all(calls)
  }, [KEY, it.httpV2])
  assert.deepEqual(sent, Array(4).fill({ status: 'delivered' }))
  const [early, late, identify, group] = (await it.events()).map((event) => JSON.stringify(event.event_properties ?? event.user_properties))
  assert.deepEqual([early, late], Array(2).fill('{"__proto__":{"a":1},"constructor":2}'))
  assert.equal(identify, '{"$set":{"__proto__":"kept","constructor":1}}')
  assert.equal(group, '{"$set":{"__proto__":"group"}}')
})

test('an answer that a plugin makes anew keeps what the event is known by', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.fault({ kind: 'accept_then_hang_up' })
  const page = await shop(t)
  const outcomes = await page.evaluate(async ([key, serverUrl]) => {
    const plugins = [
      ({ event_type, device_id }) => ({ event_type, device_id, event_properties: { made: 'anew' } }),
      ({ event_type }) => {
        if (event_type === 'thrown') throw Symbol('no error')
      },
    ]
    await api.init(key, { serverUrl, plugins })
    return Promise.all([api.track('given', {}, { insert_id: 'given', time: 5 }), api.track('random'), api.track('thrown')])
  }, [KEY, it.httpV2])
  assert.deepEqual(outcomes, Array(3).fill({ status: 'delivered' }))
  const events = await it.events()
  assert.deepEqual(events.map(({ event_type, event_properties }) => [event_type, event_properties.made]), [
    ['given', 'anew'], ['random', 'anew'], ['thrown', 'anew'],
  ])
  assert.deepEqual([events[0].insert_id, events[0].time], ['given', 5])
  assert.ok(events.every(({ insert_id, time }) => insert_id && time))
  const { accepted, duplicated } = await it.state()
  assert.deepEqual([accepted, duplicated], [3, 3], 'the server knows again what is sent again')
})

test('an engine without AbortSignal.timeout delivers, and ends a request that nobody answers', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.fault({ kind: 'delay', ms: 600_000 })
  const page = await shop(t)
  const outcome = await page.evaluate(async ([key, serverUrl]) => {
    delete AbortSignal.timeout
    await api.init(key, { serverUrl, requestTimeoutMs: 200 })
    return api.track('old')
  }, [KEY, it.httpV2])
  assert.deepEqual(outcome, { status: 'delivered' })
})

test('what finds no room in the queue stays for a later page', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const big = { list: Array(5).fill('x'.repeat(1000)) }
  await page.evaluate((big) => ['one', 'two', 'three'].forEach((name) => void api.track(name, big)), big)
  const types = async () => (await it.events()).map(({ event_type }) => event_type)
  for (const expected of [['one'], ['one', 'two'], ['one', 'two', 'three']]) {
    await again(page)
    await page.evaluate(([key, serverUrl]) => api.init(key, { serverUrl, queueBytes: 8000 }).then(() => api.flush()), [KEY, it.httpV2])
    assert.deepEqual(await types(), expected)
  }
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage).filter((name) => name.includes(':left:'))), [])
})

test('what somebody else wrote into the storage spoils nothing', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  const seen = await page.evaluate(async ([key, serverUrl]) => {
    const future = Date.now() + 86_400_000
    localStorage.setItem(`amplitude-sdk:${key}`, JSON.stringify({ deviceId: 'kept-device', sessionId: 5, lastMs: future }))
    const left = ['null', '{', '[5]', '{"events":[null,{"event_type":"left","device_id":"device-1"}],"calls":[null]}',
      '{"events":[],"calls":[{"method":"track","args":"[\\"timeless\\"]","time":1e400},{"method":"constructor","args":"[]","time":1}]}']
    left.forEach((text, index) => localStorage.setItem(`amplitude-sdk:left:${key}:${index}`, text))
    await api.init(key, { serverUrl })
    const outcome = await api.track('own')
    await api.flush()
    return { outcome, device: api.getDeviceId(), kept: Object.keys(localStorage), fresh: Math.abs(api.getSessionId() - Date.now()) < 60_000 }
  }, [KEY, it.httpV2])
  assert.deepEqual(seen, { outcome: { status: 'delivered' }, device: 'kept-device', kept: [`amplitude-sdk:${KEY}`], fresh: true })
  assert.deepEqual((await it.events()).map(({ event_type }) => event_type), ['left', 'timeless', 'own'])
})

test('a page that comes back from the cache of the browser delivers by itself', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  await page.evaluate(async ([key, serverUrl]) => {
    await api.init(key, { serverUrl, flushIntervalMs: 60_000 })
    api.track('waits', {}, { insert_id: 'waits' })
    // As the browser tells a page that it freezes and wakes up again.
    dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))
    window.kept = Object.keys(localStorage).filter((name) => name.includes(':left:')).length
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))
    await api.flush()
  }, [KEY, it.httpV2])
  assert.equal(await page.evaluate(() => kept), 1)
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage).filter((name) => name.includes(':left:'))), [])
  assert.deepEqual(names(await it.events()), ['waits'])
})

test('what the emulator refuses is told to the call that made it, and costs no other', { timeout }, async (t) => {
  const it = await emulator(t)
  await it.silence('silenced-device')
  const page = await shop(t)
  const outcomes = await page.evaluate(async ([key, serverUrl]) => {
    await api.init(key, { serverUrl })
    const calls = [api.track('good-1'), api.track('bad', {}, { device_id: 'silenced-device' }), api.track('good-2')]
    await api.flush()
    return Promise.all(calls)
  }, [KEY, it.httpV2])
  assert.deepEqual(outcomes.map(({ status }) => status), ['delivered', 'rejected', 'delivered'])
  assert.match(outcomes[1].reason, /silenced/)
})

test('a captive portal, a broken connection and an outage lose nothing and send nothing twice', { timeout }, async (t) => {
  const it = await emulator(t)
  const page = await shop(t)
  for (const fault of [{ kind: 'html' }, { kind: 'hang_up' }, { kind: 'status', status: 503 }, { kind: 'accept_then_hang_up' }]) await it.fault(fault)
  const outcome = await page.evaluate(async ([key, serverUrl]) => {
    await api.init(key, { serverUrl, flushIntervalMs: 0 })
    return api.track('survivor')
  }, [KEY, it.httpV2])
  assert.deepEqual(outcome, { status: 'delivered' })
  const { accepted, duplicated } = await it.state()
  assert.deepEqual([accepted, duplicated], [1, 1])
})
