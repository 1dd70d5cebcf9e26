// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "pci/nearest.hpp"

using pci::nearest;

TEST_CASE("distance of words: insertions, deletions, replacements, and neighbours that changed places") {
  CHECK(pci::distance("", "") == 0);
  CHECK(pci::distance("list", "list") == 0);
  CHECK(pci::distance("", "list") == 4);
  CHECK(pci::distance("list", "") == 4);
  CHECK(pci::distance("lst", "list") == 1);
  CHECK(pci::distance("liist", "list") == 1);
  CHECK(pci::distance("lost", "list") == 1);
  CHECK(pci::distance("lsit", "list") == 1);
  CHECK(pci::distance("kitten", "sitting") == 3);
  CHECK(pci::distance("ca", "abc") == 3); // the restricted distance: no letter is moved twice
}

TEST_CASE("distance of words is symmetric and never more than the longer word") {
  const std::vector<std::string> words{"", "a", "hold", "holds", "release", "detach", "attach", "explain", "exlpain"};
  for (const auto& left : words) {
    for (const auto& right : words) {
      CHECK(pci::distance(left, right) == pci::distance(right, left));
      CHECK(pci::distance(left, right) <= std::max(left.size(), right.size()));
      CHECK((pci::distance(left, right) == 0) == (left == right));
    }
  }
}

TEST_CASE("the nearest word is one that may have been meant") {
  const std::vector<std::string> words{"hold", "release", "attach", "detach", "list", "lines", "explain"};
  CHECK(nearest("lst", words) == "list");
  CHECK(nearest("explian", words) == "explain");
  CHECK(nearest("atach", words) == "attach");
  CHECK(nearest("relase", words) == "release");
  CHECK(nearest("list", words) == "list");
  CHECK(nearest("reboot", words).empty());
  CHECK(nearest("", words).empty());
  CHECK(nearest("x", words).empty());
  CHECK(nearest(std::string(65, 'x'), words).empty());
  CHECK(nearest("lst", std::vector<std::string>{}).empty());
  CHECK(nearest("wbe", std::vector<std::string>{"db", "web"}) == "web");
  CHECK(nearest("wab", std::vector<std::string>{"web", "wub"}) == "web"); // the first of two as near
}
