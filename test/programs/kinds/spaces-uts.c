// UTS namespaces of processes' own: each has its names, and who shares one shares it.
// fails: shape resume
#include "spaces.h"
#include <sys/utsname.h>

static void names(const char *node, const char *domain) {
  CHECK(sethostname(node, strlen(node)) == 0 && setdomainname(domain, strlen(domain)) == 0);
}
static int are(const char *node, const char *domain) {
  struct utsname u;
  CHECK(uname(&u) == 0);
  return !strcmp(u.nodename, node) && !strcmp(u.domainname, domain);
}

// Born into its parent's namespace.
static void grandchild(void) {
  CHECK(are("inner", "inner-domain"));
  done();
  until_told(0);
  CHECK(are("inner", "inner-domain"));
  names("changed", "changed-domain");
}
static pid_t below;
static void nested(void) {
  int above = step[1];
  CHECK(unshare(CLONE_NEWUTS) == 0);
  names("inner", "inner-domain");
  // By a pipe of their own: whoever waits above would take its word for ours.
  CHECK(pipe(step) == 0);
  below = child(grandchild);
  wait_done();
  step[1] = above;
  done();
  until_told(0);
  CHECK(are("inner", "inner-domain"));
  CHECK(kill(below, SIGTERM) == 0);
  ends_well(below);
  CHECK(are("changed", "changed-domain"));
}
// In the namespace of the domain, though its parent is in another.
static void back(void) {
  int fd = open("/proc/1/ns/uts", O_RDONLY);
  CHECK(fd >= 0 && setns(fd, CLONE_NEWUTS) == 0 && close(fd) == 0);
  done();
  until_told(0);
  CHECK(are("outer", "outer-domain") && same_space("uts", 1, getpid()));
}

int main(void) {
  CHECK(pipe(step) == 0);
  names("outer", "outer-domain");
  pid_t a = child(nested);
  wait_done();
  // One that nobody is in, held by a descriptor.
  CHECK(unshare(CLONE_NEWUTS) == 0);
  names("held", "held-domain");
  int held = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  CHECK(held >= 0);
  CHECK(unshare(CLONE_NEWUTS) == 0);
  names("mine", "");
  pid_t b = child(back);
  wait_done();
  int of_a = open_space("uts", a);
  moved();
  CHECK(are("mine", ""));
  CHECK(!same_space("uts", 1, getpid()) && !same_space("uts", a, getpid()) && !same_space("uts", a, 1) && same_space("uts", b, 1));
  CHECK(is_space(of_a, "uts", a) && !is_space(held, "uts", a) && !is_space(held, "uts", getpid()) && !is_space(held, "uts", 1));
  CHECK(fcntl(held, F_GETFD) == FD_CLOEXEC);
  CHECK(kill(b, SIGTERM) == 0);
  ends_well(b);
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  CHECK(setns(of_a, CLONE_NEWUTS) == 0 && are("changed", "changed-domain"));
  CHECK(setns(held, CLONE_NEWUTS) == 0 && are("held", "held-domain"));
  right();
}
