import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aptConf, inheritedConfig, sourceStanza } from './aptconfig.js';
import { findMirrors, parseSources } from './sources.js';

const DEB822 = `# a comment
Types: deb deb-src
# between
URIs: http://mirror.test/debian
Suites: trixie trixie-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Enabled: no
Types: deb
URIs: http://old.test/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.test/debian-security
Suites: trixie-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
`;

const ONE_LINE = `# deb http://commented.test/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/node.gpg] https://node.test/node_20.x nodistro main
deb-src http://mirror.test/debian bookworm main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb [ signed-by=/k.gpg ] http://mirror.test/debian/ bookworm main non-free # trailing
deb http://security.test/debian-security bookworm-security main
`;

test('the deb822 format: stanzas, comments, disabled ones, keys over several lines', () => {
  const sources = parseSources('/etc/apt/sources.list.d/debian.sources', DEB822);
  assert.equal(sources.length, 2);
  const mirrors = findMirrors(sources);
  assert.deepEqual(mirrors?.debian, {
    uri: 'http://mirror.test/debian',
    signedBy: '/usr/share/keyrings/debian-archive-keyring.pgp',
  });
  assert.equal(mirrors.security?.uri, 'http://mirror.test/debian-security');
  assert.match(mirrors.security.signedBy ?? '', /^\n -----BEGIN PGP[^]*abc\n -----END/);
  assert.match(sourceStanza(mirrors.security, 'trixie-security', undefined), /Signed-By: \n -----BEGIN/);
});

test('the one-line format: options, comments, CDs', () => {
  assert.deepEqual(findMirrors(parseSources('/etc/apt/sources.list', ONE_LINE)), {
    debian: { uri: 'http://mirror.test/debian/', signedBy: '/k.gpg' },
    security: { uri: 'http://security.test/debian-security' },
  });
});

test('a list of mirrors in a file is a mirror too', () => {
  const text =
    'Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm bookworm-updates\nComponents: main\n';
  assert.equal(findMirrors(parseSources('x.sources', text))?.debian.uri, 'mirror+file:///etc/apt/mirrors/debian.list');
});

test('another distribution has no mirror of Debian', () => {
  const ubuntu =
    'deb http://archive.test/ubuntu jammy main restricted\ndeb http://archive.test/ubuntu jammy-security main\n';
  assert.equal(findMirrors(parseSources('/etc/apt/sources.list', ubuntu)), undefined);
  assert.equal(findMirrors([]), undefined);
});

test('how to reach mirrors is taken over from the machine; what weakens signatures is not', () => {
  const dump = `APT::Architecture "amd64";
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.test:3128";
Acquire::https::Verify-Peer "false";
Acquire::AllowInsecureRepositories "1";
Acquire::http::AllowRedirect "true";
Acquire::Check-Valid-Until "false";
Acquire::Languages "de";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
DPkg::Post-Invoke:: "rm -rf /";
`;
  assert.deepEqual(inheritedConfig(dump), [
    'Acquire::http "";',
    'Acquire::http::Proxy "http://proxy.test:3128";',
    'Acquire::Check-Valid-Until "false";',
  ]);
  const conf = aptConf('/c/apt', ['Acquire::http::Proxy "x";']);
  assert.match(conf, /^Dir "\/c\/apt\/";\n/);
  assert.match(conf, /APT::Architecture "riscv64";/);
  assert.match(conf, /Proxy "x";\n$/);
});

test('a source names our architecture, and a key wherever there is one', () => {
  assert.equal(
    sourceStanza({ uri: 'http://m/debian' }, 'trixie', '/key.gpg'),
    'Types: deb\nURIs: http://m/debian\nSuites: trixie\nComponents: main\nArchitectures: riscv64\nSigned-By: /key.gpg\n',
  );
  assert.doesNotMatch(sourceStanza({ uri: 'http://m/debian' }, 'trixie', undefined), /Signed-By/);
});
