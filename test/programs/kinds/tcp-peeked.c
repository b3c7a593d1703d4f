// Sockets that remember how far they were peeked at: a connection, one that the other side has closed, and one that waits to be accepted.
// fails: shape finish resume
#include "tcp-util.h"

#define SO_PEEK_OFF_ 42

static void peeks(int fd, const char *what) {
  char got[64];
  int n = strlen(what);
  CHECK(recv(fd, got, n, MSG_PEEK | MSG_DONTWAIT) == n && memcmp(got, what, n) == 0);
}

int main(void) {
  int l = listener(4, 7190, 4), c[3], s[3];
  for (int i = 0; i < 2; i++) {
    c[i] = client(4, 7190), s[i] = accept(l, 0, 0);
    CHECK(s[i] >= 0 && send(s[i], "0123456789", 10, 0) == 10);
    while (recv(c[i], (char[10]){0}, 10, MSG_PEEK) < 10) {}
    set(c[i], SOL_SOCKET, SO_PEEK_OFF_, 3);
    peeks(c[i], "34");
  }
  CHECK(close(s[1]) == 0);
  becomes(c[1], TCP_CLOSE_WAIT);
  set(l, SOL_SOCKET, SO_PEEK_OFF_, 2);
  c[2] = client(4, 7190);
  CHECK(send(c[2], "waiting", 7, 0) == 7);
  rest_ms(20);

  moved();

  CHECK(getopt_int(l, SOL_SOCKET, SO_PEEK_OFF_) == 2);
  for (int i = 0; i < 2; i++) {
    CHECK(getopt_int(c[i], SOL_SOCKET, SO_PEEK_OFF_) == 5 && getopt_int(s[0], SOL_SOCKET, SO_PEEK_OFF_) == -1);
    peeks(c[i], "567");
    reads(c[i], "0123456789", 10);
    CHECK(getopt_int(c[i], SOL_SOCKET, SO_PEEK_OFF_) == 0);
  }
  talks(c[0], s[0]);
  ends(c[1]);
  CHECK((s[2] = accept(l, 0, 0)) >= 0 && getopt_int(s[2], SOL_SOCKET, SO_PEEK_OFF_) == 2);
  peeks(s[2], "iting");
  reads(s[2], "waiting", 7);
  set(s[2], SOL_SOCKET, SO_PEEK_OFF_, -1);
  talks(c[2], s[2]);
  right();
}
