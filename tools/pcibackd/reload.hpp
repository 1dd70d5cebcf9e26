// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/document.hpp"
#include "config/settings.hpp"
#include "pci/result.hpp"

namespace daemon_program {

/// What other settings come to under a daemon that runs. Keys are named as in the file, sections as "[[assign]]".
struct settings_change {
  std::vector<std::string> taken;   ///< these can hold at once
  std::vector<std::string> restart; ///< these cannot
  config::settings merged;          ///< the new ones, but for the latter
};
[[nodiscard]] settings_change compare(const config::settings& now, const config::settings& next);

/// The settings that hold, and how they become others. Thread-safe: the control socket and SIGHUP may both want it.
class reloader {
public:
  /// `adapt`: what is always added, of a simulated host's; may be empty. `apply` is told of settings that changed, and
  /// must return at once.
  using adapter = std::function<config::settings(config::settings)>;
  /// How the text of a file is had, by a process that can open none.
  using file_reader = std::function<pci::result<std::string>(const std::string& file)>;
  reloader(
      config::settings first, adapter adapt, std::function<void(const config::settings&)> apply,
      file_reader read = [](const std::string& file) { return config::read_file(file); })
      : now_(std::move(first)), adapt_(std::move(adapt)), apply_(std::move(apply)), read_(std::move(read)) {}

  /// Takes over what can be of a file's text. EINVAL: the text is wrong, in one line that begins with `name`; nothing
  /// is changed.
  [[nodiscard]] pci::result<settings_change> take(const std::string& text, const std::string& name);
  /// Reads the file that the settings came from. ENOENT: there is none.
  [[nodiscard]] pci::result<settings_change> take_file();

private:
  std::mutex mutex_;
  config::settings now_;
  adapter adapt_;
  std::function<void(const config::settings&)> apply_;
  file_reader read_;
};

/// One line for the log: what holds now, and what needs a restart.
[[nodiscard]] std::string summary_of(const settings_change& what);

} // namespace daemon_program
