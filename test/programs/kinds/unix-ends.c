// What ends have: half closed, closed with and without something unread, peeked at, buffers of other sizes, a full one, urgent nothing.
#include "unix.h"

int main(void) {
  int reset[2], ended[2], half[2], peeked[2], buffers[2], full[2], named_end[2], big[2], deaf[2];
  char block[1000], got[2000];
  memset(block, 'b', sizeof block);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, reset) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ended) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, peeked) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, buffers) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, full) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, big) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, deaf) == 0);
  put(reset[0], "unread"), put(reset[1], "left"), close(reset[1]);
  put(ended[1], "first"), put(ended[1], "second"), close(ended[1]);
  put(half[0], "last"); CHECK(shutdown(half[0], SHUT_WR) == 0);
  put(peeked[1], "0123456789");
  set(peeked[0], 42, 3);
  set(buffers[0], SO_SNDBUF, 10000), set(buffers[0], SO_RCVBUF, 20000), set(buffers[0], SO_PASSCRED, 1);
  int send_size = number(buffers[0], SO_SNDBUF), receive_size = number(buffers[0], SO_RCVBUF), usual = number(buffers[1], SO_SNDBUF);
  long filled = 0;
  for (ssize_t n; (n = send(full[0], block, sizeof block, MSG_DONTWAIT)) > 0;) filled += n;
  // A writer that waits for room.
  fflush(stdout);
  pid_t writer = fork();
  if (writer == 0) { CHECK(send(full[0], "at last", 7, 0) == 7); _exit(0); }
  for (int i = 0; i < 90; i++) CHECK(send(big[0], block, 10 + i * 10, MSG_DONTWAIT) == 10 + i * 10);
  CHECK(send(big[0], "", 0, 0) == 0 && send(big[0], "end", 3, 0) == 3);
  CHECK(shutdown(deaf[0], SHUT_RD) == 0);
  unlink("/tmp/ends");
  int server = listening(SOCK_STREAM, "/tmp/ends", 3);
  named_end[0] = client(SOCK_STREAM, "/tmp/ends"), named_end[1] = accept(server, 0, 0);
  put(named_end[1], "farewell"), close(named_end[1]);
  int left = client(SOCK_STREAM, "/tmp/ends"), server_end = accept(server, 0, 0);
  put(left, "bye"), close(left);
  CHECK(shutdown(server, SHUT_RD) == 0);
  int fresh = socket(AF_UNIX, SOCK_STREAM, 0);

  moved();

  struct pollfd p = {.fd = reset[0], .events = POLLIN};
  CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) && (p.revents & POLLERR));
  CHECK(number(reset[0], SO_ERROR) == ECONNRESET);
  take(reset[0], "left"), has_ended(reset[0]);
  take(ended[0], "first"), take(ended[0], "second"), has_ended(ended[0]);
  CHECK(number(ended[0], SO_ERROR) == 0 && send(ended[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  take(half[1], "last"), has_ended(half[1]), put(half[1], "answer"), take(half[0], "answer");
  CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  CHECK(number(peeked[0], 42) == 3);
  CHECK(recv(peeked[0], got, 2, MSG_PEEK) == 2 && memcmp(got, "34", 2) == 0);
  CHECK(recv(peeked[0], got, 20, 0) == 10 && memcmp(got, "0123456789", 10) == 0 && number(peeked[1], 42) == -1);
  CHECK(number(buffers[0], SO_SNDBUF) == send_size && number(buffers[0], SO_RCVBUF) == receive_size);
  CHECK(number(buffers[1], SO_SNDBUF) == usual && number(buffers[0], SO_PASSCRED) == 1);
  for (int i = 0; i < 90; i++) CHECK(recv(big[1], got, sizeof got, 0) == 10 + i * 10);
  CHECK(recv(big[1], got, sizeof got, 0) == 0);
  take(big[1], "end"), has_nothing(big[1]);
  for (long n; filled > 0; filled -= n) CHECK((n = recv(full[1], got, filled < 2000 ? filled : 2000, 0)) > 0);
  ends_well(writer);
  take(full[1], "at last");
  CHECK(send(deaf[1], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
  put(deaf[0], "speaks"), take(deaf[1], "speaks");
  peer_is_called(named_end[0], "/tmp/ends");
  take(named_end[0], "farewell"), has_ended(named_end[0]);
  is_called(server_end, "/tmp/ends"), take(server_end, "bye"), has_ended(server_end);
  CHECK(accept(server, 0, 0) == -1 && errno == EINVAL);
  struct sockaddr_un a;
  socklen_t length = named(&a, "/tmp/ends");
  CHECK(connect(fresh, (void *)&a, length) == -1 && errno == ECONNREFUSED);
  right();
}
