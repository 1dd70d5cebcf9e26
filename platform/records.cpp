// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/records.hpp"

#include <cerrno>

namespace platform {

pci::result<std::vector<std::string>> memory_records::names() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [name, text] : texts_)
    all.push_back(name);
  return all;
}

pci::result<std::string> memory_records::read(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = texts_.find(name);
  if (found == texts_.end())
    return pci::fail(ENOENT, "no record " + name);
  return found->second;
}

pci::result<void> memory_records::write(const std::string& name, std::string_view text) {
  const std::lock_guard lock(mutex_);
  texts_.insert_or_assign(name, std::string{text});
  doubted_.erase(name);
  return {};
}

pci::result<void> memory_records::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  texts_.erase(name);
  doubted_.erase(name);
  return {};
}

pci::result<void> memory_records::doubt(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (texts_.contains(name))
    doubted_.insert(name);
  return {};
}

bool memory_records::doubted(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return doubted_.contains(name);
}

pci::result<void> memory_records::set_aside(const std::string& name) { return remove(name); }

} // namespace platform
