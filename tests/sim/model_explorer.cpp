// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_explorer.hpp"

namespace model {

sequence sequence_of(const std::vector<std::string>& names) {
  sequence moves;
  for (const auto& name : names) {
    CAPTURE(name);
    const auto* found = find_action(name);
    REQUIRE(found != nullptr);
    moves.push_back(found);
  }
  return moves;
}

std::string to_text(const sequence& moves) {
  std::string text;
  for (const auto* each : moves) {
    text += fmt::format("    \"{}\",\n", each->name);
  }
  return text;
}

complaints play(const sequence& moves, std::optional<unsigned> steps) {
  world all;
  for (std::size_t i = 0; i < moves.size(); ++i) {
    moves[i]->run(all);
    if (steps && i + 2 == moves.size()) {
      for (unsigned taken = 0; taken < *steps && all.step(); ++taken) {
      }
      continue;
    }
    all.run();
    if (auto found = all.check(); !found.empty()) {
      found.push_back("after: " + moves[i]->name);
      return found;
    }
  }
  return all.check_end();
}

bool explorer::wrong(const sequence& moves, const complaints& found, const std::string& how) {
  if (found.empty()) {
    return false;
  }
  // The first, which is a shortest one, of each kind.
  const auto kind = fmt::format("{}", fmt::join(found, "\n"));
  if (kinds_.insert(kind).second && kinds_.size() <= most_kinds) {
    const auto text = fmt::format("\n{}{}{}\n", to_text(moves), how, kind);
    MESSAGE(text); // at once: the rest takes its time
    report_ += text;
  }
  return true;
}

std::unique_ptr<world> explorer::arrive(const sequence& moves) {
  auto all = std::make_unique<world>();
  ++totals_.plays;
  for (const auto* each : moves) {
    each->run(*all);
    all->run();
  }
  return all;
}

void explorer::explore(const sequence& start, unsigned depth) {
  std::deque<place> next;
  {
    auto first = arrive(start);
    if (wrong(start, first->check(), "")) {
      return;
    }
    next.push_back({start, first->digest(), depth});
  }
  while (!next.empty()) {
    const auto from = std::move(next.front());
    next.pop_front();
    if (const auto before = known_.find(from.digest); before != known_.end() && before->second >= from.left) {
      continue;
    }
    totals_.worlds += known_.contains(from.digest) ? 0 : 1;
    known_[from.digest] = from.left;
    if (from.left > 0) {
      expand(from, next);
    }
  }
}

void explorer::expand(const place& from, std::deque<place>& next) {
  std::unique_ptr<world> here;
  for (const auto& each : actions()) {
    if (!here) {
      here = arrive(from.moves);
    }
    const bool done = each.run(*here);
    here->run();
    ++totals_.moves;
    auto digest = here->digest();
    if (!done && digest == from.digest) {
      continue; // this world serves for the next move too
    }
    auto moves = from.moves;
    moves.push_back(&each);
    if (wrong(moves, here->check(), "")) {
      here.reset();
      continue;
    }
    if (digest == from.digest) {
      continue;
    }
    const auto before = known_.find(digest);
    if (before == known_.end() && wrong(moves, here->check_end(), "    // and the end of all\n")) {
      here.reset();
      continue;
    }
    if (before == known_.end() || before->second < from.left - 1) {
      next.push_back({std::move(moves), std::move(digest), from.left - 1});
    }
    here.reset();
  }
}

void explorer::race(const sequence& start, const std::vector<unsigned>& steps) {
  auto here = arrive(start);
  for (const auto& first : actions()) {
    if (!first.run(*here)) {
      continue; // no occasion, and the world is as it was
    }
    here = arrive(start);
    for (const auto count : steps) {
      race(start, first, count);
    }
  }
}

void explorer::race(const sequence& start, const action& first, unsigned steps) {
  std::unique_ptr<world> here;
  unsigned taken = 0;
  for (const auto& second : actions()) {
    if (!here) {
      here = arrive(start);
      static_cast<void>(first.run(*here));
      for (taken = 0; taken < steps && here->step();) {
        ++taken;
      }
    }
    if (!second.run(*here)) {
      continue;
    }
    here->run();
    ++totals_.moves;
    auto moves = start;
    moves.push_back(&first);
    moves.push_back(&second);
    const auto how = fmt::format("    // the last one after {} of the daemon's messages\n", taken);
    if (!wrong(moves, here->check(), how)) {
      static_cast<void>(wrong(moves, here->check_end(), how + "    // and the end of all\n"));
    }
    here.reset();
  }
}

} // namespace model
