/** The golden ratio's fraction of 2^32, odd: its multiples are spread well (D. Knuth, TAOCP 3, 6.4). */
export const GOLDEN = 0x9e3779b1;
