// What the programs of UNIX sockets have in common.
#pragma once
#include "kind.h"
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

// A name as bind(2) takes it; `@` in the first place stands for a zero byte.
static inline socklen_t named(struct sockaddr_un *a, const char *name) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  strcpy(a->sun_path, name);
  socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@');
  if (name[0] == '@') a->sun_path[0] = 0;
  return length;
}

static inline int bound(int type, const char *name) {
  struct sockaddr_un a;
  socklen_t length = named(&a, name);
  int fd = socket(AF_UNIX, type, 0);
  CHECK(fd >= 0 && bind(fd, (void *)&a, length) == 0);
  return fd;
}

static inline int listening(int type, const char *name, int backlog) {
  int fd = bound(type, name);
  CHECK(listen(fd, backlog) == 0);
  return fd;
}

static inline void reaches(int fd, const char *name) {
  struct sockaddr_un a;
  socklen_t length = named(&a, name);
  CHECK(connect(fd, (void *)&a, length) == 0);
}

static inline int client(int type, const char *name) {
  int fd = socket(AF_UNIX, type, 0);
  CHECK(fd >= 0);
  reaches(fd, name);
  return fd;
}

static inline void put(int fd, const char *text) { CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text)); }

static inline void take(int fd, const char *text) {
  char got[512] = {0};
  ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
  if (n != (ssize_t)strlen(text) || strcmp(got, text) != 0) printf("broken: got \"%s\" (%zd) for \"%s\"\n", got, n, text);
  CHECK(n == (ssize_t)strlen(text) && strcmp(got, text) == 0);
}

static inline void has_nothing(int fd) {
  char byte;
  CHECK(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == -1 && errno == EAGAIN);
}

static inline void has_ended(int fd) {
  char byte;
  CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) == 0);
}

static inline void is_called(int fd, const char *name) {
  struct sockaddr_un want, got;
  socklen_t length = named(&want, name), size = sizeof got;
  CHECK(getsockname(fd, (void *)&got, &size) == 0);
  CHECK(size == length && memcmp(&want, &got, size) == 0);
}

static inline void peer_is_called(int fd, const char *name) {
  struct sockaddr_un want, got;
  socklen_t length = named(&want, name), size = sizeof got;
  CHECK(getpeername(fd, (void *)&got, &size) == 0);
  CHECK(size == length && memcmp(&want, &got, size) == 0);
}

static inline int number(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  CHECK(getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0);
  return value;
}

static inline void set(int fd, int option, int value) { CHECK(setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0); }

// Sends a descriptor with a text.
static inline void pass(int through, const char *text, const int *fds, int count) {
  char control[CMSG_SPACE(16 * sizeof(int))] = {0};
  struct iovec iov = {(void *)text, strlen(text)};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(c), fds, count * sizeof(int));
  CHECK(sendmsg(through, &m, 0) == (ssize_t)strlen(text));
}

// Receives a text with `count` descriptors.
static inline void get(int from, const char *text, int *fds, int count) {
  char control[CMSG_SPACE(16 * sizeof(int))], got[256] = {0};
  struct iovec iov = {got, sizeof got};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  CHECK(recvmsg(from, &m, MSG_DONTWAIT) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (count == 0) CHECK(c == 0);
  if (count == 0) return;
  CHECK(c != 0 && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(count * sizeof(int)));
  memcpy(fds, CMSG_DATA(c), count * sizeof(int));
}
