// SPDX-License-Identifier: GPL-2.0-or-later
#include "xenstored/xenstored_fixture.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include <xenstore.h>
}

namespace test {
namespace {

constexpr unsigned alive = 0, shut_down = 1, dying = 2;
constexpr int virq_port = 2; // fake_xen.c: what xenstored takes for VIRQ_DOM_EXC

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (auto& word : words)
    result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

// Starts a program that the kernel ends when the test ends, be it by a crash.
pid_t spawn(std::vector<std::string> words, std::vector<std::string> environment, const std::string& log) {
  const auto arguments = pointers(words);
  const auto variables = pointers(environment);
  const pid_t child = ::fork();
  if (child < 0)
    fail("fork");
  if (child > 0)
    return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execve(arguments[0], arguments.data(), variables.data());
  ::_exit(127);
}

void end(pid_t& process) {
  if (process <= 0)
    return;
  ::kill(process, SIGKILL);
  ::waitpid(std::exchange(process, -1), nullptr, 0);
}

void wait_for_file(const std::string& path) {
  for (int i = 0; i < 500; ++i) {
    if (std::filesystem::exists(path))
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("did not appear: " + path);
}

void introduce(const std::string& socket, std::uint16_t domain) {
  ::setenv("XENSTORED_PATH", socket.c_str(), 1);
  const std::unique_ptr<xs_handle, decltype(&xs_close)> connection{xs_open(0), &xs_close};
  if (!connection || !xs_introduce_domain(connection.get(), domain, 1, 7))
    fail("introduce domain " + std::to_string(domain));
}

std::filesystem::path make_directory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "xenstored.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    fail("mkdtemp");
  return pattern;
}

} // namespace

// Delegates, so that the destructor clears up after a start that fails half-way.
xenstored::xenstored() : xenstored(make_directory()) {
  std::signal(SIGPIPE, SIG_IGN); // as the daemon does
  std::ofstream(directory_ / "xsd_kva").close();
  std::filesystem::resize_file(directory_ / "xsd_kva", 4096);
  std::ofstream(directory_ / "xsd_port") << "1\n";
  write_domains();
  daemon_ = spawn({XENSTORED, "-N", "-I", "--pid-file", directory_ / "pid"},
                  {"FAKE_XEN_DIR=" + directory_.string(), "XENSTORED_RUNDIR=" + directory_.string(),
                   "XENSTORED_PATH=" + socket(), "LD_PRELOAD=" FAKE_XEN},
                  directory_ / "log");
  wait_for_file(socket());
  auto dom0 = connect(socket());
  if (!dom0->make_directory("/local/domain/0"))
    throw std::runtime_error("xenstored does not answer");
}

xenstored::~xenstored() {
  for (auto& [domain, process] : bridges_)
    end(process);
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void xenstored::kill() { end(daemon_); }

std::string xenstored::add_domain(std::uint16_t domain) {
  domains_[domain] = alive;
  write_domains();
  const auto number = std::to_string(domain);
  auto guest_socket = (directory_ / ("socket-dom" + number)).string();
  bridges_[domain] = spawn({GUEST_BRIDGE, directory_, number}, {}, directory_ / "log");
  wait_for_file(guest_socket);
  introduce(socket(), domain);
  auto dom0 = connect(socket());
  const auto home = "/local/domain/" + number;
  const platform::node_permission owner[] = {{.domid = domain}};
  if (!dom0->make_directory(home) || !dom0->set_permissions(home, owner))
    throw std::runtime_error("cannot make " + home);
  return guest_socket;
}

void xenstored::kill_domain(std::uint16_t domain) {
  set_flags(domain, dying);
  end(bridges_[domain]);
}

void xenstored::shut_domain_down(std::uint16_t domain) { set_flags(domain, shut_down); }

void xenstored::set_flags(std::uint16_t domain, unsigned flags) {
  domains_[domain] = flags;
  write_domains();
  const int channel = ::open((directory_ / "evtchn").c_str(), O_RDWR | O_CLOEXEC);
  if (channel < 0 || ::write(channel, &virq_port, sizeof virq_port) != sizeof virq_port)
    fail("raise VIRQ_DOM_EXC");
  ::close(channel);
}

void xenstored::write_domains() const {
  const auto next = directory_ / "domains.next";
  std::ofstream file(next);
  for (const auto& [domain, flags] : domains_)
    file << domain << ' ' << flags << '\n';
  file.close();
  std::filesystem::rename(next, directory_ / "domains"); // xenstored may be reading it
}

std::unique_ptr<platform::xen::store> connect(const std::string& socket) {
  ::setenv("XENSTORED_PATH", socket.c_str(), 1);
  auto opened = platform::xen::store::open();
  if (!opened)
    throw std::runtime_error(pci::to_string(opened.error()));
  return std::move(*opened);
}

} // namespace test
