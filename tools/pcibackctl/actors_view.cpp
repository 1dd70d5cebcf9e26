// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/actors_view.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace client_program {
namespace {

using look = nlohmann::ordered_json;
using cells = std::vector<std::string>;

std::string word_of(const look& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_string() ? *found->get_ptr<const std::string*>() : std::string{};
}

std::uint64_t number_of(const look& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

bool is_set(const look& from, const char* name, bool otherwise) {
  const auto found = from.find(name);
  return found != from.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

std::string time_of(std::uint64_t milliseconds) {
  return milliseconds < 1000 ? fmt::format("{} ms", milliseconds)
                             : fmt::format("{:.1f} s", static_cast<double>(milliseconds) / 1000);
}

std::string age_of(const look& who) {
  const auto found = who.find("oldest_ms");
  return found == who.end() || found->is_null() ? "-" : time_of(number_of(who, "oldest_ms"));
}

std::string state_of(const look& who) {
  if (!is_set(who, "answers", true)) {
    return "does not answer";
  }
  const auto state = word_of(who, "state");
  return state.empty() ? "-" : state;
}

/// How wide it is on a terminal: bytes that go on with a character of UTF-8 take no room.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

std::string columns(const std::vector<cells>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], width_of(row[column]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      line += row[column] + std::string(widths[column] - width_of(row[column]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

/// The actors of one result, each below its owner. What claims to own itself, by whatever way round, is shown once.
class tree {
public:
  tree(const look& actors, bool lines) : lines_(lines) {
    std::set<std::uint64_t> known;
    for (const auto& who : actors) {
      known.insert(number_of(who, "id"));
    }
    for (const auto& who : actors) {
      const auto owner = number_of(who, "owner");
      children_[known.contains(owner) ? owner : 0].push_back(&who);
    }
  }

  [[nodiscard]] std::vector<cells> rows() {
    rows_ = {{"Actor", "State", "Waiting", "Handled", "Restarts", "Oldest work", "Thread"}};
    for (const auto* who : children_[0]) {
      add(*who, "", "");
    }
    return rows_;
  }

private:
  void add(const look& who, const std::string& before, const std::string& below) {
    const auto id = number_of(who, "id");
    if (!shown_.insert(id).second) {
      return;
    }
    const auto subject = word_of(who, "subject");
    rows_.push_back({before + word_of(who, "kind") + (subject.empty() ? "" : " " + subject), state_of(who),
                     fmt::format("{}", number_of(who, "waiting")), fmt::format("{}", number_of(who, "handled")),
                     fmt::format("{}", number_of(who, "restarts")), age_of(who),
                     is_set(who, "own_thread", false) ? "own" : "shared"});
    const auto own = children_.find(id);
    if (id == 0 || own == children_.end()) {
      return;
    }
    for (const auto* child : own->second) {
      const bool last = child == own->second.back();
      const std::string branch = !lines_ ? "  " : last ? "└─ " : "├─ ";
      const std::string trunk = !lines_ ? "  " : last ? "   " : "│  ";
      add(*child, below + branch, below + trunk);
    }
  }

  bool lines_;
  std::map<std::uint64_t, std::vector<const look*>> children_;
  std::set<std::uint64_t> shown_;
  std::vector<cells> rows_;
};

std::vector<cells> thread_rows(const look& threads) {
  std::vector<cells> rows{{"Thread", "Name", "State", "Processor"}};
  for (const auto& which : threads) {
    rows.push_back({fmt::format("{}", number_of(which, "id")), word_of(which, "name"), word_of(which, "state"),
                    time_of(number_of(which, "processor_ms"))});
  }
  return rows;
}

} // namespace

pci::result<std::string> actors_tree(const std::string& result, bool lines) {
  const auto parsed = look::parse(result, nullptr, false);
  const auto actors = parsed.is_object() ? parsed.find("actors") : parsed.end();
  if (!parsed.is_object() || actors == parsed.end() || !actors->is_array()) {
    return pci::fail(EPROTO, "the daemon's list of actors has a form that this program does not know; use --json");
  }
  auto text = columns(tree(*actors, lines).rows());
  if (const auto threads = parsed.find("threads");
      threads != parsed.end() && threads->is_array() && !threads->empty()) {
    text += "\n" + columns(thread_rows(*threads));
  }
  return text;
}

} // namespace client_program
