// Connections of which one side has ended its half, over IPv4, IPv6 and IPv4 in IPv6: the other half goes on.
// fails: shape finish resume
#include "tcp-util.h"

#define N 3
int main(void) {
  int families[N] = {4, 6, 46}, c[N], s[N];
  for (int i = 0; i < N; i++) {
    int l = listener(families[i], 7100 + i, 4);
    c[i] = client(families[i], 7100 + i);
    s[i] = accept(l, 0, 0);
    CHECK(s[i] >= 0);
    close(l);
    talks(c[i], s[i]);
    CHECK(send(c[i], "last words", 10, 0) == 10);
    CHECK(shutdown(c[i], SHUT_WR) == 0);
    becomes(s[i], TCP_CLOSE_WAIT);
    becomes(c[i], TCP_FIN_WAIT2);
  }
  // Read before, up to the end of the file.
  reads(s[1], "last words", 10);
  ends(s[1]);
  moved();
  for (int i = 0; i < N; i++) {
    CHECK(tcp_state(s[i]) == TCP_CLOSE_WAIT && tcp_state(c[i]) == TCP_FIN_WAIT2);
    if (i != 1) reads(s[i], "last words", 10);
    ends(s[i]);
    CHECK(send(s[i], "answer", 6, 0) == 6);
    reads(c[i], "answer", 6);
    CHECK(send(c[i], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
    CHECK(close(s[i]) == 0);
    ends(c[i]);
    CHECK(close(c[i]) == 0);
  }
  right();
}
