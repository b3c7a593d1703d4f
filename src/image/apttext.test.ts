import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  aptErrors,
  debName,
  parseCodenames,
  parseDownloadStatus,
  parseIndexFetch,
  parseMadison,
  parseOrder,
  parseShow,
  parseSimulation,
} from './apttext.js';

test('apt-cache show', () => {
  const [ssl, ...rest] = parseShow(`Package: libssl3t64
Source: openssl
Version: 3.5.7-1~deb13u3
Architecture: riscv64
Pre-Depends: dpkg (>= 1.17)
Depends: libc6 (>= 2.38), libzstd1 (>= 1.5.5) | libother, zlib1g:any (>= 1:1.1.4),
 libstdc++6
Provides: libssl (= 3.5)
Section: libs
Installed-Size: 6000
Size: 2238728
SHA256: 3d8ce2dd

`);
  assert.deepEqual(rest, []);
  assert.deepEqual(ssl, {
    name: 'libssl3t64',
    version: '3.5.7-1~deb13u3',
    architecture: 'riscv64',
    section: 'libs',
    depends: ['dpkg', 'libc6', 'libzstd1', 'libother', 'zlib1g', 'libstdc++6'],
    provides: ['libssl'],
    size: 2238728,
    installed: 6144000,
    essential: false,
    sha256: '3d8ce2dd',
  });
});

test('apt-get --simulate', () => {
  const text = `NOTE: This is only a simulation!
Inst gcc-14-base (14.2.0-19 Debian:13.7/stable [riscv64])
Inst libc6 [2.40-1] (2.41-12+deb13u4 Debian:13.7/stable [riscv64]) []
Conf libc6 (2.41-12+deb13u4 Debian:13.7/stable [riscv64])
`;
  assert.deepEqual(parseSimulation(text), [
    { name: 'gcc-14-base', version: '14.2.0-19' },
    { name: 'libc6', version: '2.41-12+deb13u4' },
  ]);
  assert.deepEqual(parseOrder(text), [
    { act: 'unpack', name: 'gcc-14-base' },
    { act: 'unpack', name: 'libc6' },
    { act: 'configure', name: 'libc6' },
  ]);
});

test('apt-cache policy and madison', () => {
  const policy = `Package files:
 100 /x/var/lib/dpkg/status
     release a=now
 500 http://m/security stable-security/main riscv64 Packages
     release v=13,o=Debian,a=stable-security,n=trixie-security,l=Debian-Security,c=main,b=riscv64
 100 http://m/debian stable-backports/main riscv64 Packages
     release o=Debian Backports,a=stable-backports,n=trixie-backports,l=Debian Backports,c=main,b=riscv64
`;
  assert.deepEqual([...parseCodenames(policy)], ['trixie-security', 'trixie-backports']);
  assert.deepEqual(
    parseMadison(
      'linux-image-riscv64 | 7.2.11-1~bpo13+1 | http://m/debian stable-backports/main riscv64 Packages\nlinux-image-riscv64 | 6.12.107-1 | http://m/debian trixie/main riscv64 Packages\n',
    ),
    [
      { version: '7.2.11-1~bpo13+1', suite: 'stable-backports' },
      { version: '6.12.107-1', suite: 'trixie' },
    ],
  );
});

test('status lines, file names, errors', () => {
  assert.equal(parseDownloadStatus('dlstatus:1:34.5:Retrieving file 1 of 1'), 0.345);
  assert.equal(parseDownloadStatus('Get:1 http://x'), undefined);
  assert.equal(
    parseIndexFetch('Get:6 http://deb.debian.org/debian trixie/main riscv64 Packages [9387 kB]'),
    'fetching the package index of trixie/main, 9387 kB',
  );
  assert.equal(parseIndexFetch('Get:2 http://deb.debian.org/debian trixie InRelease [43.4 kB]'), undefined);
  const record = {
    name: 'a',
    version: '5:8.0-1',
    architecture: 'riscv64',
    section: '',
    depends: [],
    provides: [],
    size: 1,
    installed: 1,
    essential: false,
    sha256: '',
  };
  assert.equal(debName(record), 'a_5%3a8.0-1_riscv64.deb');
  assert.equal(aptErrors('W: something\nE: one\n   Hashes\nE: two\n'), 'one; two');
  assert.equal(aptErrors('plain\n'), 'plain');
});
