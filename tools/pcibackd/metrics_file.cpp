// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/metrics_file.hpp"

#include <cerrno>
#include <cstdio>
#include <utility>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "platform/linux/whole_file.hpp"

namespace daemon_program {
// Not with fsync: after a crash of the host it is of no use.
pci::result<void> replace_file(const std::string& path, const std::string& text) {
  const auto beside = path + ".new";
  if (const auto written = platform::linux_host::write_whole(beside, text, 0644); !written) {
    return pci::fail(written.error().error, fmt::format("{} cannot be written", beside));
  }
  if (std::rename(beside.c_str(), path.c_str()) != 0) {
    const auto error = errno;
    ::unlink(beside.c_str());
    return pci::fail(error, fmt::format("{} cannot be replaced", path));
  }
  return {};
}

void remove_file(const std::string& path) { ::unlink(path.c_str()); }

metrics_file::metrics_file(std::string path, std::function<std::string()> text, std::chrono::milliseconds every,
                           file_ways ways)
    : path_(std::move(path)), text_(std::move(text)), every_(every), ways_(std::move(ways)),
      thread_([this] { run(); }) {}

metrics_file::~metrics_file() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  thread_.join();
  ways_.remove(path_);
}

void metrics_file::run() {
  for (std::unique_lock lock(mutex_); !stopping_; stopped_.wait_for(lock, every_, [this] { return stopping_; })) {
    lock.unlock();
    write();
    lock.lock();
  }
}

void metrics_file::write() {
  const auto done = ways_.replace(path_, text_());
  if (!done && !failed_) {
    spdlog::error("the metrics are not written: {}; see `metrics_file` in the settings", pci::to_string(done.error()));
  } else if (done && failed_) {
    spdlog::info("the metrics are written again");
  }
  failed_ = !done;
}

} // namespace daemon_program
