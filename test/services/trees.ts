/** Trees that several test files use. */

/** Many small services: `services-more`. */
export const MORE = [
  ...['openssh-server', 'openssh-client', 'tmux', 'nano', 'haproxy', 'dnsmasq-base', 'unbound', 'bind9', 'cron'],
  ...['rsyslog', 's6', 'screen', 'memcached'],
];
