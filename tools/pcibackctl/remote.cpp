// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/remote.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace client_program {
namespace {

// After "--" all words are arguments, whatever they look like.
std::vector<std::string> without_host(std::span<const std::string> words) {
  std::vector<std::string> left;
  for (std::size_t index = 0; index < words.size(); ++index) {
    const auto& word = words[index];
    if (word == "--") {
      left.insert(left.end(), words.begin() + static_cast<std::ptrdiff_t>(index), words.end());
      break;
    }
    if (word == "-H" || word == "--host") {
      ++index;
    } else if (!word.starts_with("-H") && !word.starts_with("--host=")) {
      left.push_back(word);
    }
  }
  return left;
}

} // namespace

std::string shell_quoted(const std::string& word) {
  const auto safe = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"-_./:=,+@%"}.find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, safe)) {
    return word;
  }
  std::string text = "'";
  for (const char c : word) {
    text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  }
  return text + "'";
}

pci::result<std::vector<std::string>> remote_command(const std::string& host, std::span<const std::string> words,
                                                     bool terminal) {
  if (host.empty() || host.front() == '-') {
    return pci::fail(EINVAL,
                     fmt::format("\"{}\" is not the name of a host; give one that ssh knows, such as root@dom0", host));
  }
  std::string line = "pcibackctl";
  for (const auto& word : without_host(words)) {
    line += " " + shell_quoted(word);
  }
  std::vector<std::string> command{"ssh"};
  if (terminal) { // at the end ssh would tell that the connection is closed
    command.insert(command.end(), {"-t", "-o", "LogLevel=ERROR"});
  }
  command.insert(command.end(), {"--", host, line});
  return command;
}

} // namespace client_program
