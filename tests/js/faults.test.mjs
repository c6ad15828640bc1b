// What `make faults` does at length, in short: the books of its server, and this crate's client through one fault.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { faultServer } from '../../scripts/faults-server.mjs'
import { ours, run } from '../../scripts/faults.mjs'
import { built, until } from './support.mjs'

const timeout = 60_000

test('the fault server counts what came, what it took and what came again', { timeout }, async (t) => {
  const server = await faultServer()
  t.after(() => server.end())
  const post = async (...ids) => {
    const body = JSON.stringify({ events: ids.map((insert_id) => ({ insert_id })) })
    const answer = await fetch(server.url, { method: 'POST', body })
    return [answer.status, await answer.text()]
  }
  const [status, body] = await post('a', 'b')
  assert.deepEqual([status, JSON.parse(body).events_ingested], [200, 2])

  await server.fail('captive portal')
  assert.match((await post('c')).join(), /^200,<html>/)
  await server.fail('outage')
  assert.equal((await post('c'))[0], 503)
  await server.fail('broken connections')
  await assert.rejects(post('c'))
  await server.fail('lost answers')
  await assert.rejects(post('d'))
  await server.fail('hung server')
  const hung = post('c')
  hung.catch(() => {})
  await until('the request that hangs', () => server.books.requests === 6)
  await server.fail('connection refused')
  // The port is closed, and so is what was open.
  await assert.rejects(hung)
  await assert.rejects(post('c'))
  await server.heal()
  await post('d', 'a', 'e')

  const { requests, sent, taken, repeated } = server.books
  assert.deepEqual({ requests, sent, taken: [...taken], repeated }, { requests: 7, sent: 10, taken: ['a', 'b', 'd', 'e'], repeated: 2 })
})

test('in a brown-out three of ten requests fail, half of them after their events were taken, the same ones each time', { timeout }, async (t) => {
  const answers = async () => {
    const server = await faultServer({ seed: 7 })
    t.after(() => server.end())
    await server.fail('brown-out')
    const statuses = []
    for (let n = 0; n < 100; n += 1) {
      const { status } = await fetch(server.url, { method: 'POST', body: JSON.stringify({ events: [{ insert_id: n }] }) })
      statuses.push(status)
    }
    assert.equal(server.books.taken.size, statuses.filter((status) => status !== 503).length)
    return statuses
  }
  const first = await answers()
  const count = (wanted) => first.filter((status) => status === wanted).length
  assert.ok(count(200) > 60 && count(200) < 80 && count(502) > 7 && count(503) > 7, first.join())
  assert.deepEqual(await answers(), first)
})

const short = { events: 300, before: 0.5, seconds: 2, after: 0.5, wait: 30 }

test('this crate loses nothing of what it was tracking while answers were lost', { timeout }, async () => {
  const counted = await run(ours(join(built, 'examples/load')), { ...short, fault: 'lost answers' })
  const { tracked, delivered, lost, told } = counted
  assert.deepEqual({ tracked, delivered, lost, told }, { tracked: 300, delivered: 300, lost: 0, told: 300 })
  // It met the fault, and nothing came again but what had been taken without an answer.
  assert.ok(counted.repeated > 0, JSON.stringify(counted))
  assert.equal(counted.sent, counted.delivered + counted.repeated)
})

// A client that tries once and believes that all is well.
const CARELESS = `
  const { appendFileSync } = require('node:fs')
  const { N, URL, RATE, IDS } = process.env
  const all = Array.from({ length: Number(N) }, (_, n) => new Promise((done) => setTimeout(async () => {
    appendFileSync(IDS, 'e' + n + '\\n')
    await fetch(URL, { method: 'POST', body: JSON.stringify({ events: [{ insert_id: 'e' + n }] }) }).catch(() => {})
    done()
  }, n / RATE * 1000)))
  Promise.all(all).then(() => { console.log(JSON.stringify({ delivered: Number(N) })) })`

test('a client that loses events is found out, and one that fails is told', { timeout }, async () => {
  const careless = { title: 'careless', command: [process.execPath, '-e', CARELESS], env: {} }
  const { delivered, lost, told } = await run(careless, { ...short, events: 30, fault: 'captive portal' })
  assert.ok(lost > 10 && delivered + lost === 30 && told === 30, `${lost} of 30 were lost`)

  const failing = { title: 'failing', command: [process.execPath, '-e', 'process.exit(3)'], env: {} }
  await assert.rejects(run(failing, { ...short, seconds: 600, fault: 'outage' }), /ended with 3/)
})
