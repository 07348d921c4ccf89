// SPDX-License-Identifier: Apache-2.0
//
// Two OAuth servers on loopback for the tests: oauth2-mock-server (JWT access tokens) and oidc-provider
// (opaque ones, checked by introspection; RFC 7523, device flow, authorization code with PKCE, refresh with
// rotation).
//
//     node oauth_server.mjs SETTINGS.json
//
// SETTINGS: {"mock_port", "oidc_port", "control_port", "folder", "client_key", "service_key"}: public keys
// in PEM. The mock server's public key goes to folder/keys/default/RS256/<kid>, Dovecot's key dictionary.
// The control port answers POST /<command> with JSON; "ready" on standard output says that all listen.
// Names and secrets in here are dummies.
import fs from 'node:fs';
import http from 'node:http';
import { createPublicKey } from 'node:crypto';
import { OAuth2Server } from 'oauth2-mock-server';
import Provider from 'oidc-provider';
import * as jose from 'jose';

const settings = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const MOCK = `http://127.0.0.1:${settings.mock_port}`;
const OIDC = `http://127.0.0.1:${settings.oidc_port}`;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';

// What the control port changes and tells.
const state = {
  fail: null, // {status, body}: both token endpoints answer this
  lifetime: 3600, // of access tokens
  delay_ms: 0, // before oidc-provider's answers
  waiting: 0, // requests that are being delayed
  requests: [], // of both token endpoints: {grant_type, client_id, assertion?}
  refresh_tokens: [], // issued by oidc-provider, as those below
  access_tokens: [],
  user: 'alice', // who sits at the browser, and what he answers:
  declines: false,
};

const seen = (body) => state.requests.push(Object.fromEntries(
  Object.entries(body ?? {}).filter(([name]) => !/secret|token$/.test(name))));

async function delay() {
  if (!state.delay_ms) return;
  state.waiting += 1;
  await new Promise((done) => setTimeout(done, state.delay_ms));
}

// ---- oauth2-mock-server -----------------------------------------------------------------------

const mock = new OAuth2Server();
const key = await mock.issuer.keys.generate('RS256');
await mock.start(settings.mock_port, '127.0.0.1');
mock.service.on('beforeTokenSigning', (token, request) => {
  seen(request.body);
  token.payload.iss = MOCK;
  token.payload.sub = token.payload.sub ?? 'application';
  token.payload.email = request.body.login_hint ?? 'alice';
  token.payload.exp = Math.floor(Date.now() / 1000) + state.lifetime;
});
mock.service.on('beforeResponse', (response) => {
  if (state.fail) {
    response.statusCode = state.fail.status;
    response.body = state.fail.body;
  } else if (response.body) {
    response.body.expires_in = state.lifetime;
  }
});
const publicKey = await jose.importJWK({ kty: key.kty, n: key.n, e: key.e, alg: 'RS256' }, 'RS256',
                                       { extractable: true });
fs.mkdirSync(`${settings.folder}/keys/default/RS256`, { recursive: true });
fs.writeFileSync(`${settings.folder}/keys/default/RS256/${key.kid}`, await jose.exportSPKI(publicKey));

// ---- oidc-provider ----------------------------------------------------------------------------

const clientKey = createPublicKey(settings.client_key).export({ format: 'jwk' });
const serviceKey = createPublicKey(settings.service_key);
const base = { redirect_uris: [], response_types: [] };
const provider = new Provider(OIDC, {
  clients: [
    { ...base, client_id: 'app', client_secret: 'app-test-only',
      token_endpoint_auth_method: 'client_secret_post',
      grant_types: ['client_credentials', 'refresh_token', JWT_BEARER, DEVICE_CODE] },
    { client_id: 'native', application_type: 'native', token_endpoint_auth_method: 'none',
      redirect_uris: ['http://127.0.0.1', 'https://holdfast.test/consent'], response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'] },
    { ...base, client_id: 'certified', token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ ...clientKey, use: 'sig', alg: 'RS256' }] }, grant_types: ['client_credentials'] },
    { ...base, client_id: 'dovecot', client_secret: 'dovecot-test-only', grant_types: [] },
  ],
  scopes: ['openid', 'offline_access', 'mail'],
  ttl: { AccessToken: () => state.lifetime, ClientCredentials: () => state.lifetime },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: async () => true },
    deviceFlow: { enabled: true },
    devInteractions: { enabled: false },
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  rotateRefreshToken: true,
  enabledJWA: { clientAuthSigningAlgValues: ['RS256'] },
  extraTokenClaims: async (ctx, token) => ({ email: token.accountId ?? ctx?.oidc?.body?.login_hint ?? 'alice' }),
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, email: id }) }),
});

provider.registerGrantType(JWT_BEARER, async (ctx) => {
  const invalid = (text) => { ctx.status = 400; ctx.body = { error: 'invalid_grant', error_description: text }; };
  let payload;
  try {
    ({ payload } = await jose.jwtVerify(ctx.oidc.params.assertion, serviceKey, {
      audience: `${OIDC}/token`, issuer: 'holdfast@project.test', maxTokenAge: '1h' }));
  } catch (error) {
    return invalid(error.message);
  }
  if (payload.sub === 'suspended') return invalid('the user is suspended');
  const grant = new provider.Grant({ accountId: payload.sub, clientId: 'app' });
  grant.addOIDCScope('mail');
  const token = new provider.AccessToken({ accountId: payload.sub, client: ctx.oidc.client, gty: 'jwt-bearer',
    scope: payload.scope, grantId: await grant.save() });
  token.extra = { email: payload.sub };
  ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: state.lifetime };
}, ['assertion']);

// The page at which a human logs in and consents: it does so by itself.
async function interact(ctx) {
  const { prompt, params } = await provider.interactionDetails(ctx.req, ctx.res);
  let result = { login: { accountId: state.user } };
  if (state.declines) {
    result = { error: 'access_denied', error_description: 'declined' };
  } else if (prompt.name === 'consent') {
    const grant = new provider.Grant({ accountId: state.user, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    result = { consent: { grantId: await grant.save() } };
  }
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: !state.declines });
}

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/interaction/')) return interact(ctx);
  if (ctx.path === '/token') await delay();
  if (ctx.path === '/token' && state.fail) {
    seen({ grant_type: 'failed' });
    ctx.status = state.fail.status;
    ctx.body = state.fail.body;
    return undefined;
  }
  await next();
  if (ctx.path === '/device/auth' && ctx.body?.device_code) ctx.body.interval = 1;
  if (ctx.path !== '/token') return undefined;
  seen(ctx.oidc?.body);
  if (ctx.body?.refresh_token) state.refresh_tokens.push(ctx.body.refresh_token);
  if (ctx.body?.access_token) state.access_tokens.push(ctx.body.access_token);
  return undefined;
});
provider.on('server_error', (ctx, error) => console.error('server_error', error.stack));
provider.listen(settings.oidc_port, '127.0.0.1');

// What a human would do in a browser.
async function consent({ user_code, user, declines }) {
  const code = await provider.DeviceCode.findByUserCode(user_code.replace(/[^A-Z0-9]/g, ''),
                                                        { ignoreExpiration: true });
  if (!code) return { found: false };
  if (declines) {
    Object.assign(code, { error: 'access_denied', errorDescription: 'declined' });
  } else {
    const scope = 'openid offline_access';
    const grant = new provider.Grant({ accountId: user, clientId: 'app' });
    grant.addOIDCScope(scope);
    Object.assign(code, { accountId: user, grantId: await grant.save(), scope, claims: {}, sessionUid: 'x',
      acr: '0', authTime: Math.floor(Date.now() / 1000) });
  }
  await code.save(600);
  return { found: true };
}

// The grace that some issuers give: the refresh token before the latest one is good once more.
async function grace() {
  const token = await provider.RefreshToken.find(state.refresh_tokens.at(-2));
  delete token.consumed;
  await token.save(600);
  return {};
}

// The opaque access tokens that were issued so far end now.
async function revoke() {
  let revoked = 0;
  for (const token of state.access_tokens.splice(0)) {
    const found = await provider.AccessToken.find(token) ?? await provider.ClientCredentials.find(token);
    if (found) {
      await found.destroy();
      revoked += 1;
    }
  }
  return { revoked };
}

// ---- control ----------------------------------------------------------------------------------

const commands = {
  set: async (body) => Object.assign(state, body),
  state: async () => state,
  forget: async () => Object.assign(state, { fail: null, lifetime: 3600, delay_ms: 0, waiting: 0,
    requests: [], declines: false }),
  consent,
  grace,
  revoke,
};

http.createServer(async (request, response) => {
  let text = '';
  for await (const piece of request) text += piece;
  try {
    const answer = await commands[request.url.slice(1)](JSON.parse(text || '{}'));
    response.end(JSON.stringify(answer));
  } catch (error) {
    response.statusCode = 500;
    response.end(JSON.stringify({ error: error.stack }));
  }
}).listen(settings.control_port, '127.0.0.1', () => console.log('ready'));
