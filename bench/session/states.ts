/**
 * The states that every contender seals and opens, of an exact size as JSON.
 * The small one is who the user is; the large one is what sessions are large
 * by in practice: a shopping cart, and above all tokens of other services.
 */

/** A session's data as a shop would keep it. */
export interface ShopState {
  user: { id: string; name: string; roles: string[] };
  csrf: string;
  locale: string;
  cart: { sku: string; title: string; quantity: number; price: number }[];
  /** As an identity provider gives it; here what fills the state to its size. */
  accessToken: string;
}

const CART_FROM = 1000;

/** A state of exactly `bytes` bytes of JSON, all ASCII. */
export function shopState(bytes: number): ShopState {
  const state: ShopState = {
    user: { id: 'u-48151623', name: 'Ada Lovelace', roles: ['customer', 'editor'] },
    csrf: 'Zx3bVQ0mS1eJt7uYp2RfNw',
    locale: 'en-GB',
    cart: [],
    accessToken: '',
  };
  if (bytes >= CART_FROM) {
    for (let line = 1; line <= 3; line++) {
      state.cart.push({
        sku: `SKU-${1000 + line}`,
        title: `Collected notes, volume ${line}`,
        quantity: 1,
        price: 1999,
      });
    }
  }
  const rest = bytes - JSON.stringify(state).length;
  if (rest < 0) throw new Error(`no state as small as ${bytes} bytes`);
  state.accessToken = 'eyJhbGciOiJSUzI1NiIsImtpZCI6IjE3In0'.repeat(Math.ceil(rest / 35)).slice(0, rest);
  return state;
}
