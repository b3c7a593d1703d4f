// Whose a UNIX connection is, and who sent what waits: of processes with other ids, and of some that are gone.
#include "unix.h"
#include <grp.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static int pair[2], link_fds[2], server, through[2], datagrams[2];
static pid_t gone, alive;

static struct ucred who(int fd) {
  struct ucred cred;
  socklen_t length = sizeof cred;
  CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) == 0);
  return cred;
}

static struct ucred sender(int fd, const char *text) {
  char control[256], got[64] = {0};
  struct iovec iov = {got, sizeof got};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK(recvmsg(fd, &m, MSG_DONTWAIT) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  CHECK(c != 0 && c->cmsg_type == SCM_CREDENTIALS);
  struct ucred cred;
  memcpy(&cred, CMSG_DATA(c), sizeof cred);
  return cred;
}

// Makes a connection and a pair with other ids, gives them to its parent, and sends something.
static void other(void) {
  gid_t groups[2] = {41, 42};
  CHECK(setgroups(2, groups) == 0 && setresgid(-1, 1001, -1) == 0 && setresuid(1000, 1000, 0) == 0);
  int made[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, made) == 0);
  int fds[3] = {made[0], made[1], client(SOCK_STREAM, "@cred")};
  pass(through[1], "made", fds, 3);
  put(datagrams[1], "from another"), put(link_fds[1], "of a stream");
}

static void stays(void) {
  CHECK(setresgid(-1, 2001, -1) == 0 && setresuid(2000, 2000, 0) == 0);
  int again = client(SOCK_STREAM, "@cred");
  CHECK(again >= 0);
  put(datagrams[1], "from a third"), put(link_fds[1], "and more");
  until_told(0);
  struct ucred cred = who(again);
  CHECK(cred.pid == getppid() && cred.uid == 0);
}

int main(void) {
  int fds[3];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, link_fds) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, through) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams) == 0);
  server = listening(SOCK_STREAM, "@cred", 4);
  set(datagrams[0], SO_PASSCRED, 1), set(link_fds[0], SO_PASSCRED, 1);
  set(pair[0], SO_PASSSEC, 1);
  int pidfds = setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &(int){1}, sizeof(int)) == 0;
  put(datagrams[1], "my own");
  gone = child(other);
  ends_well(gone);
  get(through[0], "made", fds, 3);
  int accepted = accept(server, 0, 0);
  alive = fork();
  if (alive == 0) { stays(); _exit(0); }
  int other_accepted = accept(server, 0, 0);
  while (recv(datagrams[0], fds + 2, 0, MSG_PEEK | MSG_DONTWAIT) < 0) {}
  rest_ms(200);

  moved();

  CHECK(kill(alive, SIGTERM) == 0);
  struct ucred c = who(fds[0]);
  CHECK(c.pid == gone && c.uid == 1000 && c.gid == 1001);
  c = who(fds[1]);
  CHECK(c.pid == gone && c.uid == 1000);
  c = who(accepted);
  CHECK(c.pid == gone && c.uid == 1000 && c.gid == 1001);
  gid_t groups[8];
  socklen_t length = sizeof groups;
  CHECK(getsockopt(accepted, SOL_SOCKET, 59, groups, &length) == 0 && length == 8 && groups[0] == 41 && groups[1] == 42);
  c = who(other_accepted);
  CHECK(c.pid == alive && c.uid == 2000 && c.gid == 2001);
  c = who(server);
  CHECK(c.pid == getpid() && c.uid == 0);
  c = who(pair[0]);
  CHECK(c.pid == getpid() && c.uid == 0 && c.gid == 0);
  c = sender(datagrams[0], "my own");
  CHECK(c.pid == getpid() && c.uid == 0);
  c = sender(datagrams[0], "from another");
  CHECK(c.pid == gone && c.uid == 1000 && c.gid == 0);
  c = sender(datagrams[0], "from a third");
  CHECK(c.pid == alive && c.uid == 2000);
  c = sender(link_fds[0], "of a stream");
  CHECK(c.pid == gone && c.uid == 1000);
  c = sender(link_fds[0], "and more");
  CHECK(c.pid == alive && c.uid == 2000);
  CHECK(number(datagrams[0], SO_PASSCRED) == 1 && number(datagrams[1], SO_PASSCRED) == 0);
  CHECK(number(pair[0], SO_PASSSEC) == 1 && number(pair[1], SO_PASSSEC) == 0);
  if (pidfds) CHECK(number(pair[1], SO_PASSPIDFD) == 1 && number(pair[0], SO_PASSPIDFD) == 0);
  ends_well(alive);
  right();
}
