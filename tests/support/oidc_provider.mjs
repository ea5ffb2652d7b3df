// A real provider of SSO for tests: the package oidc-provider of `make peers`, with its own development pages.
// node oidc_provider.mjs MODULES ISSUER CLIENT SECRET, the issuer naming the port of loopback to listen on.
import { pathToFileURL } from 'node:url';

const [, , modules, issuer, client, secret] = process.argv;
const loaded = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));
const Provider = loaded.Provider ?? loaded.default;
const groups = { nora: ['floor-operators'], olaf: [] };

const provider = new Provider(issuer, {
  clients: [{
    client_id: client,
    client_secret: secret,
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
    redirect_uris: [],
    response_types: [],
  }],
  claims: { openid: ['sub'], profile: ['preferred_username', 'groups'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['only-for-tests'] },
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: true } },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: `subject-of-${id}`, preferred_username: id, groups: groups[id] ?? [] }),
  }),
});

const server = provider.listen(Number(new URL(issuer).port), '127.0.0.1', () => console.log('listening'));
process.stdin.resume().on('end', () => { server.close(); process.exit(0); });
