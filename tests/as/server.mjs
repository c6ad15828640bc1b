// An authorization server for the tests: oidc-provider on loopback, over TLS, with a user who consents without a browser.
//
// The first line on its input is JSON: { cert, key } as PEM, and `pushed` where it takes no other authorization requests. The first line that it prints is { issuer, pid }. It ends when its input does, so
// that none outlives its test.
//
// A client may be registered with `access_token_seconds`. `login_hint` says what the user does: `deny`, or `narrow` (no scope that ends in
// `:write`); without it, all is granted. Beside the protocol:
//   GET  /_test/counts?client_id=ID             how often what happened, e.g. {"grant.success:refresh_token": 1}
//   POST /_test/secret?client_id=ID&secret=NEW  gives the client another secret
//
// What passes is written to the file that AMPLITUDE_TEST_EXCHANGES names, an object a line, for the test that looks for it where it may not be.

import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { createInterface } from 'node:readline'

import Provider from 'oidc-provider'

// What oidc-provider advises for production it says here, partly on the output that nobody reads after the first line.
console.info = console.warn = console.log = () => {}

const lines = createInterface({ input: process.stdin })
lines.on('close', () => process.exit(0))
const [settings] = await once(lines, 'line')
const { cert, key, pushed } = JSON.parse(settings)

const server = createServer({ cert, key, minVersion: 'TLSv1.3' })
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const issuer = `https://127.0.0.1:${server.address().port}`

const seconds = (_ctx, _token, client) => client.access_token_seconds ?? 3600
const provider = new Provider(issuer, {
  // Its tokens are for one resource; without one, for the server itself.
  scopes: ['openid', 'offline_access', 'mcp:read', 'mcp:write'],
  clientAuthMethods: ['none', 'client_secret_post', 'client_secret_basic'],
  clockTolerance: 0,
  conformIdTokenClaims: false,
  cookies: { keys: ['the cookies of a test need no secret'] },
  extraClientMetadata: { properties: ['access_token_seconds'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: pushed },
    registration: { enabled: true },
    registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({ scope: 'mcp:read mcp:write', accessTokenTTL: 3600 }),
    },
    revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
  },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_ctx, interaction) => `/_test/consent/${interaction.uid}` },
  issueRefreshToken: (_ctx, client, token) => client.grantTypeAllowed('refresh_token') && token.scopes.has('offline_access'),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: seconds, ClientCredentials: seconds, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400 },
})

const counts = new Map()
const count = (name) => (ctx) => {
  const of = counts.get(ctx.oidc?.client?.clientId) ?? {}
  const grant = ctx.oidc?.params?.grant_type
  const key = grant ? `${name}:${grant}` : name
  of[key] = (of[key] ?? 0) + 1
  counts.set(ctx.oidc?.client?.clientId, of)
}
const events = ['authorization.success', 'authorization.error', 'grant.success', 'grant.error', 'grant.revoked', 'revocation.error']
for (const event of events) provider.on(event, count(event))

const file = process.env.AMPLITUDE_TEST_EXCHANGES
const passed = (what) => file && appendFileSync(file, `${JSON.stringify(what)}\n`)
provider.use(async (ctx, next) => {
  try {
    await next()
  } finally {
    const location = ctx.response.get('location')
    passed({
      url: ctx.req.url,
      agent: ctx.get('user-agent'),
      authorization: ctx.get('authorization'),
      request: [ctx.query, ctx.oidc?.body],
      redirect: location && Object.fromEntries(new URL(location, issuer).searchParams),
      answer: typeof ctx.body === 'object' ? ctx.body : undefined,
    })
  }
})

// What a user does, page after page, in one step.
async function consent(req, res) {
  const { params, session, prompt, grantId } = await provider.interactionDetails(req, res)
  if (params.login_hint === 'deny') {
    return provider.interactionFinished(req, res, { error: 'access_denied', error_description: 'the user said no' })
  }
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: 'user' } })
  }
  const grant = (grantId && (await provider.Grant.find(grantId))) ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
  const given = (scope) => params.login_hint !== 'narrow' || !scope.endsWith(':write')
  const give = (scopes, add, refuse) => {
    for (const scope of scopes ?? []) (given(scope) ? add : refuse)(scope)
  }
  give(prompt.details.missingOIDCScope, (scope) => grant.addOIDCScope(scope), (scope) => grant.rejectOIDCScope(scope))
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    give(scopes, (scope) => grant.addResourceScope(resource, scope), (scope) => grant.rejectResourceScope(resource, scope))
  }
  return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
}

async function answer(req, res) {
  const { pathname, searchParams } = new URL(req.url, issuer)
  const id = searchParams.get('client_id')
  if (pathname.startsWith('/_test/consent/')) return consent(req, res)
  if (pathname === '/_test/secret') {
    const { adapter } = provider.Client
    passed({ url: pathname, client_secret: searchParams.get('secret') })
    await adapter.upsert(id, { ...(await adapter.find(id)), client_secret: searchParams.get('secret') })
  }
  res.setHeader('content-type', 'application/json')
  return res.end(JSON.stringify(counts.get(id) ?? {}))
}

const protocol = provider.callback()
server.on('request', (req, res) => {
  if (!req.url.startsWith('/_test/')) return protocol(req, res)
  return answer(req, res).catch((error) => {
    console.error(error)
    res.statusCode = 500
    res.end()
  })
})
process.stdout.write(`${JSON.stringify({ issuer, pid: process.pid })}\n`)
