/** The states that every contender seals and opens: a shop's, of an exact size as JSON. */

/** A session's data as a shop would keep it. */
export interface ShopState {
  user: { id: string; name: string; roles: string[] };
  csrf: string;
  locale: string;
  cart: { sku: string; title: string; quantity: number; price: number }[];
  note: string;
}

/**
 * A state of exactly `bytes` bytes of JSON, all ASCII: as many lines in the
 * cart as fit, and a note that fills the rest.
 */
export function shopState(bytes: number): ShopState {
  const state: ShopState = {
    user: { id: 'u-48151623', name: 'Ada Lovelace', roles: ['customer', 'editor'] },
    csrf: 'Zx3bVQ0mS1eJt7uYp2RfNw',
    locale: 'en-GB',
    cart: [],
    note: '',
  };
  const size = () => JSON.stringify(state).length;
  for (let line = 1; ; line++) {
    state.cart.push({ sku: `SKU-${1000 + line}`, title: `The collected notes, volume ${line}`, quantity: 1, price: 1999 });
    if (size() <= bytes) continue;
    state.cart.pop();
    break;
  }
  if (size() > bytes) throw new Error(`no state as small as ${bytes} bytes`);
  state.note = '.'.repeat(bytes - size());
  return state;
}
