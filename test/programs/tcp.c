// TCP inside the domain: listening sockets, two of them on one port, and connections to them whose data nobody has
// read yet, or that could not even be sent because the other side's window is full, or that the other side has ended
// hard; IPv4 and IPv6.
#include "domain.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

struct link { int client, server; };

static int listener(int family, int port) {
  int fd = socket(family, SOCK_STREAM, 0), one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK(bind(fd, family == AF_INET ? (void *)&four : (void *)&six, family == AF_INET ? sizeof four : sizeof six) == 0);
  CHECK(listen(fd, 9) == 0);
  return fd;
}

static struct link dial(int family, int server) {
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  CHECK(getsockname(server, (void *)&a, &n) == 0);
  struct link l = {socket(family, SOCK_STREAM, 0), -1};
  CHECK(connect(l.client, (void *)&a, n) == 0);
  l.server = accept(server, 0, 0);
  CHECK(l.server >= 0);
  return l;
}

// What was asked for, all of it: a stop in the middle ends even a read with MSG_WAITALL early (recv(2)).
static void recv_all(int fd, void *to, size_t size) {
  for (size_t n = 0; n < size;) {
    ssize_t got = recv(fd, (char *)to + n, size - n, MSG_WAITALL);
    CHECK(got > 0);
    n += got;
  }
}

// The client says a last word and ends the connection hard.
static void end_hard(struct link *l, const char *word) {
  struct linger hard = {1, 0};
  CHECK(write(l->client, word, strlen(word)) == (ssize_t)strlen(word));
  CHECK(setsockopt(l->client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0);
  close(l->client);
}

// What the server sees of that, once: the word, if it has not read it, the error, if it was not told, the end.
static void see_end(int server, const char *word, int error) {
  char got[64] = {0};
  if (word) CHECK(recv(server, got, sizeof got, 0) == (ssize_t)strlen(word) && strcmp(got, word) == 0);
  if (error) CHECK(recv(server, got, 1, 0) == -1 && errno == ECONNRESET);
  CHECK(recv(server, got, 1, 0) == 0);
}

static uint64_t next(uint64_t *s) { return *s = *s * 6364136223846793005 + 1442695040888963407; }

int main(void) {
  int four = listener(AF_INET, 7001), six = listener(AF_INET6, 7002);
  int shared[2];
  for (int i = 0; i < 2; i++) {
    int one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7003), .sin_addr.s_addr = htonl(INADDR_ANY)};
    CHECK((shared[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    CHECK(setsockopt(shared[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0);
    CHECK(bind(shared[i], (void *)&a, sizeof a) == 0 && listen(shared[i], 9) == 0);
  }
  struct link quiet = dial(AF_INET, four), waiting = dial(AF_INET, four), full = dial(AF_INET, four), v6 = dial(AF_INET6, six);
  int one = 1, small = 8192;
  setsockopt(quiet.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(quiet.server, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(full.server, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  setsockopt(full.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  fcntl(full.client, F_SETFL, O_NONBLOCK);
  uint64_t writer = 1, reader = 1, pending = 0, written = 0, read_ = 0;
  int at = 0;
  for (uint64_t turn = 0;; turn++) {
    // Fill the connection until nothing more fits.
    for (;;) {
      if (at == 0) pending = next(&writer);
      ssize_t n = write(full.client, (char *)&pending + at, 8 - at);
      if (n < 0) { CHECK(errno == EAGAIN); if (at == 0) { /* not sent: produce it again */ writer = (writer - 1442695040888963407) * 0xc097ef87329e28a5; } break; }
      at = (at + n) % 8;
      written += n;
    }
    char text[64];
    int length = snprintf(text, sizeof text, "turn %lu", (unsigned long)turn);
    CHECK(write(waiting.client, text, length) == length);
    CHECK(write(v6.server, text, length) == length);
    struct link told = dial(AF_INET, four), untold = dial(AF_INET6, six);
    end_hard(&told, "bye"), end_hard(&untold, "farewell");
    see_end(told.server, "bye", 1);
    rest_ms(100);
    see_end(told.server, 0, 0), see_end(untold.server, "farewell", 1);
    struct sockaddr_storage name;
    socklen_t name_size = sizeof name;
    CHECK(getsockname(untold.server, (void *)&name, &name_size) == 0 && ((struct sockaddr_in6 *)&name)->sin6_port == htons(7002));
    close(told.server), close(untold.server);
    CHECK(write(quiet.client, &turn, 8) == 8);
    uint64_t v;
    recv_all(quiet.server, &v, 8);
    CHECK(v == turn);
    char got[64] = {0};
    recv_all(waiting.server, got, length);
    CHECK(strcmp(got, text) == 0);
    memset(got, 0, sizeof got);
    recv_all(v6.client, got, length);
    CHECK(strcmp(got, text) == 0);
    // Everything that was written comes out, in order.
    if (turn % 2) {
      while (read_ + 8 <= written) {
        recv_all(full.server, &v, 8);
        CHECK(v == next(&reader));
        read_ += 8;
      }
    }
    int value;
    socklen_t n = sizeof value;
    CHECK(getsockopt(quiet.client, IPPROTO_TCP, TCP_NODELAY, &value, &n) == 0 && value == 1);
    CHECK(getsockopt(quiet.server, SOL_SOCKET, SO_KEEPALIVE, &value, &n) == 0 && value == 1);
    struct link fresh = dial(AF_INET, four);
    CHECK(write(fresh.client, "hi", 2) == 2);
    recv_all(fresh.server, got, 2);
    // Both closed hard, so that no connection is left closing.
    struct linger hard = {1, 0};
    setsockopt(fresh.client, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fresh.client), close(fresh.server);
    turn_done(turn);
  }
}
