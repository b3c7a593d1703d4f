// Options that few sockets have: times of arrival of UNIX datagrams, as system loggers ask for them, times of departure, rates.
#include "kind.h"
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int number(int fd, int level, int name) {
  int v = -1;
  socklen_t n = sizeof v;
  CHECK(getsockopt(fd, level, name, &v, &n) == 0);
  return v;
}
static void set(int fd, int level, int name, int value) { CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0); }

int main(void) {
  int pair[2], udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
  struct sock_txtime when = {CLOCK_MONOTONIC, SOF_TXTIME_REPORT_ERRORS}, told = {0};
  unsigned long rate = 123456, got = 0;
  socklen_t n = sizeof when;
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && udp >= 0 && tcp >= 0);
  set(pair[1], SOL_SOCKET, SO_TIMESTAMP, 1);
  set(pair[0], SOL_SOCKET, SO_RXQ_OVFL, 1);
  CHECK(setsockopt(pair[0], SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof rate) == 0);
  CHECK(setsockopt(udp, SOL_SOCKET, SO_TXTIME, &when, sizeof when) == 0);
  set(udp, IPPROTO_IP, IP_CHECKSUM, 1);
  set(udp, IPPROTO_IP, 26 /* IP_RECVERR_RFC4884 */, 1);
  set(tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
  int deferred = number(tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT);
  moved();
  char c, control[200];
  struct iovec v = {&c, 1};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK(send(pair[0], "x", 1, 0) == 1 && recvmsg(pair[1], &m, 0) == 1);
  CHECK(CMSG_FIRSTHDR(&m) && CMSG_FIRSTHDR(&m)->cmsg_type == SO_TIMESTAMP);
  CHECK(number(pair[0], SOL_SOCKET, SO_RXQ_OVFL) == 1);
  CHECK(getsockopt(pair[0], SOL_SOCKET, SO_MAX_PACING_RATE, &got, (socklen_t[]){sizeof got}) == 0 && got == rate);
  CHECK(number(pair[0], SOL_SOCKET, 72 /* SO_BUF_LOCK */) == 0 && number(udp, SOL_SOCKET, 72) == 0);
  CHECK(getsockopt(udp, SOL_SOCKET, SO_TXTIME, &told, &n) == 0 && told.clockid == when.clockid && told.flags == when.flags);
  CHECK(number(udp, IPPROTO_IP, IP_CHECKSUM) == 1 && number(udp, IPPROTO_IP, 26) == 1);
  CHECK(number(tcp, IPPROTO_TCP, TCP_DEFER_ACCEPT) == deferred);
  right();
}
