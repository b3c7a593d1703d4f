// A handler for SIGTRAP, SIGTRAPs that are blocked and pending for the process and for a thread, and one that is ignored: a
// debugger's signal is the program's own, also after a move that failed.
// fails: finish resume
#include "kind.h"
#include <pthread.h>
#include <sys/syscall.h>

static volatile sig_atomic_t caught, value[4];
static void on_trap(int signal, siginfo_t *info, void *context) {
  if (caught < 4) value[caught] = info->si_value.sival_int;
  caught++;
}
static void queue(pid_t tid, int signal, int value) {
  siginfo_t info = {.si_signo = signal, .si_code = SI_QUEUE, .si_pid = getpid(), .si_value.sival_int = value};
  CHECK(syscall(tid == 0 ? SYS_rt_sigqueueinfo : SYS_rt_tgsigqueueinfo, getpid(), tid == 0 ? signal : tid,
                tid == 0 ? (long)&info : signal, &info) == 0);
}
static void ignores(void) {
  CHECK(signal(SIGTRAP, SIG_IGN) != SIG_ERR);
  until_told(0);
  struct sigaction now;
  CHECK(sigaction(SIGTRAP, 0, &now) == 0 && now.sa_handler == SIG_IGN);
  raise(SIGTRAP);
  __asm__ volatile("nop");
}
static void catches(void) {
  struct sigaction act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_RESTART};
  CHECK(sigaction(SIGTRAP, &act, 0) == 0);
  until_told(0);
  struct sigaction now;
  CHECK(sigaction(SIGTRAP, 0, &now) == 0 && now.sa_sigaction == on_trap && (now.sa_flags & SA_RESTART));
  CHECK(caught == 0 && raise(SIGTRAP) == 0 && caught == 1);
}

int main(void) {
  pid_t a = child(ignores), b = child(catches);
  struct sigaction act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigset_t trap, pending, other;
  sigemptyset(&trap);
  sigaddset(&trap, SIGTRAP);
  sigaddset(&trap, SIGSTKFLT);
  CHECK(sigaction(SIGTRAP, &act, 0) == 0 && sigprocmask(SIG_BLOCK, &trap, 0) == 0);
  queue(0, SIGTRAP, 41);
  queue(getpid(), SIGTRAP, 42);
  queue(getpid(), SIGSTKFLT, 43);
  moved();
  CHECK(caught == 0 && sigpending(&pending) == 0 && sigismember(&pending, SIGTRAP) && sigismember(&pending, SIGSTKFLT));
  CHECK(sigprocmask(SIG_BLOCK, 0, &other) == 0 && sigismember(&other, SIGTRAP) && sigismember(&other, SIGSTKFLT) && !sigismember(&other, SIGUSR1));
  siginfo_t info;
  struct timespec none = {0};
  CHECK(sigtimedwait(&trap, &info, &none) == SIGTRAP && info.si_value.sival_int == 42);
  sigdelset(&trap, SIGSTKFLT);
  CHECK(sigprocmask(SIG_UNBLOCK, &trap, 0) == 0 && caught == 1 && value[0] == 41);
  sigemptyset(&trap);
  sigaddset(&trap, SIGSTKFLT);
  CHECK(sigtimedwait(&trap, &info, &none) == SIGSTKFLT && info.si_value.sival_int == 43);
  kill(a, SIGTERM);
  kill(b, SIGTERM);
  ends_well(a);
  ends_well(b);
  right();
}
