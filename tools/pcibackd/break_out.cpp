// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/break_out.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pci/protocol/xenstore_paths.hpp"

namespace daemon_program {
namespace {

constexpr std::uint16_t nobodys_domain = 0x7fee; ///< no toolstack gets so far
constexpr const char* refusal = "not for the worker";

// -- by itself

/// `call` returns -1 and sets errno when it fails.
attempt try_call(std::string what, const std::function<long()>& call) {
  errno = 0;
  const bool failed = call() < 0;
  const int error = errno;
  return {std::move(what), failed && (error == EPERM || error == ENOSYS), failed ? std::strerror(error) : "it works"};
}

/// Whoever comes back as a child ends.
long make_process(long made) {
  if (made == 0) {
    std::_Exit(EXIT_SUCCESS);
  }
  return made;
}

long open_file(const char* path, int how) { return ::open(path, how | O_CLOEXEC, S_IRUSR | S_IWUSR); }

void try_files(std::vector<attempt>& all) {
  all.push_back(try_call("read a file", [] { return open_file("/etc/passwd", O_RDONLY); }));
  all.push_back(try_call("write a file", [] { return open_file("/run/pcibackd.intruder", O_WRONLY | O_CREAT); }));
  for (const auto* node : {"/dev/xen/privcmd", "/dev/xen/hypercall", "/dev/xen/evtchn", "/dev/xen/gntdev",
                           "/dev/xen/xenbus", "/dev/mem", "/dev/userfaultfd"}) {
    all.push_back(try_call(fmt::format("open {}", node), [&] { return open_file(node, O_RDWR); }));
  }
  all.push_back(try_call("have a driver bound to any function",
                         [] { return open_file("/sys/bus/pci/drivers_probe", O_WRONLY); }));
  all.push_back(try_call("remove a file", [] { return ::unlink("/run/pcibackd.intruder"); }));
  all.push_back(try_call("change the root directory", [] { return ::chroot("/"); }));
  all.push_back(try_call("map more pages of guests by a descriptor that it has", [] {
    return ::ioctl(STDIN_FILENO, _IOC(_IOC_NONE, 'G', 0, 24), nullptr); // IOCTL_GNTDEV_MAP_GRANT_REF
  }));
  all.push_back(try_call("bind more event channels by a descriptor that it has", [] {
    return ::ioctl(STDIN_FILENO, _IOC(_IOC_NONE, 'E', 1, 8), nullptr); // IOCTL_EVTCHN_BIND_INTERDOMAIN
  }));
}

void try_processes(std::vector<attempt>& all) {
  all.push_back(try_call("fork", [] { return make_process(::syscall(SYS_fork)); }));
  all.push_back(try_call("make a process by clone", [] {
    return make_process(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  }));
  all.push_back(try_call("run a program", [] {
    std::array<char*, 1> none = {nullptr};
    return static_cast<long>(::execve("/bin/true", none.data(), none.data()));
  }));
  all.push_back(
      try_call("debug another process", [] { return ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr); }));
  all.push_back(try_call("send a signal to the host process", [] { return ::kill(::getppid(), 0); }));
  all.push_back(try_call("become root again", [] { return ::syscall(SYS_setuid, 0); }));
  all.push_back(try_call("have capabilities in a namespace of its own", [] { return ::unshare(CLONE_NEWUSER); }));
  all.push_back(try_call("have memory with new code", [] {
    auto* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -1L : 0L;
  }));
}

void try_kernel(std::vector<attempt>& all) {
  all.push_back(try_call("load a module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); }));
  all.push_back(try_call("mount something", [] { return ::syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, nullptr); }));
  all.push_back(try_call("load a program into the kernel", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }));
  all.push_back(try_call("use io_uring", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }));
  all.push_back(
      try_call("watch performance counters", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }));
  all.push_back(try_call("handle faults of memory", [] { return ::syscall(SYS_userfaultfd, 0); }));
  for (const auto& [family, name] :
       {std::pair{AF_UNIX, "a local"}, std::pair{AF_INET, "an Internet"}, std::pair{AF_NETLINK, "a netlink"}}) {
    all.push_back(try_call(fmt::format("have {} socket", name), [&] { return ::socket(family, SOCK_DGRAM, 0); }));
  }
}

// -- through the host process

/// Refused by its rules: not by Xen or the kernel, whom it would not have asked then.
template <class T>
attempt judge(std::string what, const pci::result<T>& outcome) {
  const bool refused = !outcome && outcome.error().error == EPERM && outcome.error().context.starts_with(refusal);
  return {std::move(what), refused, outcome ? "it works" : pci::to_string(outcome.error())};
}

/// A function that dom0's drivers have, or nobody.
std::optional<pci::sbdf> not_held(platform::remote::remote_host& host) {
  for (const auto& each : host.pci().list()) {
    const auto driver = host.pci().driver(each);
    if (driver && !platform::is_holder(*driver)) {
      return each;
    }
  }
  return std::nullopt;
}

void try_function(std::vector<attempt>& all, platform::remote::remote_host& host, const pci::sbdf& other) {
  const auto name = pci::to_string(other);
  all.push_back(judge(fmt::format("give {}, which is not held, to a guest", name),
                      host.xen().assign(nobodys_domain, other, pci::rdm_policy::strict)));
  all.push_back(judge(fmt::format("take {} from whoever has it", name), host.xen().deassign(nobodys_domain, other)));
  all.push_back(judge(fmt::format("have the registers of {}", name), host.pci().open_config(other)));
  all.push_back(judge(fmt::format("have the interrupts of {}", name), host.xen().map_msi(nobodys_domain, other)));
  all.push_back(judge(fmt::format("reset {}", name), host.pci().reset(other, pci::reset_method::unnamed)));
  all.push_back(judge(fmt::format("take {} from its driver by giving it back", name), host.pci().release(other)));
}

void try_domains(std::vector<attempt>& all, platform::remote::remote_host& host) {
  auto& xen = host.xen();
  for (const std::uint16_t domain : {std::uint16_t{0}, nobodys_domain}) {
    all.push_back(judge(fmt::format("map a page of domain {}", domain), host.grant_table().map(domain, 1)));
    all.push_back(
        judge(fmt::format("bind a channel of domain {}", domain), host.channels().bind_interdomain(domain, 1)));
    all.push_back(judge(fmt::format("give memory to domain {}", domain), xen.permit_memory(domain, 0, 1, true)));
    all.push_back(judge(fmt::format("give ports to domain {}", domain), xen.permit_ports(domain, 0x3f8, 1, true)));
    all.push_back(judge(fmt::format("give a line to domain {}", domain), xen.permit_irq(domain, 1, true)));
  }
  all.push_back(judge("stop a domain that has no function", xen.crash(nobodys_domain)));
  all.push_back(judge("pause a domain that has no function", xen.pause(nobodys_domain)));
  for (const auto& name : host.xenstore().list(pci::paths::backends).value_or(std::vector<std::string>{})) {
    const auto guest = static_cast<std::uint16_t>(std::strtoul(name.c_str(), nullptr, 10));
    all.push_back(judge(fmt::format("map a page of domain {}, served, that is another backend's", guest),
                        host.grant_table().map(guest, 0xfffffff0)));
    all.push_back(judge(fmt::format("bind a channel of domain {}, served, that is another backend's", guest),
                        host.channels().bind_interdomain(guest, 0xfff0)));
    all.push_back(judge(fmt::format("give domain {}, served, memory of the host's", guest),
                        xen.permit_memory(guest, 0, 1, true)));
  }
}

void try_nodes(std::vector<attempt>& all, platform::remote::remote_host& host) {
  auto& store = host.xenstore();
  all.push_back(judge("rename dom0", store.write(pci::paths::home(0, pci::node::name), "intruder")));
  all.push_back(
      judge("make a backend of another kind", store.write("/local/domain/0/backend/vbd/1/0/params", "/dev/sda")));
  all.push_back(judge("read another backend's nodes", store.list("/local/domain/0/backend/vbd")));
  all.push_back(judge("write a node that is no PCI frontend's", store.write("/local/domain/1/memory/target", "1")));
  all.push_back(judge("keep a record where it likes", host.journal()->write("../lock", "")));
  all.push_back(judge("tell the service manager what it likes", host.notify("MAINPID=1")));
}

} // namespace

std::vector<attempt> try_system_calls() {
  std::vector<attempt> all;
  try_files(all);
  try_processes(all);
  try_kernel(all);
  return all;
}

std::vector<attempt> try_to_break_out(platform::remote::remote_host& host) {
  auto all = try_system_calls();
  if (const auto other = not_held(host)) {
    try_function(all, host, *other);
  }
  try_domains(all, host);
  try_nodes(all, host);
  return all;
}

} // namespace daemon_program
