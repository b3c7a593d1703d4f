/** Numbers of the socket interface that several kinds use (include/linux/socket.h, include/uapi/linux/in.h, netlink.h). */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_DIAG_BY_FAMILY = 20;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_ICMPV6 = 58;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_PEEK_NOW = 0x42; // MSG_PEEK | MSG_DONTWAIT
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const SO_PEEK_OFF = 42;
