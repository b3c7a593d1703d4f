// The other side has closed its socket, and no process has it any more: what came before is read, then the end.
// fails: shape finish resume
#include "tcp-util.h"

int main(void) {
  int l = listener(4, 7120, 4), c[3];
  for (int i = 0; i < 3; i++) {
    c[i] = client(4, 7120);
    int s = accept(l, 0, 0);
    CHECK(s >= 0);
    if (i > 0) CHECK(send(s, "farewell", 8, 0) == 8);
    if (i == 2) CHECK(shutdown(c[i], SHUT_WR) == 0);
    close(s);
    if (i < 2) becomes(c[i], TCP_CLOSE_WAIT);
  }
  moved();
  ends(c[0]);
  reads(c[1], "farewell", 8);
  ends(c[1]);
  reads(c[2], "farewell", 8);
  ends(c[2]);
  CHECK(getopt_int(c[0], SOL_SOCKET, SO_ERROR) == 0);
  for (int i = 0; i < 3; i++) CHECK(close(c[i]) == 0);
  int d = client(4, 7120), s = accept(l, 0, 0);
  CHECK(s >= 0);
  talks(d, s);
  right();
}
