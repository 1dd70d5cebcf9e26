// SPDX-License-Identifier: GPL-2.0-or-later
// Plays cards: see player.hpp. Ends with "N passed, M failed".
#include <cstdlib>
#include <iostream>

#include <spdlog/spdlog.h>

#include "player.hpp"

namespace {

struct counts {
  unsigned passed = 0, failed = 0;
};

void play_file(const std::filesystem::path& file, counts& all) {
  cards::complaints wrong;
  const auto card = cards::load(file);
  if (!card) {
    wrong.add(pci::to_string(card.error()));
  } else {
    for (const auto& each : cards::settings()) {
      cards::play(*card, each, static_cast<unsigned>(std::hash<std::string>{}(card->name)), wrong);
    }
  }
  const bool good = wrong.count() == 0;
  ++(good ? all.passed : all.failed);
  std::cout << (good ? "passed " : "FAILED ") << file.string()
            << (card && !card->refusal.empty() ? fmt::format(": refused, {}", card->refusal) : std::string{}) << '\n';
  for (const auto& text : wrong.texts()) {
    std::cout << "  " << text << '\n';
  }
  if (wrong.count() > wrong.texts().size()) {
    std::cout << "  and " << wrong.count() - wrong.texts().size() << " more\n";
  }
  std::cout.flush();
}

} // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "usage: card_player DIRECTORY|FILE...\n  plays each file of `lspci -xxxx` text on a simulated host\n";
    return 2;
  }
  spdlog::set_level(std::getenv("CARDS_LOG") != nullptr ? spdlog::level::info : spdlog::level::off);
  counts all;
  for (int i = 1; i < count; ++i) {
    const std::filesystem::path given = arguments[i];
    const auto files = std::filesystem::is_directory(given) ? cards::files_of(given) : std::vector{given};
    for (const auto& file : files) {
      play_file(file, all);
    }
  }
  std::cout << all.passed << " passed, " << all.failed << " failed\n";
  return all.failed == 0 && all.passed != 0 ? 0 : 1;
}
