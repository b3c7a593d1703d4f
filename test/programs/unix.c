// UNIX sockets: pairs of every type with messages waiting on both sides, pairs closed or shut on one side, some not connected yet,
// a server that listens by name and one in the abstract space, connections to them, datagrams to a name.
#include "domain.h"
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

static int server(const char *name, int type) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  int abstract = name[0] == '@';
  strcpy(a.sun_path, name);
  if (abstract) a.sun_path[0] = 0; else unlink(name);
  int fd = socket(AF_UNIX, type, 0);
  CHECK(bind(fd, (void *)&a, sizeof(sa_family_t) + strlen(name) + !abstract) == 0);
  if (type != SOCK_DGRAM) CHECK(listen(fd, 7) == 0);
  return fd;
}

static int client(const char *name, int type) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  strcpy(a.sun_path, name);
  int abstract = name[0] == '@';
  if (abstract) a.sun_path[0] = 0;
  int fd = socket(AF_UNIX, type, 0);
  CHECK(connect(fd, (void *)&a, sizeof(sa_family_t) + strlen(name) + !abstract) == 0);
  return fd;
}

static void put(int fd, const char *text) { CHECK(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text)); }
static void take(int fd, const char *text) {
  char got[256] = {0};
  CHECK(recv(fd, got, sizeof got, MSG_DONTWAIT) == (ssize_t)strlen(text));
  CHECK(strcmp(got, text) == 0);
}

int main(void) {
  int stream[2], datagrams[2], packets[2], half[2], orphan[2], big[2], talk[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, orphan) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, big) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, talk) == 0);
  put(half[0], "last words");
  shutdown(half[0], SHUT_WR);
  put(orphan[0], "left behind");
  close(orphan[0]);
  char block[4096];
  uint64_t sent = 0;
  while (send(big[0], block, sizeof block, MSG_DONTWAIT) > 0) sent++;
  int named = server("/tmp/unix-test", SOCK_STREAM), abstract = server("@unix-test", SOCK_SEQPACKET);
  int here = client("/tmp/unix-test", SOCK_STREAM), there = accept(named, 0, 0);
  int hereA = client("@unix-test", SOCK_SEQPACKET), thereA = accept(abstract, 0, 0);
  int post = server("@unix-post", SOCK_DGRAM);
  int sender = client("@unix-post", SOCK_DGRAM);
  int fresh = socket(AF_UNIX, SOCK_STREAM, 0), freshA = socket(AF_UNIX, SOCK_SEQPACKET, 0);

  if (fork() == 0) {
    for (uint64_t n;;) CHECK(read(talk[1], &n, 8) == 8 && write(talk[1], &n, 8) == 8);
  }
  close(talk[1]);
  struct ucred peer;
  socklen_t length = sizeof peer;
  for (uint64_t turn = 0;; turn++) {
    char word[32];
    snprintf(word, sizeof word, "word %lu", (unsigned long)turn);
    put(stream[0], word), put(stream[1], "back");
    put(datagrams[0], word), put(datagrams[0], "second"), put(datagrams[1], "back");
    put(packets[1], word), put(packets[1], "second one");
    put(here, word), put(there, "from the server");
    put(hereA, word), put(hereA, "again");
    put(sender, word), put(sender, "more post");
    rest_ms(100);
    uint64_t n = turn;
    CHECK(write(talk[0], &n, 8) == 8 && read(talk[0], &n, 8) == 8 && n == turn);
    take(stream[1], word), take(stream[0], "back");
    take(datagrams[1], word), take(datagrams[1], "second"), take(datagrams[0], "back");
    take(packets[0], word), take(packets[0], "second one");
    take(there, word), take(here, "from the server");
    take(thereA, word), take(thereA, "again");
    take(post, word), take(post, "more post");
    char text[64] = {0};
    CHECK(recv(half[1], text, sizeof text, MSG_PEEK | MSG_DONTWAIT) == 10 && strcmp(text, "last words") == 0);
    CHECK(send(half[0], text, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    put(half[1], "x"), take(half[0], "x");
    CHECK(recv(orphan[1], text, sizeof text, MSG_PEEK | MSG_DONTWAIT) == 11 && memcmp(text, "left behind", 11) == 0);
    CHECK(send(orphan[1], text, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    struct pollfd p = {.fd = orphan[1], .events = POLLIN};
    CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP));
    struct sockaddr_un name;
    socklen_t size = sizeof name;
    CHECK(getpeername(here, (void *)&name, &size) == 0 && strcmp(name.sun_path, "/tmp/unix-test") == 0);
    // The servers still take new clients.
    int late = client("/tmp/unix-test", SOCK_STREAM), taken = accept(named, 0, 0);
    put(late, "new here"), take(taken, "new here");
    close(late), close(taken);
    CHECK(recv(fresh, text, sizeof text, MSG_DONTWAIT) < 0 && errno == EINVAL);
    CHECK(recv(freshA, text, sizeof text, MSG_DONTWAIT) < 0 && errno == ENOTCONN);
    if (turn % 8 == 7) {
      struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/tmp/unix-test"};
      CHECK(connect(fresh, (void *)&to, sizeof to) == 0);
      int met = accept(named, 0, 0);
      put(met, "at last"), take(fresh, "at last");
      close(fresh), close(met);
      fresh = socket(AF_UNIX, SOCK_STREAM, 0);
    }
    CHECK(getsockopt(stream[0], SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0);
    if (turn % 4 == 3) {
      uint64_t got = 0;
      while (recv(big[1], block, sizeof block, MSG_DONTWAIT) == sizeof block) got++;
      CHECK(got == sent);
      sent = 0;
      while (send(big[0], block, sizeof block, MSG_DONTWAIT) > 0) sent++;
    }
    turn_done(turn);
  }
}
