// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pci/protocol/aer.hpp"
#include "platform/descriptor.hpp"
#include "platform/linux/sysfs.hpp"

namespace platform::linux_host {

/// An error as the kernel's tracepoint ras:aer_event tells it.
struct traced_error {
  pci::sbdf address;
  pci::error_severity severity = pci::error_severity::corrected;
  std::string_view status; ///< the set bits' names, joined by |; empty when the kernel could not read them
  friend bool operator==(const traced_error&, const traced_error&) = default;
};

/// Reads a line of trace_pipe. Empty: of another event, or malformed. Source: the kernel's include/ras/ras_event.h.
[[nodiscard]] std::optional<traced_error> parse_traced_error(std::string_view line);

/// The errors of all PCI functions, from the tracepoint that rasdaemon uses too: the only source that names the
/// function when no driver with handlers has it. Has a trace instance of its own, so that nobody else's tracing is
/// disturbed.
class error_trace {
public:
  /// `tracing`: where tracefs is. ENOENT: it is not mounted, or the kernel has no such tracepoint.
  [[nodiscard]] static pci::result<std::unique_ptr<error_trace>>
  open(std::filesystem::path tracing = "/sys/kernel/tracing");
  error_trace(const error_trace&) = delete;
  error_trace& operator=(const error_trace&) = delete;
  /// Takes the instance away again.
  ~error_trace();

  /// Readable while lines wait.
  [[nodiscard]] int descriptor() const { return pipe_.get(); }
  /// Hands what waits to `deliver`, without blocking; leaves some for the next call when there is very much. False: the
  /// trace cannot be read any more.
  bool drain(const std::function<void(const traced_error& error)>& deliver);

private:
  explicit error_trace(std::filesystem::path instance) : files_(std::move(instance)) {}
  pci::result<void> begin();
  void take_lines(const std::function<void(const traced_error& error)>& deliver);

  sysfs files_; ///< the instance's
  platform::descriptor pipe_;
  std::string rest_; ///< a line that has not ended
};

} // namespace platform::linux_host
