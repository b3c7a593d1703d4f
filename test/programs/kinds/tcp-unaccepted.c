// Connections that wait to be accepted: with data, without, half closed, in their order; they go on when they are accepted.
// fails: shape finish resume
#include "tcp-util.h"

#define EACH 5
static unsigned char data[48000];

int main(void) {
  int families[3] = {4, 6, 46}, l[3], c[3][EACH];
  pattern(data, sizeof data, 0);
  for (int f = 0; f < 3; f++) {
    l[f] = listener(families[f], 7110 + f, 8);
    for (int i = 0; i < EACH; i++) {
      c[f][i] = client(families[f], 7110 + f);
      if (i == 1 || i == 3) CHECK(send(c[f][i], "hello", 5, 0) == 5);
      if (i == 2) CHECK(send(c[f][i], data, sizeof data, 0) == sizeof data);
      if (i == 3) CHECK(shutdown(c[f][i], SHUT_WR) == 0);
    }
  }
  rest_ms(20);
  moved();
  for (int f = 0; f < 3; f++) {
    for (int i = 0; i < EACH; i++) {
      struct sockaddr_storage a, b;
      socklen_t n = sizeof a, m = sizeof b;
      int s = accept(l[f], (void *)&a, &n);
      CHECK(s >= 0);
      CHECK(getsockname(c[f][i], (void *)&b, &m) == 0 && n == m);
      CHECK(((struct sockaddr_in *)&a)->sin_port == ((struct sockaddr_in *)&b)->sin_port);
      if (i == 1 || i == 3) reads(s, "hello", 5);
      if (i == 2) reads(s, data, sizeof data);
      if (i == 3) {
        ends(s);
        CHECK(send(s, "bye", 3, 0) == 3);
        reads(c[f][i], "bye", 3);
      } else {
        talks(c[f][i], s);
        talks(s, c[f][i]);
      }
      CHECK(close(s) == 0);
      ends(c[f][i]);
    }
    // The queue is empty, and takes who comes.
    CHECK(fcntl(l[f], F_SETFL, O_NONBLOCK) == 0 && accept(l[f], 0, 0) == -1 && errno == EAGAIN);
    int d = client(families[f], 7110 + f), s = accept(l[f], 0, 0);
    CHECK(s >= 0);
    talks(d, s);
  }
  right();
}
