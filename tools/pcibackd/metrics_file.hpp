// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "pci/result.hpp"

namespace daemon_program {

/// Replaces a file as a whole: who reads it sees the old text or the new one. A file beside it, with `.new` after its
/// name, is there meanwhile.
[[nodiscard]] pci::result<void> replace_file(const std::string& path, const std::string& text);
/// What is not there is no matter.
void remove_file(const std::string& path);

/// How a process gets at the file. By itself, or by another that may.
struct file_ways {
  std::function<pci::result<void>(const std::string& path, const std::string& text)> replace = replace_file;
  std::function<void(const std::string& path)> remove = remove_file;
};

/// Writes a text into a file at once and then again and again, on a thread of its own, until it is destroyed; then the
/// file is removed, for it tells of a daemon that runs. What goes wrong is logged when it begins and when it is over.
class metrics_file {
public:
  static constexpr auto interval = std::chrono::seconds(15);

  metrics_file(std::string path, std::function<std::string()> text, std::chrono::milliseconds every = interval,
               file_ways ways = {});
  metrics_file(const metrics_file&) = delete;
  metrics_file& operator=(const metrics_file&) = delete;
  ~metrics_file();

private:
  void run();
  void write();

  const std::string path_;
  const std::function<std::string()> text_;
  const std::chrono::milliseconds every_;
  const file_ways ways_;
  bool failed_ = false; ///< the thread's own
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_; ///< begins when all else is there
};

} // namespace daemon_program
