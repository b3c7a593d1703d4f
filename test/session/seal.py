"""Sealed sessions, a second time: docs/sessions.md turned into Python with the
standard library alone (AES and GCM included, straight from FIPS 197 and NIST
SP 800-38D, slow and plain), so that the tests have something independent to
compare with. One JSON request per line in, one JSON answer per line out.
"""

import base64
import json
import sys

# FIPS 197, 5.1.1: the S-box, from its definition.
def _xtime(a):
    return ((a << 1) ^ 0x11B) & 0xFF if a & 0x80 else a << 1


def _mul(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = _xtime(a)
        b >>= 1
    return product


def _sbox():
    inverse = [0] * 256
    for a in range(1, 256):
        for b in range(1, 256):
            if _mul(a, b) == 1:
                inverse[a] = b
                break
    box = []
    for a in range(256):
        b = inverse[a]
        value = 0x63
        for shift in range(5):
            value ^= ((b << shift) | (b >> (8 - shift))) & 0xFF
        box.append(value)
    return box


SBOX = _sbox()


def expand_key(key):
    """FIPS 197, 5.2, for 256 bits: 15 round keys of 16 bytes."""
    words = [list(key[4 * i : 4 * i + 4]) for i in range(8)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[i - 1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = _xtime(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[4 * r : 4 * r + 4], []) for r in range(15)]


def aes(round_keys, block):
    """FIPS 197, 5.1."""
    state = [b ^ k for b, k in zip(block, round_keys[0])]
    for r in range(1, 15):
        state = [SBOX[b] for b in state]
        state = [state[(i + 4 * (i % 4)) % 16] for i in range(16)]
        if r < 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c : c + 4]
                for i in range(4):
                    mixed.append(_xtime(a[i]) ^ _xtime(a[(i + 1) % 4]) ^ a[(i + 1) % 4] ^ a[(i + 2) % 4] ^ a[(i + 3) % 4])
            state = mixed
        state = [b ^ k for b, k in zip(state, round_keys[r])]
    return bytes(state)


def gf_multiply(x, y):
    """NIST SP 800-38D, 6.3."""
    z = 0
    for i in range(127, -1, -1):
        if (x >> i) & 1:
            z ^= y
        y = (y >> 1) ^ (0xE1 << 120) if y & 1 else y >> 1
    return z


def gcm(key, nonce, data, aad, encrypting):
    """NIST SP 800-38D, 7: the other text, and the tag over the ciphertext."""
    keys = expand_key(key)
    h = int.from_bytes(aes(keys, bytes(16)), "big")
    out = bytearray()
    for i in range(0, len(data), 16):
        stream = aes(keys, nonce + (2 + i // 16).to_bytes(4, "big"))
        out += bytes(a ^ b for a, b in zip(data[i : i + 16], stream))
    ciphertext = bytes(out) if encrypting else data

    def padded(b):
        return b + bytes(-len(b) % 16)

    hashed = padded(aad) + padded(ciphertext) + (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    y = 0
    for i in range(0, len(hashed), 16):
        y = gf_multiply(y ^ int.from_bytes(hashed[i : i + 16], "big"), h)
    mask = aes(keys, nonce + (1).to_bytes(4, "big"))
    return bytes(out), bytes(a ^ b for a, b in zip(y.to_bytes(16, "big"), mask))


def xaes_key(key, nonce):
    """c2sp.org/XAES-256-GCM: the key for GCM, from the first half of the nonce."""
    keys = expand_key(key)
    k1 = int.from_bytes(aes(keys, bytes(16)), "big") << 1
    if k1 >> 128:
        k1 = (k1 & ((1 << 128) - 1)) ^ 0x87
    return b"".join(
        aes(keys, (int.from_bytes(bytes([0, i, ord("X"), 0]) + nonce[:12], "big") ^ k1).to_bytes(16, "big")) for i in (1, 2)
    )


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def seal(request):
    session = request["session"]
    identity = session["identity"].encode()
    purpose = request["purpose"].encode()
    audience = request["audience"].encode()
    plaintext = b"".join(session[field].to_bytes(6, "big") for field in ("issued", "lastActivity", "expires", "counter"))
    plaintext += unbase64(session["id"]) + bytes([len(purpose), len(audience)]) + len(identity).to_bytes(2, "big")
    plaintext += purpose + audience + identity + compact([session["activity"], session["data"]]).encode()
    header = b"\x01" + bytes.fromhex(request["keyId"])
    nonce = bytes.fromhex(request["nonce"])
    ciphertext, tag = gcm(xaes_key(bytes.fromhex(request["key"]), nonce), nonce[12:], plaintext, header, True)
    return {"seal": base64url(header + nonce + ciphertext + tag), "plaintext": plaintext.hex()}


def open_seal(request):
    data = unbase64(request["seal"])
    header, nonce, ciphertext, tag = data[:5], data[5:29], data[29:-16], data[-16:]
    plaintext, expected = gcm(xaes_key(bytes.fromhex(request["key"]), nonce), nonce[12:], ciphertext, header, False)
    if header[0] != 1 or tag != expected:
        return {"refused": True}
    number = lambda at, size: int.from_bytes(plaintext[at : at + size], "big")
    audience_at = 44 + plaintext[40]
    identity_at = audience_at + plaintext[41]
    json_at = identity_at + number(42, 2)
    activity, data = json.loads(plaintext[json_at:])
    return {
        "session": {
            "id": base64url(plaintext[24:40]),
            "identity": plaintext[identity_at:json_at].decode(),
            "issued": number(0, 6),
            "lastActivity": number(6, 6),
            "expires": number(12, 6),
            "counter": number(18, 6),
            "activity": activity,
            "data": data,
        },
        "purpose": plaintext[44:audience_at].decode(),
        "audience": plaintext[audience_at:identity_at].decode(),
        "keyId": header[1:].hex(),
    }


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(seal(request) if request["do"] == "seal" else open_seal(request)), flush=True)
