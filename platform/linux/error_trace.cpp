// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/error_trace.hpp"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace platform::linux_host {
namespace {

constexpr const char* instance_name = "instances/pcibackd";
constexpr const char* enable_file = "events/ras/aer_event/enable";
constexpr std::size_t longest_line = 4096;
constexpr int reads_at_once = 16;

/// What stands between two marks; the text then goes on behind the second.
std::optional<std::string_view> up_to(std::string_view& text, std::string_view mark) {
  const auto at = text.find(mark);
  if (at == std::string_view::npos)
    return std::nullopt;
  const auto before = text.substr(0, at);
  text.remove_prefix(at + mark.size());
  return before;
}

std::optional<pci::error_severity> take_severity(std::string_view& text) {
  constexpr std::array<std::pair<std::string_view, pci::error_severity>, 3> words{
      {{"Corrected, ", pci::error_severity::corrected},
       {"Fatal, ", pci::error_severity::fatal},
       {"Uncorrected, non-fatal, ", pci::error_severity::nonfatal}}};
  for (const auto& [word, severity] : words)
    if (text.starts_with(word)) {
      text.remove_prefix(word.size());
      return severity;
    }
  return std::nullopt;
}

} // namespace

std::optional<traced_error> parse_traced_error(std::string_view line) {
  if (!up_to(line, ": aer_event: "))
    return std::nullopt;
  const auto name = up_to(line, " PCIe Bus Error: severity=");
  const auto address = name ? pci::parse_sbdf(*name) : pci::fail(EINVAL, "");
  const auto severity = take_severity(line);
  if (!address || !severity)
    return std::nullopt;
  const auto status = up_to(line, ", TLP Header=");
  return traced_error{*address, *severity, trim(status.value_or(line))};
}

pci::result<std::unique_ptr<error_trace>> error_trace::open(std::filesystem::path tracing) {
  const auto instance = tracing / instance_name;
  if (::mkdir(instance.c_str(), 0700) != 0 && errno != EEXIST)
    return pci::fail(errno, "cannot make " + instance.string() + "; is tracefs mounted?");
  std::unique_ptr<error_trace> made{new error_trace(instance)};
  return made->begin().map([&] { return std::move(made); });
}

pci::result<void> error_trace::begin() {
  // Small, and readable from the first event on. Kernels that lack one of these do without.
  static_cast<void>(files_.write("buffer_size_kb", "64"));
  static_cast<void>(files_.write("buffer_percent", "0"));
  static_cast<void>(files_.write("trace", "")); // what an instance of the daemon that was killed has left
  if (auto on = files_.write(enable_file, "1"); !on)
    return on;
  const auto name = files_.path("trace_pipe");
  pipe_ = platform::descriptor{::open(name.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!pipe_)
    return pci::fail(errno, "open " + name.string());
  return {};
}

error_trace::~error_trace() {
  static_cast<void>(files_.write(enable_file, "0"));
  pipe_ = {}; // an instance goes only when nobody has a file of it open
  ::rmdir(files_.path("").c_str());
}

bool error_trace::drain(const std::function<void(const traced_error& error)>& deliver) {
  std::array<char, longest_line> part{};
  for (int reads = 0; reads < reads_at_once; ++reads) {
    const ssize_t count = ::read(pipe_.get(), part.data(), part.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return count == 0 || errno == EAGAIN;
    rest_.append(part.data(), static_cast<std::size_t>(count));
    take_lines(deliver);
  }
  return true;
}

void error_trace::take_lines(const std::function<void(const traced_error& error)>& deliver) {
  std::string_view text = rest_;
  while (const auto line = up_to(text, "\n"))
    if (const auto error = parse_traced_error(*line))
      deliver(*error);
  // No line of the kernel's is that long: what goes on and on without an end is none.
  rest_ = text.size() < longest_line ? std::string(text) : std::string{};
}

} // namespace platform::linux_host
