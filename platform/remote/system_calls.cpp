// SPDX-License-Identifier: GPL-2.0-or-later
// Which system calls the worker may make.
#include <array>
#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <seccomp.h>

extern "C" {
#include <xen/xen.h>

#include <xen/evtchn.h>
}

#include "pci/result.hpp"

namespace platform::remote {

pci::result<void> allow_calls_of_a_worker();

namespace {

/// On what is open already.
constexpr std::array on_files = {SCMP_SYS(read),    SCMP_SYS(write),      SCMP_SYS(readv),       SCMP_SYS(writev),
                                 SCMP_SYS(pread64), SCMP_SYS(lseek),      SCMP_SYS(pwrite64),    SCMP_SYS(close),
                                 SCMP_SYS(fstat),   SCMP_SYS(newfstatat), SCMP_SYS(sendmsg),     SCMP_SYS(recvmsg),
                                 SCMP_SYS(sendto),  SCMP_SYS(recvfrom),   SCMP_SYS(shutdown),    SCMP_SYS(accept4),
                                 SCMP_SYS(accept),  SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername)};

/// Waiting, and what it is waited with.
constexpr std::array for_waiting = {SCMP_SYS(poll),        SCMP_SYS(ppoll),          SCMP_SYS(epoll_create1),
                                    SCMP_SYS(epoll_ctl),   SCMP_SYS(epoll_wait),     SCMP_SYS(epoll_pwait),
                                    SCMP_SYS(eventfd2),    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
                                    SCMP_SYS(futex),       SCMP_SYS(nanosleep),      SCMP_SYS(clock_nanosleep),
                                    SCMP_SYS(sched_yield), SCMP_SYS(restart_syscall)};

/// Memory, threads and time of the process's own.
constexpr std::array for_itself = {SCMP_SYS(munmap),
                                   SCMP_SYS(mremap),
                                   SCMP_SYS(madvise),
                                   SCMP_SYS(brk),
                                   SCMP_SYS(set_robust_list),
                                   SCMP_SYS(rseq),
                                   SCMP_SYS(set_tid_address),
                                   SCMP_SYS(membarrier),
                                   SCMP_SYS(sched_getaffinity),
                                   SCMP_SYS(getcpu),
                                   SCMP_SYS(rt_sigaction),
                                   SCMP_SYS(rt_sigprocmask),
                                   SCMP_SYS(rt_sigreturn),
                                   SCMP_SYS(sigaltstack),
                                   SCMP_SYS(exit),
                                   SCMP_SYS(exit_group),
                                   SCMP_SYS(clock_gettime),
                                   SCMP_SYS(clock_getres),
                                   SCMP_SYS(gettimeofday),
                                   SCMP_SYS(time),
                                   SCMP_SYS(getpid),
                                   SCMP_SYS(gettid),
                                   SCMP_SYS(getppid),
                                   SCMP_SYS(getuid),
                                   SCMP_SYS(geteuid),
                                   SCMP_SYS(getgid),
                                   SCMP_SYS(getegid),
                                   SCMP_SYS(getrandom),
                                   SCMP_SYS(getrlimit),
                                   SCMP_SYS(getrusage),
                                   SCMP_SYS(uname),
                                   SCMP_SYS(sysinfo)};

class filter {
public:
  filter() : context_(seccomp_init(SCMP_ACT_ERRNO(EPERM)), &seccomp_release) {}

  void allow(int call) { note(seccomp_rule_add_exact_array(context_.get(), SCMP_ACT_ALLOW, call, 0, nullptr)); }
  /// When all of these hold.
  template <class... Conditions>
  void allow_if(int call, const Conditions&... conditions) {
    const std::array<scmp_arg_cmp, sizeof...(Conditions)> all = {conditions...};
    note(seccomp_rule_add_exact_array(context_.get(), SCMP_ACT_ALLOW, call, sizeof...(Conditions), all.data()));
  }
  /// As a kernel that does not know the call: the C library has another way.
  void hide(int call) { note(seccomp_rule_add_exact_array(context_.get(), SCMP_ACT_ERRNO(ENOSYS), call, 0, nullptr)); }

  [[nodiscard]] pci::result<void> load() {
    if (context_ && error_ == 0)
      note(seccomp_load(context_.get()));
    if (!context_ || error_ != 0)
      return pci::fail(error_ != 0 ? error_ : ENOMEM, "the worker's system calls cannot be restricted");
    return {};
  }

private:
  void note(int outcome) { error_ = outcome < 0 && error_ == 0 ? -outcome : error_; }
  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  int error_ = 0;
};

scmp_arg_cmp is(unsigned argument, scmp_datum_t value) {
  return {.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
}
scmp_arg_cmp has(unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
  return {.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

/// Memory is never code.
void allow_memory(filter& to) {
  to.allow_if(SCMP_SYS(mmap), has(2, PROT_EXEC, 0));
  to.allow_if(SCMP_SYS(mprotect), has(2, PROT_EXEC, 0));
}

/// Threads, and no processes. Of clone3 nobody can look at the arguments.
void allow_threads(filter& to) {
  constexpr scmp_datum_t of_thread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
  constexpr scmp_datum_t of_namespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  to.allow_if(SCMP_SYS(clone), has(0, of_thread | of_namespaces, of_thread));
  to.hide(SCMP_SYS(clone3));
  to.allow_if(SCMP_SYS(prctl), is(0, PR_SET_NAME));
  to.allow_if(SCMP_SYS(prctl), is(0, PR_GET_NAME));
  to.allow_if(SCMP_SYS(prctl), is(0, PR_SET_VMA)); // names of memory, which the C library gives
  to.allow_if(SCMP_SYS(tgkill), is(0, static_cast<scmp_datum_t>(::getpid()))); // abort
  to.allow_if(SCMP_SYS(prlimit64), is(0, 0), is(2, 0));                        // looks at its own limits
}

/// Of the descriptors that the worker is given, each can do no more than what it was given for: the other requests of
/// /dev/xen/evtchn bind more channels, those of /dev/xen/gntdev map more pages.
void allow_handed_files(filter& to) {
  to.allow_if(SCMP_SYS(ioctl), is(1, IOCTL_EVTCHN_NOTIFY));
  to.allow_if(SCMP_SYS(ioctl), is(1, IOCTL_EVTCHN_UNBIND));
  for (const auto command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL})
    to.allow_if(SCMP_SYS(fcntl), is(1, static_cast<scmp_datum_t>(command)));
}

} // namespace

pci::result<void> allow_calls_of_a_worker() {
  filter calls;
  for (const auto call : on_files)
    calls.allow(call);
  for (const auto call : for_waiting)
    calls.allow(call);
  for (const auto call : for_itself)
    calls.allow(call);
  allow_memory(calls);
  allow_threads(calls);
  allow_handed_files(calls);
  return calls.load();
}

} // namespace platform::remote
